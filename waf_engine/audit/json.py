r"""SecAuditLogFormat JSON and JsonLegacy: one line of JSON for each entry, with Coraza's fields (engine.md 1.10).

Where Coraza leaves a field empty that can be filled (http_version, highest_severity, error_messages), it is filled;
``interruption`` and ``matches_left_out`` are additions. Written in ASCII: what is not printable becomes ``\uXXXX``.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from waf_engine.audit.registry import audit_format
from waf_engine.audit.texts import file_mime, text, timestamp
from waf_engine.runtime.match import SEVERITIES, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from waf_engine.audit.entry import AuditEntry
    from waf_engine.runtime.match import MatchedRule, MatchedValue
    from waf_engine.types import Entry

CONNECTOR = "spoa-waf"
MIME = "application/json; charset=utf-8"


@cache
def connector_version() -> str:
    """The version of this package; empty where it is not installed."""
    try:
        return version(CONNECTOR)
    except PackageNotFoundError:
        return ""


def dump(document: dict[str, Any]) -> bytes:
    """A document as one line."""
    return json.dumps(document, separators=(",", ":")).encode()


@audit_format("JSON", MIME)
def coraza_json(entry: AuditEntry) -> bytes:
    """Coraza's JSON form."""
    transaction: dict[str, Any] = {
        "timestamp": timestamp(entry),
        "unix_timestamp": int(entry.started * 1_000_000) * 1000,
        "id": printable(entry.id),
        "client_ip": printable(entry.client_ip),
        "client_port": entry.client_port,
        "host_ip": printable(entry.server_ip),
        "host_port": entry.server_port,
        "server_id": printable(entry.server_name),
        "request": _request(entry),
    }
    if "E" in entry.parts or "F" in entry.parts:
        transaction["response"] = {
            "protocol": text(entry.response_protocol),
            "status": entry.status,
            "headers": _grouped(entry.response_headers),
            "body": text(entry.response_body),
        }
    if "H" in entry.parts:
        transaction["producer"] = _producer(entry)
    severity = entry.highest_severity
    transaction["highest_severity"] = "" if severity is None else SEVERITIES[severity]
    transaction["is_interrupted"] = entry.interruption is not None
    if entry.interruption is not None:
        verdict = entry.interruption
        transaction["interruption"] = {
            "action": verdict.action,
            "status": verdict.status,
            "rule_id": verdict.rule_id,
        }
    document: dict[str, Any] = {"transaction": transaction}
    messages = [message for matched in entry.matched for message in _messages(entry, matched)]
    if messages:
        document["messages"] = messages
    if entry.left_out:
        document["matches_left_out"] = entry.left_out
    return dump(document)


def _request(entry: AuditEntry) -> dict[str, Any]:
    files = [{"name": text(f.name), "size": f.size, "mime": text(file_mime(f))} for f in entry.files]
    return {
        "method": text(entry.method),
        "protocol": text(entry.protocol),
        "uri": text(entry.uri),
        "http_version": text(entry.protocol.removeprefix(b"HTTP/")),
        "headers": _grouped(entry.request_headers),
        "body": text(entry.request_body),
        "files": files or None,
        "args": {},  # Coraza never fills it; names that clients invent would be fields of a log store's index
        "length": entry.request_length,
    }


def _producer(entry: AuditEntry) -> dict[str, Any]:
    producer: dict[str, Any] = {
        "connector": CONNECTOR,
        "version": connector_version(),
        "server": entry.server_signature,
        "rule_engine": entry.engine,
        "stopwatch": f"{int(entry.started * 1e6)} {int(entry.seconds * 1e6)}",
        "rulesets": list(entry.components),
    }
    if entry.sensor_id:
        producer["sensor_id"] = entry.sensor_id
    return producer


def _messages(entry: AuditEntry, matched: MatchedRule) -> list[dict[str, Any]]:
    """One message for each match of a rule, as in Coraza; without part K only its line, once."""
    line = printable(matched.coraza_line()) if "H" in entry.parts else ""
    if "K" not in entry.parts:
        return [{"actionset": "", "message": "", "error_message": line, "data": None}]
    shown = [m for m in matched.matches if m.message or m.data] or list(matched.matches[:1])
    return [
        {
            "actionset": printable(" ".join(entry.components)),
            "message": printable(m.message),
            "error_message": line,
            "data": message_data(matched, m),
        }
        for m in shown
    ]


def message_data(matched: MatchedRule, match: MatchedValue) -> dict[str, Any]:
    """The ``data`` of a message: the rule, and what one match says."""
    rule = matched.rule
    return {
        "file": matched.file,
        "line": matched.line,
        "id": rule.id,
        "rev": printable(rule.rev),
        "msg": printable(match.message),
        "data": printable(match.data),
        "severity": rule.severity or 0,
        "ver": printable(rule.ver),
        "maturity": rule.maturity,
        "accuracy": rule.accuracy,
        "tags": [printable(tag) for tag in rule.tags],
        "raw": printable(rule.raw),
    }


def _grouped(headers: Iterable[Entry]) -> dict[str, list[str]] | None:
    """The values by lower-case name, in their order; None for no headers."""
    grouped: dict[str, list[str]] = {}
    for name, value in headers:
        grouped.setdefault(text(name).lower(), []).append(text(value))
    return grouped or None


@audit_format("JsonLegacy", MIME)
def json_legacy(entry: AuditEntry) -> bytes:
    """Coraza's form after ModSecurity 2, without bodies."""
    document: dict[str, Any] = {
        "transaction": {
            "time": timestamp(entry),
            "transaction_id": printable(entry.id),
            "remote_address": printable(entry.client_ip),
            "remote_port": entry.client_port,
            "local_address": printable(entry.server_ip),
            "local_port": entry.server_port,
        },
        "request": {
            "request_line": text(b"%b %b %b" % (entry.method, entry.uri, entry.protocol)),
            "headers": _joined(entry.request_headers),
        },
    }
    if "E" in entry.parts or "F" in entry.parts:
        document["response"] = {
            "status": entry.status,
            "protocol": text(entry.response_protocol),
            "headers": _joined(entry.response_headers),
        }
    if "H" in entry.parts or "K" in entry.parts:
        document["audit_data"] = _audit_data(entry)
    return dump(document)


def _audit_data(entry: AuditEntry) -> dict[str, Any]:
    trailer = "H" in entry.parts
    messages = [printable(m.message) for r in entry.matched for m in r.matches if m.message or m.data]
    return {
        "messages": messages if "K" in entry.parts else [],
        "error_messages": [printable(r.coraza_line()) for r in entry.matched] if trailer else [],
        "handler": "",
        "stopwatch": dict.fromkeys(("Combined", "P1", "P2", "P3", "P4", "P5", "Sr", "Sw", "L", "Gc"), 0),
        "response_body_dechunked": False,
        "producer": [CONNECTOR, *entry.components] if trailer else [],
        "server": entry.server_signature,
        "engine_mode": entry.engine if trailer else "",
    }


def _joined(headers: Iterable[Entry]) -> dict[str, str]:
    return {name: ", ".join(values) for name, values in (_grouped(headers) or {}).items()}
