"""Operators that compare a value with a text, byte for byte.

Holds no patterns and no lists of words. All expand macros in their argument (engine.md 1.3); a test whose argument
has none is built without looking for any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.runtime.macros import expander
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from waf_engine.types import Captures, CompileContext, Test, TransactionView

_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


@operators.register("streq")
def streq(argument: str, context: CompileContext) -> Test:
    """The value is this text.

    Argument: the text; macros are expanded.
    Matches: a value that is equal to it, case and all.
    Example: @streq POST
        matches "POST"
        not "post"
    """
    macro = context.macro(argument)
    wanted = macro.literal
    if wanted is None:
        expand = expander(macro)

        def expanding(value: bytes, tx: TransactionView) -> Captures | None:
            return MATCHED if value == expand(tx) else None

        return expanding

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if value == wanted else None

    return hinted(test, Kind.EQUALS, wanted)


@operators.register("beginsWith")
def begins_with(argument: str, context: CompileContext) -> Test:
    """The value begins with this text.

    Argument: the text; macros are expanded. Every value begins with the empty one.
    Matches: a value whose first bytes are equal to it, case and all.
    Example: @beginsWith GET
        matches "GET / HTTP/1.1"
        not " GET / HTTP/1.1"
    """
    macro = context.macro(argument)
    wanted = macro.literal
    if wanted is None:
        expand = expander(macro)

        def expanding(value: bytes, tx: TransactionView) -> Captures | None:
            return MATCHED if value.startswith(expand(tx)) else None

        return expanding

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if value.startswith(wanted) else None

    return hinted(test, Kind.BEGINS, wanted)


@operators.register("endsWith")
def ends_with(argument: str, context: CompileContext) -> Test:
    """The value ends with this text.

    Argument: the text; macros are expanded. Every value ends with the empty one.
    Matches: a value whose last bytes are equal to it, case and all.
    Example: @endsWith .php
        matches "/index.php"
        not "/index.php.txt"
    """
    macro = context.macro(argument)
    wanted = macro.literal
    if wanted is None:
        expand = expander(macro)

        def expanding(value: bytes, tx: TransactionView) -> Captures | None:
            return MATCHED if value.endswith(expand(tx)) else None

        return expanding

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if value.endswith(wanted) else None

    return hinted(test, Kind.ENDS, wanted)


@operators.register("contains", "strmatch")
def contains(argument: str, context: CompileContext) -> Test:
    """The text is somewhere in the value.

    Argument: the text; macros are expanded. The empty text is in every value.
    Matches: a value that has it anywhere, case and all.
    Example: @contains /../
        matches "/a/../b"
        not "/a/./b"
    """
    macro = context.macro(argument)
    wanted = macro.literal
    if wanted is None:
        expand = expander(macro)

        def expanding(value: bytes, tx: TransactionView) -> Captures | None:
            return MATCHED if value.find(expand(tx)) >= 0 else None

        return expanding

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if value.find(wanted) >= 0 else None

    return hinted(test, Kind.CONTAINS, wanted)


@operators.register("within")
def within(argument: str, context: CompileContext) -> Test:
    """The value is somewhere in the text: the reverse of ``@contains``.

    Argument: the text, often a list with a separator; macros are expanded.
    Matches: a value that is a part of it, case and all; the empty value always is.
    Example: @within GET,POST,HEAD
        matches "POST"
        not "PUT"
    """
    macro = context.macro(argument)
    text = macro.literal
    if text is None:
        expand = expander(macro)

        def expanding(value: bytes, tx: TransactionView) -> Captures | None:
            return MATCHED if expand(tx).find(value) >= 0 else None

        return expanding

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if text.find(value) >= 0 else None

    return hinted(test, Kind.WITHIN, text)


@operators.register("containsWord")
def contains_word(argument: str, context: CompileContext) -> Test:
    """The text is somewhere in the value, and no letter stands next to it.

    Argument: the text; macros are expanded. The empty text is in every value.
    Matches: a value that has it, case and all, at its ends or between bytes other than ASCII letters.
    Example: @containsWord select
        matches "1;select 2"
        not "preselected"
    """
    macro = context.macro(argument)
    wanted = macro.literal
    if wanted is None:
        expand = expander(macro)

        def expanding(value: bytes, tx: TransactionView) -> Captures | None:
            return MATCHED if _has_word(value, expand(tx)) else None

        return expanding

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if _has_word(value, wanted) else None

    return hinted(test, Kind.CONTAINS, wanted, exact=not wanted)


def _has_word(value: bytes, word: bytes) -> bool:
    """Whether a word stands in a value without a letter next to it."""
    if not word:
        return True
    at = value.find(word)
    while at >= 0:
        end = at + len(word)
        if (at == 0 or value[at - 1] not in _LETTERS) and (end == len(value) or value[end] not in _LETTERS):
            return True
        at = value.find(word, at + 1)
    return False
