"""The arguments of the command `spoa-waf profile`. Not here: what it does (command.py, imported when it runs)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.ftw.arguments import add_rule_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION = """\
Run requests through the rules, in this process, and say where the time goes: by rule, operator, chain of
transformations, database, body processor. What is timed is slower by the timing: shares mean more than microseconds.
"""
EPILOG = """\
examples:
  spoa-waf profile -c config.yaml                        six requests that we made up
  spoa-waf profile -c config.yaml requests/              raw HTTP requests, one a file
  spoa-waf profile --rules setup.conf 'rules/*.conf' -- tests/   what go-ftw's tests send

exit status: 0 done, 2 nothing could be run
"""
MAX_ROUNDS = 100_000
MAX_TOP = 10_000


def add_profile_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a program; its function is then `options.run(options)`, which gives the exit status."""
    command = commands.add_parser(
        "profile",
        help="say where the time of requests goes",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files with a raw HTTP request each, go-ftw's tests (*.yaml), or folders of either (default: samples)",
    )
    add_rule_arguments(command)
    how = command.add_argument_group("how")
    how.add_argument("--executor", choices=("plan", "reference"), default="plan", help="what runs the rules (plan)")
    how.add_argument("--rounds", type=_number(MAX_ROUNDS), default=20, metavar="N", help="each request so often (20)")
    how.add_argument("--response", action="store_true", help="answer each request with a page of 2 kB, phases 3 and 4")
    how.add_argument(
        "--memory",
        action="store_true",
        help="remember scans of short values as the agent does; requests that are run again are then known already",
    )
    output = command.add_argument_group("output")
    output.add_argument("--top", type=_number(MAX_TOP), default=10, metavar="N", help="so many of each kind (10)")
    output.add_argument("--json", action="store_true", help="write everything as JSON")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from adapters.profile.command import run_profile_command  # noqa: PLC0415  the agent shall not pay for it

    return run_profile_command(options)


def _number(highest: int) -> Callable[[str], int]:
    """A reader of whole numbers from 1 on."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= highest):
            raise argparse.ArgumentTypeError(f"a number from 1 to {highest}, got {text!r}")
        return int(text)

    return read
