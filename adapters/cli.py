"""The two commands: `spoa-waf` for people, and `coraza-spoa` for scripts that call the agent it replaces.

Here: arguments, messages for people, exit codes: 0, 1 for what is wrong with configuration, rules or addresses, 2 for a
wrong command line. Not here: what serving consists of (service.py).
"""

from __future__ import annotations

import argparse
import platform
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapters.config import USUAL_PLACES, ConfigError, find_config
from adapters.crs.arguments import add_crs_command
from adapters.ftw.arguments import add_test_command
from adapters.logs import event, stderr_logger
from adapters.migrate import add_migrate_command
from adapters.service import VERSION, Service, check_log_folders
from adapters.sockets import ListenError
from waf_engine.diagnostics import render_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DESCRIPTION = "A web application firewall for HAProxy: it answers SPOE messages with the verdict of SecLang rules."
EPILOG = """\
to begin with:
  a file config.yml with the three lines
      log: {level: info, dir: ./logs}
      spoa:
        bind: 127.0.0.1:9000
  then `spoa-waf check` and `spoa-waf serve`; docs/configuration.md has HAProxy's side
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command `spoa-waf`.

    Args:
        argv: the arguments, without the program's name; None for those of the process.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="spoa-waf",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("serve", "answer HAProxy until a signal ends it (TERM, INT: stop; HUP: reload; USR1: reopen logs)"),
        ("check", "look for faults in the configuration and the rules, and say what would run"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        places = ", ".join(USUAL_PLACES)
        command.add_argument(
            "-c", "--config", metavar="FILE", help=f"the configuration (default: the first of {places})"
        )
    add_test_command(commands)
    add_crs_command(commands)
    add_migrate_command(commands)
    commands.add_parser("version", help="print the version")
    options = parser.parse_args(argv)
    if "run" in options:  # a command that has its own file
        status: int = options.run(options)
        return status
    if options.command == "version":
        return _version()
    path = options.config or find_config()
    if path is None:
        return _no_config("-c FILE")
    return _serve(path) if options.command == "serve" else _check(path)


@dataclass
class _Flags:
    """What the flags of coraza-spoa said."""

    values: dict[str, str] = field(default_factory=dict)
    switches: dict[str, bool] = field(default_factory=dict)


_GO_VALUES = {
    "config": "configuration file",
    "config-file": "the same, as it was called in 2022",
    "cpuprofile": "accepted and ignored",
    "memprofile": "accepted and ignored",
    "metrics-addr": "accepted and ignored: there are no metrics yet",
}
_GO_SWITCHES = {
    "validate": "check configuration and rules, then exit",
    "version": "print the version",
    "autoreload": "accepted and ignored: send HUP to reload",
}
_GO_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_GO_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
# A script that passes one of these shall not stop working: the agent starts, and says what it does not do.
_IGNORED = ("autoreload", "cpuprofile", "memprofile", "metrics-addr")


def coraza_spoa_main(argv: Sequence[str] | None = None) -> int:
    """The command `coraza-spoa`, with the flags of the program that this one replaces, in Go's form.

    Args:
        argv: the arguments, without the program's name; None for those of the process.

    Returns:
        The exit status.
    """
    try:
        flags = _parse_go_flags(sys.argv[1:] if argv is None else argv)
    except ValueError as error:
        if str(error):
            _complain(error)
        _complain(_go_usage())
        return 2 if str(error) else 0
    if flags.switches.get("version"):
        return _version()
    path = flags.values.get("config") or flags.values.get("config-file") or find_config()
    if path is None:
        return _no_config("-config FILE")
    if flags.switches.get("validate"):
        return _check(path, quiet=True)
    log = stderr_logger()
    for name in _IGNORED:
        if flags.values.get(name) or flags.switches.get(name):
            event(log, 30, f"-{name}: {(_GO_VALUES | _GO_SWITCHES)[name]}")
    return _serve(path)


def _parse_go_flags(arguments: Sequence[str]) -> _Flags:
    """Flags as Go's package `flag` reads them: -x, --x, -x=v, -x v, -switch=false; they end at the first other word.

    Raises:
        ValueError: a flag is unknown or lacks its value; empty when help was asked for.
    """
    flags, rest = _Flags(), list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if name in ("h", "help"):
            raise ValueError
        if name in _GO_SWITCHES:
            if equals and value not in _GO_TRUE | _GO_FALSE:
                raise ValueError(f'invalid boolean value "{value}" for -{name}')
            flags.switches[name] = not equals or value in _GO_TRUE
        elif name in _GO_VALUES:
            if not equals and not rest:
                raise ValueError(f"flag needs an argument: -{name}")
            flags.values[name] = value if equals else rest.pop(0)
        else:
            raise ValueError(f"flag provided but not defined: -{name}")
    return flags


def _go_usage() -> str:
    lines = ["Usage of coraza-spoa:"]
    for name, text in sorted((_GO_VALUES | _GO_SWITCHES).items()):
        lines += [f"  -{name}" + (" string" if name in _GO_VALUES else ""), f"    \t{text}"]
    return "\n".join(lines)


def _version() -> int:
    _say(f"version\t{VERSION}")
    _say(f"python\t{platform.python_version()}")
    _say(f"platform\t{sys.platform}/{platform.machine()}")
    return 0


def _no_config(flag: str) -> int:
    places = ", ".join(USUAL_PLACES)
    _complain(f"no configuration: none of {places} exists; name one with {flag}")
    return 1


def _serve(path: str | Path) -> int:
    try:
        service = Service(path)
        service.open()
    except (ConfigError, ListenError) as error:
        _complain(error)
        return 1
    files = {sink.path for sink in service.config.log.sinks}
    if not files & {"/dev/stdout", "/dev/stderr"}:
        where = ", ".join(sorted(files))
        event(stderr_logger(), 20, "listening", address=" ".join(service.addresses), logs=where)
    service.run()
    return 0


def _check(path: str | Path, *, quiet: bool = False) -> int:
    try:
        service = Service(path)
    except ConfigError as error:
        _complain(error)
        return 1
    if missing := check_log_folders(service.config):
        _complain(ConfigError(missing))
        return 1
    if quiet:
        event(stderr_logger(), 20, "Configuration file is valid")
        return 0
    config = service.config
    warnings = [*config.warnings, *(w for rules in service.rule_sets.values() for w in rules.warnings)]
    if warnings:
        _complain(render_all(dict.fromkeys(warnings)) + "\n")
    _say(f"{path} is valid (form {config.generation})")
    _say(f"  listens on    {', '.join(map(str, config.binds))}")
    _say(f"  logs to       {', '.join(dict.fromkeys(sink.path for sink in config.log.sinks))}")
    for each in config.applications:
        rules = service.rule_sets[each.name]
        default = ", the default" if each.name == config.default_application else ""
        _say(f"  application   {each.name}{default}")
        _say(f"    rules       {rules.waf.plan.rule_count}" + (", embedded (no include)" if rules.embedded else ""))
        _say(f"    engine      {rules.waf.plan.settings.rule_engine}")
        waits = f"checked; a request waits {each.ttl:g} s for its response, at most {each.active_limit} do"
        _say(f"    responses   {waits if each.response_check else 'not checked'}")
        for file in rules.waf.plan.files:
            _say(f"    file        {file}")
    return 0


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: object) -> None:
    sys.stderr.write(f"{text}\n")
