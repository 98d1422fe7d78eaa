"""Scanning with a database: what is found, by several threads, and not what is put behind a value."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from waf_engine.runtime.database import Database, JoinedDatabase
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.scan_patterns import ScanPattern

PATTERNS = [(number, ScanPattern(b"word%d" % number)) for number in range(10, 100)]


def database(*expressions: bytes) -> Database:
    return DatabaseCache(None).database([(slot, ScanPattern(each)) for slot, each in enumerate(expressions)])


def test_without_patterns_nothing_is_found():
    assert Database(None, frozenset()).scan(b"x") == []


def test_several_are_scanned_as_one():
    joined = JoinedDatabase([database(b"a.c"), DatabaseCache(None).database([(7, ScanPattern(b"x"))])])

    assert sorted(joined.scan(b"abcx")) == [0, 7]
    assert joined.scan(b"abd") == []
    assert JoinedDatabase([Database(None, frozenset({1})), Database(None, frozenset({3}))]).refused == {1, 3}


def test_a_database_serves_several_threads():
    database = DatabaseCache(None).database(PATTERNS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: n % 90 + 10 in database.scan(b"x word%d y" % (n % 90 + 10)), range(4000)))

    assert all(found)


@pytest.mark.parametrize(
    ("expression", "value", "found"),
    [
        (rb"[\n\r]", b"Mozilla/5.0", False),
        (rb"[\n\r]", b"Mozilla/5.0\n", True),
        (rb"[\n\r]+[\s]", b"Mozilla/5.0", False),
        (rb"<\?(?:[\s=]|$)", b"some text <?", True),
        (rb"<\?(?:[\s=]|$)", b"some text <? more", True),
        (rb"end(?:\b|[\n])", b"at the very end", True),
        (rb"[^a]$", b"something", True),
        (rb"x.", b"abcdefghijklmnox", False),
        (rb"x.", b"abcdefghijklmnxo", True),
    ],
)
def test_line_ends_behind_a_value_are_no_part_of_it(expression: bytes, value: bytes, found: bool):
    assert DatabaseCache(None).database([(3, ScanPattern(expression))]).scan(value) == ([3] if found else [])
