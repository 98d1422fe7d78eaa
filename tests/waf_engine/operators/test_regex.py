"""The operators on patterns: captures, macros, the bound, and what the planner is told."""

from __future__ import annotations

import time
from typing import Any

import pytest

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators import Hint, Kind, hint_of, operators
from waf_engine.operators.regex import EXPANDED_PATTERNS, MAX_GLOBAL_CAPTURES, MAX_GROUPS


def test_ten_captures_at_most_and_empty_ones_for_groups_that_took_no_part(bench: Any):
    assert bench.compile("rx", "(a)(x)?(b)")(b"zab") == (b"ab", b"a", b"", b"b")
    assert bench.compile("rx", "(.)" * 12)(b"abcdefghijkl") == (b"abcdefghijkl", *[b"%c" % c for c in b"abcdefghi"])
    assert len(bench.compile("rx", "(.)(?=)" * 12)(b"abcdefghijkl") or ()) == MAX_GROUPS


def test_the_empty_pattern_matches_everything(bench: Any):
    assert bench.compile("rx", "")(b"") == (b"",)
    assert bench.compile("rx", "")(b"x") == (b"",)


def test_a_wrong_pattern_is_refused_at_its_place(bench: Any):
    for name in ("rx", "rxGlobal"):
        with pytest.raises(ArgumentError, match="wrong regular expression") as refused:
            bench.compile(name, "abc[z-a]")
        assert refused.value.offset == 4


def test_bytes_of_the_rule_file_that_are_no_utf8_match_themselves(bench: Any):
    argument = b"[\xff\xfe]+".decode("utf-8", "surrogateescape")

    assert bench.compile("rx", argument)(b"a\xff\xfeb") == (b"\xff\xfe",)


def test_at_the_bound_there_is_no_match_and_it_is_reported(bench: Any):
    context = bench.Context(settings={"pcre_match_limit": 1000})
    tx = bench.Transaction()
    test = bench.compile("rx", r"(?:.*?,){9}b(?!c)", context)

    assert test(b"a," * 300 + b"bc", tx) is None
    assert tx.limits == ["pcre"]
    assert test(b"," * 9 + b"b", tx) == (b"," * 9 + b"b",)
    assert tx.limits == ["pcre"]


def test_a_macro_in_a_pattern_is_expanded_for_each_transaction(bench: Any):
    test = bench.compile("rx", "^(%{tx.a})%%$")

    assert test(b"xx%%", bench.Transaction(tx={b"a": b"x+"})) == (b"xx%%", b"xx")
    assert test(b"xx%%", bench.Transaction(tx={b"a": b"y+"})) is None
    assert test(b"xx%%", bench.Transaction(tx={b"a": b"("})) is None
    assert test(b"xx%%", bench.Transaction(tx={b"a": b"(?=x)"})) is None


def test_patterns_made_of_macros_are_forgotten_again(bench: Any):
    """Values of a request that get into a pattern cannot fill the memory, nor stop the rule."""
    test = bench.compile("rx", "^%{tx.a}$")
    for n in range(3 * EXPANDED_PATTERNS):
        assert test(b"%d" % n, bench.Transaction(tx={b"a": b"%d" % n})) is not None


@pytest.mark.parametrize(
    ("argument", "value"), [("0%{2}", b"0%%"), ("%{", b"%{"), ("%{}", b"%{}"), ("%{ tx.a}", b"%{ txxa}")]
)
def test_what_is_no_macro_is_a_pattern(bench: Any, argument: str, value: bytes):
    assert bench.compile("rx", argument)(value) == (value,)


def test_all_matches_are_captured(bench: Any):
    test = bench.compile("rxGlobal", "([a-z])([0-9])?")

    assert test(b"a1-b") == (b"a1", b"a", b"1", b"b", b"b", b"")
    assert test(b"--") is None
    assert bench.compile("rxGlobal", "x*")(b"axx") == (b"", b"xx", b"")


def test_all_matches_are_bounded(bench: Any):
    """Each search of this pattern runs to the end of the value."""
    test = bench.compile("rxGlobal", "a(?:.*b)?")
    start = time.process_time()

    assert test(b"a" * 100_000) == (b"a",) * MAX_GLOBAL_CAPTURES
    assert time.process_time() - start < 0.5


def test_what_the_planner_is_told(bench: Any):
    rx = operators.get("rx")
    assert rx is not None

    assert hint_of(rx("a+", bench.Context())) == Hint(Kind.REGEX, (b"a+",))
    assert hint_of(rx("a(?!b)", bench.Context())) == Hint(Kind.REGEX, (b"a(?:)",), exact=False)
    assert hint_of(rx("%{tx.a}", bench.Context())) is None
