"""Operators that compare with a text: their edges, and that a macro is expanded for each transaction."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.types import MATCHED

MACRO_CASES = [
    ("streq", b"ab", b"abc"),
    ("beginsWith", b"abc", b"xab"),
    ("endsWith", b"xab", b"abx"),
    ("contains", b"xabx", b"xaxbx"),
    ("strmatch", b"xabx", b"xaxbx"),
    ("within", b"a", b"abc"),
    ("containsWord", b"1 ab 2", b"cab"),
]


@pytest.mark.parametrize(("name", "matching", "other"), MACRO_CASES)
def test_a_macro_is_expanded_for_each_transaction(bench: Any, name: str, matching: bytes, other: bytes):
    test = bench.compile(name, "%{tx.x}")
    tx = bench.Transaction(tx={b"x": b"ab"})

    assert test(matching, tx) is MATCHED
    assert test(other, tx) is None
    assert test(other, bench.Transaction(tx={b"x": other})) is MATCHED


@pytest.mark.parametrize("name", ["streq", "beginsWith", "endsWith", "contains", "within", "containsWord"])
def test_bytes_of_the_rule_file_that_are_no_utf8_match_themselves(bench: Any, name: str):
    argument = b"\xff\xc3\xa9".decode("utf-8", "surrogateescape")

    assert bench.compile(name, argument)(b"\xff\xc3\xa9") is MATCHED
    assert bench.compile(name, argument)(b"\xfe\xc3\xa9") is None


@pytest.mark.parametrize("name", ["beginsWith", "endsWith", "contains", "containsWord"])
def test_the_empty_text_is_in_every_value(bench: Any, name: str):
    assert bench.compile(name, "")(b"") is MATCHED
    assert bench.compile(name, "")(b"x") is MATCHED


def test_the_empty_value_is_within_every_text(bench: Any):
    assert bench.compile("within", "GET POST")(b"") is MATCHED
    assert bench.compile("within", "")(b"x") is None


@pytest.mark.parametrize("name", ["streq", "beginsWith", "endsWith", "contains", "within", "containsWord"])
def test_case_counts(bench: Any, name: str):
    assert bench.compile(name, "abc")(b"ABC") is None


@given(before=st.binary(max_size=3), after=st.binary(max_size=3), word=st.binary(min_size=1, max_size=3))
def test_a_word_has_no_letter_next_to_it(bench: Any, before: bytes, after: bytes, word: bytes):
    value = before + word + after
    places = [at for at in range(len(value)) if value.startswith(word, at)]
    expected = any(
        not value[max(at - 1, 0) : at].isalpha() and not value[at + len(word) :][:1].isalpha() for at in places
    )
    argument = "%{tx.word}"

    assert (
        bench.compile("containsWord", argument)(value, bench.Transaction(tx={b"word": word})) is not None
    ) == expected
