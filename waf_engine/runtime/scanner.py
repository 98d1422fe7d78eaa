"""Multi-pattern scanning: which of many patterns occur in a value, in one pass.

A `Scanner` holds the patterns of many rules in two Hyperscan databases: one of those that can occur in plain
text (letters, digits, a few marks), one of all. What a scan reports are candidates, never a verdict: it may
report too much, and must not miss anything that RE2 would find. Where the two read a pattern otherwise it is
rewritten (`for_hyperscan`) or not scanned (`is_scannable`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from waf_engine.compiler.alphabet import may_match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.databases import DatabaseCache
    from waf_engine.runtime.scan_patterns import ScanPattern

PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,/:@"
"""Bytes of plain values: names, words, numbers, addresses, paths. About half the cost of a full scan."""


class Scanner:
    """The patterns of many rules, scanned at once.

    Args:
        patterns: the patterns; their positions are what a scan reports.
        cache: where compiled databases are kept.
    """

    def __init__(self, patterns: Sequence[ScanPattern], cache: DatabaseCache) -> None:
        everything = cache.database(list(enumerate(patterns)))
        self.refused = everything.refused
        self._all = everything
        plain = frozenset(PLAIN)
        self._plain = cache.database(
            [
                (slot, pattern)
                for slot, pattern in enumerate(patterns)
                if slot not in self.refused and may_match(pattern.expression, plain)
            ]
        )

    def scan(self, value: bytes) -> list[int]:
        """The positions of the patterns that may occur in a value, each at least once if it does."""
        if not value.translate(None, PLAIN):
            return self._plain.scan(value)
        return self._all.scan(value)
