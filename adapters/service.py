"""The agent as a process: configuration, rules, logs and sockets brought together, and the signals it obeys.

Here: the order in which things start, reload and stop. Not here: the command line (cli.py), what any of the parts does.

TERM and INT answer what is in hand and end, a second one ends at once; HUP, or with `autoreload` a file that changed,
reads configuration and rules anew and reopens the logs, and keeps the old ones when the new are faulty; USR1 reopens
the logs. This is the agent of one process; several are in `workers`.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from adapters.anyio_agent import AnyioAgent
from adapters.assembly import (
    VERSION,
    addresses_of,
    allow_many_files,
    check_log_folders,
    describe,
    log_diagnostic,
    logs_of,
    make_handler,
    open_log,
    reopen_logs,
    wafs_of,
)
from adapters.background import Background
from adapters.config import Config, ConfigError
from adapters.logs import Logs, event
from adapters.metrics.facts import facts_of
from adapters.metrics.observer import Observer
from adapters.metrics.sampling import Sampler
from adapters.notify import Notifier
from adapters.rule_sets import RuleSet, load_all
from adapters.run_options import RunOptions
from adapters.sockets import open_listeners, start_listening
from adapters.tls import contexts_of, renew, same_addresses
from adapters.watching import EVERY, Watched, Watcher, watched_files
from adapters.workers.status import State, Status
from waf_engine.loaders import note_sources
from waf_engine.persistence import MemoryStore

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from anyio.abc import TaskGroup, TaskStatus

    from adapters.health import Monitor
    from adapters.transactions import TransactionStore

__all__ = ["VERSION", "Service", "check_log_folders"]

ENDS = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (*ENDS, signal.SIGHUP, signal.SIGUSR1)
EXPIRE_EVERY = 1.0  # seconds between two looks for transactions whose response did not come


class Service:
    """An agent with a configuration.

    Everything that can be wrong is found by the constructor and `open`; `run` then serves until a signal ends it.

    Args:
        path: the configuration file.
        options: what the command line says beside it.

    Raises:
        ConfigError: the configuration or the rules have faults.
    """

    def __init__(self, path: str | Path, options: RunOptions | None = None) -> None:
        self.path, self.options = path, options or RunOptions()
        self._collections = MemoryStore()  # what rules counted outlives a reload
        self._watcher = Watcher(Watched((str(path),)))
        self.config, self.rule_sets = self._load()
        self.logs, self.background = Logs(), Background()
        self.status, self._notifier = Status(1), Notifier()
        self._monitor: Monitor | None = None
        self._listeners: list[socket.socket] = []
        self._early: list[int] = []

    def open(self) -> None:
        """Open the logs, listen on the addresses, and get ready to serve.

        Raises:
            ConfigError: a log file cannot be opened.
            ListenError: an address cannot be listened on.
        """
        self.logger = open_log(self.logs, self.config.log)
        try:
            observer = self._open_monitor()
            self.handler = make_handler(
                self.config, self.rule_sets, self.logs, {}, observer=observer, background=self.background
            )
            self._listeners += open_listeners(self.config.listeners, contexts_of(self.config.listeners))
        except BaseException:
            self.close()
            raise
        self.agent = AnyioAgent(
            self._listeners,
            self.handler,
            self.logger,
            drain_seconds=self.config.drain_timeout,
            observer=observer,
        )
        describe(self.logger, self.config, self.rule_sets)

    def run(self, backend: str = "asyncio", *, announce: Callable[[], None] = lambda: None) -> None:
        """Serve until TERM or INT.

        Args:
            backend: the event loop.
            announce: called when HAProxy is answered and signals are obeyed.
        """
        for number in SIGNALS:  # until the loop obeys them
            signal.signal(number, lambda number, _: self._early.append(number))
        self._announce = announce
        allow_many_files()
        # The rules are there for good: the collector need not look at them again at each of its rounds.
        gc.collect()
        gc.freeze()
        try:
            with self.options.profile() as profile:
                anyio.run(self._main, backend=backend)
            profile.report(self.logger)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of sockets and logs; the audit logs are written out first."""
        if self._monitor is not None:
            self._monitor.close()
        for listener in self._listeners:
            listener.close()
        for waf in wafs_of(self.rule_sets):
            waf.close()
        self.logs.close()

    def _open_monitor(self) -> Observer:
        """Take the address for metrics; the observer that what happens is to be told."""
        if self.config.metrics is None:
            return Observer()
        from adapters.health import Monitor  # noqa: PLC0415  who wants no metrics need not wait for prometheus_client

        self._monitor = Monitor(self.config.metrics, self.status.report, self.logger)
        self._monitor.open()
        self._monitor.board.configure(facts_of(self.rule_sets))
        return self._monitor.board.recorder

    def _load(self) -> tuple[Config, dict[str, RuleSet]]:
        """The configuration, what the command line says in it, and the rules; their files are watched."""
        config = None
        self._watcher.load()
        with note_sources() as sources:
            try:
                config, rule_sets = load_all(self.path, background=None, collections=self._collections)
                config = self.options.apply(config)
            except ConfigError as error:
                config = error.config
                raise
            finally:
                self._watcher.watch(watched_files(config, self.path, sources))
        return config, rule_sets

    @property
    def addresses(self) -> list[str]:
        """Where it listens, with the ports that the system chose."""
        return addresses_of(self._listeners)

    async def _main(self) -> None:
        async with anyio.create_task_group() as tasks:
            self._reload_wanted = anyio.Event()
            await tasks.start(self._obey_signals, tasks)
            for each in (self._expire, self._reload_when_wanted, self._watch_files, self._feed_watchdog):
                tasks.start_soon(each)
            tasks.start_soon(self.background.serve)
            tasks.start_soon(self._await_plans)
            if self._monitor is not None:
                self._monitor.start()
                sampler = Sampler(self.handler.observer, self._stores, self.logs)
                self._monitor.board.refresh += [sampler.look, self._update_facts]
                tasks.start_soon(sampler.run)
            # Only now, for before there was nobody to obey a HUP, which ends a process that does not expect it.
            start_listening(self._listeners)
            self._serving()
            event(self.logger, logging.INFO, "listening", address=" ".join(self.addresses))
            self._notifier.ready("on " + " ".join(self.addresses))
            self._announce()
            await self.agent.serve()
            tasks.cancel_scope.cancel()
        self.handler.stop()
        event(self.logger, logging.INFO, "stopped")

    def _serving(self) -> None:
        """Say so in the table that metrics and health checks read."""
        (slot,) = self.status.slots
        slot.begin(1)
        slot.born(os.getpid())
        slot.state = State.SERVING
        self.status.put_to_work(1, reload=False)

    def _update_facts(self) -> None:
        if self._monitor is not None:
            self._monitor.board.update(facts_of(self.rule_sets))

    def _stores(self) -> dict[str, TransactionStore[Any]]:
        return {name: application.store for name, application in self.handler.applications.items()}

    async def _obey_signals(self, tasks: TaskGroup, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*SIGNALS) as received:
            task_status.started()
            for number in self._early:
                self._obey(number, tasks)
            async for number in received:
                self._obey(number, tasks)

    def _obey(self, number: int, tasks: TaskGroup) -> None:
        name = signal.Signals(number).name
        if number in ENDS and self.status.report().stopping:
            event(self.logger, logging.WARNING, "stopping at once", signal=name)
            tasks.cancel_scope.cancel()
        elif number in ENDS:
            event(self.logger, logging.INFO, "stopping", signal=name, connections=self.agent.connections)
            self.status.stop()
            self._notifier.stopping("draining")
            tasks.start_soon(self._drain)
        elif number == signal.SIGUSR1:
            self._reopen_logs()
        else:
            event(self.logger, logging.INFO, "reloading", because=name)
            self._reload_wanted.set()

    async def _drain(self) -> None:
        """Answer what is in hand, also the responses to requests that came before; then end the connections."""
        self.agent.stop_accepting()
        deadline = anyio.current_time() + self.config.drain_timeout
        while anyio.current_time() < deadline and any(self._stores().values()):  # noqa: ASYNC110  stores tell nobody
            await anyio.sleep(0.02)
        self.agent.stop()

    async def _watch_files(self) -> None:
        while True:
            await anyio.sleep(EVERY)
            if self.config.autoreload and self._watcher.changed(anyio.current_time()):
                event(self.logger, logging.INFO, "reloading", because="a file has changed")
                self._reload_wanted.set()

    async def _feed_watchdog(self) -> None:
        while self._notifier.watchdog is not None:
            self._notifier.alive()
            await anyio.sleep(self._notifier.watchdog / 2)

    async def _reload_when_wanted(self) -> None:
        """One reload after the other; signals are obeyed meanwhile."""
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted = anyio.Event()
            self._notifier.reloading()
            await self._reload()
            self._notifier.ready()

    async def _await_plans(self) -> None:
        """Tell when all rules run at full speed, if they did not from the start."""
        wafs = wafs_of(self.rule_sets)
        if all(waf.wait(0) for waf in wafs):
            return
        event(self.logger, logging.INFO, "patterns are being compiled: until then requests take longer")
        started = time.monotonic()
        for waf in wafs:
            await anyio.to_thread.run_sync(waf.wait, abandon_on_cancel=True)
        seconds = round(time.monotonic() - started, 1)
        event(self.logger, logging.INFO, "patterns compiled, and kept for the next start", seconds=seconds)

    async def _expire(self) -> None:
        while True:
            await anyio.sleep(EXPIRE_EVERY)
            self.handler.expire()

    def _reopen_logs(self) -> None:
        reopen_logs(self.logger, self.logs, wafs_of(self.rule_sets))
        event(self.logger, logging.INFO, "logs reopened")

    async def _reload(self) -> None:
        """Read everything anew, and exchange it when it is all right."""
        try:
            config, rule_sets = await anyio.to_thread.run_sync(self._load)
            logger = open_log(self.logs, config.log)
            observer = self.handler.observer
            handler = make_handler(
                config, rule_sets, self.logs, self.handler.applications, observer=observer, background=self.background
            )
            contexts = contexts_of(config.listeners)
        except ConfigError as error:
            for fault in error.diagnostics:
                log_diagnostic(self.logger, fault)
            event(self.logger, logging.ERROR, "not reloaded: the old configuration stays", file=str(self.path))
            self.status.reload_failed()
            if self._monitor is not None:
                self._monitor.board.refused()
            self._keep_logs(self.config)  # the new one may have opened others before its fault was found
            return
        renew(self._listeners, contexts)
        if not same_addresses(config.listeners, self.config.listeners):
            event(logger, logging.WARNING, "bind has changed: that needs a restart")
        if config.metrics != self.config.metrics:
            event(logger, logging.WARNING, "metrics has changed: that needs a restart")
        if config.shared != self.config.shared:
            event(logger, logging.WARNING, "shared has changed: for waiting transactions that needs a restart")
        if self._monitor is not None:
            self._monitor.board.configure(facts_of(rule_sets))
            self._monitor.logger = logger
        self.status.put_to_work(self.status.generation + 1, reload=True)
        gone = self.handler.applications.keys() - handler.applications.keys()
        self.config, self.rule_sets, self.logger = config, rule_sets, logger
        self.agent.drain_seconds = config.drain_timeout
        old, self.handler, self.agent.handler = self.handler, handler, handler
        self.agent.use_logger(logger)
        old.stop(gone)
        self._keep_logs(config)
        self._reopen_logs()
        describe(self.logger, self.config, self.rule_sets)
        event(self.logger, logging.INFO, "reloaded", generation=self.status.generation)

    def _keep_logs(self, config: Config) -> None:
        """Close the log files that a configuration does not name."""
        self.logs.keep(sink.path for log in logs_of(config) for sink in log.sinks)
