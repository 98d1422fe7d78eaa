"""Operators that match what is not well-formed: bytes, percent-encoding, UTF-8, national numbers.

Holds no schema (``schema.py``) and no check sums of cards and papers (``checksum.py``). The sense of all these is that
of ModSecurity: true means a violation. An empty value never matches.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from waf_engine.types import Captures, CompileContext, Test, TransactionView

# Linear: the lookahead is two bytes wide.
_BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@operators.register("validateByteRange")
def validate_byte_range(argument: str, context: CompileContext) -> Test:
    r"""A byte of the value is outside of the allowed ones.

    Argument: allowed bytes and ranges of them, decimal, with commas between; macros are expanded.
    Matches: a value with a byte that is not listed.
    Example: @validateByteRange 9,10,13,32-126
        matches "nul \x00"
        not "plain text"
    """
    macro = context.macro(argument)
    if macro.literal is None:

        def expanding(value: bytes, tx: TransactionView) -> Captures | None:
            try:
                return MATCHED if value.translate(None, _allowed(macro.expand(tx).decode("latin-1"))) else None
            except ArgumentError:  # nothing is allowed by a list that cannot be read
                return MATCHED if value else None

        return expanding
    allowed = _allowed(argument)

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if value.translate(None, allowed) else None

    return hinted(test, Kind.BYTES, bytes(set(range(256)) - set(allowed)))


def _allowed(argument: str) -> bytes:
    """The bytes that a list of numbers and ranges allows.

    Raises:
        ArgumentError: a part is neither.
    """
    allowed: set[int] = set()
    offset = 0
    for part in argument.split(","):
        first, dash, last = (text.strip() for text in part.partition("-"))
        numbers = (first, last) if dash else (first, first)
        if part.strip() or argument.count(","):
            if not all(number.isascii() and number.isdigit() and int(number[:9]) < 256 for number in numbers):
                raise ArgumentError(
                    f"{part.strip()[:40]!r} is neither a byte nor a range of bytes",
                    hint="numbers from 0 to 255, such as 9,10,13,32-126",
                    offset=offset,
                )
            if int(numbers[0]) > int(numbers[1]):
                raise ArgumentError(f"the range {part.strip()!r} is empty", hint="the lesser first", offset=offset)
            allowed.update(range(int(numbers[0]), int(numbers[1]) + 1))
        offset += len(part) + 1
    return bytes(sorted(allowed))


@operators.register("validateUrlEncoding")
def validate_url_encoding(_argument: str, _context: CompileContext) -> Test:
    """A percent sign of the value does not begin a percent-encoded byte.

    Argument: none; what stands there is ignored.
    Matches: a value with a percent sign that two hexadecimal digits do not follow.
    Example: @validateUrlEncoding
        matches "100%"
        not "100%25"
    """
    search = _BAD_PERCENT.search

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if b"%" in value and search(value) else None

    return hinted(test, Kind.BYTES, b"%", exact=False)


@operators.register("validateUtf8Encoding")
def validate_utf8_encoding(_argument: str, _context: CompileContext) -> Test:
    r"""The value is not UTF-8.

    Argument: none; what stands there is ignored.
    Matches: a value with a byte that is no part of a character, a character that is cut, written longer than needed,
        a surrogate, or one beyond U+10FFFF.
    Example: @validateUtf8Encoding
        matches "caf\xe9"
        not "caf\xc3\xa9"
    """

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        if value.isascii():
            return None
        try:
            value.decode()
        except UnicodeDecodeError:
            return MATCHED
        return None

    return hinted(test, Kind.BYTES, bytes(range(128, 256)), exact=False)
