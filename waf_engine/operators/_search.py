"""The search of a pattern as a test: apart, since it is asked so often that it is worth being compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from waf_engine.patterns import UNANCHORED

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.types import Captures, TransactionView

MAX_GROUPS: Final = 10
"""TX.0 to TX.9."""


class Search:
    """The test of a pattern that RE2 takes: where it is found, what it and its groups found is captured.

    Args:
        match: `Match` of the RE2 object.

    Attributes:
        hint: see `hinted`.
    """

    def __init__(self, match: Callable[..., Any]) -> None:
        self._match = match
        self.hint: Any = None

    def __call__(self, value: bytes, _tx: TransactionView) -> Captures | None:
        """What it captures, None where it is not found."""
        spans = self._match(UNANCHORED, value, 0, len(value))
        if spans[0][0] < 0:
            return None
        return tuple([value[start:end] if start >= 0 else b"" for start, end in spans[:MAX_GROUPS]])
