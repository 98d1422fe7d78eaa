"""OCSF: the fields of Web Resources Activity / Read, golden and parsed back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.audit.support import NOON_NS, RAW
from waf_engine.audit.entry import AuditEntry, AuditFile
from waf_engine.audit.ocsf import ocsf

pytestmark = pytest.mark.usefixtures("version")

if TYPE_CHECKING:
    from typing import Any

URI = "/shop/find?q=UNION%20SELECT&x=1"


def test_golden(finished: AuditEntry):
    event = json.loads(ocsf(finished))
    enrichments: list[Any] = event.pop("enrichments")

    assert [(e["name"], e.get("value")) for e in enrichments] == [
        ("SQL in ARGS:q", "union select"),
        ("no answer today", None),
    ]
    assert json.loads(enrichments[0]["data"])["id"] == 1
    assert event == {
        "activity_id": 2,
        "activity_name": "Read",
        "category_name": "Application Activity",
        "category_uid": 6,
        "class_name": "Web Resources Activity",
        "class_uid": 6001,
        "type_name": "Read",
        "type_uid": 600102,
        "time": NOON_NS,
        "start_time": NOON_NS,
        "timezone_offset": 0,
        "action": "Denied",
        "action_id": 2,
        "severity": "critical",
        "severity_id": 99,
        "message": "SQL in ARGS:q",
        "metadata": {
            "uid": "TX-1",
            "log_provider": "spoa-waf",
            "log_version": "9.9.9",
            "logged_time": NOON_NS // 1000,
            "product": {"vendor_name": "spoa-waf"},
            "version": "1.2.0",
        },
        "http_request": {
            "args": "q=UNION SELECT,x=1,token=t k,note=café-\\xff",
            "http_method": "POST",
            "uid": "TX-1",
            "url": {"url_string": URI},
            "http_headers": [
                {"name": "host", "value": "shop.example:443"},
                {"name": "user-agent", "value": 'odd "agent"'},
                {"name": "content-type", "value": "application/x-www-form-urlencoded"},
                {"name": "x-forwarded-for", "value": "203.0.113.9"},
                {"name": "x-forwarded-for", "value": "203.0.113.10"},
            ],
            "version": "HTTP/1.1",
            "user_agent": 'odd "agent"',
            "x_forwarded_for": ["203.0.113.9", "203.0.113.10"],
            "length": len(RAW),
        },
        "http_response": {
            "code": 200,
            "http_headers": [
                {"name": "content-type", "value": "text/html"},
                {"name": "set-cookie", "value": "a=1"},
            ],
        },
        "src_endpoint": {"ip": "192.0.2.7", "port": 50000},
        "dst_endpoint": {"ip": "198.51.100.1", "port": 443},
        "web_resources": [{"url_string": URI}],
        "observables": [{"name": "ServerID", "type": "ServerID", "type_id": 99, "value": "shop.example"}],
    }


def test_what_was_let_pass_is_allowed(finished: AuditEntry):
    event = json.loads(ocsf(replace(finished, interruption=None)))

    assert (event["action"], event["action_id"]) == ("Allowed", 1)


def test_files_are_observables():
    entry = AuditEntry(id="x", parts="AJZ", started=0.0, files=(AuditFile(b"a.txt", 3, b""),))

    assert json.loads(ocsf(entry))["observables"] == [
        {"name": "a.txt", "type": "File Name", "type_id": 7, "value": "a.txt"},
        {"name": "a.txt", "type": "Size", "type_id": 99, "value": "3"},
        {"name": "a.txt", "type": "Mime", "type_id": 99, "value": "text/plain"},
    ]


def test_enrichments_need_part_k(finished: AuditEntry):
    assert "enrichments" not in json.loads(ocsf(replace(finished, parts="AHZ")))
