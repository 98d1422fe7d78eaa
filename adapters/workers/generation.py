"""A generation: a process that loads configuration and rules, forks the workers that serve with them, replaces them.

Each reload is a new process of this kind, forked from the supervisor. So the supervisor answers nobody, never loads
anything, and cannot be brought down by rules; what a reload leaves behind is freed with its process; and a worker that
dies is replaced by one forked from what is loaded already, in milliseconds.

It has no threads when it forks: a thread that compiles patterns has ended by then (`Loaded.wait`), loggers have none
(`Logs(threads=False)`). Rules are frozen before (gc.freeze), or the first collection in each worker would copy their
pages. Here: what this process does, and what it and the supervisor say to each other. Not here: what a worker does
(worker.py), when a generation is made (supervisor.py).
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.reduction import recv_handle
from typing import TYPE_CHECKING, Any, NoReturn

from adapters.assembly import describe, logs_of, open_log, reopen_logs, wafs_of
from adapters.config import ConfigError
from adapters.logs import Logs, event
from adapters.metrics.facts import facts_of
from adapters.metrics.sheet import Sheet
from adapters.rule_sets import load_all
from adapters.tls import contexts_of
from adapters.watching import watched_files
from adapters.workers.cores import usable_cores
from adapters.workers.shared import leave_signals_to_the_supervisor
from adapters.workers.status import State
from adapters.workers.worker import ANOTHER, Worker
from waf_engine.diagnostics import Diagnostic, Severity, Span
from waf_engine.loaders import note_sources

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection

    from adapters.config import Config
    from adapters.metrics.facts import Facts
    from adapters.rule_sets import RuleSet
    from adapters.run_options import RunOptions
    from adapters.watching import Watched
    from adapters.workers.shared import Shared

LOOK_EVERY = 0.5
HANGS_AFTER = 10.0
"""Seconds without a sign of life after which a worker is killed. A single request has never taken so long."""
STARTS_WITHIN = 30.0
QUICK_DEATH = 2.0
"""A worker that lives for less has not served anybody: the next one is started a little later each time."""
PATIENCE = 2
"""Quick deaths in a row that are still answered at once."""
LONGEST_PAUSE = 30.0
COMPILED_WITHIN = 0.5
"""Seconds that the databases may take, beside what the engine waits for them, before it is said that they do."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """From a generation: what it was to serve with has faults."""

    diagnostics: tuple[Diagnostic, ...]
    watched: Watched


@dataclass(frozen=True, slots=True)
class Compiling:
    """From a generation: configuration and rules are right, but patterns are compiled first."""

    config: Config


@dataclass(frozen=True, slots=True)
class Ready:
    """From a generation: everything is loaded; it waits for `Begin`."""

    config: Config
    watched: Watched
    workers: int
    facts: Mapping[str, Facts]


@dataclass(frozen=True, slots=True)
class Begin:
    """To a generation: fork the workers, in these slots."""

    slots: tuple[int, ...]
    applications: tuple[str, ...] = ()
    sheets: int = 0
    """How many descriptors of sheets follow."""


@dataclass(frozen=True, slots=True)
class Drain:
    """To a generation: its workers are to end; they are not replaced."""


@dataclass(frozen=True, slots=True)
class Reopen:
    """To a generation: open the logs anew, for workers that are forked later."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to load, and how.

    Attributes:
        path: the configuration file.
        options: what the command line says beside it.
        number: which generation it is.
        executor: ``reference`` serves at once, without compiled patterns.
        hangs_after: seconds of silence after which a worker is killed.
    """

    path: str
    options: RunOptions
    number: int
    executor: str = "plan"
    hangs_after: float = HANGS_AFTER


@dataclass(slots=True)
class Loaded:
    """What the workers of a generation share by having been forked from it."""

    config: Config
    rule_sets: dict[str, RuleSet]
    logs: Logs
    contexts: Mapping[Any, ssl.SSLContext]
    options: RunOptions
    workers: int

    def context_of(self, listener: int) -> ssl.SSLContext | None:
        """The TLS of connections that came to a listener of the configuration."""
        if listener == ANOTHER or listener >= len(self.config.listeners):
            return None
        return self.contexts.get(self.config.listeners[listener].bind)


@dataclass(slots=True)
class _Seat:
    """A worker as its generation sees it."""

    slot: int
    sheet: Sheet | None
    pid: int = 0
    born: float = 0.0
    quick_deaths: int = 0
    due: float = 0.0
    hung: bool = field(default=False)


class Generation:
    """A generation in its process. Everything it does is in `main`, which does not return.

    Args:
        order: what to load.
        shared: what all processes have in common.
        line: to the supervisor.
    """

    def __init__(self, order: Order, shared: Shared, line: Connection) -> None:
        self._order, self._shared, self._line = order, shared, line
        self._seats: list[_Seat] = []
        self._draining = False
        self._looked = self._awake_since = time.monotonic()

    def main(self) -> NoReturn:
        """Load, serve, end."""
        status = 1
        try:
            leave_signals_to_the_supervisor()
            if self._load():
                self._serve()
            status = 0
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._kill()  # the supervisor is gone
        except BaseException as error:  # noqa: BLE001  a process that was forked must not return into its parent's code
            self._kill()
            with suppress(OSError):
                self._line.send(Faulty((_unexpected(error, self._order.path),), watched_files(None, self._order.path)))
        os._exit(status)

    # -- loading ------------------------------------------------------------------------------------

    def _load(self) -> bool:
        """Load everything, and tell; whether it can be used."""
        order, logs = self._order, Logs(threads=False)
        config = None
        with note_sources() as sources:
            try:
                config, rule_sets = load_all(
                    order.path, background=True, executor=order.executor, collections=self._shared.collections
                )
                config = order.options.apply(config)
                workers = config.workers or usable_cores()
                logs.rotate(config.rotation)
                for log in logs_of(config):
                    open_log(logs, log)
                contexts = contexts_of(config.listeners)
            except ConfigError as error:
                watched = watched_files(error.config or config, order.path, sources)
                self._line.send(Faulty(error.diagnostics, watched))
                return False
        self._loaded = Loaded(config, rule_sets, logs, contexts, order.options, workers)
        self.logger = open_log(logs, config.log)
        self._wait_for_databases()
        describe(self.logger, config, rule_sets)
        gc.collect()
        gc.freeze()
        facts = facts_of(rule_sets) if config.metrics is not None else {}
        self._line.send(Ready(config, watched_files(config, order.path, sources), workers, facts))
        return True

    def _wait_for_databases(self) -> None:
        wafs = wafs_of(self._loaded.rule_sets)
        deadline = time.monotonic() + COMPILED_WITHIN
        if all([waf.wait(max(0.0, deadline - time.monotonic())) for waf in wafs]):  # noqa: C419  each is asked
            return
        self._line.send(Compiling(self._loaded.config))
        while not all(waf.wait(0.2) for waf in wafs):
            if self._line.poll():
                self._line.recv()  # raises EOFError: nobody wants it any more

    # -- serving ------------------------------------------------------------------------------------

    def _serve(self) -> None:
        begin = self._line.recv()
        if not isinstance(begin, Begin):
            return
        sheets = _receive_sheets(self._line, begin)
        wakeup, self._children = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._children, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._seats = [_Seat(slot, sheet) for slot, sheet in zip(begin.slots, sheets, strict=True)]
        for seat in self._seats:
            self._fork(seat)
        wait = select.poll()
        for each in (wakeup, self._line.fileno(), self._shared.lifeline.fileno()):
            wait.register(each, select.POLLIN)
        while not (self._draining and not any(seat.pid for seat in self._seats)):
            ready = dict(wait.poll(self._pause() * 1000))
            if self._shared.lifeline.fileno() in ready:
                raise EOFError
            if wakeup in ready:
                os.read(wakeup, 4096)
            if self._line.fileno() in ready:
                self._obey(self._line.recv())
            self._reap()
            self._look_for_hangs()
            for seat in self._seats:
                if not seat.pid and not self._draining and seat.due <= time.monotonic():
                    self._fork(seat)

    def _obey(self, message: object) -> None:
        if isinstance(message, Drain):
            self._draining = True
        elif isinstance(message, Reopen):
            reopen_logs(self.logger, self._loaded.logs, ())

    def _pause(self) -> float:
        due = [seat.due - time.monotonic() for seat in self._seats if not seat.pid and not self._draining]
        return max(0.0, min([LOOK_EVERY, *due]))

    def _fork(self, seat: _Seat) -> None:
        assert threading.active_count() == 1, threading.enumerate()
        slot = self._shared.status.slots[seat.slot]
        slot.begin(self._order.number)
        seat.born, seat.hung = time.monotonic(), False
        pid = os.fork()
        if not pid:
            self._be_worker(seat)
        seat.pid = pid
        slot.born(pid)

    def _be_worker(self, seat: _Seat) -> NoReturn:
        status = 1
        try:
            leave_signals_to_the_supervisor()
            self._line.close()
            self._loaded.logs.allow_threads()
            self._shared.status.slots[seat.slot].born(os.getpid())
            Worker(self._loaded, seat.slot, self._shared, seat.sheet).run()
            status = 0
        except BaseException:
            self.logger.exception("a worker failed", extra={"fields": {"pid": os.getpid()}})
        finally:
            os._exit(status)

    def _reap(self) -> None:
        for seat in self._seats:
            if not seat.pid:
                continue
            pid, status = os.waitpid(seat.pid, os.WNOHANG)
            if pid:
                self._ended(seat, status)

    def _ended(self, seat: _Seat, status: int) -> None:
        slot = self._shared.status.slots[seat.slot]
        pid, seat.pid = seat.pid, 0
        if self._draining and not status:
            slot.gone(State.FREE)
            return
        slot.gone(State.DEAD)
        lived = time.monotonic() - seat.born
        seat.quick_deaths = seat.quick_deaths + 1 if lived < QUICK_DEATH else 0
        excess = seat.quick_deaths - PATIENCE
        pause = min(LONGEST_PAUSE, 0.1 * 2 ** min(excess, 20)) if excess > 0 else 0.0
        seat.due = time.monotonic() + pause
        slot.count_restart(hung=seat.hung)
        event(
            self.logger,
            logging.ERROR,
            "a worker hung and was killed" if seat.hung else "a worker died",
            pid=pid,
            how=_how(status),
            lived=round(lived, 1),
            **({"next_in": round(pause, 1)} if pause else {}),
        )

    def _look_for_hangs(self) -> None:
        now = time.monotonic()
        if now - self._looked > 2 * LOOK_EVERY:  # this process stood still, so perhaps the machine: they did, too
            self._awake_since = now
        self._looked = now
        for seat in self._seats:
            slot = self._shared.status.slots[seat.slot]
            bound = max(self._order.hangs_after, STARTS_WITHIN if slot.state is State.STARTING else 0.0)
            if seat.pid and not seat.hung and min(slot.silent, now - self._awake_since) > bound:
                seat.hung = True
                with suppress(ProcessLookupError):
                    os.kill(seat.pid, signal.SIGKILL)

    def _kill(self) -> None:
        for seat in self._seats:
            if seat.pid:
                with suppress(ProcessLookupError):
                    os.kill(seat.pid, signal.SIGKILL)


def _how(status: int) -> str:
    """An exit status, for people."""
    code = os.waitstatus_to_exitcode(status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"


def _unexpected(error: BaseException, path: str) -> Diagnostic:
    """A fault of ours as a diagnostic, so that a reload is refused by it and not ended."""
    message = f"it could not be loaded: {type(error).__name__}: {error}"
    return Diagnostic(Severity.ERROR, "internal-error", message, Span(path, 1))


def _receive_sheets(line: Connection, begin: Begin) -> Sequence[Sheet | None]:
    if not begin.sheets:
        return [None] * len(begin.slots)
    return [Sheet(begin.applications, recv_handle(line)) for _ in begin.slots]
