"""An audit log entry: an immutable, bounded record of a finished transaction, with what is to be masked masked.

Built on the request's path, so it copies references and nothing large. What the entry looks like in a file is the
formats' affair. Source: engine.md 1.10.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from waf_engine.runtime.match import MAX_LOGGED, MAX_MATCHES_LOGGED
from waf_engine.types import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from waf_engine.audit.sanitiser import Sanitiser
    from waf_engine.runtime.match import Interruption, MatchedRule, MatchedValue
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry

PARTS = "ABCDEFGHIJKZ"
"""The parts that there are; D and G are reserved and always empty."""

MAX_BODY = 131_072
"""Bytes of a body in an entry. Coraza and libmodsecurity write all of it, up to 128 MiB; who wants to see what an
attack looked like has seen it after this much, and a thousand entries wait in memory at most."""
MAX_URI = 16_384
MAX_HEADER_BYTES = 65_536
"""Bytes of the headers of one side; HAProxy's own buffer is 16 kB unless it was enlarged."""
MAX_RULES = 200
"""Matched rules in an entry; the rest is counted. A request that trips all of CRS matches about 130."""
MAX_FILES = 100
MAX_NAME = 1024
MAX_ARGUMENT_BYTES = 16_384
"""Bytes of the arguments that OCSF lists; they are in the URI and the body as well."""


@dataclass(frozen=True, slots=True)
class AuditFile:
    """An uploaded file: the client's name, its size in bytes, its part's Content-Type."""

    name: bytes
    size: int
    content_type: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A finished transaction.

    Attributes:
        id: the transaction's id.
        parts: the parts that are wanted, in their order, A and Z included.
        started: when it began, in seconds since 1970.
        seconds: how long it took, the wait for the response included.
        client_ip: as text.
        client_port: the port.
        server_ip: as text.
        server_port: the port.
        server_name: the host that was asked for.
        method: as received.
        uri: the request target as received.
        protocol: with ``HTTP/``.
        request_headers: (name as received, value), with part B.
        request_body: the body as buffered, with part C, or without its files, with part I.
        request_length: bytes of the whole request, as far as it was buffered.
        arguments: the arguments, path and body included, for formats that list them.
        files: uploaded files, with part C or J.
        status: of the response; the verdict's where there was no response.
        response_protocol: with ``HTTP/``; empty where there was no response.
        response_headers: (name as received, value), with part F.
        response_body: the body as buffered, with part E.
        matched: the matched rules that have ``auditlog``, with part H or K; what they hold is cut and masked.
        left_out: how many more there were.
        interruption: the verdict, if there is one.
        engine: SecRuleEngine's word, as it was at the end.
        highest_severity: 0 to 7 of the matched rules, or None.
        server_signature: SecServerSignature.
        sensor_id: SecSensorId.
        components: SecComponentSignature.
    """

    id: str
    parts: str
    started: float
    seconds: float = 0.0
    client_ip: str = ""
    client_port: int = 0
    server_ip: str = ""
    server_port: int = 0
    server_name: str = ""
    method: bytes = b""
    uri: bytes = b""
    protocol: bytes = b""
    request_headers: tuple[Entry, ...] = ()
    request_body: bytes = b""
    request_length: int = 0
    arguments: tuple[Entry, ...] = ()
    files: tuple[AuditFile, ...] = ()
    status: int = 0
    response_protocol: bytes = b""
    response_headers: tuple[Entry, ...] = ()
    response_body: bytes = b""
    matched: tuple[MatchedRule, ...] = ()
    left_out: int = 0
    interruption: Interruption | None = None
    engine: str = "On"
    highest_severity: int | None = None
    server_signature: str = ""
    sensor_id: str = ""
    components: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes it holds, for the bound of a queue."""
        headers = sum(len(name) + len(value) + 100 for name, value in (*self.request_headers, *self.response_headers))
        matches = sum(400 + len(m.value) + len(m.message) + len(m.data) for r in self.matched for m in r.matches)
        return 2000 + len(self.uri) + len(self.request_body) + len(self.response_body) + headers + matches


def wanted_parts(text: str) -> str:
    """The parts that a text names, in their order, with A and Z; letters that are no part are left out."""
    named = set(text.upper()) | {"A", "Z"}
    return "".join(part for part in PARTS if part in named)


def entry_of(tx: Transaction) -> AuditEntry:
    """The entry of a transaction whose phase 5 has run."""
    parts = wanted_parts(tx.audit_log_parts)
    request, response, settings, mask = tx.request, tx.response, tx.plan.settings, tx.sanitiser
    uri = request.uri_raw[:MAX_URI]
    shows_rules = ("H" in parts or "K" in parts) and any(record.rule.auditlog for record in tx.records)
    audited = [m for m in tx.matched_rules if m.audit] if shows_rules else []
    with_body, with_files = "C" in parts or "I" in parts, "C" in parts or "J" in parts
    arguments = _bounded((*request.args_get, *request.args_post, *request.args_path), MAX_ARGUMENT_BYTES)
    return AuditEntry(
        id=tx.id,
        parts=parts,
        started=tx.started,
        seconds=max(0.0, tx.clock() - tx.started),
        client_ip=to_text(tx.connection.client_ip),
        client_port=_number(tx.connection.client_port),
        server_ip=to_text(tx.connection.server_ip),
        server_port=_number(tx.connection.server_port),
        server_name=to_text(request.server_name[:MAX_NAME]),
        method=request.method[:MAX_NAME],
        uri=uri if mask is None else mask.uri(uri),
        protocol=request.protocol[:MAX_NAME],
        request_headers=_headers(request.headers, mask, response=False) if "B" in parts else (),
        request_body=_request_body(tx, parts) if with_body else b"",
        request_length=_length(tx),
        arguments=arguments if mask is None else tuple((k, mask.member("ARGS", k, v)) for k, v in arguments),
        files=_files(tx) if with_files else (),
        status=_status(tx),
        response_protocol=response.protocol[:MAX_NAME],
        response_headers=_headers(response.headers, mask, response=True) if "F" in parts else (),
        response_body=_response_body(tx) if "E" in parts else b"",
        matched=tuple(_trimmed(m.shown) for m in audited[:MAX_RULES]),
        left_out=max(0, len(audited) - MAX_RULES),
        interruption=tx.interruption,
        engine=str(tx.engine),
        highest_severity=tx.highest_severity if tx.highest_severity <= 7 else None,
        server_signature=settings.server_signature,
        sensor_id=settings.sensor_id,
        components=settings.component_signatures,
    )


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) < 10 else 0


def _status(tx: Transaction) -> int:
    """The response's status; where the verdict came before it, the status that the client is answered with."""
    status = _number(tx.response.status)
    return tx.interruption.status if not status and tx.interruption is not None else status


def _length(tx: Transaction) -> int:
    request = tx.request
    line = len(request.method) + len(request.uri_raw) + len(request.protocol) + 4
    return line + sum(len(name) + len(value) + 4 for name, value in request.headers) + 2 + len(request.body)


def _headers(headers: Iterable[Entry], mask: Sanitiser | None, *, response: bool) -> tuple[Entry, ...]:
    kept = _bounded(headers, MAX_HEADER_BYTES)
    return kept if mask is None else tuple((name, mask.header(name, value, response=response)) for name, value in kept)


def _bounded(entries: Iterable[Entry], most: int) -> tuple[Entry, ...]:
    """As many entries as fit in a number of bytes, the last one cut."""
    kept: list[Entry] = []
    for name, value in entries:
        name = name[:MAX_NAME]  # noqa: PLW2901  the cut name is meant from here on
        most -= len(name) + 2
        if most <= 0:
            break
        kept.append((name, value[:most]))
        most -= len(value)
    return tuple(kept)


def _request_body(tx: Transaction, parts: str) -> bytes:
    request = tx.request
    if "C" not in parts and request.processor == "MULTIPART":
        pairs = _bounded(request.args_post, MAX_BODY)
        if tx.sanitiser is not None:
            pairs = tuple((name, tx.sanitiser.member("ARGS_POST", name, value)) for name, value in pairs)
        return b"&".join(b"%b=%b" % (_quote(name), _quote(value)) for name, value in pairs)[:MAX_BODY]
    body = bytes(memoryview(request.body)[:MAX_BODY])
    return body if tx.sanitiser is None else tx.sanitiser.request_body(body, cut=len(request.body) > MAX_BODY)


def _response_body(tx: Transaction) -> bytes:
    body = bytes(memoryview(tx.response.body)[:MAX_BODY])
    return body if tx.sanitiser is None else tx.sanitiser.response_body(body, cut=len(tx.response.body) > MAX_BODY)


_UNQUOTED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*")


def _quote(value: bytes) -> bytes:
    """Percent-encoding of a name or value of a form; ``*`` stays, for masks are made of it."""
    if _UNQUOTED.issuperset(value):
        return value
    return b"".join(bytes((b,)) if b in _UNQUOTED else b"%%%02X" % b for b in value)


def _files(tx: Transaction) -> tuple[AuditFile, ...]:
    mask = tx.sanitiser
    files = tx.request.files[:MAX_FILES]
    return tuple(
        AuditFile(
            f.filename[:MAX_NAME] if mask is None else mask.member("FILES", f.field, f.filename[:MAX_NAME]),
            len(f.content),
            f.content_type[:MAX_NAME],
        )
        for f in files
    )


def _trimmed(matched: MatchedRule) -> MatchedRule:
    """A matched rule that does not hold on to large values."""
    return replace(matched, matches=tuple(map(_trimmed_value, matched.matches[: MAX_MATCHES_LOGGED + 1])))


def _trimmed_value(match: MatchedValue) -> MatchedValue:
    if len(match.value) <= MAX_LOGGED and len(match.message) <= MAX_NAME and len(match.data) <= MAX_NAME:
        return match
    return match._replace(value=match.value[:MAX_LOGGED], message=match.message[:MAX_NAME], data=match.data[:MAX_NAME])
