"""Patterns said to Hyperscan: all that RE2 finds, Hyperscan finds."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import hyperscan
import pytest
import re2
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.waf_engine.random_patterns import any_patterns, patterns, values
from waf_engine import WAF
from waf_engine.diagnostics import ArgumentError
from waf_engine.operators import Kind, hint_of
from waf_engine.patterns import compile_re2
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.scan_patterns import ScanPattern, for_hyperscan, is_scannable

if TYPE_CHECKING:
    from pathlib import Path

NO_FOLDER = DatabaseCache(None)


@pytest.mark.parametrize(
    ("expression", "rewritten"),
    [
        (b"abc", b"abc"),
        (b"a\\sb", b"a[\\t\\n\\f\\r ]b"),
        (b"[\\s,]", b"[\\t\\n\\f\\r ,]"),
        (b"[^\\s]", b"[^\\t\\n\\f\\r ]"),
        (b"a\\Sb", b"a[^\\t\\n\\f\\r ]b"),
        (b"[]\\s]", b"[]\\t\\n\\f\\r ]"),
        (b"[^]\\s]\\s", b"[^]\\t\\n\\f\\r ][\\t\\n\\f\\r ]"),
        (b"[[:digit:]\\s]", b"[[:digit:]\\t\\n\\f\\r ]"),
        (b"\\[\\s]", b"\\[[\\t\\n\\f\\r ]]"),
        (b"\\\\s", b"\\\\s"),
        (b"[\\S]", None),
        (b"[^\\Sx]", None),
        (b"\\Qa\\s\\E", None),
    ],
)
def test_white_space_is_written_out(expression: bytes, rewritten: bytes | None):
    assert for_hyperscan(expression) == rewritten


@pytest.mark.parametrize(
    "expression", [b"\xe9", b"\\xe9", b"\\x{E9}", b"[\\x80-\\xff]", b"\\pL", b"\\PN", b"\\C", b"[\\S]", b"\\Qa\\E"]
)
def test_what_the_two_read_otherwise_is_not_scanned(expression: bytes):
    assert not is_scannable(expression)


def test_a_literal_is_its_own_text():
    assert ScanPattern.literal(b"a.b(") == ScanPattern(b"a\\.b\\(")
    assert ScanPattern.literal(b"x", caseless=True).caseless


@lru_cache(maxsize=400)
def re2_match(expression: bytes) -> Any:
    return compile_re2(expression).Match


def re2_finds(expression: bytes, value: bytes) -> bool:
    match = re2_match(expression)
    return match(re2._re2.RE2.Anchor.UNANCHORED, value, 0, len(value))[0][0] >= 0


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(expression=patterns | any_patterns, subjects=st.lists(values, min_size=1, max_size=6))
@example(b"x*", [b""])
@example(b"\\v", [b"\x0b"])
@example(b"[^\\v]", [b"\n", b"\x85"])
@example(b"\\n^", [b"a\n"])
@example(b"^$", [b"a\n", b""])
def test_hyperscan_finds_all_that_re2_finds(expression: bytes, subjects: list[bytes]):
    assume(is_scannable(expression))
    try:
        wanted = [value for value in subjects if re2_finds(expression, value)]
    except ArgumentError:
        return
    database = NO_FOLDER.database([(0, ScanPattern(expression))])
    if database.refused:
        return
    for value in wanted:
        assert database.scan(value), (expression, value)


@pytest.mark.corpora
@pytest.mark.slow
def test_all_patterns_of_crs(corpora: Path):
    """Each pattern on texts cut from the patterns themselves: near misses and hits, high bytes and line ends."""
    rules = (
        (corpora / "tools/ftw/directives.conf").read_text("utf-8").replace("CRS_DIR", str((corpora / "crs").resolve()))
    )
    plan = WAF.from_directives(rules, executor="reference").plan
    hints = [hint_of(r.operator.test) for r in plan.rules if r.operator is not None]
    known = sorted({h.patterns[0] for h in hints if h is not None and h.kind is Kind.REGEX})
    scannable = [p for p in known if is_scannable(p) and len(p) < 4000]
    assert len(scannable) > 180
    numbered = [(slot, ScanPattern(p)) for slot, p in enumerate(scannable)]
    database = NO_FOLDER.database(numbered[:60])

    def scan(value: bytes) -> int:
        reported = set(database.scan(value)) | database.refused
        found = [(slot, p) for slot, p in numbered[:60] if re2_finds(p.expression, value)]
        assert reported.issuperset(slot for slot, _ in found), (found, reported, value)
        return len(found)

    assert sum(scan(p[at : at + 12]) for p in scannable for at in range(0, min(len(p), 240), 12)) > 300

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        pieces=st.lists(
            st.sampled_from(scannable).flatmap(lambda p: st.integers(0, len(p)).map(lambda at: p[at : at + 12]))
            | values,
            max_size=5,
        )
    )
    def scan_mixed(pieces: list[bytes]) -> None:
        scan(b"".join(pieces))

    scan_mixed()


def test_hyperscan_is_asked_for_matches_of_no_length():
    database = NO_FOLDER.database([(0, ScanPattern(b"x*")), (1, ScanPattern(b"^$"))])

    assert set(database.scan(b"")) | database.refused >= {0, 1}
    assert hyperscan.HS_FLAG_ALLOWEMPTY
