"""The scanner finds everything that RE2 finds, in plain values and in others."""

from __future__ import annotations

import re2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waf_engine.exchanges import FRAGMENTS
from tests.waf_engine.random_patterns import patterns, values
from waf_engine.diagnostics import ArgumentError
from waf_engine.patterns import compile_re2
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.scan_patterns import ScanPattern, is_scannable
from waf_engine.runtime.scanner import PLAIN, Scanner


def finds(expression: bytes, value: bytes) -> bool:
    match = compile_re2(expression).Match
    return match(re2._re2.RE2.Anchor.UNANCHORED, value, 0, len(value))[0][0] >= 0


def compiles(expression: bytes) -> bool:
    try:
        compile_re2(expression)
    except ArgumentError:
        return False
    return True


plain_values = st.text(PLAIN.decode(), max_size=12).map(str.encode)
usable = patterns.filter(lambda p: is_scannable(p) and compiles(p))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    expressions=st.lists(usable, min_size=1, max_size=5),
    subjects=st.lists(values | plain_values | st.sampled_from(FRAGMENTS), min_size=1, max_size=5),
)
def test_the_scanner_finds_all_that_re2_finds(expressions: list[bytes], subjects: list[bytes]):
    scanner = Scanner([ScanPattern(e) for e in expressions], DatabaseCache(None))
    for value in subjects:
        reported = set(scanner.scan(value)) | scanner.refused
        assert {slot for slot, e in enumerate(expressions) if finds(e, value)} <= reported


def test_words_are_found_without_regard_to_case():
    scanner = Scanner([ScanPattern.literal(b"sleep", caseless=True), ScanPattern.literal(b"a<b")], DatabaseCache(None))

    assert scanner.scan(b"please SLEEP") == [0]
    assert scanner.scan(b"x a<b") == [1]
    assert scanner.scan(b"A<B") == []


def test_what_hyperscan_refuses_is_told():
    scanner = Scanner([ScanPattern(b"abc"), ScanPattern(b"a(?=b)"), ScanPattern(b"x<y")], DatabaseCache(None))

    assert scanner.refused == {1}
    assert (scanner.scan(b"abc"), scanner.scan(b"x<y")) == ([0], [2])


def test_no_patterns_find_nothing():
    assert Scanner([], DatabaseCache(None)).scan(b"x") == []
