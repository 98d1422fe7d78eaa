"""The operator that lets a program judge a file.

Holds the only place of the engine that starts a process. It is refused unless the embedding program allows it: rules
that may start programs are as powerful as the account that runs them, and a transaction waits for the program.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import operators
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from waf_engine.types import Captures, CompileContext, Test, TransactionView

TIMEOUT: Final = 2.0
"""Seconds that the program may take: HAProxy has given up long before."""

ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
"""All that the program gets of an environment; the agent's own may hold secrets."""


@operators.register("inspectFile")
def inspect_file(argument: str, context: CompileContext) -> Test:
    """A program finds fault with the file that the value names.

    Argument: the absolute path of an executable program, which gets the value as its only argument (no shell).
    Matches: when what the program prints does not begin with ``1``; also when it cannot be run to its end within two
        seconds, and when the value could be taken for an option.
    Example: @inspectFile /bin/echo
        matches "0 infected"
        not "1 clean"
    """
    program = argument.strip()
    if not context.setting("allow_inspect_file"):
        raise ArgumentError(
            "@inspectFile is not allowed here: it starts a program for each value",
            hint="the setting allow_inspect_file allows it",
            code="not-allowed",
        )
    if not (os.path.isabs(program) and os.path.isfile(program) and os.access(program, os.X_OK)):  # noqa: PTH113,PTH117
        raise ArgumentError(f"{program[:200]!r} is not the absolute path of a program", hint="an executable file")

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        if not value:
            return None
        if value.startswith(b"-") or b"\0" in value:
            return MATCHED
        try:
            done = subprocess.run(  # noqa: S603  the program is the rule's, checked above; the value is one argument
                [program, value],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                cwd="/",
                timeout=TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            # What could not be inspected was not found to be clean.
            tx.note_limit("inspectFile")
            return MATCHED
        return None if done.stdout.startswith(b"1") else MATCHED

    return test
