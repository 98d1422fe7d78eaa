"""Check digits: numbers made by another definition are found, and with one digit changed they are not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators.checksum import MAX_CANDIDATES, is_card, is_cpf, is_rut, is_ssn, is_svnr


def luhn_digit(body: str) -> str:
    """The digit that completes a card's number, by the rule as cards' manuals tell it."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += sum(map(int, str(number)))
    return str(-total % 10)


@given(st.text("0123456789", min_size=11, max_size=18), st.integers(1, 9), st.integers(0, 10))
def test_cards(body: str, change: int, place: int):
    number = body + luhn_digit(body)
    wrong = number[:place] + str((int(number[place]) + change) % 10) + number[place + 1 :]

    assert is_card(number.encode())
    assert is_card(b"-".join([number[:4].encode(), number[4:].encode()]))
    assert not is_card(wrong.encode())


def test_what_is_no_number_at_all():
    for text in (b"", b"x", b"0" * 33, b"\xff"):
        assert not any(check(text) for check in (is_card, is_ssn, is_cpf, is_svnr, is_rut))


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        (b"219-09-9999", True), (b"574578065", True), (b"000-09-9999", False), (b"219-00-9999", False),
        (b"219-09-0000", False), (b"666-12-3456", False), (b"740-12-3456", False), (b"111-11-1111", False),
        (b"123456789", False), (b"2190999", False),
    ],
)  # fmt: skip
def test_social_security_numbers(number: bytes, *, valid: bool):
    assert is_ssn(number) == valid


@pytest.mark.parametrize(
    ("number", "valid"),
    [(b"529.982.247-25", True), (b"52998224725", True), (b"529.982.247-26", False), (b"111.111.111-11", False)],
)
def test_cpf(number: bytes, *, valid: bool):
    assert is_cpf(number) == valid


@pytest.mark.parametrize(
    ("number", "valid"),
    [(b"1237 010180", True), (b"1238 010180", False), (b"0000000000", False), (b"123701018", False)],
)
def test_svnr(number: bytes, *, valid: bool):
    assert is_svnr(number) == valid


@pytest.mark.parametrize(
    ("number", "valid"),
    [(b"11.111.111-1", True), (b"12.345.678-5", True), (b"10.000.013-k", True), (b"10.000.013-0", False),
     (b"1-9", False), (b"1k.111.111-1", False)],
)  # fmt: skip
def test_rut(number: bytes, *, valid: bool):
    assert is_rut(number) == valid


def test_a_number_within_a_longer_candidate_is_found(bench: Any):
    """The leftmost candidate is the fifteen digits from the 9 on; the card begins one digit later."""
    assert bench.compile("verifyCC", r"\d{16}")(b"95484605089158216") == (b"5484605089158216",)


def test_the_number_of_candidates_is_bounded_and_the_bound_is_reported(bench: Any):
    tx = bench.Transaction()
    test = bench.compile("verifyCC", r"\d{2}")

    assert test(b"12" * 100, tx) is None
    assert tx.limits == []
    assert test(b"12" * MAX_CANDIDATES + b"18", tx) is None
    assert tx.limits == ["candidates"]


def test_a_pattern_that_matches_nothing_at_all_ends(bench: Any):
    assert bench.compile("verifyCC", "x*")(b"abc") is None
    assert bench.compile("validateNid", "us x*")(b"abc") is None


def test_all_valid_numbers_of_the_first_ten_are_captured(bench: Any):
    test = bench.compile("validateNid", r"us \d{3}-\d{2}-\d{4}")

    assert test(b"219-09-9999 000-09-9999 574-57-8065") == (b"219-09-9999", b"574-57-8065")
    assert test(b"000-09-9999 " * 10 + b"219-09-9999") is None


@pytest.mark.parametrize("argument", ["", "xx .*", "us", "us ", "cl ("])
def test_what_is_no_national_number_is_refused(bench: Any, argument: str):
    with pytest.raises(ArgumentError):
        bench.compile("validateNid", argument)
