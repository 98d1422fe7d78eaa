"""The parts of an agent put together from its configuration, in whichever process they are to work.

Here: rules, loggers and handler of a configuration, what is said about them, and reopening the logs. Service uses it in
the only process of an agent, the package `workers` in each of several. Not here: sockets, signals, when this happens.
"""

from __future__ import annotations

import logging
import resource
import time
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.applications import make_application
from adapters.config import Config, ConfigError, LogConfig
from adapters.logs import event
from adapters.transactions import TransactionStore
from adapters.waf_handler import WafHandler
from waf_engine.diagnostics import Diagnostic, Severity
from waf_engine.forms import form_name

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

    from adapters.applications import Application
    from adapters.background import Background
    from adapters.logs import Logs
    from adapters.metrics.observer import Observer
    from adapters.rule_sets import RuleSet
    from adapters.shared_store import SharedRoom
    from waf_engine import WAF

VERSION = version("spoa-waf")


def make_handler(
    config: Config,
    rule_sets: Mapping[str, RuleSet],
    logs: Logs,
    previous: Mapping[str, Application],
    *,
    share: int = 1,
    observer: Observer | None = None,
    background: Background | None = None,
) -> WafHandler:
    """A handler for a configuration.

    Args:
        config: the configuration.
        rule_sets: its rules, by application.
        logs: where its log files are opened.
        previous: the applications at work, whose waiting transactions are taken over by name.
        share: how many processes share the bounds of each application.
        observer: is told what happens.
        background: takes what is evaluated after its answer, and is run by the loop.

    Raises:
        ConfigError: a log file cannot be opened, or a block page cannot be used.
    """
    applications = {}
    logs.rotate(config.rotation)
    logger = open_log(logs, config.log)
    room = None
    make: Callable[..., WafHandler] = WafHandler
    if config.shared is not None:
        from adapters.shared_store import SharedHandler, open_room  # noqa: PLC0415  few need Redis

        room = open_room(config.shared, previous, logger)
        if observer is not None:
            _watch_shared(room, rule_sets, observer)
        make = partial(SharedHandler, room)
    for each in config.applications:
        limit = -(-each.active_limit // share)
        store = previous[each.name].store if each.name in previous else None
        if store is None and room is not None and each.response_check:
            store = room.store(each.name, limit, each.ttl, time.monotonic)
        elif store is None:
            store = TransactionStore(limit, each.ttl, time.monotonic)
        store.limit, store.limit_bytes, store.ttl = limit, -(-each.active_bytes // share), each.ttl
        applications[each.name] = make_application(each, rule_sets[each.name].waf, store, open_log(logs, each.log))
    return make(applications, config.default_application, logger, observer=observer, background=background)


def _watch_shared(room: SharedRoom, rule_sets: Mapping[str, RuleSet], observer: Observer) -> None:
    """Have the observer told how questions to the shared store go."""
    from adapters.redis_collections import RedisCollections  # noqa: PLC0415  few need Redis

    room.courier.observer = observer
    for waf in wafs_of(rule_sets):
        if isinstance(waf.store, RedisCollections):
            waf.store.observer = observer


def open_log(logs: Logs, log: LogConfig) -> logging.Logger:
    """A logger as the configuration has it.

    Raises:
        ConfigError: its file cannot be opened.
    """
    try:
        return logs.logger("spoa-waf", log.level, log.sinks)
    except OSError as error:
        message = f"the log file {error.filename} cannot be opened: {(error.strerror or str(error)).lower()}"
        raise ConfigError([Diagnostic(Severity.ERROR, "log-file", message, log.where)]) from error


def reopen_logs(logger: logging.Logger, logs: Logs, wafs: Iterable[WAF]) -> None:
    """Open all log files anew by their names, the engine's too; what fails is said, and the old file stays in use."""
    for error in logs.reopen():
        event(logger, logging.ERROR, "a log file could not be reopened", file=error.filename, reason=str(error))
    for waf in wafs:
        waf.reopen_logs()


def wafs_of(rule_sets: Mapping[str, RuleSet]) -> list[WAF]:
    """The rule sets, each once."""
    return list({id(rules.waf): rules.waf for rules in rule_sets.values()}.values())


def logs_of(config: Config) -> list[LogConfig]:
    """Every log that a configuration names."""
    return [config.log, *(each.log for each in config.applications)]


def describe(logger: logging.Logger, config: Config, rule_sets: Mapping[str, RuleSet]) -> None:
    """Say what runs, and what is worth a word."""
    event(
        logger,
        logging.INFO,
        "spoa-waf",
        version=VERSION,
        engine=form_name(),
        config=config.path,
        form=config.generation,
    )
    for fault in (*config.warnings, *(w for rules in rule_sets.values() for w in rules.warnings)):
        log_diagnostic(logger, fault)
    for each in config.applications:
        rules = rule_sets[each.name]
        if rules.embedded:
            text = "no include: the embedded rules are used (@recommended.conf, @baseline/*.conf)"
            event(logger, logging.INFO, text, app=each.name)
        event(
            logger,
            logging.INFO,
            "application ready",
            app=each.name,
            rules=rules.waf.plan.rule_count,
            files=len(rules.waf.plan.files),
            response_check=each.response_check,
        )


def log_diagnostic(logger: logging.Logger, fault: Diagnostic) -> None:
    """Write a fault, or what is worth a word, with its place."""
    level = logging.ERROR if fault.severity is Severity.ERROR else logging.WARNING
    event(logger, level, fault.message, at=str(fault.span), **({"hint": fault.hint} if fault.hint else {}))


def check_log_folders(config: Config) -> list[Diagnostic]:
    """The log files whose folder is missing, each once; for a check, which opens nothing."""
    faults: dict[Diagnostic, None] = {}
    for log in logs_of(config):
        for sink in log.sinks:
            folder = Path(sink.path).parent
            if not sink.make_folder and not folder.is_dir():
                faults[Diagnostic(Severity.ERROR, "log-file", f"there is no folder {folder}", log.where)] = None
    return list(faults)


def addresses_of(listeners: Iterable[socket.socket]) -> list[str]:
    """Where sockets listen, with the ports that the system chose."""
    names = []
    for listener in listeners:
        name = listener.getsockname()
        if isinstance(name, tuple):
            names.append(f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}")
        else:
            names.append("unix@" + (name.decode().replace("\0", "@", 1) if isinstance(name, bytes) else name))
    return names


def allow_many_files() -> None:
    """Raise the soft limit of open files, which is often 1024, to the hard one: each connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
