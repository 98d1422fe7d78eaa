"""The page that those see who are blocked: a file of the operator's, with a few values in it.

Here: reading and checking the file, and putting the values in, escaped for HTML. Not here: sending it; HAProxy does, by
`http-request return ... lf-string "%[var(txn.coraza.block_page)]"` (docs/variables.md).
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PAGE = 8192
"""Bytes of the file. The whole answer must fit into one frame, 16,380 bytes with HAProxy's defaults, and the page into
HAProxy's buffer beside the head of the response that it makes of it (`tune.bufsize` less `tune.maxrewrite`)."""

MAX_FILLED = 12_000
"""Bytes of a page with its values in; one that would become longer is not sent."""

MACROS = ("UNIQUE_ID", "RULE_ID", "STATUS", "REMOTE_ADDR", "APPLICATION")
"""What can stand in a page as ``%{NAME}``."""

_read: dict[str, BlockPage] = {}
"""What was read, by path: as many as configurations ever named."""

_MACRO = re.compile(r"%\{([^}]{0,40})\}")
_BLANKS = dict.fromkeys((*range(9), *range(10, 32), 127), " ")


class BlockPageError(ValueError):
    """A file that cannot be used as a block page; the text says why."""


@dataclass(frozen=True, slots=True)
class BlockPage:
    """A page with places for values.

    Attributes:
        texts: the text between the places; one more than there are places.
        names: what is put there.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...]

    def fill(self, values: Mapping[str, str]) -> str:
        """The page with these values, each escaped for HTML; empty when that is too long to be sent.

        Args:
            values: a text for each of `MACROS`.
        """
        parts = [self.texts[0]]
        for name, text in zip(self.names, self.texts[1:], strict=True):
            parts += (html.escape(values[name]), text)
        page = "".join(parts)
        return page if len(page.encode("utf-8", "surrogateescape")) <= MAX_FILLED else ""


def parse_block_page(text: str) -> BlockPage:
    """Find the places for values in a page, and put a blank in the place of each line break.

    HAProxy's `lf-string` has no line breaks: it would show `%0A`. To HTML a blank is the same.

    Raises:
        BlockPageError: a macro has a name that is not in `MACROS`.
    """
    pieces = _MACRO.split(text.strip().translate(_BLANKS))
    names = tuple(pieces[1::2])
    for name in names:
        if name not in MACROS:
            raise BlockPageError(f"%{{{name}}} is none of {', '.join(f'%{{{each}}}' for each in MACROS)}")
    return BlockPage(tuple(pieces[::2]), names)


def read_block_page(path: str | Path) -> BlockPage:
    """Read a page from its file.

    Raises:
        BlockPageError: it cannot be read, is too long, is not UTF-8, holds a NUL, or has an unknown macro.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_PAGE + 1)
    except OSError as error:
        raise BlockPageError(
            f"the block page {path} cannot be read: {(error.strerror or str(error)).lower()}"
        ) from error
    if len(data) > MAX_PAGE:
        raise BlockPageError(f"the block page {path} is longer than {MAX_PAGE} bytes, so it may not fit into a frame")
    if b"\0" in data:
        raise BlockPageError(f"the block page {path} holds a NUL byte")
    try:
        page = _read[str(path)] = parse_block_page(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BlockPageError(f"the block page {path} is not UTF-8: see byte {error.start}") from error
    except BlockPageError as error:
        raise BlockPageError(f"the block page {path}: {error}") from error
    return page


def loaded_block_page(path: str) -> BlockPage:
    """The page as it was last read, in this process or the one that it was forked from; else it is read now.

    Each start and each reload reads it, to see whether it can be used. A worker that takes a dead one's place, days
    later, must neither show another page than its siblings nor fail because the file is gone.

    Raises:
        BlockPageError: as `read_block_page`.
    """
    return _read.get(path) or read_block_page(path)
