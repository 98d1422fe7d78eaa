"""The search of a pattern, compared with RE2 asked directly."""

from __future__ import annotations

from typing import Any, cast

import pytest

from waf_engine.operators._search import MAX_GROUPS, Search
from waf_engine.patterns import compile_re2

NOBODY: Any = cast("Any", None)
"""A search does not look at the transaction."""


@pytest.mark.parametrize(
    ("pattern", "value", "captures"),
    [
        (b"b+", b"abba", (b"bb",)),
        (b"(a)|(c)", b"xc", (b"c", b"", b"c")),
        (b"x", b"abba", None),
        (b"", b"", (b"",)),
        (b"\\x00.", b"a\x00\xff", (b"\x00\xff",)),
    ],
)
def test_what_is_found_is_captured(pattern: bytes, value: bytes, captures: tuple[bytes, ...] | None):
    assert Search(compile_re2(pattern).Match)(value, NOBODY) == captures


def test_no_more_than_ten_are_captured():
    found = Search(compile_re2(b"(.)" * 20).Match)(b"abcdefghijklmnopqrstuvw", NOBODY)

    assert found is not None
    assert (len(found), found[-1]) == (MAX_GROUPS, b"i")
