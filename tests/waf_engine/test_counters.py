"""Counters: what is a number, what a step does, and what is a text that only looks like a step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine import counters
from waf_engine.counters import MOST_KNOWN, counted, integer, reckon, step_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0), (b"12", 12), (b"-3", -3), (b"+4", 4), (b"007", 7), (b"9" * 18, 10**18 - 1),
        (b"", None), (b"-", None), (b"1.5", None), (b" 1", None), (b"1_0", None), (b"9" * 19, None), (b"0x1", None),
    ],
)  # fmt: skip
def test_integer(text: bytes, number: int | None):
    assert integer(text) == number


@pytest.mark.parametrize(
    ("current", "step", "after"),
    [(b"", 5, b"5"), (b"5", -7, b"-2"), (b"-2", 2, b"0"), (b"text", 5, b"text"), (b"1.5", 1, b"1.5")],
)
def test_reckon(current: bytes, step: int, after: bytes):
    assert reckon(current, step) == after


@pytest.mark.parametrize(
    ("value", "step"),
    [
        (b"+5", 5),
        (b"-5", -5),
        (b"+", 0),
        (b"-", 0),
        (b"5", None),
        (b"", None),
        (b"+abc", None),
        (b"+-5", -5),
        (b"+" + b"9" * 19, None),
    ],
)
def test_step_of(value: bytes, step: int | None):
    assert step_of(value) == step


@pytest.mark.parametrize(
    ("current", "value", "after"),
    [
        (b"3", b"+5", b"8"),
        (b"3", b"-5", b"-2"),
        (b"", b"+1", b"1"),
        (b"x", b"+1", b"x"),
        (b"3", b"+abc", b"+abc"),
        (b"3", b"7", b"7"),
    ],
)
def test_counted(current: bytes, value: bytes, after: bytes):
    assert counted(current, value) == after


@given(st.from_regex(rb"[-+]?[0-9a]{0,20}", fullmatch=True), st.from_regex(rb"[-+]?[0-9a]{0,20}", fullmatch=True))
def test_what_is_remembered_is_what_was_reckoned(current: bytes, value: bytes):
    step = step_of(value)
    wanted = value if step is None else reckon(current, step)

    assert [counted(current, value) for _ in range(3)] == [wanted] * 3


def test_so_much_is_remembered():
    for number in range(MOST_KNOWN + 10):
        assert counted(b"%d" % number, b"+1") == b"%d" % (number + 1)

    assert len(counters._KNOWN) <= MOST_KNOWN
