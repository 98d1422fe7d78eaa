"""One request through the rules, in this process: parser in front, transaction, backend behind.

What came of it is plain data, which can be sent between processes. Not here: whether that is what a test expects.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.ftw.backend import Answer, respond
from adapters.ftw.http_parser import ParsedRequest, RefusedError, parse_request

if TYPE_CHECKING:
    from adapters.ftw.model import Reply
    from waf_engine import WAF, CollectionStore, Interruption, MatchedRule, Transaction

CLIENT_PORT = 50000
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_DEFAULT_REDIRECT = 302


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that matched.

    Attributes:
        rule_id: its id; 0 for a rule without one.
        message: its msg, expanded.
        line: its line in the log; empty for a silent rule.
        place: ``file:line`` of the rule.
    """

    rule_id: int
    message: str
    line: str
    place: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request.

    Attributes:
        status: the status that the client gets; 0 when it gets no response.
        headers: of the response, names and values.
        body: of the response.
        matches: the rules that matched, silent ones too, in order.
        refused: why the server in front refused the request; empty when it came to the rules.
        blocked: what the WAF did to the exchange; empty when it let it pass.
        would_block: the rule that would have interrupted, had the engine not been in DetectionOnly; else 0.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    matches: tuple[Match, ...] = ()
    refused: str = ""
    blocked: str = ""
    would_block: int = 0

    @property
    def logged(self) -> tuple[Match, ...]:
        """The rules that are in the log."""
        return tuple(match for match in self.matches if match.line)

    @property
    def raw_response(self) -> bytes:
        """The response as it is on the wire."""
        head = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join(head).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + self.body

    def header(self, name: str) -> str:
        """The first value of a header of the response; empty when it has none."""
        return next((value for known, value in self.headers if known.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Place:
    """The addresses of an exchange: the client's, and those that the request is sent to."""

    client: str = "127.0.0.1"
    server: str = "127.0.0.1"
    port: int = 80


def run_request(
    waf: WAF, raw: bytes, place: Place, *, reply: Reply | None = None, store: CollectionStore | None = None
) -> Outcome:
    """Send a request through the rules.

    Args:
        waf: the rules.
        raw: the request as the client sends it.
        place: addresses; a server's name that is no address stands for 127.0.0.1.
        reply: what the backend answers; None: what the request asks for.
        store: where persistent collections live; None: in the WAF's own.
    """
    try:
        request = parse_request(raw)
    except RefusedError as error:
        return Outcome(error.status, refused=error.reason)
    tx = waf.transaction()
    if store is not None:
        tx.store = store
    try:
        answer = _feed(tx, request, place, reply)
        tx.process_logging()
        matches = tuple(_match(matched) for matched in tx.matched_rules)
        detected = tx.detected_interruption
    finally:
        tx.close()
    would_block = detected.rule_id if detected is not None else 0
    if tx.interruption is not None:
        return _blocked(tx.interruption, matches)
    return Outcome(answer.status, answer.headers, answer.body, matches, would_block=would_block)


def _feed(tx: Transaction, request: ParsedRequest, place: Place, reply: Reply | None) -> Answer:
    """Phases 1 to 4; those after an interruption are the engine's to leave out."""
    tx.process_connection(place.client, CLIENT_PORT, _address(place.server), place.port)
    tx.process_uri(request.target, request.method, request.version)
    for name, value in request.headers:
        tx.add_request_header(name, value)
    tx.process_request_headers()
    if request.body:
        tx.write_request_body(request.body)
    if tx.process_request_body() is not None:
        return Answer()
    answer = respond(request, reply)
    for header, content in answer.headers:
        tx.add_response_header(header, content)
    tx.process_response_headers(answer.status, "HTTP/1.1")
    if answer.body:
        tx.write_response_body(answer.body)
    tx.process_response_body()
    return answer


def _match(matched: MatchedRule) -> Match:
    line = matched.coraza_line() if matched.log else ""
    return Match(matched.rule_id, matched.message, line, f"{matched.file}:{matched.line}")


def _blocked(interruption: Interruption, matches: tuple[Match, ...]) -> Outcome:
    by = f"by rule {interruption.rule_id}" if interruption.rule_id else "by a limit of the rule set"
    if interruption.action == "drop":
        return Outcome(0, matches=matches, blocked=f"connection dropped {by}")
    if interruption.action == "redirect":
        status = interruption.status if interruption.status in _REDIRECTS else _DEFAULT_REDIRECT
        target = interruption.data
        return Outcome(status, (("Location", target),), matches=matches, blocked=f"redirected to {target} {by}")
    return Outcome(interruption.status, matches=matches, blocked=f"{interruption.action} {by}")


def _address(server: str) -> str:
    try:
        return str(ipaddress.ip_address(server.strip("[]")))
    except ValueError:
        return "127.0.0.1"
