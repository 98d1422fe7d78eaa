"""A bar on the terminal while rules are compiled; nothing where nobody looks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 30
"""Characters of the bar."""
ERASE = "\r\x1b[K"


def compiling_bar(stream: TextIO | None = None) -> Callable[[int, int, str], None] | None:
    """What `WAF` may be given as ``progress``: it draws a bar that is gone when all is done.

    Args:
        stream: where to; None for standard error.

    Returns:
        None when the stream is no terminal.
    """
    out = sys.stderr if stream is None else stream
    try:
        if not out.isatty():
            return None
    except (AttributeError, ValueError):  # there is none, or it is closed
        return None

    def draw(done: int, total: int, name: str) -> None:
        if done >= total:
            text = ERASE
        else:
            filled = done * WIDTH // total
            text = f"{ERASE}compiling rules [{'#' * filled}{'.' * (WIDTH - filled)}] {done} of {total} {name}"
        try:
            out.write(text)
            out.flush()
        except (OSError, ValueError):  # the terminal is gone: rules are compiled all the same
            return

    return draw
