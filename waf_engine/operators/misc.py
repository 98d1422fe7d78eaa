"""Operators that belong to no other family: those that do not look at the value, and the one that cuts a path.

Holds no operator that compares something.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.patterns import UNANCHORED, compile_re2
from waf_engine.types import MATCHED, encode_argument

if TYPE_CHECKING:
    from waf_engine.types import Captures, CompileContext, Test, TransactionView

_PLACEHOLDER: Final = re.compile(rb"\{([^{}]+)\}")  # runs on arguments of rules only


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


@operators.register("restpath")
def restpath(argument: str, _context: CompileContext) -> Test:
    """The value has this form of path, and the parts in braces become ARGS_PATH.

    Argument: a path with names in braces, each of which stands for one segment; the rest is a pattern (RE2).
    Matches: a value in which such a path is found. ARGS_PATH then holds the segments by name.
    Example: @restpath /users/{id}/orders/{order}
        matches "/users/7/orders/12"
        not "/users//orders/12"
    """
    names: list[bytes] = []

    def group(found: re.Match[bytes]) -> bytes:
        names.append(found[1])
        return b"(?P<p%d>[^?/]+)" % len(names)

    source = _PLACEHOLDER.sub(group, encode_argument(argument.strip()))
    native = compile_re2(source)
    match = native.Match
    numbers = dict(native.NamedCapturingGroups())
    places = [(name, numbers[b"p%d" % place]) for place, name in enumerate(names, start=1)]

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        spans = match(UNANCHORED, value, 0, len(value))
        if spans[0][0] < 0:
            return None
        tx.set_collection("ARGS_PATH", [(name, value[slice(*spans[number])]) for name, number in places])
        return MATCHED

    return hinted(test, Kind.REGEX, source)
