"""SecAuditLogFormat OCSF: Web Resources Activity / Read of the Open Cybersecurity Schema Framework 1.2.0.

Fields and units are Coraza's (engine.md 1.10), `time` in nanoseconds and `logged_time` in microseconds too, where
the schema has milliseconds: log stores that are fed by Coraza divide already. Empty fields are left out.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from waf_engine.audit.json import CONNECTOR, connector_version, dump, message_data
from waf_engine.audit.registry import audit_format
from waf_engine.audit.texts import file_mime, text
from waf_engine.runtime.match import SEVERITIES, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from waf_engine.audit.entry import AuditEntry
    from waf_engine.types import Entry

READ, APPLICATION_ACTIVITY, WEB_RESOURCES_ACTIVITY = 2, 6, 6001
ALLOWED, DENIED = 1, 2
FILE_NAME, OTHER = 7, 99
VENDOR = "spoa-waf"


@audit_format("OCSF", "application/json")
def ocsf(entry: AuditEntry) -> bytes:
    """An entry as an OCSF event."""
    denied = entry.interruption is not None
    severity = entry.highest_severity
    event = {
        "activity_id": READ,
        "activity_name": "Read",
        "category_name": "Application Activity",
        "category_uid": APPLICATION_ACTIVITY,
        "class_name": "Web Resources Activity",
        "class_uid": WEB_RESOURCES_ACTIVITY,
        "type_name": "Read",
        "type_uid": WEB_RESOURCES_ACTIVITY * 100 + READ,
        "time": int(entry.started * 1_000_000) * 1000,
        "start_time": int(entry.started * 1_000_000) * 1000,
        "timezone_offset": time.localtime(entry.started).tm_gmtoff,
        "action": "Denied" if denied else "Allowed",
        "action_id": DENIED if denied else ALLOWED,
        "severity": "" if severity is None else SEVERITIES[severity],
        "severity_id": OTHER,
        "message": next((printable(r.message) for r in entry.matched if r.message), ""),
        "metadata": {
            "uid": printable(entry.id),
            "log_provider": CONNECTOR,
            "log_version": connector_version(),
            "logged_time": int((entry.started + entry.seconds) * 1_000_000),
            "product": {"vendor_name": VENDOR},
            "version": "1.2.0",
        },
        "http_request": _request(entry),
        "http_response": {"code": entry.status, "http_headers": _headers(entry.response_headers)},
        "src_endpoint": {"ip": printable(entry.client_ip), "port": entry.client_port},
        "dst_endpoint": {"ip": printable(entry.server_ip), "port": entry.server_port},
        "web_resources": [{"url_string": text(entry.uri)}],
        "enrichments": _enrichments(entry),
        "observables": _observables(entry),
    }
    return dump(_filled(event))


def _request(entry: AuditEntry) -> dict[str, Any]:
    first = {name.lower(): value for name, value in reversed(entry.request_headers)}
    return {
        "args": ",".join(f"{text(name)}={text(value)}" for name, value in entry.arguments),
        "http_method": text(entry.method),
        "uid": printable(entry.id),
        "url": {"url_string": text(entry.uri)},
        "http_headers": _headers(entry.request_headers),
        "version": text(entry.protocol),
        "user_agent": text(first.get(b"user-agent", b"")),
        "referrer": text(first.get(b"referer", b"")),
        "x_forwarded_for": [text(v) for n, v in entry.request_headers if n.lower() == b"x-forwarded-for"],
        "length": entry.request_length,
    }


def _headers(headers: Iterable[Entry]) -> list[dict[str, str]]:
    return [{"name": text(name).lower(), "value": text(value)} for name, value in headers]


def _enrichments(entry: AuditEntry) -> list[dict[str, str]]:
    if "K" not in entry.parts:
        return []
    return [
        {
            "name": printable(match.message),
            "value": printable(match.data),
            "data": json.dumps(message_data(matched, match), separators=(",", ":")),
        }
        for matched in entry.matched
        for match in matched.matches
        if match.message or match.data or match is matched.matches[0]
    ]


def _observables(entry: AuditEntry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if entry.server_name:
        found.append(_observable("ServerID", "ServerID", OTHER, printable(entry.server_name)))
    for file in entry.files:
        name = text(file.name)
        found += [
            _observable(name, "File Name", FILE_NAME, name),
            _observable(name, "Size", OTHER, str(file.size)),
            _observable(name, "Mime", OTHER, text(file_mime(file))),
        ]
    return found


def _observable(name: str, kind: str, kind_id: int, value: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "type_id": kind_id, "value": value}


def _filled(value: Any) -> Any:
    """A document without its empty texts, lists and objects; numbers stay, 0 too."""
    if isinstance(value, dict):
        filled = {key: _filled(inner) for key, inner in value.items()}
        return {key: inner for key, inner in filled.items() if inner not in ("", [], {})}
    return [_filled(inner) for inner in value] if isinstance(value, list) else value
