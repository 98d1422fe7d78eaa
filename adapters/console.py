"""How commands speak: results on standard output, complaints on standard error, and an end without a traceback.

Here: the words' way to the terminal, colours where they help, exit statuses of what nobody handled. Not here: what any
command says.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

BROKEN_PIPE = 141
"""The status of a program that writes to nobody, as shells tell it: 128 and SIGPIPE's number."""
INTERRUPTED = 130
TRACEBACK = "SPOA_WAF_TRACEBACK"
"""The variable that has an unforeseen error shown with its traceback."""

_RED, _YELLOW, _BOLD, _PLAIN = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[0m"
_MARKS = ((": error: ", _RED), (": warning: ", _YELLOW), ("  hint: ", _BOLD))


def say(text: object) -> None:
    """Write a result, and the end of the line."""
    sys.stdout.write(f"{text}\n")


def say_json(value: object) -> None:
    """Write a result for scripts."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def complain(text: object) -> None:
    """Write what is wrong, for people; on a terminal the kind of each fault in colour."""
    lines = f"{text}\n"
    sys.stderr.write(_coloured(lines) if wants_colour(sys.stderr) else lines)


def wants_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether colours help who reads this: a terminal that knows them, and nobody said NO_COLOR (no-color.org)."""
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    with suppress(ValueError):  # a stream that is closed
        return stream.isatty()
    return False


def _coloured(text: str) -> str:
    lines = text.split("\n")
    for index, line in enumerate(lines):
        for mark, colour in _MARKS:
            before, found, after = line.partition(mark)
            if found:
                word = mark.strip(": ")
                lines[index] = before + mark.replace(word, f"{colour}{word}{_PLAIN}") + after
                break
    return "\n".join(lines)


def guarded(program: str, run: Callable[[], int]) -> int:
    """Run a command so that whatever goes wrong is one line.

    Args:
        program: the name to complain under.
        run: the command; gives the exit status.

    Returns:
        That status; `BROKEN_PIPE` when nobody reads any more, `INTERRUPTED` after Ctrl-C, 1 for what nobody foresaw.
    """
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # what is still buffered must not be complained about at the exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        complain(f"{program}: error: {_words(error)}")
        complain(f"  hint: this should not happen; {TRACEBACK}=1 in the environment shows where it did")
        return 1
    return status


def _words(error: BaseException) -> str:
    """An exception in one line; of a group the first one in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or text).lower()}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
