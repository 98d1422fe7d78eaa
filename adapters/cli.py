"""The command `spoa-waf`: its arguments, and which function each of its commands is.

Here: arguments, exit codes: 0, 1 for what is wrong with configuration, rules or addresses, 2 for a wrong command line.
Not here: what the commands do (serve_commands.py; crs/, ftw/, migrate.py have their own), `coraza-spoa` (go_flags.py).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from adapters.bind import BindError
from adapters.completion import EPILOG as COMPLETION_EPILOG
from adapters.completion import SHELLS, complete
from adapters.config import USUAL_PLACES, find_config
from adapters.config_model import MAX_WORKERS
from adapters.console import guarded
from adapters.crs.arguments import add_crs_command
from adapters.ftw.arguments import add_test_command
from adapters.go_flags import main as coraza_spoa_main
from adapters.go_flags import metrics_address
from adapters.migrate import add_migrate_command
from adapters.profile.arguments import add_profile_command
from adapters.run_options import RunOptions
from adapters.serve_commands import check, no_config, serve, show_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.bind import TcpBind

__all__ = ["coraza_spoa_main", "main", "make_parser"]

DESCRIPTION = "A web application firewall for HAProxy: it answers SPOE messages with the verdict of SecLang rules."
EPILOG = """\
to begin with:
  a file config.yml with the three lines
      log: {level: info, dir: ./logs}
      spoa:
        bind: 127.0.0.1:9000
  then `spoa-waf check` and `spoa-waf serve`; docs/quick-start.md has HAProxy's side

exit status: 0 done, 1 a fault in configuration, rules or addresses, 2 a wrong command line
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command `spoa-waf`.

    Args:
        argv: the arguments, without the program's name; None for those of the process.

    Returns:
        The exit status.
    """
    return guarded("spoa-waf", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    parser = make_parser()
    options = parser.parse_args(argv)
    if "run" in options:  # a command that has its own file
        status: int = options.run(options)
        return status
    if options.command == "version":
        return show_version(as_json=options.json, engine=True)
    if options.command == "completion":
        return complete(parser, options.shell)
    path = options.config or find_config()
    if path is None:
        return no_config("-c FILE")
    if options.command == "check":
        return check(path, RunOptions(), as_json=options.json)
    run = RunOptions(options.workers, options.autoreload, options.metrics, options.cpuprofile, options.memprofile)
    return serve(path, run)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="spoa-waf",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    text = "look for faults in the configuration and the rules, and say what would run"
    command = commands.add_parser("check", help=text, description=text, allow_abbrev=False)
    _add_config(command)
    _add_json(command)
    add_test_command(commands)
    add_crs_command(commands)
    add_migrate_command(commands)
    add_profile_command(commands)
    text = "print a script that completes this command line in a shell"
    command = commands.add_parser(
        "completion",
        help=text,
        description=text,
        epilog=COMPLETION_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("shell", choices=SHELLS, help="for this shell")
    command = commands.add_parser("version", help="print the version", allow_abbrev=False)
    _add_json(command)
    return parser


class _Version(argparse.Action):
    """`--version`, for those who expect that of any program."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.exit(show_version(engine=True))


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "answer HAProxy until a signal ends it (TERM, INT: stop; HUP: reload; USR1: reopen logs)"
    command = commands.add_parser("serve", help=text, description=text, allow_abbrev=False)
    _add_config(command)
    more = command.add_argument_group("in the place of what the configuration says")
    more.add_argument("--workers", type=_workers, metavar="N", help="processes that answer; auto: one for each core")
    more.add_argument(
        "--autoreload",
        action=argparse.BooleanOptionalAction,
        help="reload when the configuration or a file that the rules include changes",
    )
    more.add_argument("--metrics", type=_metrics, metavar="ADDRESS", help="serve /metrics, /healthz, /readyz here")
    profiles = command.add_argument_group("profiles, written when the agent ends; its log says how to read them")
    profiles.add_argument("--cpuprofile", default="", metavar="FILE", help="processor time (pstats)")
    profiles.add_argument(
        "--memprofile", default="", metavar="FILE", help="memory (tracemalloc); all is slower with it"
    )


def _add_config(command: argparse.ArgumentParser) -> None:
    text = f"the configuration (default: the first of {', '.join(USUAL_PLACES)})"
    command.add_argument("-c", "--config", metavar="FILE", help=text)


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON, for scripts")


def _workers(text: str) -> int:
    if text == "auto":
        return 0
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= MAX_WORKERS):
        raise argparse.ArgumentTypeError(f"expected auto or a number from 1 to {MAX_WORKERS}, got {text!r}")
    return int(text)


def _metrics(text: str) -> TcpBind:
    try:
        return metrics_address(text)
    except BindError as error:
        raise argparse.ArgumentTypeError(f"{error.message}; {error.hint}".rstrip("; ")) from error
