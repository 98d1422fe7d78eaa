"""The process that everybody else descends from: it accepts connections, obeys signals and watches, and answers nobody.

It loads no rules and has no threads of its own; generations (generation.py) do the loading and fork the workers. What
it does is short and bounded, so it is always there: a connection is dealt out within a millisecond.

Why the supervisor accepts, and hands each connection to the worker that has the fewest (SCM_RIGHTS, 60 microseconds):
HAProxy opens few connections and keeps them for long, so what a worker gets at the beginning is its load for hours.
Measured with 4 workers, connections of the busiest and the idlest: 16 connections by SO_REUSEPORT 9 and 0 (the worst of
six runs), 64 connections 25 and 9; by all workers accepting on one socket 16 and 0, and 64 and 0, for in a burst the
first that is awake takes all; dealt out 4 and 4, and 16 and 16. It also lets a reload keep every connection: an old
worker gives back those on which nothing is begun, and HAProxy never notices; and in the same way what HAProxy makes of
its connections is evened out (balance.py).

Here: start, reload, stop, and dealing out. Not here: the metrics' server (health.py), files (watching.py).
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.reduction import send_handle
from typing import TYPE_CHECKING

from adapters.assembly import addresses_of, allow_many_files, log_diagnostic, logs_of, open_log, reopen_logs
from adapters.config import ConfigError, load_config
from adapters.logs import Logs, event
from adapters.notify import Notifier
from adapters.run_options import RunOptions
from adapters.sockets import ListenError, listen, remove_socket_file, start_listening
from adapters.watching import EVERY, Watched, Watcher
from adapters.workers.balance import Balance, Work
from adapters.workers.channels import Kind, receive, send
from adapters.workers.cores import usable_cores
from adapters.workers.generation import HANGS_AFTER, Begin, Compiling, Drain, Faulty, Generation, Order, Ready, Reopen
from adapters.workers.shared import Shared, adopt_orphans
from adapters.workers.status import State
from waf_engine.diagnostics import Diagnostic, Severity, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from multiprocessing.connection import Connection
    from pathlib import Path

    from adapters.bind import Bind
    from adapters.config import Config
    from adapters.health import Monitor
    from adapters.metrics.facts import Facts
    from adapters.metrics.sheet import Sheet

TICK = 0.25
QUICK_TICK = 0.01
BATCH = 64
"""Connections accepted before something else has its turn."""
MAX_PENDING = 4096
PENDING_SECONDS = 5.0
"""How long a connection may wait for a worker: only while all of them start anew."""
START_SECONDS = 30.0
MARGIN = 3.0
"""Seconds that workers have beyond `drain_timeout` before they are killed."""
CRASH_PAUSES = (0.0, 1.0, 5.0, 15.0, 60.0)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


@dataclass(slots=True, eq=False)
class _Child:
    """A generation as the supervisor sees it."""

    number: int
    pid: int
    line: Connection
    wanted: bool
    """Whether somebody asked for it: a reload."""
    plain: bool
    """Whether it serves with the reference interpreter until patterns are compiled."""
    config: Config | None = None
    watched: Watched = field(default_factory=Watched)
    workers: int = 0
    slots: tuple[int, ...] = ()
    opened: dict[Bind, list[socket.socket]] = field(default_factory=dict)
    begun: float = 0.0
    faults: tuple[Diagnostic, ...] | None = None
    gone: bool = False
    facts: Mapping[str, Facts] = field(default_factory=dict)
    sheets: list[Sheet] = field(default_factory=list)


class Supervisor:
    """An agent of several processes. Made, opened and run as a `Service`.

    Args:
        path: the configuration file.
        options: what the command line says beside it.
        hangs_after: seconds of silence after which a worker is killed.

    Raises:
        ConfigError: the configuration file has faults.
    """

    def __init__(
        self, path: str | Path, options: RunOptions | None = None, *, hangs_after: float = HANGS_AFTER
    ) -> None:
        self.path, self.options = str(path), options or RunOptions()
        self._hangs_after = hangs_after
        self.config = self.options.apply(load_config(path))
        self._shared = Shared(self.config.workers or usable_cores())
        self.status = self._shared.status
        self.logs = Logs(threads=False)
        self._numbers = 0
        self._children: list[_Child] = []
        self._current: _Child | None = None
        self._coming: _Child | None = None
        self._compiling: _Child | None = None
        self._again = False
        self._listeners: dict[Bind, list[socket.socket]] = {}
        self._sent = [0] * len(self.status.slots)
        self._last_slot = 0
        self._balance = Balance()
        self._takers: dict[int, int] = {}
        """Workers that were told to give a connection, and to whom it goes."""
        self._pending: deque[tuple[float, socket.socket, int, bytes]] = deque()
        self._selector = selectors.DefaultSelector()
        self._watcher = Watcher(Watched((self.path,)))
        self._notifier = Notifier()
        self._monitor: Monitor | None = None
        self._stop_by: float | None = None
        self._killed = False
        self._crashes = 0
        self._crash_due: float | None = None
        self._next_look = self._next_alive = 0.0
        self._serving = False

    # -- start --------------------------------------------------------------------------------------

    def open(self) -> None:
        """Load everything in a first generation, open logs and addresses, have the workers begin.

        Raises:
            ConfigError: the configuration or the rules have faults, or a log file cannot be opened.
            ListenError: an address cannot be listened on.
        """
        allow_many_files()
        adopt_orphans()
        self._wakeup, writer = socket.socketpair()
        for end in (self._wakeup, writer):
            end.setblocking(False)
        self._writer = writer
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._register(self._wakeup, self._obey_signals)
        for slot, channel in enumerate(self._shared.channels):
            self._register(channel.outer, partial(self._take_back, slot))
        try:
            self._coming = self._load(wanted=False)
            while self._current is None and self._stop_by is None:
                self._step()
                self._fail_at_start()
        except BaseException:
            self._kill_all()
            self.close()
            raise

    def _fail_at_start(self) -> None:
        """Raise what keeps the first generation from serving."""
        coming = self._coming
        if coming is not None and coming.faults is not None:
            raise ConfigError(coming.faults)

    @property
    def addresses(self) -> list[str]:
        """Where it listens, with the ports that the system chose."""
        return addresses_of(sock for sockets in self._listeners.values() for sock in sockets)

    def run(self, *, announce: Callable[[], None] = lambda: None) -> None:
        """Serve until a signal ends it.

        Args:
            announce: called when HAProxy is answered and signals are obeyed.
        """
        if self._serving:
            announce()
        try:
            while self._stop_by is None or any(not child.gone for child in self._children) or self._orphans():
                self._step()
            event(self.logger, logging.INFO, "stopped")
        finally:
            self._kill_all()
            self.close()

    def close(self) -> None:
        """Let go of sockets and logs."""
        signal.set_wakeup_fd(-1)
        for sock in self._open_sockets():
            remove_socket_file(sock)
            sock.close()
        for _, sock, _, _ in self._pending:
            sock.close()
        self._selector.close()
        self._wakeup.close()
        self._writer.close()
        self._shared.close()
        if self._monitor is not None:
            self._monitor.close()
        self.logs.close()

    def _open_sockets(self) -> list[socket.socket]:
        children = [child.opened for child in self._children]
        return [sock for opened in (self._listeners, *children) for sockets in opened.values() for sock in sockets]

    # -- the loop -----------------------------------------------------------------------------------

    def _register(self, sock: socket.socket | Connection, call: Callable[[], object]) -> None:
        self._selector.register(sock, selectors.EVENT_READ, call)

    def _step(self) -> None:
        """Wait for something, and do it."""
        for key, _ in self._selector.select(self._tick()):
            # What came before it in this round may have closed it. A closed line cannot be looked up by itself.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        now = time.monotonic()
        self._reap()
        self._deal_pending(now)
        self._look_at_coming(now)
        if self._stop_by is not None:
            if now > self._stop_by:
                self._kill_all()
            return
        self._look_at_files(now)
        self._look_at_work(now)
        self._restart_if_due(now)
        if self._again and self._coming is None:
            self._again = False
            self._reload("once more")
        if self._notifier.watchdog is not None and now >= self._next_alive:
            self._next_alive = now + self._notifier.watchdog / 2
            self._notifier.alive()

    def _tick(self) -> float:
        starting = self._coming is not None and bool(self._coming.slots)
        return QUICK_TICK if starting or self._pending else TICK

    def _obey_signals(self) -> None:
        with suppress(BlockingIOError):
            for number in self._wakeup.recv(4096):
                if number in (signal.SIGTERM, signal.SIGINT):
                    self._stop(signal.Signals(number).name)
                elif number == signal.SIGHUP:
                    self._reload("SIGHUP")
                elif number == signal.SIGUSR1:
                    self._reopen_logs()

    # -- generations --------------------------------------------------------------------------------

    def _load(self, *, wanted: bool, executor: str = "plan") -> _Child:
        """Fork a generation, which begins to load."""
        self._numbers += 1
        self._watcher.load()
        line, its_line = Pipe()
        order = Order(self.path, self.options, self._numbers, executor, self._hangs_after)
        pid = os.fork()
        if not pid:
            self._become_child(line)
            Generation(order, self._shared, its_line).main()
        its_line.close()
        child = _Child(self._numbers, pid, line, wanted, executor == "reference")
        self._children.append(child)
        self._register(line, partial(self._hear, child))
        return child

    def _become_child(self, line: Connection) -> None:
        """In the new process: let go of what is the supervisor's."""
        self._shared.forked()
        signal.set_wakeup_fd(-1)
        self._selector.close()
        line.close()
        if self._monitor is not None:
            self._monitor.forget()
        for child in self._children:
            child.line.close()
        for sock in (*self._open_sockets(), self._wakeup, self._writer, *(sock for _, sock, _, _ in self._pending)):
            sock.close()

    def _hear(self, child: _Child) -> bool:
        """A message of a generation; whether there was one."""
        try:
            message = child.line.recv()
        except (EOFError, OSError):
            if child.line in self._selector.get_map():
                self._selector.unregister(child.line)
            return False
        if isinstance(message, Faulty):
            child.faults = message.diagnostics
            child.watched = message.watched
            self._refuse(child)
        elif isinstance(message, Compiling):
            self._is_compiling(child, message.config)
        elif isinstance(message, Ready):
            child.config, child.watched, child.workers = message.config, message.watched, message.workers
            child.facts = message.facts
            if child is self._compiling:
                self._compiling = None
                self.status.compiling(False)
                event(self.logger, logging.INFO, "patterns compiled, and kept for the next start")
                if self._coming is not None:
                    self._end(self._coming)
                self._coming = child
            self._begin(child)
        return True

    def _is_compiling(self, child: _Child, config: Config) -> None:
        if child is not self._coming:
            return
        if not hasattr(self, "logger"):
            self._use_log(config)
        if self._current is None and not config.serve_while_compiling:
            event(self.logger, logging.INFO, "patterns are being compiled first: serve_while_compiling is off")
            return
        self.status.compiling(True)
        self._compiling, self._coming = child, None
        if self._current is None:
            event(self.logger, logging.INFO, "patterns are being compiled: until then requests take longer")
            self._coming = self._load(wanted=False, executor="reference")
        else:
            event(self.logger, logging.INFO, "patterns are being compiled: until then the old rules serve")

    def _begin(self, child: _Child) -> None:
        """Everything is loaded: take the addresses that are new, and have the workers forked."""
        assert child.config is not None
        try:
            self._use_log(child.config)
            self._open_monitor(child.config)
            self._open_listeners(child)
            slots = self._free_slots(child)
        except (ConfigError, ListenError) as error:
            if self._current is None:
                raise
            faults = error.diagnostics if isinstance(error, ConfigError) else ()
            child.faults = faults or (Diagnostic(Severity.ERROR, "listen", str(error), Span(self.path, 1)),)
            self._refuse(child)
            return
        child.slots, child.begun = slots, time.monotonic()
        applications = tuple(child.facts)
        if self._monitor is not None:
            child.sheets = [self._monitor.board.new_sheet(applications) for _ in slots]
        with suppress(OSError):
            child.line.send(Begin(slots, applications, len(child.sheets)))
            for sheet in child.sheets:
                send_handle(child.line, sheet.descriptor, child.pid)

    def _open_monitor(self, config: Config) -> None:
        """Serve metrics, from the first time on that there is a configuration with them."""
        if self._monitor is not None:
            self._monitor.logger = self.logger
        elif config.metrics is not None and self._current is None:
            from adapters.health import Monitor  # noqa: PLC0415  who wants no metrics need not wait for prometheus_client

            self._monitor = Monitor(config.metrics, self.status.report, self.logger)
            self._monitor.open()
            for sock in self._monitor.listen():
                self._register(sock, partial(self._monitor.answer_by_fork, sock))
        if self._current is not None and config.metrics != self.config.metrics:
            event(self.logger, logging.WARNING, "metrics has changed: that needs a restart")

    def _retire_sheets(self, child: _Child) -> None:
        """Nobody of a generation counts any more."""
        if self._monitor is not None:
            for sheet in child.sheets:
                self._monitor.board.retire(sheet)
        child.sheets = []

    def _open_listeners(self, child: _Child) -> None:
        assert child.config is not None
        for listener in child.config.listeners:
            if listener.bind not in self._listeners:
                child.opened[listener.bind] = listen(listener.bind, start=False)

    def _free_slots(self, child: _Child) -> tuple[int, ...]:
        """Slots for a new generation; the oldest that drains ends when there are too few."""
        while True:
            taken = {slot for each in self._children for slot in each.slots}
            taken |= {slot.index for slot in self.status.slots if slot.pid}
            free = [slot.index for slot in self.status.slots if slot.index not in taken]
            old = [each for each in self._children if each.slots and each is not self._current and not each.gone]
            if len(free) >= child.workers or not old:
                break
            event(self.logger, logging.WARNING, "too many reloads at a time: the oldest workers end at once")
            self._end(old[0])
        if not free:
            raise ConfigError([Diagnostic(Severity.ERROR, "workers", "no room for more workers", Span(self.path, 1))])
        if len(free) < child.workers:
            event(self.logger, logging.WARNING, "so many workers need a restart", workers=child.workers, now=len(free))
        for slot in free[: child.workers]:
            self._salvage(slot)
        return tuple(free[: child.workers])

    def _salvage(self, slot: int) -> None:
        """Deal out again what was left in the queue of a slot."""
        for message in self._shared.channels[slot].empty():
            if message.sock is not None:  # by the listener it came to: one that must speak TLS goes on having to
                self._pend(message.sock, message.listener, message.greeting)
        self._sent[slot] = self.status.slots[slot].adopted

    def _look_at_coming(self, now: float) -> None:
        child = self._coming
        if child is None or not child.slots or self._stop_by is not None:
            return
        serving = [self.status.slots[slot].state is State.SERVING for slot in child.slots]
        if all(serving) or (any(serving) and now > child.begun + START_SECONDS):
            self._put_to_work(child)
        elif now > child.begun + START_SECONDS and self._current is not None:
            message = f"no worker began to serve within {START_SECONDS:g} s"
            child.faults = (Diagnostic(Severity.ERROR, "workers", message, Span(self.path, 1)),)
            self._refuse(child)

    def _put_to_work(self, child: _Child) -> None:
        """The workers of a new generation serve: from now on they get all connections."""
        assert child.config is not None
        old, self._current, self._coming = self._current, child, None
        self._children.remove(child)
        self._children.append(child)  # the others are older
        self.config, self._crashes = child.config, 0
        self._exchange_listeners(child)
        self.status.put_to_work(self.status.generation + 1, reload=child.wanted)
        if self._monitor is not None:
            self._monitor.board.configure(child.facts)
        self._watcher.watch(child.watched)
        if old is not None:
            self._drain(old)
            self.logs.keep(sink.path for log in logs_of(child.config) for sink in log.sinks)
        self._serving = True
        what = "reloaded" if child.wanted else "listening"
        number = self.status.generation
        fields = {"address": " ".join(self.addresses), "workers": len(child.slots), "generation": number}
        event(self.logger, logging.INFO, what, **fields)
        if child.wanted:
            self._reopen_logs()
        self._notifier.ready(f"{len(child.slots)} workers on {fields['address']}")

    def _exchange_listeners(self, child: _Child) -> None:
        assert child.config is not None
        wanted = [listener.bind for listener in child.config.listeners]
        for bind, sockets in child.opened.items():
            start_listening(sockets)
            for sock in sockets:
                self._register(sock, partial(self._accept, bind, sock))
        found = self._listeners | child.opened
        child.opened = {}
        self._listeners = {bind: found[bind] for bind in wanted}
        for bind in found.keys() - set(wanted):
            for sock in found[bind]:
                self._close_listener(sock)

    def _close_listener(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        remove_socket_file(sock)
        sock.close()

    def _drain(self, child: _Child) -> None:
        """Workers of an old generation give back their connections, answer what waits, and end."""
        for slot in child.slots:
            self._shared.channels[slot].order(Kind.DRAIN)
        with suppress(OSError):
            child.line.send(Drain())

    def _refuse(self, child: _Child) -> None:
        """A generation cannot serve; the old one goes on."""
        if self._current is None and child is self._coming:
            return  # `open` raises it
        if self._current is not None:  # before it is said, for whoever reads it may mend the files at once
            seen = self._current.watched
            files, globs = {*seen.files, *child.watched.files}, {*seen.globs, *child.watched.globs}
            self._watcher.watch(Watched(tuple(sorted(files)), tuple(sorted(globs))))
        for fault in child.faults or ():
            log_diagnostic(self.logger, fault)
        event(self.logger, logging.ERROR, "not reloaded: the old configuration stays", file=self.path)
        self.status.reload_failed()
        if self._monitor is not None:
            self._monitor.board.refused()
        if child is self._coming:
            self._coming = None
        if child is self._compiling:
            self._compiling = None
            self.status.compiling(False)
        if self._current is not None and self._current.config is not None:
            self._use_log(self._current.config)
            self.logs.keep(sink.path for log in logs_of(self._current.config) for sink in log.sinks)
        self._end(child)
        self._notifier.ready("not reloaded: the configuration has faults, see the log")

    def _end(self, child: _Child) -> None:
        """End a generation that is not to serve, or not any more, at once."""
        if child is self._coming:  # at once, or its end would be taken for that of one whose rules are bad
            self._coming = None
        if child is self._compiling:
            self._compiling = None
        for sockets in child.opened.values():
            for sock in sockets:
                remove_socket_file(sock)
                sock.close()
        child.opened = {}
        for pid in [child.pid, *(self.status.slots[slot].pid for slot in child.slots)]:
            if pid and not (pid == child.pid and child.gone):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            self._reap()
            if child.gone and not any(self.status.slots[slot].pid for slot in child.slots):
                break
            time.sleep(0.002)
        child.slots = ()
        self._retire_sheets(child)

    # -- children that end --------------------------------------------------------------------------

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for child in list(self._children):
                if child.pid == pid and not child.gone:
                    self._generation_ended(child, status)
                    break
            else:
                if self._monitor is not None:
                    self._monitor.ended(pid)
                for slot in self.status.slots:
                    if slot.pid == pid:
                        slot.gone(State.DEAD if status else State.FREE)

    def _generation_ended(self, child: _Child, status: int) -> None:
        with suppress(EOFError, OSError):
            while child.line.poll() and self._hear(child):
                pass
        child.gone = True
        if child.line in self._selector.get_map():
            self._selector.unregister(child.line)
        child.line.close()
        orphans = [slot for slot in child.slots if self.status.slots[slot].pid]
        if child is self._current and self._stop_by is None:
            event(self.logger, logging.ERROR, "the process that replaces workers died: rules are loaded anew")
            pause = CRASH_PAUSES[min(self._crashes, len(CRASH_PAUSES) - 1)]
            self._crashes += 1
            self._crash_due = time.monotonic() + pause
        elif child in (self._coming, self._compiling) and child.faults is None:
            how = os.waitstatus_to_exitcode(status)
            message = f"the process that loads the rules ended with {how}; was there memory enough?"
            child.faults = (Diagnostic(Severity.ERROR, "load-ended", message, Span(self.path, 1)),)
            self._refuse(child)
        if not orphans and child is not self._current:
            for slot in child.slots:
                self._salvage(slot)
            child.slots = ()
            self._retire_sheets(child)
            if child is not self._coming:
                self._children.remove(child)

    def _restart_if_due(self, now: float) -> None:
        if self._crash_due is None or now < self._crash_due or self._coming is not None or self._compiling is not None:
            return
        self._crash_due = None
        self._coming = self._load(wanted=False)

    def _orphans(self) -> bool:
        return any(slot.pid for slot in self.status.slots)

    # -- reload, stop, logs -------------------------------------------------------------------------

    def _reload(self, why: str) -> None:
        if self._stop_by is not None:
            return
        if self._coming is not None:
            self._again = True  # what it has read may be old already
            return
        if self._compiling is not None:
            self._end(self._compiling)
            self._compiling = None
            self.status.compiling(False)
        event(self.logger, logging.INFO, "reloading", because=why)
        self._notifier.reloading("reloading")
        self._coming = self._load(wanted=True)

    def _look_at_files(self, now: float) -> None:
        if not self.config.autoreload or not self._serving or now < self._next_look:
            return
        self._next_look = now + EVERY
        if self._watcher.changed(now):
            self._reload("a file has changed")

    def _stop(self, name: str) -> None:
        if self._stop_by is not None or self._current is None:
            if hasattr(self, "logger"):
                event(self.logger, logging.WARNING, "stopping at once", signal=name)
            self._stop_by = time.monotonic()
            self._kill_all()
            return
        event(self.logger, logging.INFO, "stopping", signal=name, connections=self.status.report().connections)
        self.status.stop()
        self._notifier.stopping("draining")
        self._stop_by = time.monotonic() + 2 * self.config.drain_timeout + MARGIN
        for sockets in self._listeners.values():
            for sock in sockets:
                self._close_listener(sock)
        self._listeners = {}
        for child in (self._coming, self._compiling):
            if child is not None:
                self._end(child)
        self._coming = self._compiling = None
        for child in self._children:
            for slot in child.slots:
                self._shared.channels[slot].order(Kind.STOP)
            with suppress(OSError):
                child.line.send(Drain())

    def _kill_all(self) -> None:
        """End all children at once."""
        pids = {child.pid for child in self._children if not child.gone}
        pids |= {slot.pid for slot in self.status.slots if slot.pid}
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 2
        while pids and time.monotonic() < deadline:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                time.sleep(0.005)
        for child in self._children:
            child.gone = True
        for slot in self.status.slots:
            if slot.pid:
                slot.gone(State.DEAD)

    def _reopen_logs(self) -> None:
        reopen_logs(self.logger, self.logs, ())
        for child in self._children:
            for slot in child.slots:
                self._shared.channels[slot].order(Kind.REOPEN)
            if child.slots and not child.gone:
                with suppress(OSError):
                    child.line.send(Reopen())
        event(self.logger, logging.INFO, "logs reopened")

    def _use_log(self, config: Config) -> None:
        self.logs.rotate(config.rotation)
        self.logger = open_log(self.logs, config.log)

    # -- connections --------------------------------------------------------------------------------

    def _accept(self, bind: Bind, listener: socket.socket) -> None:
        """Take the connections that wait, and deal them out."""
        for _ in range(BATCH):
            if len(self._pending) >= MAX_PENDING:
                return
            try:
                # Not `listener.accept`: with TLS the worker that gets it does the handshake.
                sock, _ = socket.socket.accept(listener)
            except OSError as error:
                if not isinstance(error, (BlockingIOError, ConnectionAbortedError)):
                    event(self.logger, logging.WARNING, "a connection could not be accepted", reason=str(error))
                    time.sleep(0.01)
                return
            numbers = [each.bind for each in self.config.listeners]
            self._deal(sock, numbers.index(bind) if bind in numbers else 0, b"")

    def _take_back(self, slot: int) -> None:
        """A worker that drains gives its connections back, one that has much to do gives one."""
        while (message := receive(self._shared.channels[slot].outer)) is not None:
            if message.sock is not None:
                self._deal(message.sock, message.listener, message.greeting, self._takers.pop(slot, None))

    def _look_at_work(self, now: float) -> None:
        """Have a worker that has much more to do than another one give it a connection."""
        if self._current is None or not self._balance.due(now):
            return
        slots = [self.status.slots[slot] for slot in self._current.slots]
        serving = [slot for slot in slots if slot.state is State.SERVING]
        move = self._balance.look(now, {slot.index: Work(slot.pid, slot.busy, slot.connections) for slot in serving})
        if move is None:
            return
        if self._shared.channels[move.giver].order(Kind.EASE, bytes((round(move.share * 100),))):
            self._takers[move.giver] = move.taker
            pids = {name: self.status.slots[slot].pid for name, slot in (("giver", move.giver), ("taker", move.taker))}
            event(self.logger, logging.DEBUG, "a worker is to give a connection", share=round(move.share, 2), **pids)

    def _deal(self, sock: socket.socket, listener: int, greeting: bytes, taker: int | None = None) -> None:
        """Give a connection to a worker: to the taker, if there is one and it serves, or to who has the fewest."""
        for slot in sorted(self._by_load(), key=lambda slot: slot != taker):
            if send(self._shared.channels[slot].outer, Kind.CONNECTION, sock, listener, greeting):
                self._sent[slot] += 1
                self._last_slot = slot
                sock.close()
                return
        self._pend(sock, listener, greeting)

    def _by_load(self) -> Iterable[int]:
        """The workers that serve, those with the fewest connections first; of equal ones the next in turn."""
        slots = self.status.slots
        serving = [] if self._current is None else self._current.slots
        serving = [slot for slot in serving if slots[slot].state is State.SERVING]
        count = len(slots)

        def load(slot: int) -> tuple[int, int]:
            on_their_way = self._sent[slot] - slots[slot].adopted
            return slots[slot].connections + on_their_way, (slot - self._last_slot - 1) % count

        return sorted(serving, key=load)

    def _pend(self, sock: socket.socket, listener: int, greeting: bytes) -> None:
        self._pending.append((time.monotonic() + PENDING_SECONDS, sock, listener, greeting))

    def _deal_pending(self, now: float) -> None:
        for _ in range(len(self._pending)):
            deadline, sock, listener, greeting = self._pending.popleft()
            if now > deadline or self._stop_by is not None:
                sock.close()
                continue
            self._deal(sock, listener, greeting)
            if self._pending and self._pending[-1][1] is sock:
                self._pending[-1] = (deadline, sock, listener, greeting)
