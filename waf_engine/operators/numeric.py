"""Operators that compare numbers.

A text is a number if all of it is: an optional sign and digits, as Go's ``Atoi`` reads it; anything else (``12abc``,
`` 12``, nothing at all) counts as 0, as in Coraza (engine.md 1.3). Numbers beyond 64 bits, which Coraza counts as
0, keep their sign and their size up to a bound: ``@gt 1000`` holds for a Content-Length of 30 digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.runtime.macros import expander
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.types import Captures, CompileContext, Macro, Test, TransactionView

MAX_DIGITS: Final = 19
"""Digits of a number that are read; a longer one counts as the greatest of that length."""

_GREATEST: Final = 10**MAX_DIGITS

# Scores, counts and paranoia levels: what rules compare is nearly always found here, in a third of int()'s time.
_SMALL: Final = {str(n).encode(): n for n in range(1000)}


def to_number(text: bytes) -> int:
    """The number that a text stands for; 0 when it is none."""
    found = _SMALL.get(text)
    if found is not None:
        return found
    digits = text[1:] if text[:1] in (b"-", b"+") else text
    if not digits.isdigit():
        return 0
    if len(digits) > MAX_DIGITS:  # also for the sake of int(), which takes time for, and then refuses, long ones
        digits = digits.lstrip(b"0")
    number = int(digits or b"0") if len(digits) <= MAX_DIGITS else _GREATEST
    return -number if text[:1] == b"-" else number


def _expanding(macro: Macro, holds: Callable[[int, int], bool]) -> Test:
    """A comparison with a number that depends on the transaction."""
    expand = expander(macro)

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        return MATCHED if holds(to_number(value), to_number(expand(tx))) else None

    return test


@operators.register("eq")
def eq(argument: str, context: CompileContext) -> Test:
    """The value is equal to this number.

    Argument: the number; macros are expanded. What is no whole number counts as 0.
    Matches: a value that is equal to it as a number.
    Example: @eq 10
        matches "010"
        not "10a"
    """
    macro = context.macro(argument)
    if macro.literal is None:
        return _expanding(macro, int.__eq__)
    limit, small = to_number(macro.literal), _SMALL.get

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        number = small(value)
        return MATCHED if (to_number(value) if number is None else number) == limit else None

    return hinted(test, Kind.NUMBER, b"eq", b"%d" % limit)


@operators.register("ge")
def ge(argument: str, context: CompileContext) -> Test:
    """The value is this number or greater.

    Argument: the number; macros are expanded. What is no whole number counts as 0.
    Matches: a value that is greater or equal as a number.
    Example: @ge 5
        matches "12"
        not "4"
    """
    macro = context.macro(argument)
    if macro.literal is None:
        return _expanding(macro, int.__ge__)
    limit, small = to_number(macro.literal), _SMALL.get

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        number = small(value)
        return MATCHED if (to_number(value) if number is None else number) >= limit else None

    return hinted(test, Kind.NUMBER, b"ge", b"%d" % limit)


@operators.register("gt")
def gt(argument: str, context: CompileContext) -> Test:
    """The value is greater than this number.

    Argument: the number; macros are expanded. What is no whole number counts as 0.
    Matches: a value that is greater as a number.
    Example: @gt 5
        matches "12"
        not "5"
    """
    macro = context.macro(argument)
    if macro.literal is None:
        return _expanding(macro, int.__gt__)
    limit, small = to_number(macro.literal), _SMALL.get

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        number = small(value)
        return MATCHED if (to_number(value) if number is None else number) > limit else None

    return hinted(test, Kind.NUMBER, b"gt", b"%d" % limit)


@operators.register("le")
def le(argument: str, context: CompileContext) -> Test:
    """The value is this number or less.

    Argument: the number; macros are expanded. What is no whole number counts as 0.
    Matches: a value that is less or equal as a number.
    Example: @le 5
        matches "-3"
        not "6"
    """
    macro = context.macro(argument)
    if macro.literal is None:
        return _expanding(macro, int.__le__)
    limit, small = to_number(macro.literal), _SMALL.get

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        number = small(value)
        return MATCHED if (to_number(value) if number is None else number) <= limit else None

    return hinted(test, Kind.NUMBER, b"le", b"%d" % limit)


@operators.register("lt")
def lt(argument: str, context: CompileContext) -> Test:
    """The value is less than this number.

    Argument: the number; macros are expanded. What is no whole number counts as 0.
    Matches: a value that is less as a number.
    Example: @lt 2
        matches "1"
        not "2"
    """
    macro = context.macro(argument)
    if macro.literal is None:
        return _expanding(macro, int.__lt__)
    limit, small = to_number(macro.literal), _SMALL.get

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        number = small(value)
        return MATCHED if (to_number(value) if number is None else number) < limit else None

    return hinted(test, Kind.NUMBER, b"lt", b"%d" % limit)
