"""A compiled Hyperscan database, to scan with. How one is made and kept is `databases.py`'s."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from waf_engine.runtime.scan_patterns import ScanPattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOOKS_AHEAD: Final = re.compile(rb"\$|\\[bBzZ]")
"""Assertions about the byte that follows; what is taken for one and is none does no harm."""

END: Final = b"\n\n"
"""Put behind each value. In texts of 16 bytes or more Hyperscan 5.4 misses ``^x``, ``x$`` and ``(?:^|;)x`` when the two
bytes that it looks for are the last ones. Line ends more never hide a match: for ``\\z`` we scan for ``$``.
"""

Numbered = tuple[int, ScanPattern]


class Database:
    """A compiled database, safe to scan with from several threads.

    Attributes:
        refused: positions of the patterns that Hyperscan does not take.
    """

    def __init__(self, native: Any, refused: frozenset[int]) -> None:
        self.refused = refused
        self._native = native
        self._collect = _collector(frozenset())
        # A scratch space serves one scan at a time; each thread takes one and gives it back.
        self._free = [native.scratch] if native is not None else []

    def scan(self, value: bytes) -> list[int]:
        """The positions of the patterns that occur in a value."""
        if self._native is None:
            return []
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = self._native.scratch.clone()
        found = [len(value)]
        self._native.scan(value + END, self._collect, 0, found, scratch)  # by position: keywords cost twice the scan
        self._free.append(scratch)
        return found[1:]

    def tell_apart(self, patterns: Sequence[Numbered]) -> None:
        """Learn which patterns look at what follows: only of the others a match that takes bytes of `END` is none.

        Hyperscan tells of the first match of a pattern only. That is the one that ends first, so when it reaches into
        `END` there is none in the value; but of a match that an assertion ends it tells late (hs_expr_info,
        ``unordered_matches``), and another may come first.
        """
        self._collect = _collector(
            frozenset(slot for slot, pattern in patterns if _LOOKS_AHEAD.search(pattern.expression))
        )


class JoinedDatabase(Database):
    """Several databases that are scanned one after the other."""

    def __init__(self, parts: Sequence[Database]) -> None:
        super().__init__(None, frozenset[int]().union(*(part.refused for part in parts)))
        self._parts = tuple(parts)

    def scan(self, value: bytes) -> list[int]:
        """The positions of the patterns that occur in a value."""
        found: list[int] = []
        for part in self._parts:
            found += part.scan(value)
        return found


def _collector(late: frozenset[int]) -> Callable[[int, int, int, int, list[int]], None]:
    def collect(slot: int, _start: int, end: int, _flags: int, found: list[int]) -> None:
        if end <= found[0] or slot in late:
            found.append(slot)

    return collect
