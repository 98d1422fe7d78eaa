"""What counts as a number, and that the five comparisons compare so."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.operators.numeric import to_number

COMPARISONS = {name: getattr(operator, name) for name in ("eq", "ge", "gt", "le", "lt")}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"", 0), (b"0", 0), (b"007", 7), (b"-5", -5), (b"+5", 5), (b"1000", 1000), (b"12abc", 0), (b" 12", 0),
        (b"12 ", 0), (b"1_000", 0), (b"0x10", 0), (b"1.5", 0), (b"--1", 0), (b"-", 0), (b"\xb2", 0), (b"12\n", 0),
        (b"1\x00", 0), (b"9223372036854775807", 2**63 - 1),
    ],
)  # fmt: skip
def test_only_a_whole_integer_is_a_number(text: bytes, number: int):
    assert to_number(text) == number


def test_a_number_beyond_64_bits_keeps_its_size_and_sign():
    """Coraza counts it as 0, so a Content-Length of 30 digits passes its `@gt`."""
    assert to_number(b"9" * 30) > 2**63
    assert to_number(b"-" + b"9" * 30) < -(2**63)
    assert to_number(b"0" * 30 + b"12") == 12
    assert to_number(b"0" * 30) == 0
    assert to_number(b"9" * 100_000) > 2**63


@pytest.mark.parametrize("name", COMPARISONS)
@given(value=st.integers(-1100, 1100), limit=st.integers(-1100, 1100))
def test_comparisons(bench: Any, name: str, value: int, limit: int):
    expected = COMPARISONS[name](value, limit)
    text = b"%d" % value

    assert (bench.compile(name, str(limit))(text) is not None) == expected
    tx = bench.Transaction(tx={b"limit": b"%d" % limit})
    assert (bench.compile(name, "%{tx.limit}")(text, tx) is not None) == expected


@given(st.integers(-(10**18), 10**18))
def test_a_number_is_itself(number: int):
    assert to_number(b"%d" % number) == number
