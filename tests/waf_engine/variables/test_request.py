"""The request line and the headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import exchange, matched, values
from tests.waf_engine.variables.samples import sample

if TYPE_CHECKING:
    from tests.waf_engine.variables.samples import Row

ROWS: dict[str, list[Row]] = {
    "REQUEST_METHOD": [("form", [(b"", b"POST")])],
    "REQUEST_PROTOCOL": [("get", [(b"", b"HTTP/1.1")])],
    "REQUEST_LINE": [("get", [(b"", b"GET /dir/a%20b.php?B=1%25&a=%zz&B=2#top HTTP/1.1")])],
    "REQUEST_URI": [("get", [(b"", b"/dir/a%20b.php?B=1%25&a=%zz&B=2")])],
    "REQUEST_URI_RAW": [("get", [(b"", b"/dir/a%20b.php?B=1%25&a=%zz&B=2#top")])],
    "REQUEST_FILENAME": [("get", [(b"", b"/dir/a b.php")])],
    "REQUEST_BASENAME": [("get", [(b"", b"a b.php")]), ("bare", [(b"", b"/")])],
    "PATH_INFO": [("get", [(b"", b"/dir/a b.php")])],
    "QUERY_STRING": [("get", [(b"", b"B=1%25&a=%zz&B=2")]), ("bare", [(b"", b"")])],
    "URLENCODED_ERROR": [("get", [(b"", b"1")]), ("form", [(b"", b"0")]), ("bare", [(b"", b"0")])],
    "REQUEST_HEADERS": [
        (
            "get",
            [
                (b"Host", b"example.com:8080"), (b"X-A", b"1"), (b"x-a", b"\xff"), (b"Cookie", b'c=1; d="q"; e'),
                (b"Cookie", b"c=2"), (b"Authorization", b"Basic dXNlcjpwYXNz"),
            ],
        ),
        ("bare", []),
    ],
    "REQUEST_HEADERS_NAMES": [
        ("form", [(b"X", b"X"), (b"Content-Type", b"Content-Type")]),
    ],
    "REQUEST_COOKIES": [("get", [(b"c", b"1"), (b"d", b'"q"'), (b"e", b""), (b"c", b"2")]), ("bare", [])],
    "REQUEST_COOKIES_NAMES": [("get", [(b"c", b"c"), (b"d", b"d"), (b"e", b"e"), (b"c", b"c")])],
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    exchanges = ROWS[name]

    assert {sample_name: values(sample(sample_name), name) for sample_name, _ in exchanges} == dict(exchanges)


def test_a_bad_escape_in_a_form_is_an_error_too():
    tx = exchange("SecRequestBodyAccess On", body=b"a=%zz")

    assert values(tx, "URLENCODED_ERROR") == [(b"", b"1")]


def test_a_header_is_selected_without_regard_to_case():
    rules = 'SecRule REQUEST_HEADERS:X-ALL "@streq 1" "id:1,phase:1"'

    assert matched(exchange(rules, headers=[("x-aLL", "1")])) == [1]
