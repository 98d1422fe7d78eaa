"""The Cookie header: what is split, what is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies.cookies import parse_cookies


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", []),
        (b"a=b; c=d", [(b"a", b"b"), (b"c", b"d")]),
        (b"a=b;c", [(b"a", b"b"), (b"c", b"")]),
        (b"=x; y=z", [(b"y", b"z")]),
        (b" =x", []),
        (b"  a = b ; d =1", [(b"a", b" b"), (b"d", b"1")]),
        (b'a="q r"; b', [(b"a", b'"q r"'), (b"b", b"")]),
        (b"a=b=c;;; ", [(b"a", b"b=c")]),
        (b"a=%20+; A=2; a=3", [(b"a", b"%20+"), (b"A", b"2"), (b"a", b"3")]),
        (b"\ta=1\x0b\xa0", [(b"a", b"1\x0b\xa0")]),
        (b"a=1, b=2", [(b"a", b"1, b=2")]),
    ],
)
def test_cookies(value: bytes, expected: list[tuple[bytes, bytes]]):
    assert expected == parse_cookies(value)


NAME = st.binary(min_size=1).filter(lambda name: not set(name) & set(b"=; \t\r\n"))
CONTENT = st.binary().filter(lambda value: b";" not in value and value == value.strip(b" \t\r\n"))


@given(st.lists(st.tuples(NAME, CONTENT)))
def test_cookies_come_back_as_they_were_joined(cookies: list[tuple[bytes, bytes]]):
    assert cookies == parse_cookies(b"; ".join(name + b"=" + content for name, content in cookies))
