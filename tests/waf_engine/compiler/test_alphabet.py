"""What bytes a pattern needs: said to be impossible is what RE2 never finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import re2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waf_engine.random_patterns import any_patterns, values
from waf_engine import WAF
from waf_engine.compiler.alphabet import ends_at_line_start, idle_bytes, may_match
from waf_engine.diagnostics import ArgumentError
from waf_engine.operators import Kind, hint_of
from waf_engine.patterns import compile_re2

if TYPE_CHECKING:
    from pathlib import Path

WORDS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ")


@pytest.mark.parametrize(
    "pattern",
    [b"<script", b"a=b", b"(?:x<|y>)z", b"[<>]+", b"a{2,3}=", b"\\x3c", b"\\x{3c}", b"[^\\w ]", b"(?P<n>=)", b"a=?="],
)
def test_a_pattern_that_needs_a_mark_does_not_match_words(pattern: bytes):
    assert not may_match(pattern, WORDS)


@pytest.mark.parametrize(
    "pattern",
    [b"script", b"a=?", b"x|<", b"(?:<)*", b"", b"^$", b"[a<]", b"[^<]", b"\\W?", b"(?i)SELECT", b"(?=<)", b"("],
)
def test_a_pattern_that_may_do_without_matches_words_perhaps(pattern: bytes):
    assert may_match(pattern, WORDS)


def test_a_letter_counts_in_both_cases():
    assert may_match(b"(?i)k", frozenset(b"kK"))
    assert may_match(b"(?i)[j-l]", frozenset(b"K"))


def found(pattern: bytes, value: bytes) -> bool:
    return compile_re2(pattern).Match(re2._re2.RE2.Anchor.UNANCHORED, value, 0, len(value))[0][0] >= 0


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(pattern=any_patterns, value=values)
def test_what_re2_finds_was_said_to_be_possible(pattern: bytes, value: bytes):
    try:
        matches = found(pattern, value)
    except ArgumentError:
        return
    if matches:
        alphabet = frozenset(value.lower() + value.upper())
        assert may_match(pattern, alphabet)
        idle = idle_bytes(pattern)
        assert not idle or value.translate(None, idle)


def test_idle_bytes_are_a_large_set_that_cannot_match():
    idle = idle_bytes(b"<script[^>]*>")

    assert set(WORDS) <= set(idle)
    assert b"<" not in idle or b">" not in idle
    assert idle_bytes(b"a*") == b""
    assert idle == bytes(sorted(idle))


@pytest.mark.parametrize("depth", [10, 200, 400, 3000])
def test_a_deep_pattern_does_not_end_the_planner(depth: int):
    deep = b"(?:" * depth + b"<^" + b"|x)" * depth

    assert may_match(deep, WORDS)
    assert idle_bytes(deep) == b"" or b"<" not in idle_bytes(deep)
    assert ends_at_line_start(deep)


def test_a_class_of_no_bytes_is_never_met():
    assert not may_match(b"[^\\x00-\\xff]", WORDS)
    assert not may_match(b"(?:[^\\x00-\\xff]a|[^\\x00-\\xff]b)", WORDS)


@pytest.mark.corpora
@pytest.mark.slow
def test_the_patterns_of_crs(corpora: Path):
    rules = (
        (corpora / "tools/ftw/directives.conf").read_text("utf-8").replace("CRS_DIR", str((corpora / "crs").resolve()))
    )
    plan = WAF.from_directives(rules, executor="reference").plan
    hints = [hint_of(r.operator.test) for r in plan.rules if r.operator is not None]
    patterns = sorted({h.patterns[0] for h in hints if h is not None and h.kind is Kind.REGEX})
    assert len(patterns) > 200
    needing = 0

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(value=st.text("abcdefgiop etnsz019_-.,/:@selectunion", max_size=30))
    def none_is_found(value: str) -> None:
        assert not found(pattern, value.encode())

    plain = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,/:@")
    for pattern in patterns:
        if not may_match(pattern, plain):
            needing += 1
            none_is_found()
    assert needing > 80
