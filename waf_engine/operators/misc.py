"""Operators that do not look at the value.

Holds no operator that compares something: those are in the other families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from waf_engine.types import Captures, CompileContext, Test, TransactionView


@operators.register("unconditionalMatch")
def unconditional_match(_argument: str, _context: CompileContext) -> Test:
    """Every value matches.

    Argument: none; what stands there is ignored.
    Matches: everything.
    Example: @unconditionalMatch
        matches ""
    """

    def test(_value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED

    return hinted(test, Kind.ALWAYS)


@operators.register("noMatch")
def no_match(_argument: str, _context: CompileContext) -> Test:
    """No value matches.

    Argument: none; what stands there is ignored.
    Matches: nothing.
    Example: @noMatch
        not ""
    """

    def test(_value: bytes, _tx: TransactionView) -> Captures | None:
        return None

    return hinted(test, Kind.NEVER)
