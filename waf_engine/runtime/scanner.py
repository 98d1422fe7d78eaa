"""Multi-pattern scanning: which of many patterns occur in a value, in one pass.

A `Scanner` holds the patterns of many rules in Hyperscan databases: for values of plain text (letters, digits, a few
marks), for values with other marks but without quotes and brackets, and for all others. Each database holds its
patterns as they are on texts of its alphabet (`compiler/restrict.py`), so the first two are small and fast. What a
scan reports are candidates, never a verdict: it may report too much, and must not miss anything that RE2 would find.
Where the two read a pattern otherwise it is rewritten (`for_hyperscan`) or not scanned (`is_scannable`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from waf_engine.compiler.restrict import ending, restrict
from waf_engine.runtime.scan_patterns import ScanPattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.database import Numbered

PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,/:@"
"""Bytes of plain values: names, words, numbers, addresses, paths."""
MARKED: Final = PLAIN + b"\t\n\r!#%&*+;<=>?^~{}" + bytes(range(0x80, 0x100))
"""Bytes of values without quotes, brackets, backslashes, dollar signs and bars, which are what evasions are made of."""
FEW: Final = 64
"""Patterns of a scanner up to which one database is as fast as three."""


def alphabets_for(patterns: Sequence[Numbered]) -> tuple[bytes, ...]:
    """The alphabets for which a scanner of these patterns has databases of their own."""
    return (PLAIN, MARKED) if len(patterns) > FEW else ()


def lighter(patterns: Sequence[Numbered]) -> list[Numbered]:
    """Numbered patterns, the heaviest of them as something lighter that is in all that they match."""
    return [
        (slot, pattern if pattern.text is not None else ScanPattern(ending(pattern.expression), pattern.caseless))
        for slot, pattern in patterns
    ]


def restricted(patterns: Sequence[Numbered], alphabet: bytes) -> list[Numbered]:
    """Numbered patterns as they are on texts of an alphabet; those that cannot occur there are left out."""
    values = frozenset(alphabet)
    found: list[Numbered] = []
    for slot, pattern in patterns:
        if pattern.text is not None:
            if not pattern.text.translate(None, alphabet):
                found.append((slot, pattern))
        elif (there := restrict(pattern.expression, values)) is not None:
            found.append((slot, ScanPattern(there, pattern.caseless)))
    return found


class Scans(Protocol):
    """A database (`database.Database`), or what stands for one."""

    @property
    def refused(self) -> frozenset[int]:
        """Positions of the patterns that it lacks."""
        ...

    def scan(self, value: bytes) -> list[int]:
        """The positions of the patterns that occur in a value."""
        ...


class Scanner:
    """The patterns of many rules, scanned at once.

    Args:
        everything: the database of all patterns.
        by_alphabet: the databases for `PLAIN` and `MARKED`, or none.

    Attributes:
        refused: positions of the patterns that a scan does not speak for, since one of its databases lacks them.
    """

    def __init__(self, everything: Scans, by_alphabet: Sequence[tuple[bytes, Scans]] = ()) -> None:
        self.refused = everything.refused.union(*(database.refused for _, database in by_alphabet))
        self._all = everything.scan
        self.scan = self._all
        if by_alphabet:
            (_, plain), (_, marked) = by_alphabet
            self._plain, self._marked = plain.scan, marked.scan
            self.scan = self._scan

    def _scan(self, value: bytes) -> list[int]:
        """The positions of the patterns that may occur in a value, each at least once if it does."""
        if not value.translate(None, PLAIN):
            return self._plain(value)
        if not value.translate(None, MARKED):
            return self._marked(value)
        return self._all(value)
