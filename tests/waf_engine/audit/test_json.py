"""JSON and JsonLegacy: golden, parsed back, any bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waf_engine.audit.support import NOON_NS, RAW
from waf_engine.audit.entry import AuditEntry, AuditFile
from waf_engine.audit.json import coraza_json, json_legacy

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.usefixtures("version")

LINE_1 = (
    '[client "192.0.2.7"] Coraza: Warning. SQL in ARGS:q [file "<directives>"] [line "10"] [id "1"] [rev "2"] '
    '[msg "SQL in ARGS:q"] [data "union select"] [severity "critical"] [ver "1.0"] [maturity "0"] [accuracy "0"] '
    '[tag "sql"] [tag "own"] [hostname "198.51.100.1"] [uri "/shop/find?q=UNION%20SELECT&x=1"] [unique_id "TX-1"]'
)
REQUEST_HEADERS = {
    "host": ["shop.example:443"],
    "user-agent": ['odd "agent"'],
    "content-type": ["application/x-www-form-urlencoded"],
    "x-forwarded-for": ["203.0.113.9", "203.0.113.10"],
}
GOLDEN_TRANSACTION = {
    "timestamp": "2026/09/22 12:00:00",
    "unix_timestamp": NOON_NS,
    "id": "TX-1",
    "client_ip": "192.0.2.7",
    "client_port": 50000,
    "host_ip": "198.51.100.1",
    "host_port": 443,
    "server_id": "shop.example",
    "request": {
        "method": "POST",
        "protocol": "HTTP/1.1",
        "uri": "/shop/find?q=UNION%20SELECT&x=1",
        "http_version": "1.1",
        "headers": REQUEST_HEADERS,
        "body": "token=t%20k&note=café-\\xff",
        "files": None,
        "args": {},
        "length": len(RAW),
    },
    "response": {
        "protocol": "HTTP/1.1",
        "status": 200,
        "headers": {"content-type": ["text/html"], "set-cookie": ["a=1"]},
        "body": "",
    },
    "producer": {
        "connector": "spoa-waf",
        "version": "9.9.9",
        "server": "Shop",
        "rule_engine": "On",
        "stopwatch": "1790078400250000 0",
        "rulesets": ["OWN/1.0"],
        "sensor_id": "sensor-7",
    },
    "highest_severity": "critical",
    "is_interrupted": True,
    "interruption": {"action": "deny", "status": 403, "rule_id": 3},
}


def test_golden(finished: AuditEntry):
    document = json.loads(coraza_json(finished))

    assert document["transaction"] == GOLDEN_TRANSACTION
    first, second = document["messages"]
    raw = first["data"].pop("raw")
    assert raw.startswith('SecRule ARGS:q "@contains select"')
    assert first == {
        "actionset": "OWN/1.0",
        "message": "SQL in ARGS:q",
        "error_message": LINE_1,
        "data": {
            "file": "<directives>",
            "line": 10,
            "id": 1,
            "rev": "2",
            "msg": "SQL in ARGS:q",
            "data": "union select",
            "severity": 2,
            "ver": "1.0",
            "maturity": 0,
            "accuracy": 0,
            "tags": ["sql", "own"],
        },
    }
    assert second["data"]["id"] == 3


def test_the_order_of_the_fields_is_corazas(finished: AuditEntry):
    document = json.loads(coraza_json(finished))

    assert list(document) == ["transaction", "messages"]
    assert list(document["transaction"]) == list(GOLDEN_TRANSACTION)


@pytest.mark.parametrize(
    ("parts", "messages"),
    [
        ("AKZ", [("SQL in ARGS:q", ""), ("no answer today", "")]),
        ("AHZ", [("", LINE_1), None]),
        ("ABCZ", []),
    ],
)
def test_messages_need_part_k_and_lines_part_h(finished: AuditEntry, parts: str, messages: list[Any]):
    matched = finished.matched if "H" in parts or "K" in parts else ()
    document = json.loads(coraza_json(replace(finished, parts=parts, matched=matched)))
    got = [(m["message"], m["error_message"]) for m in document.get("messages", [])]

    assert len(got) == len(messages)
    assert all(expected in (None, each) for expected, each in zip(messages, got, strict=True))


def test_what_was_not_wanted_is_absent(finished: AuditEntry):
    transaction = json.loads(coraza_json(replace(finished, parts="AZ", matched=(), request_headers=())))["transaction"]

    assert "response" not in transaction
    assert "producer" not in transaction
    assert transaction["request"]["headers"] is None


def test_files():
    files = (AuditFile(b"a.png", 3, b""), AuditFile(b"b", 4, b"text/x"))
    entry = AuditEntry(id="x", parts="ACZ", started=0.0, files=files)

    assert json.loads(coraza_json(entry))["transaction"]["request"]["files"] == [
        {"name": "a.png", "size": 3, "mime": "image/png"},
        {"name": "b", "size": 4, "mime": "text/x"},
    ]


def test_legacy_golden(finished: AuditEntry):
    document = json.loads(json_legacy(finished))

    assert document == {
        "transaction": {
            "time": "2026/09/22 12:00:00",
            "transaction_id": "TX-1",
            "remote_address": "192.0.2.7",
            "remote_port": 50000,
            "local_address": "198.51.100.1",
            "local_port": 443,
        },
        "request": {
            "request_line": "POST /shop/find?q=UNION%20SELECT&x=1 HTTP/1.1",
            "headers": {name: ", ".join(values) for name, values in REQUEST_HEADERS.items()},
        },
        "response": {
            "status": 200,
            "protocol": "HTTP/1.1",
            "headers": {"content-type": "text/html", "set-cookie": "a=1"},
        },
        "audit_data": {
            "messages": ["SQL in ARGS:q", "no answer today"],
            "error_messages": [LINE_1, document["audit_data"]["error_messages"][1]],
            "handler": "",
            "stopwatch": dict.fromkeys(("Combined", "P1", "P2", "P3", "P4", "P5", "Sr", "Sw", "L", "Gc"), 0),
            "response_body_dechunked": False,
            "producer": ["spoa-waf", "OWN/1.0"],
            "server": "Shop",
            "engine_mode": "On",
        },
    }


ANY = st.binary(max_size=40)


@given(ANY, ANY, ANY, ANY)
def test_any_bytes_are_one_line_of_json(uri: bytes, name: bytes, value: bytes, body: bytes):
    entry = AuditEntry(
        id=uri.decode("utf-8", "surrogateescape"),
        parts="ABCEFHJKZ",
        started=1.5,
        method=name,
        uri=uri,
        protocol=value,
        request_headers=((name, value),),
        request_body=body,
        response_body=body,
        files=(AuditFile(name, 1, value),),
    )
    for render in (coraza_json, json_legacy):
        data = render(entry)
        assert data.isascii()
        assert b"\n" not in data
        json.loads(data)
    text = json.loads(coraza_json(entry))["transaction"]["request"]["body"]
    assert text == body.decode("utf-8", "backslashreplace")
