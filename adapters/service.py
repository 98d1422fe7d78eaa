"""The agent as a process: configuration, rules, logs and sockets brought together, and the signals it obeys.

Here: the order in which things start, reload and stop. Not here: the command line (cli.py), what any of the parts does.

TERM and INT answer what is in hand and end; HUP reads configuration and rules anew and reopens the logs, and keeps the
old ones when the new are faulty; USR1 reopens the logs.
"""

from __future__ import annotations

import gc
import logging
import resource
import signal
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from adapters.anyio_agent import AnyioAgent
from adapters.config import Config, ConfigError, LogConfig
from adapters.logs import Logs, event
from adapters.rule_sets import RuleSet, load_all
from adapters.run_options import RunOptions
from adapters.sockets import listen, start_listening
from adapters.transactions import TransactionStore
from adapters.waf_handler import Application, WafHandler
from waf_engine.diagnostics import Diagnostic, Severity

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from anyio.abc import TaskStatus

    from waf_engine import WAF

EXPIRE_EVERY = 1.0  # seconds between two looks for transactions whose response did not come

VERSION = version("spoa-waf")


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
        self.config, self.rule_sets = self._load()
        self.logs = Logs()
        self._listeners: list[socket.socket] = []

    def open(self) -> None:
        """Open the logs, listen on the addresses, and get ready to serve.

        Raises:
            ConfigError: a log file cannot be opened.
            ListenError: an address cannot be listened on.
        """
        self.logger = self._open_log(self.config.log)
        try:
            self.handler = self._make_handler(self.config, self.rule_sets, {})
            for bind in self.config.binds:
                self._listeners += listen(bind, start=False)
        except BaseException:
            self.close()
            raise
        self.agent = AnyioAgent(self._listeners, self.handler, self.logger)
        self._describe()

    def run(self, backend: str = "asyncio") -> None:
        """Serve until TERM or INT."""
        _allow_many_files()
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
        for listener in self._listeners:
            listener.close()
        for waf in self._wafs():
            waf.close()
        self.logs.close()

    def _load(self) -> tuple[Config, dict[str, RuleSet]]:
        """The configuration, what the command line says in it, and the rules."""
        config, rule_sets = load_all(self.path, background=True)
        return self.options.apply(config), rule_sets

    def _wafs(self) -> list[WAF]:
        """The rule sets at work, each once."""
        return list({id(rules.waf): rules.waf for rules in self.rule_sets.values()}.values())

    @property
    def addresses(self) -> list[str]:
        """Where it listens, with the ports that the system chose."""
        names = []
        for listener in self._listeners:
            name = listener.getsockname()
            if isinstance(name, tuple):
                names.append(f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}")
            else:
                names.append("unix@" + (name.decode().replace("\0", "@", 1) if isinstance(name, bytes) else name))
        return names

    async def _main(self) -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._obey_signals)
            tasks.start_soon(self._expire)
            tasks.start_soon(self._await_plans)
            # Only now, for before there was nobody to obey a HUP, which ends a process that does not expect it.
            start_listening(self._listeners)
            event(self.logger, logging.INFO, "listening", address=" ".join(self.addresses))
            await self.agent.serve()
            tasks.cancel_scope.cancel()
        self.handler.stop()
        event(self.logger, logging.INFO, "stopped")

    async def _obey_signals(self, *, task_status: TaskStatus[None]) -> None:
        ends = (signal.SIGTERM, signal.SIGINT)
        with anyio.open_signal_receiver(*ends, signal.SIGHUP, signal.SIGUSR1) as received:
            task_status.started()
            async for number in received:
                name = signal.Signals(number).name
                if number in ends:
                    event(self.logger, logging.INFO, "stopping", signal=name, connections=self.agent.connections)
                    self.agent.stop()
                elif number == signal.SIGUSR1:
                    self._reopen_logs()
                else:
                    await self._reload()

    async def _await_plans(self) -> None:
        """Tell when all rules run at full speed, if they did not from the start."""
        wafs = self._wafs()
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
        for error in self.logs.reopen():
            event(
                self.logger, logging.ERROR, "a log file could not be reopened", file=error.filename, reason=str(error)
            )
        for waf in self._wafs():
            waf.reopen_logs()
        event(self.logger, logging.INFO, "logs reopened")

    async def _reload(self) -> None:
        """Read everything anew, and exchange it when it is all right."""
        try:
            config, rule_sets = await anyio.to_thread.run_sync(self._load)
            logger = self._open_log(config.log)
            handler = self._make_handler(config, rule_sets, self.handler.applications)
        except ConfigError as error:
            for fault in error.diagnostics:
                _log_diagnostic(self.logger, fault)
            event(self.logger, logging.ERROR, "not reloaded: the old configuration stays", file=str(self.path))
            return
        if config.binds != self.config.binds:
            event(logger, logging.WARNING, "bind has changed: that needs a restart")
        gone = self.handler.applications.keys() - handler.applications.keys()
        self.config, self.rule_sets, self.logger = config, rule_sets, logger
        old, self.handler, self.agent.handler = self.handler, handler, handler
        self.agent.use_logger(logger)
        old.stop(gone)
        self.logs.keep(sink.path for log in _logs_of(config) for sink in log.sinks)
        self._reopen_logs()
        self._describe()

    def _open_log(self, log: LogConfig) -> logging.Logger:
        try:
            return self.logs.logger("spoa-waf", log.level, log.sinks)
        except OSError as error:
            message = f"the log file {error.filename} cannot be opened: {(error.strerror or str(error)).lower()}"
            raise ConfigError([Diagnostic(Severity.ERROR, "log-file", message, log.where)]) from error

    def _make_handler(
        self, config: Config, rule_sets: Mapping[str, RuleSet], previous: Mapping[str, Application]
    ) -> WafHandler:
        """A handler for a configuration; transactions that wait for their response are taken over by name."""
        applications = {}
        for each in config.applications:
            store = previous[each.name].store if each.name in previous else None
            if store is None:
                store = TransactionStore(each.active_limit, each.ttl, time.monotonic)
            store.limit, store.ttl = each.active_limit, each.ttl
            applications[each.name] = Application(
                name=each.name,
                waf=rule_sets[each.name].waf,
                response_check=each.response_check,
                store=store,
                logger=self._open_log(each.log),
            )
        return WafHandler(applications, config.default_application, self._open_log(config.log))

    def _describe(self) -> None:
        """Say what runs, and what is worth a word."""
        config = self.config
        event(self.logger, logging.INFO, "spoa-waf", version=VERSION, config=str(self.path), form=config.generation)
        for fault in (*config.warnings, *(w for rules in self.rule_sets.values() for w in rules.warnings)):
            _log_diagnostic(self.logger, fault)
        for each in config.applications:
            rules = self.rule_sets[each.name]
            if rules.embedded:
                text = "no include: the embedded rules are used (@recommended.conf, @baseline/*.conf)"
                event(self.logger, logging.INFO, text, app=each.name)
            event(
                self.logger,
                logging.INFO,
                "application ready",
                app=each.name,
                rules=rules.waf.plan.rule_count,
                files=len(rules.waf.plan.files),
                response_check=each.response_check,
            )


def check_log_folders(config: Config) -> list[Diagnostic]:
    """The log files whose folder is missing, each once; for a check, which opens nothing."""
    faults: dict[Diagnostic, None] = {}
    for log in _logs_of(config):
        for sink in log.sinks:
            folder = Path(sink.path).parent
            if not sink.make_folder and not folder.is_dir():
                faults[Diagnostic(Severity.ERROR, "log-file", f"there is no folder {folder}", log.where)] = None
    return list(faults)


def _logs_of(config: Config) -> list[LogConfig]:
    return [config.log, *(each.log for each in config.applications)]


def _log_diagnostic(logger: logging.Logger, fault: Diagnostic) -> None:
    level = logging.ERROR if fault.severity is Severity.ERROR else logging.WARNING
    event(logger, level, fault.message, at=str(fault.span), **({"hint": fault.hint} if fault.hint else {}))


def _allow_many_files() -> None:
    """Raise the soft limit of open files, which is often 1024, to the hard one: each connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
