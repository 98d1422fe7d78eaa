"""The response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import values
from tests.waf_engine.variables.samples import sample

if TYPE_CHECKING:
    from tests.waf_engine.variables.samples import Row

ROWS: dict[str, list[Row]] = {
    "RESPONSE_STATUS": [("get", [(b"", b"404")])],
    "STATUS": [("get", [(b"", b"404")])],
    "RESPONSE_PROTOCOL": [("get", [(b"", b"HTTP/1.1")])],
    "STATUS_LINE": [("get", [(b"", b"HTTP/1.1 404")])],
    "RESPONSE_HEADERS": [
        ("get", [(b"Content-Type", b"text/html; charset=utf-8"), (b"X-A", b"1"), (b"x-a", b"2")]),
        ("bare", []),
    ],
    "RESPONSE_HEADERS_NAMES": [("get", [(b"Content-Type", b"Content-Type"), (b"X-A", b"X-A"), (b"x-a", b"x-a")])],
    "RESPONSE_CONTENT_TYPE": [("get", [(b"", b"text/html")]), ("bare", [(b"", b"")])],
    "RESPONSE_CONTENT_LENGTH": [("get", [(b"", b"6")]), ("bare", [(b"", b"0")])],
    "RESPONSE_BODY": [("get", [(b"", b"<html>")]), ("json response", [(b"", b"")]), ("bare", [(b"", b"")])],
    "OUTBOUND_DATA_ERROR": [("long", [(b"", b"1")]), ("get", [(b"", b"0")])],
    "RESPONSE_ARGS": [("json response", [(b"json.a.0", b"true"), (b"json.a", b"1")]), ("get", [])],
    "RES_BODY_PROCESSOR": [("json response", [(b"", b"JSON")]), ("get", [(b"", b"")])],
    "RES_BODY_ERROR": [("bad response", [(b"", b"1")]), ("json response", [(b"", b"0")])],
    "RES_BODY_ERROR_MSG": [("bad response", [(b"", b"JSON: the body ends too early")]), ("get", [(b"", b"")])],
    "RES_BODY_PROCESSOR_ERROR": [("bad response", [(b"", b"1")]), ("json response", [(b"", b"0")])],
    "RES_BODY_PROCESSOR_ERROR_MSG": [("bad response", [(b"", b"JSON: the body ends too early")])],
}


@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    exchanges = ROWS[name]

    assert {sample_name: values(sample(sample_name), name) for sample_name, _ in exchanges} == dict(exchanges)
