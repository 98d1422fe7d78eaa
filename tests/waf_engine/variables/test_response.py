"""The response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import exchange, values
from tests.waf_engine.variables.samples import XML, sample

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
    "RESPONSE_XML": [("xml response", [(b"/*", b"two"), (b"/*", b"four")]), ("get", [])],
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


def test_a_response_of_xml_is_selected_from_by_xpath():
    rules = """
        SecResponseBodyAccess On
        SecResponseBodyMimeType text/xml
        SecAction "id:1,phase:3,pass,nolog,ctl:responseBodyProcessor=XML"
        SecRule RESPONSE_XML:/r/c/@d "@rx ." "id:2,phase:4,pass"
    """
    tx = exchange(rules, response_headers=[("Content-Type", "text/xml")], response_body=XML)

    assert [(m.name, m.value) for m in tx.matched_rules[1].matches] == [("RESPONSE_XML:/r/c/@d", b"3")]
