"""SecAuditLogFormat Native: parts between boundaries, as Coraza and ModSecurity write it (engine.md 1.10).

Bodies are written as they came. In everything that stands on a line of its own, control characters are written as
hexadecimal escapes, so that no client can begin a line.
"""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING

from waf_engine.audit.registry import audit_format
from waf_engine.audit.texts import file_mime, headline, one_line, reason, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from waf_engine.audit.entry import AuditEntry
    from waf_engine.types import Entry

_LETTERS = string.ascii_letters + string.digits


@audit_format("Native", "application/x-coraza-auditlog-native")
def native(entry: AuditEntry) -> bytes:
    """An entry as lines of text. Its boundary is random: nothing that a client sent can end a part."""
    boundary = "".join(secrets.choice(_LETTERS) for _ in range(10)).encode()
    pieces = []
    for part in entry.parts:
        pieces.append(b"--%b-%b--\n" % (boundary, part.encode()))
        content = _CONTENT.get(part, _nothing)(entry)
        if content:
            pieces.append(content if content.endswith(b"\n") else content + b"\n")
        if part != "A":
            pieces.append(b"\n")
    return b"".join(pieces)


def _header(entry: AuditEntry) -> bytes:
    line = (
        f"[{timestamp(entry)}] {entry.id} {entry.client_ip} {entry.client_port} {entry.server_ip} {entry.server_port}"
    )
    return one_line(line.encode("utf-8", "surrogateescape"))


def _request_headers(entry: AuditEntry) -> bytes:
    return headline(entry) + b"\n" + _lines(entry.request_headers)


def _request_body(entry: AuditEntry) -> bytes:
    return entry.request_body


def _response_body(entry: AuditEntry) -> bytes:
    return entry.response_body


def _response_headers(entry: AuditEntry) -> bytes:
    if not entry.response_protocol:
        return b""
    line = b"%b %d %b" % (one_line(entry.response_protocol), entry.status, reason(entry.status).encode())
    return line.rstrip() + b"\n" + _lines(entry.response_headers)


def _trailer(entry: AuditEntry) -> bytes:
    lines = [m.coraza_line() for m in entry.matched]
    if entry.left_out:
        lines.append(f"{entry.left_out} more rules matched")
    if entry.interruption is not None:
        verdict = entry.interruption
        lines.append(f"Interruption: {verdict.action}, status {verdict.status}, rule {verdict.rule_id}")
    return b"".join(one_line(line.encode("utf-8", "surrogateescape")) + b"\n" for line in lines)


def _files(entry: AuditEntry) -> bytes:
    lines = [
        b'%d,%d,"%b","%b"\n' % (n, f.size, one_line(f.name, b'"'), one_line(file_mime(f), b'"'))
        for n, f in enumerate(entry.files, 1)
    ]
    return b"".join(lines) + b"Total,%d\n" % len(lines) if lines else b""


def _rules(entry: AuditEntry) -> bytes:
    return b"".join(one_line(m.rule.raw.encode("utf-8", "surrogateescape")) + b"\n" for m in entry.matched)


def _nothing(_entry: AuditEntry) -> bytes:
    return b""


_CONTENT = {
    "A": _header,
    "B": _request_headers,
    "C": _request_body,
    "E": _response_body,
    "F": _response_headers,
    "H": _trailer,
    "I": lambda entry: b"" if "C" in entry.parts else entry.request_body,
    "J": _files,
    "K": _rules,
}


def _lines(headers: Iterable[Entry]) -> bytes:
    return b"".join(b"%b: %b\n" % (one_line(name), one_line(value)) for name, value in headers)
