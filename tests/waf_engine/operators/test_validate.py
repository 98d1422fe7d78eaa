"""Operators that match what is not well-formed, against other definitions of the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.diagnostics import ArgumentError
from waf_engine.types import MATCHED


@pytest.mark.parametrize(
    ("argument", "allowed"),
    [
        ("", set()), ("0-255", set(range(256))), ("9,10,13,32-126", {9, 10, 13, *range(32, 127)}),
        (" 1 - 3 , 7 ", {1, 2, 3, 7}), ("255", {255}),
    ],
)  # fmt: skip
def test_ranges(bench: Any, argument: str, allowed: set[int]):
    test = bench.compile("validateByteRange", argument)

    assert {byte for byte in range(256) if test(bytes([byte])) is None} == allowed
    assert test(b"") is None


@pytest.mark.parametrize(
    ("argument", "offset"), [("1,256", 2), ("1,x", 2), ("5-1", 0), ("1-", 0), ("1,,2", 2), ("1-2-3", 0), ("\xb2", 0)]
)
def test_what_is_no_range_is_refused(bench: Any, argument: str, offset: int):
    with pytest.raises(ArgumentError) as refused:
        bench.compile("validateByteRange", argument)

    assert refused.value.offset == offset


def test_a_range_may_be_a_macro(bench: Any):
    test = bench.compile("validateByteRange", "%{tx.range}")

    assert test(b"abc", bench.Transaction(tx={b"range": b"97-99"})) is None
    assert test(b"abd", bench.Transaction(tx={b"range": b"97-99"})) is MATCHED
    assert test(b"abc", bench.Transaction(tx={b"range": b"nonsense"})) is MATCHED


@given(st.lists(st.sampled_from([b"%", b"4", b"f", b"G", b"%41", b"\xff", b"%%"])).map(b"".join))
def test_percent_encoding(bench: Any, value: bytes):
    valid = re.fullmatch(rb"(?:[^%]|%[0-9A-Fa-f]{2})*", value, re.DOTALL) is not None

    assert (bench.compile("validateUrlEncoding")(value) is None) == valid


def is_utf8(value: bytes) -> bool:
    """Table 3-7 of the Unicode standard."""
    tail = rb"[\x80-\xbf]"
    forms = [
        rb"[\x00-\x7f]", rb"[\xc2-\xdf]" + tail, rb"\xe0[\xa0-\xbf]" + tail, rb"[\xe1-\xec\xee\xef]" + tail * 2,
        rb"\xed[\x80-\x9f]" + tail, rb"\xf0[\x90-\xbf]" + tail * 2, rb"[\xf1-\xf3]" + tail * 3,
        rb"\xf4[\x80-\x8f]" + tail * 2,
    ]  # fmt: skip
    return re.fullmatch(b"(?:" + b"|".join(forms) + b")*", value) is not None


LEADS = b"\x00a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff"


@given(st.lists(st.sampled_from(list(LEADS)), max_size=8).map(bytes))
def test_utf8(bench: Any, value: bytes):
    assert (bench.compile("validateUtf8Encoding")(value) is None) == is_utf8(value)
