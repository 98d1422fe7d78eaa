"""Operators that search a regular expression in a value.

Holds no engine: that is `waf_engine.patterns`. A pattern with a macro in it, which ModSecurity allows, is compiled
when it runs, by RE2 only, and the last ones are kept.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.operators._search import MAX_GROUPS, Search
from waf_engine.patterns import UNANCHORED, LimitReachedError, compile_pattern, compile_re2
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from waf_engine.patterns import Pattern
    from waf_engine.types import Captures, CompileContext, Macro, Test, TransactionView

MAX_GLOBAL_CAPTURES: Final = 100
"""What ``@rxGlobal`` keeps of all matches together, so that their number cannot make the search quadratic."""

EXPANDED_PATTERNS: Final = 32
"""Patterns that one rule with a macro in its pattern keeps compiled."""

WHOLE: Final = frozenset({b".*", b"^.*", b"^.*$", b".*$"})
"""Patterns that take the whole of any value: a dot matches line ends too."""

# A percent sign before a repetition (``%{2}``) is no macro: a macro's name begins with a letter.
_MACRO: Final = re.compile(r"%\{[A-Za-z][\w.:-]*\}")


@operators.register("rx")
def rx(argument: str, context: CompileContext) -> Test:
    r"""The pattern is found somewhere in the value.

    Argument: a regular expression in RE2's syntax, or PCRE's; a dot matches line ends too, ``^`` and ``$`` match at
        each line. Macros are expanded.
    Matches: a value in which it is found. TX.0 is the text found, TX.1 to TX.9 its groups (with ``capture``).
    Example: @rx (?i)union\s+select
        matches "1 UNION  SELECT 2"
        not "reunion"
    """
    macro = _macro(argument, context)
    if macro is not None:
        return _expanding(macro)
    pattern = compile_pattern(encode_argument(argument), context.setting("pcre_match_limit"))
    if pattern.native is None:
        return _bounded(pattern)
    if pattern.source in WHOLE:
        return hinted(_whole, Kind.REGEX, pattern.source)
    return hinted(Search(pattern.native.Match), Kind.REGEX, pattern.source)


@operators.register("rxGlobal")
def rx_global(argument: str, _context: CompileContext) -> Test:
    """The pattern is found somewhere in the value; all that is found is captured.

    Argument: a regular expression that RE2 takes; a dot matches line ends too, ``^`` and ``$`` match at each line.
    Matches: a value in which it is found. The texts and groups of all matches, in order, become TX.0 and so on.
    Example: @rxGlobal [0-9]+
        matches "1, 22 and 333"
        not "none"
    """
    native = compile_re2(encode_argument(argument))
    match = native.Match

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        captures: list[bytes] = []
        at, end = 0, len(value)
        while at <= end and len(captures) < MAX_GLOBAL_CAPTURES:
            spans = match(UNANCHORED, value, at, end)
            start, stop = spans[0]
            if start < 0:
                break
            captures += [value[a:b] if a >= 0 else b"" for a, b in spans]
            at = stop if stop > start else stop + 1
        return tuple(captures[:MAX_GLOBAL_CAPTURES]) or None

    return hinted(test, Kind.REGEX, encode_argument(argument))


def _whole(value: bytes, _tx: TransactionView) -> Captures:
    return (value,)


def _macro(argument: str, context: CompileContext) -> Macro | None:
    """The argument as a macro, or None when there is none in it."""
    if not _MACRO.search(argument):
        return None
    macro = context.macro(argument)
    return macro if macro.literal is None else None


def _bounded(pattern: Pattern) -> Test:
    """The test of a pattern on the backtracking engine; at its bound, it does not match."""
    search = pattern.search

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        try:
            spans = search(value)
        except LimitReachedError:
            tx.note_limit("pcre")
            return None
        if spans is None:
            return None
        return tuple([value[start:end] if start >= 0 else b"" for start, end in spans[:MAX_GROUPS]])

    if pattern.necessary is not None:
        hinted(test, Kind.REGEX, pattern.necessary, exact=False)
    return test


def _expanding(macro: Macro) -> Test:
    """The test of a pattern that depends on the transaction; one that is no pattern then matches nothing."""

    @lru_cache(maxsize=EXPANDED_PATTERNS)
    def compiled(pattern: bytes) -> Any:
        try:
            return compile_re2(pattern).Match
        except ArgumentError:
            return None

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        match = compiled(macro.expand(tx))
        if match is None:
            return None
        spans = match(UNANCHORED, value, 0, len(value))
        if spans[0][0] < 0:
            return None
        return tuple([value[start:end] if start >= 0 else b"" for start, end in spans[:MAX_GROUPS]])

    return test
