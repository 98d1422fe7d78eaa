"""`serve`, `check` and `version`: what both command lines do, the one for people and the one of coraza-spoa.

Here: running the agent, saying what would run, exit statuses. Not here: arguments (cli.py, go_flags.py), what serving
consists of (service.py).
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from adapters.config import USUAL_PLACES, ConfigError
from adapters.console import complain, say, say_json
from adapters.logs import event, stderr_logger
from waf_engine.diagnostics import render_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from adapters.config import Config
    from adapters.rule_sets import RuleSet
    from adapters.run_options import RunOptions
    from waf_engine.diagnostics import Diagnostic


def no_config(flag: str) -> int:
    """Say that there is no configuration; the exit status."""
    complain(f"no configuration: none of {', '.join(USUAL_PLACES)} exists; name one with {flag}")
    return 1


def serve(path: str | Path, options: RunOptions) -> int:
    """Answer HAProxy until a signal ends it.

    Args:
        path: the configuration file.
        options: what the command line says beside it.

    Returns:
        The exit status: 0 after a signal, 1 when there is a fault.
    """
    from adapters.sockets import ListenError  # noqa: PLC0415  other commands shall not wait for the event loop's import
    from adapters.workers.agent import make_agent  # noqa: PLC0415  the same

    if error := options.check_files():
        complain(f"the profile {error.filename} cannot be written: {error.strerror}")
        return 1
    options.start()
    try:
        service = make_agent(path, options)
        service.open()
    except (ConfigError, ListenError) as error:
        complain(error)
        return 1
    files = {sink.path for sink in service.config.log.sinks}
    if not files & {"/dev/stdout", "/dev/stderr"}:
        where = ", ".join(sorted(files))
        event(stderr_logger(), 20, "listening", address=" ".join(service.addresses), logs=where)
    service.run()
    return 0


def check(path: str | Path, options: RunOptions, *, as_json: bool = False, quiet: bool = False) -> int:
    """Look for faults in a configuration and its rules, and say what would run.

    Args:
        path: the configuration file.
        options: what the command line says beside it.
        as_json: whether the answer is for scripts.
        quiet: whether one line of log is all that is said of a valid one, as coraza-spoa does.

    Returns:
        The exit status: 0 when it is valid.
    """
    from adapters.rule_sets import load_all  # noqa: PLC0415  `version` shall not wait for it
    from adapters.service import check_log_folders  # noqa: PLC0415  the same

    try:
        config, rule_sets = load_all(path, background=True)
        config = options.apply(config)
        if missing := check_log_folders(config):
            raise ConfigError(missing)  # noqa: TRY301  one place for all faults
    except ConfigError as error:
        if as_json:
            say_json({"valid": False, "config": str(path), "diagnostics": _dicts(error.diagnostics)})
        else:
            complain(error)
        return 1
    if quiet:
        event(stderr_logger(), 20, "Configuration file is valid")
        return 0
    warnings = dict.fromkeys(config.warnings)
    warnings.update(dict.fromkeys(fault for rules in rule_sets.values() for fault in rules.warnings))
    if as_json:
        say_json(_summary(path, config, rule_sets) | {"diagnostics": _dicts(warnings)})
        return 0
    if warnings:
        complain(render_all(warnings) + "\n")
    _describe(path, config, rule_sets)
    return 0


def _dicts(faults: Iterable[Diagnostic]) -> list[dict[str, str | int]]:
    return [fault.to_dict() for fault in faults]


def _summary(path: str | Path, config: Config, rule_sets: Mapping[str, RuleSet]) -> dict[str, Any]:
    """What would run, for scripts."""
    return {
        "valid": True,
        "config": str(path),
        "form": config.generation,
        "listen": [str(bind) for bind in config.binds],
        "workers": config.workers or "auto",
        "autoreload": config.autoreload,
        "metrics": None if config.metrics is None else str(config.metrics),
        "logs": [*dict.fromkeys(sink.path for sink in config.log.sinks)],
        "applications": [
            {
                "name": each.name,
                "default": each.name == config.default_application,
                "hosts": list(each.hosts),
                "rules": rule_sets[each.name].waf.plan.rule_count,
                "engine": str(rule_sets[each.name].waf.plan.settings.rule_engine),
                "embedded": rule_sets[each.name].embedded,
                "response_check": each.response_check,
                "detect_only": each.detect_only,
                "files": list(rule_sets[each.name].waf.plan.files),
            }
            for each in config.applications
        ],
    }


def _describe(path: str | Path, config: Config, rule_sets: Mapping[str, RuleSet]) -> None:
    """What would run, for people."""
    say(f"{path} is valid (form {config.generation})")
    say(f"  listens on    {', '.join(map(str, config.binds))}")
    say(f"  logs to       {', '.join(dict.fromkeys(sink.path for sink in config.log.sinks))}")
    if config.workers != 1:
        say(f"  workers       {config.workers or 'one for each core'}")
    if config.metrics is not None:
        say(f"  metrics       http://{config.metrics}/metrics")
    for each in config.applications:
        rules = rule_sets[each.name]
        default = ", the default" if each.name == config.default_application else ""
        say(f"  application   {each.name}{default}")
        if each.hosts:
            say(f"    hosts       {', '.join(each.hosts)}")
        say(f"    rules       {rules.waf.plan.rule_count}" + (", embedded (no include)" if rules.embedded else ""))
        engine = "; detect_only: it never blocks" if each.detect_only else ""
        say(f"    engine      {rules.waf.plan.settings.rule_engine}{engine}")
        waits = f"checked; a request waits {each.ttl:g} s for its response, at most {each.active_limit} do"
        say(f"    responses   {waits if each.response_check else 'not checked'}")
        for file in rules.waf.plan.files:
            say(f"    file        {file}")


def show_version(*, as_json: bool = False) -> int:
    """Print versions, in coraza-spoa's form or as JSON; the exit status."""
    facts = {
        "version": version("spoa-waf"),
        "python": platform.python_version(),
        "platform": f"{sys.platform}/{platform.machine()}",
    }
    if as_json:
        say_json(facts)
    else:
        for name, value in facts.items():
            say(f"{name}\t{value}")
    return 0
