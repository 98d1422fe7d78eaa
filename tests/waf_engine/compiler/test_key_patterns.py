"""Selectors that are mere texts decide as their pattern does."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waf_engine.compiler.key_patterns import plain_selector
from waf_engine.diagnostics import ArgumentError
from waf_engine.patterns import compile_pattern

SELECTORS = ("^ab", "ab", "ab$", "^ab$", "^AB-_9", "k", "^s$", "", "ab*", "^abk*", "^a*", "a*$", "b**")


@example(selector="^ab", key=b"x\nab")
@example(selector="ab$", key=b"ab\nx")
@example(selector="^ab$", key=b"x\nab\n")
@given(
    selector=st.sampled_from(SELECTORS),
    key=st.lists(st.sampled_from((b"ab", b"AB", b"-_9", b"k", b"K", b"s", b"\n", b"\xe9", b" ")), max_size=5).map(
        b"".join
    ),
)
def test_a_selector_decides_as_its_pattern(selector: str, key: bytes):
    try:
        search = compile_pattern(b"(?i)" + selector.encode(), 1000).search
    except ArgumentError:
        return

    assert plain_selector(selector, lambda k: search(k) is not None)(key) is (search(key) is not None)


@pytest.mark.parametrize("selector", ["a.b", "^a|b", "(a)", "a\\b", "é", "^", "$"])
def test_what_is_no_mere_text_is_left_to_the_pattern(selector: str):
    asked: list[bytes] = []

    def pattern(key: bytes) -> bool:
        asked.append(key)
        return True

    assert plain_selector(selector, pattern) is pattern
