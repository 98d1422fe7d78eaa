"""The body of the request: raw, its processor, files, the flags of multipart, XML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import exchange, faults, matched, values
from tests.waf_engine.variables.samples import SETUP, XML, sample
from waf_engine.bodies.multipart import FLAGS

if TYPE_CHECKING:
    from tests.waf_engine.variables.samples import Row

ROWS: dict[str, list[Row]] = {
    "REQUEST_BODY": [
        ("form", [(b"", b"a=1&b=2%2B&a=3")]),
        ("multipart", [(b"", b"")]),
        ("xml", [(b"", b"")]),
        ("bare", [(b"", b"")]),
    ],
    "REQUEST_BODY_LENGTH": [("form", [(b"", b"14")]), ("multipart", [(b"", b"171")]), ("bare", [(b"", b"0")])],
    "FULL_REQUEST": [
        (
            "form",
            [(b"", b"POST /?get=0 HTTP/1.1\nX: y\nContent-Type: application/x-www-form-urlencoded\n\na=1&b=2%2B&a=3")],
        )
    ],
    "FULL_REQUEST_LENGTH": [("form", [(b"", b"90")])],
    "INBOUND_DATA_ERROR": [("long", [(b"", b"1")]), ("form", [(b"", b"0")])],
    "REQBODY_PROCESSOR": [
        ("form", [(b"", b"URLENCODED")]),
        ("multipart", [(b"", b"MULTIPART")]),
        ("xml", [(b"", b"XML")]),
        ("bad json", [(b"", b"JSON")]),
        ("bare", [(b"", b"")]),
    ],
    "REQBODY_ERROR": [("bad json", [(b"", b"1")]), ("form", [(b"", b"0")])],
    "REQBODY_ERROR_MSG": [("bad json", [(b"", b"JSON: the body ends too early")]), ("form", [(b"", b"")])],
    "REQBODY_PROCESSOR_ERROR": [("bad json", [(b"", b"1")]), ("form", [(b"", b"0")])],
    "REQBODY_PROCESSOR_ERROR_MSG": [("bad json", [(b"", b"JSON: the body ends too early")])],
    "FILES": [("multipart", [(b"doc", b"a.txt")]), ("form", [])],
    "FILES_NAMES": [("multipart", [(b"doc", b"doc")])],
    "FILES_SIZES": [("multipart", [(b"doc", b"7")])],
    "FILES_COMBINED_SIZE": [("multipart", [(b"", b"7")]), ("form", [(b"", b"0")])],
    "FILES_TMPNAMES": [("saved", [(b"doc", b"/tmp/saved")]), ("form", [])],
    "FILES_TMP_CONTENT": [("multipart", [(b"doc", b"content")])],
    "MULTIPART_PART_HEADERS": [
        (
            "multipart",
            [
                (b"field", b'Content-Disposition: form-data; name="field"'),
                (b"doc", b'Content-Disposition: form-data; name="doc"; filename="a.txt"'),
                (b"doc", b"Content-Type: text/plain"),
            ],
        )
    ],
    "MULTIPART_NAME": [("multipart", [(b"field", b"field"), (b"doc", b"doc")])],
    "MULTIPART_FILENAME": [("multipart", [(b"a.txt", b"a.txt")])],
    "JSON": [("bad json", [])],
    "XML": [("xml", [(b"/*", b"two"), (b"/*", b"four")]), ("form", [])],
    **{flag: [("flags", [(b"", b"1")]), ("form", [(b"", b"0")])] for flag in FLAGS},
}


@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    exchanges = ROWS[name]

    assert {sample_name: values(sample(sample_name), name) for sample_name, _ in exchanges} == dict(exchanges)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("/*", [b"two", b"four"]),
        ("//@*", [b"1", b"3"]),
        ("/r/c/text()", [b"four"]),
        ("//c/@d", [b"3"]),
        ("//none", []),
    ],
)
def test_xml_is_selected_from_by_xpath(selector: str, found: list[bytes]):
    tx = exchange(
        f'{SETUP}SecRule XML:{selector} "@rx ." "id:9,phase:2"', headers=[("Content-Type", "text/xml")], body=XML
    )
    rules = [rule for rule in tx.matched_rules if rule.rule_id == 9]

    assert [m.value for rule in rules for m in rule.matches] == found
    assert all(m.name == f"XML:{selector}" for rule in rules for m in rule.matches)


def test_without_xml_there_is_nothing_to_select():
    tx = exchange(f'{SETUP}SecRule &XML:/* "@eq 0" "id:9,phase:2"\nSecRule XML:/* "!@rx x" "id:10,phase:2"')

    assert matched(tx) == [9]


SOAP = b'<s:Envelope xmlns:s="urn:soap"><s:Body>b</s:Body><Body>other</Body></s:Envelope>'


def test_prefixes_of_an_xpath_come_from_xmlns():
    rules = (
        SETUP
        + """
        SecRule XML:/x:Envelope/x:Body "@rx ." "id:9,phase:2,pass,xmlns:x=urn:soap"
        SecRule XML:/x:Envelope/x:Body "@rx ." "id:10,phase:2,pass,xmlns:x='urn:other'"
        SecRule REQUEST_METHOD "@rx ." "id:11,phase:2,pass,chain"
            SecRule XML://y:Body|!XML:/z "@rx ." "xmlns:y=urn:soap,xmlns:z=urn:z"
    """
    )
    tx = exchange(rules, headers=[("Content-Type", "text/xml")], body=SOAP)

    assert matched(tx) == [1, 9, 11]
    assert [(m.name, m.value) for m in tx.matched_rules[1].matches] == [("XML:/x:Envelope/x:Body", b"b")]


@pytest.mark.parametrize("selector", ["/a[", "//x:a", "count("])
def test_what_is_no_xpath_is_refused_at_its_place(selector: str):
    assert faults(f'SecRule XML:{selector} "@rx ." "id:1,phase:2"') == [("bad-xpath", 1, 13)]
