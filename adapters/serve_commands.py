"""`serve`, `check` and `version`: what both command lines do, the one for people and the one of coraza-spoa.

Here: running the agent, saying what would run, exit statuses. Not here: arguments (cli.py, go_flags.py), what serving
consists of (service.py).
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from adapters.config import USUAL_PLACES, ConfigError
from adapters.config_summary import describe, summary
from adapters.console import complain, say, say_json
from adapters.logs import event, stderr_logger
from waf_engine.diagnostics import render_all
from waf_engine.forms import form_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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

    def announce() -> None:
        files = {sink.path for sink in service.config.log.sinks}
        if not files & {"/dev/stdout", "/dev/stderr"}:
            where = ", ".join(sorted(files))
            event(stderr_logger(), 20, "listening", address=" ".join(service.addresses), logs=where)

    service.run(announce=announce)
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
        say_json(summary(path, config, rule_sets) | {"diagnostics": _dicts(warnings)})
        return 0
    if warnings:
        complain(render_all(warnings) + "\n")
    for line in describe(path, config, rule_sets):
        say(line)
    return 0


def _dicts(faults: Iterable[Diagnostic]) -> list[dict[str, str | int]]:
    return [fault.to_dict() for fault in faults]


def show_version(*, as_json: bool = False, engine: bool = False) -> int:
    """Print versions.

    Args:
        as_json: as JSON; else in coraza-spoa's form.
        engine: also whether the hot modules are compiled, which coraza-spoa has no word for.

    Returns:
        The exit status.
    """
    facts = {
        "version": version("spoa-waf"),
        "python": platform.python_version(),
        "platform": f"{sys.platform}/{platform.machine()}",
    }
    if engine:
        facts["engine"] = form_name()
    if as_json:
        say_json(facts)
    else:
        for name, value in facts.items():
            say(f"{name}\t{value}")
    return 0
