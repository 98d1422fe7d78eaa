"""Operators that look for numbers of cards and papers and verify their check digits.

The argument is a pattern that finds candidates; what it finds is verified. Candidates may overlap (a card's number in a
longer row of digits), so the search goes on one byte after the beginning of a candidate that fails, as in
ModSecurity, and is bounded by `MAX_CANDIDATES`. Algorithms: ISO/IEC 7812-1 (cards), Social Security
Administration (SSN), Receita Federal (CPF), Hauptverband der Sozialversicherungstraeger (SVNR), Registro Civil (RUT).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.patterns import UNANCHORED, compile_re2
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.types import Captures, CompileContext, Test, TransactionView

MAX_CANDIDATES: Final = 256
"""Candidates of one value that are verified: each costs a search, so without a bound the cost would be quadratic."""

MAX_DIGITS: Final = 32
"""Digits of the longest number there is any sense in: cards have 19 at most."""

MAX_NUMBERS: Final = 10
"""TX.0 to TX.9, for ``@validateNid``, which looks for several numbers."""

_NOT_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))
_NOT_RUT: Final = bytes(set(range(256)) - set(b"0123456789kK"))


def _digits(text: bytes) -> list[int]:
    """The digits in a text; none when there are too many for any number."""
    found = text.translate(None, _NOT_DIGITS)
    return [digit - 0x30 for digit in found] if len(found) <= MAX_DIGITS else []


def is_card(text: bytes) -> bool:
    """Whether the digits are a card's number: Luhn's sum is a multiple of ten."""
    digits = _digits(text)[::-1]
    doubled = sum(2 * digit - (9 if digit > 4 else 0) for digit in digits[1::2])
    return bool(digits) and (sum(digits[::2]) + doubled) % 10 == 0


def is_ssn(text: bytes) -> bool:
    """Whether the digits are a US social security number: nine, no part zero, no area that is not given out."""
    digits = _digits(text)
    if len(digits) != 9 or len(set(digits)) == 1 or all(b - a == 1 for a, b in pairwise(digits)):
        return False
    area, group, serial = _number(digits[:3]), _number(digits[3:5]), _number(digits[5:])
    return 0 < area < 740 and area != 666 and group > 0 and serial > 0


def is_cpf(text: bytes) -> bool:
    """Whether the digits are a Brazilian taxpayer's number: eleven, the last two check the others."""
    digits = _digits(text)
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for length in (9, 10):
        weighted = sum(digit * (length + 1 - place) for place, digit in enumerate(digits[:length]))
        if weighted * 10 % 11 % 10 != digits[length]:
            return False
    return True


def is_svnr(text: bytes) -> bool:
    """Whether the digits are an Austrian social insurance number: ten, the fourth checks the others."""
    digits = _digits(text)
    if len(digits) != 10 or len(set(digits)) == 1:
        return False
    weighted = sum(a * b for a, b in zip(digits, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6), strict=True))
    return weighted % 11 == digits[3]


def is_rut(text: bytes) -> bool:
    """Whether the digits are a Chilean person's number: the last one, or a K for ten, checks the others."""
    found = text.translate(None, _NOT_RUT).upper()
    body, check = found[:-1], found[-1:]
    if not 7 <= len(body) <= 9 or not body.isdigit():
        return False
    weighted = sum((digit - 0x30) * (2 + place % 6) for place, digit in enumerate(reversed(body)))
    return b"0K987654321"[weighted % 11 : weighted % 11 + 1] == check


def _number(digits: list[int]) -> int:
    number = 0
    for digit in digits:
        number = number * 10 + digit
    return number


def _verifying(argument: str, is_valid: Callable[[bytes], bool]) -> Test:
    """The test that verifies what a pattern finds; the first valid number is captured."""
    match = compile_re2(encode_argument(argument)).Match

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        at, length = 0, len(value)
        for _ in range(MAX_CANDIDATES):
            start, end = match(UNANCHORED, value, at, length)[0]
            if start < 0:
                return None
            if is_valid(value[start:end]):
                return (value[start:end],)
            at = start + 1
            if at > length:
                return None
        tx.note_limit("candidates")
        return None

    return hinted(test, Kind.REGEX, encode_argument(argument), exact=False)


@operators.register("verifyCC")
def verify_cc(argument: str, _context: CompileContext) -> Test:
    r"""A card's number is in the value.

    Argument: a pattern (RE2) that finds candidates.
    Matches: a value with a candidate whose digits pass Luhn's check. TX.0 is the candidate.
    Example: @verifyCC \b\d{13,16}\b
        matches "card 5484605089158216"
        not "card 5484605089158217"
    """
    return _verifying(argument, is_card)


@operators.register("verifySSN")
def verify_ssn(argument: str, _context: CompileContext) -> Test:
    r"""A US social security number is in the value.

    Argument: a pattern (RE2) that finds candidates.
    Matches: a value with a candidate of nine digits that may be given out. TX.0 is the candidate.
    Example: @verifySSN \d{3}-?\d{2}-?\d{4}
        matches "ssn 574-57-8065"
        not "ssn 123-45-6789"
    """
    return _verifying(argument, is_ssn)


@operators.register("verifyCPF")
def verify_cpf(argument: str, _context: CompileContext) -> Test:
    r"""A Brazilian taxpayer's number (CPF) is in the value.

    Argument: a pattern (RE2) that finds candidates.
    Matches: a value with a candidate of eleven digits, the last two of which check the others. TX.0 is the candidate.
    Example: @verifyCPF ([0-9]{3}\.){2}[0-9]{3}-[0-9]{2}
        matches "cpf 010.817.514-60"
        not "cpf 010.817.514-61"
    """
    return _verifying(argument, is_cpf)


@operators.register("verifySVNR")
def verify_svnr(argument: str, _context: CompileContext) -> Test:
    """An Austrian social insurance number is in the value.

    Argument: a pattern (RE2) that finds candidates.
    Matches: a value with a candidate of ten digits, the fourth of which checks the others. TX.0 is the candidate.
    Example: @verifySVNR [0-9]{4} ?[0-9]{6}
        matches "1237 010180"
        not "1236 010180"
    """
    return _verifying(argument, is_svnr)


_NATIONAL: Final[dict[str, Callable[[bytes], bool]]] = {"cl": is_rut, "us": is_ssn}


@operators.register("validateNid")
def validate_nid(argument: str, _context: CompileContext) -> Test:
    r"""A national person's number is in the value.

    Argument: the country (``cl`` or ``us``), a blank, and a pattern (RE2) that finds candidates.
    Matches: a value with a candidate, of the first ten, that is such a number. TX.0 to TX.9 are those that are.
    Example: @validateNid cl \d{1,2}\.\d{3}\.\d{3}-[0-9kK]
        matches "rut 11.111.111-1"
        not "rut 11.111.111-0"
    """
    country, _, pattern = argument.strip().partition(" ")
    is_valid = _NATIONAL.get(country.lower())
    if is_valid is None:
        raise ArgumentError(f"unknown country {country[:20]!r}", hint="cl or us, then a blank and a pattern")
    if not pattern.strip():
        raise ArgumentError("the pattern is missing", hint=f"{country} PATTERN", offset=len(argument))
    source = encode_argument(pattern.strip())
    match = compile_re2(source).Match

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        found: list[bytes] = []
        at, length = 0, len(value)
        for _ in range(MAX_NUMBERS):
            start, end = match(UNANCHORED, value, at, length)[0]
            if start < 0:
                break
            if is_valid(value[start:end]):
                found.append(value[start:end])
            at = end if end > start else end + 1
            if at > length:
                break
        return tuple(found) or None

    return hinted(test, Kind.REGEX, source, exact=False)
