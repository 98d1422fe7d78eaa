"""The command `coraza-spoa`, for scripts that call the agent which this one replaces: its flags, in Go's form.

Here: the flags and what they are called. Not here: what the commands do (serve_commands.py).
Source: compatibility.md 3.4.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapters.bind import BindError, TcpBind, parse_bind
from adapters.config import find_config
from adapters.console import complain, guarded
from adapters.run_options import RunOptions
from adapters.serve_commands import check, no_config, serve, show_version

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES = {
    "config": "configuration file",
    "config-file": "the same, as it was called in 2022",
    "cpuprofile": "write a profile of the processor time to this file at the end (Python's pstats)",
    "memprofile": "write a profile of the memory to this file at the end (Python's tracemalloc)",
    "metrics-addr": "serve Prometheus metrics at this host:port",
}
SWITCHES = {
    "validate": "check configuration and rules, then exit",
    "version": "print the version",
    "autoreload": "reload when the configuration or a rule file changes",
}
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


@dataclass
class Flags:
    """What the flags said."""

    values: dict[str, str] = field(default_factory=dict)
    switches: dict[str, bool] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    """The command `coraza-spoa`.

    Args:
        argv: the arguments, without the program's name; None for those of the process.

    Returns:
        The exit status: 0, 1 for a fault, 2 for a wrong command line.
    """
    return guarded("coraza-spoa", lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: Sequence[str]) -> int:
    try:
        flags = parse_flags(argv)
    except ValueError as error:
        if str(error):
            complain(error)
        complain(usage())
        return 2 if str(error) else 0
    if flags.switches.get("version"):
        return show_version()
    path = flags.values.get("config") or flags.values.get("config-file") or find_config()
    if path is None:
        return no_config("-config FILE")
    try:
        options = _options(flags)
    except BindError as error:
        complain(f"-metrics-addr: {error.message}" + (f"\n  hint: {error.hint}" if error.hint else ""))
        return 1
    return check(path, options, quiet=True) if flags.switches.get("validate") else serve(path, options)


def parse_flags(arguments: Sequence[str]) -> Flags:
    """Flags as Go's package `flag` reads them: -x, --x, -x=v, -x v, -switch=false; they end at the first other word.

    Raises:
        ValueError: a flag is unknown or lacks its value; empty when help was asked for.
    """
    flags, rest = Flags(), list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if name in ("h", "help"):
            raise ValueError
        if name in SWITCHES:
            if equals and value not in _TRUE | _FALSE:
                raise ValueError(f'invalid boolean value "{value}" for -{name}')
            flags.switches[name] = not equals or value in _TRUE
        elif name in VALUES:
            if not equals and not rest:
                raise ValueError(f"flag needs an argument: -{name}")
            flags.values[name] = value if equals else rest.pop(0)
        else:
            raise ValueError(f"flag provided but not defined: -{name}")
    return flags


def metrics_address(text: str) -> TcpBind:
    """Where the metrics are to be served.

    Raises:
        BindError: that is no TCP address.
    """
    bind = parse_bind(text)
    if not isinstance(bind, TcpBind):
        raise BindError(f"expected host:port, got {text!r}", "metrics are served by TCP only, such as 127.0.0.1:9100")
    return bind


def _options(flags: Flags) -> RunOptions:
    address = flags.values.get("metrics-addr")
    return RunOptions(
        autoreload=flags.switches.get("autoreload"),
        metrics=metrics_address(address) if address else None,
        cpuprofile=flags.values.get("cpuprofile", ""),
        memprofile=flags.values.get("memprofile", ""),
    )


def usage() -> str:
    """The text that `-help` shows."""
    lines = ["Usage of coraza-spoa:"]
    for name, text in sorted((VALUES | SWITCHES).items()):
        lines += [f"  -{name}" + (" string" if name in VALUES else ""), f"    \t{text}"]
    return "\n".join(lines)
