"""The scanner finds everything that RE2 finds, in plain values and in others."""

from __future__ import annotations

import pytest
import re2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waf_engine.exchanges import FRAGMENTS
from tests.waf_engine.random_patterns import patterns, values
from waf_engine.diagnostics import ArgumentError
from waf_engine.patterns import compile_re2
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.scan_patterns import ScanPattern, is_scannable
from waf_engine.runtime.scanner import FEW, MARKED, PLAIN, Scanner, alphabets_for, restricted

ALPHABETS = (PLAIN, MARKED)


def finds(expression: bytes, value: bytes) -> bool:
    match = compile_re2(expression).Match
    return match(re2._re2.RE2.Anchor.UNANCHORED, value, 0, len(value))[0][0] >= 0


def compiles(expression: bytes) -> bool:
    try:
        compile_re2(expression)
    except ArgumentError:
        return False
    return True


def scanner(patterns: list[ScanPattern], *, by_alphabet: bool = True) -> Scanner:
    """A scanner with a database for each alphabet, however few its patterns are, or with one."""
    numbered = list(enumerate(patterns))
    alphabets = ALPHABETS if by_alphabet else ()
    wanted = [numbered, *(restricted(numbered, alphabet) for alphabet in alphabets)]
    everything, *smaller = DatabaseCache(None).databases(wanted)
    return Scanner(everything, list(zip(alphabets, smaller, strict=True)))


plain_values = st.lists(st.sampled_from(PLAIN), max_size=12).map(bytes)
marked_values = st.lists(st.sampled_from(MARKED), max_size=12).map(bytes)
usable = patterns.filter(lambda p: is_scannable(p) and compiles(p))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    expressions=st.lists(usable, min_size=1, max_size=5),
    subjects=st.lists(values | plain_values | marked_values | st.sampled_from(FRAGMENTS), min_size=1, max_size=5),
)
def test_the_scanner_finds_all_that_re2_finds(expressions: list[bytes], subjects: list[bytes]):
    patterns_of = [ScanPattern(e) for e in expressions]
    scanners = [scanner(patterns_of), scanner(patterns_of, by_alphabet=False)]
    for value in subjects:
        wanted = {slot for slot, e in enumerate(expressions) if finds(e, value)}
        for each in scanners:
            assert wanted <= set(each.scan(value)) | each.refused


@pytest.mark.parametrize(
    "expression", [b"^[0-9]", b"[0-9]$", b"^[0-9]+$", b"(?:^|;)[0-9]", b"^[0-9]\\z", b"^(?:a|[0-9])$"]
)
@pytest.mark.parametrize("end", [b"\n1", b"1\n", b";1", b"1", b"\n12", b"x"])
def test_the_last_bytes_of_a_value_are_looked_at_however_long_it_is(expression: bytes, end: bytes):
    """Hyperscan misses some of them: see `database.END`."""
    alone, among = scanner([ScanPattern(expression)]), scanner([ScanPattern(b"foo"), ScanPattern(expression)])
    for before in range(80):
        value = b"x" * before + end
        if finds(expression, value):
            assert alone.scan(value) == [0]
            assert among.scan(value) == [1]


def test_words_are_found_without_regard_to_case():
    found = scanner([ScanPattern.literal(b"sleep", caseless=True), ScanPattern.literal(b"a<b")])

    assert found.scan(b"please SLEEP") == [0]
    assert found.scan(b"please SLEEP<") == [0]
    assert found.scan(b"please 'SLEEP'") == [0]
    assert found.scan(b"x a<b") == [1]
    assert found.scan(b"'a<b'") == [1]
    assert found.scan(b"A<B") == []


def test_what_hyperscan_refuses_is_told():
    found = scanner([ScanPattern(b"abc"), ScanPattern(b"a(?=b)"), ScanPattern(b"x<y")])

    assert found.refused == {1}
    assert (found.scan(b"abc"), found.scan(b"x<y")) == ([0], [2])


def test_no_patterns_find_nothing():
    assert scanner([]).scan(b"x") == []
    assert scanner([], by_alphabet=False).scan(b"'") == []


def test_each_value_goes_to_the_database_of_the_smallest_alphabet_that_has_its_bytes():
    asked: list[str] = []

    class Named:
        """Stands for a database, and says that it was asked."""

        refused: frozenset[int] = frozenset()

        def __init__(self, name: str) -> None:
            self.name = name

        def scan(self, _value: bytes) -> list[int]:
            asked.append(self.name)
            return []

    databases = [Named("all"), Named("plain"), Named("marked")]
    found = Scanner(databases[0], [(PLAIN, databases[1]), (MARKED, databases[2])])  # type: ignore[arg-type,list-item]
    for value in (b"", b"abc/1", b"a=b", b"\xe9", b"a'b", b"a\x00b", b"a b@c\r\n", b"$"):
        found.scan(value)

    assert asked == ["plain", "plain", "marked", "marked", "all", "all", "marked", "all"]


def test_only_many_patterns_are_worth_databases_by_alphabet():
    numbered = [(slot, ScanPattern(b"a%d" % slot)) for slot in range(FEW + 1)]

    assert alphabets_for(numbered[:FEW]) == ()
    assert alphabets_for(numbered) == ALPHABETS


def test_what_cannot_occur_in_an_alphabet_is_left_out_and_the_numbers_stay():
    numbered = [(3, ScanPattern(b"a<b")), (5, ScanPattern(b"c['x]")), (7, ScanPattern.literal(b"WORD", caseless=True))]

    assert restricted(numbered, PLAIN) == [(5, ScanPattern(b"cx")), (7, ScanPattern(b"WORD", caseless=True))]
    assert [slot for slot, _ in restricted(numbered, MARKED)] == [3, 5, 7]
