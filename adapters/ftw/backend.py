"""The server behind the WAF: it answers what the request asks it to answer, else 200 with no body.

A POST to a path that ends in ``/reflect`` with the JSON object ``{"status", "headers", "body" or "encodedBody"}`` gets
that response, as of the CRS's own backend, albedo. Like that one (and Go's servers) it looks at a body to name its type
when the test names none: the CRS's rules for responses look at text only.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.ftw.http_parser import ParsedRequest
    from adapters.ftw.model import Reply

_HTML_TAGS = (
    b"!doctype html", b"html", b"head", b"script", b"iframe", b"h1", b"div", b"font", b"table", b"a", b"style",
    b"title", b"b", b"body", b"br", b"p",
)  # fmt: skip
"""Tags that make a body HTML, when a blank or ``>`` follows (WHATWG, MIME Sniffing, section 7.1)."""

_BINARY = frozenset(range(0x20)) - frozenset(b"\t\n\f\r\x1b")
_SNIFFED = 512
"""Bytes of the body that are looked at, as in Go."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    Attributes:
        status: HTTP status.
        headers: names and values in order.
        body: its bytes.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def respond(request: ParsedRequest, reply: Reply | None = None) -> Answer:
    """The backend's response to a request.

    Args:
        request: what came through the WAF.
        reply: what the test says the backend answers; None: what the request says.
    """
    if reply is not None:
        return _typed(reply.status, reply.headers, reply.body)
    path = request.target.split(b"?", 1)[0].rstrip(b"/")
    if request.method == b"POST" and path.endswith(b"/reflect"):
        return _reflect(request.body)
    return Answer()


def _reflect(body: bytes) -> Answer:
    try:
        wish = json.loads(body)
        content = str(wish.get("body") or "").encode("utf-8", "surrogatepass")
        if not content and wish.get("encodedBody"):
            content = base64.b64decode(wish["encodedBody"], validate=True)
        headers = tuple((str(name), str(value)) for name, value in (wish.get("headers") or {}).items())
        return _typed(int(wish.get("status") or 200), headers, content)
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        return _typed(
            400, (), b"the body of a request to /reflect is a JSON object: status, headers, body, encodedBody"
        )


def _typed(status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> Answer:
    if body and not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*headers, ("Content-Type", sniff(body)))
    return Answer(status, headers, body)


def sniff(body: bytes) -> str:
    """The type that a body looks like."""
    start = body[:_SNIFFED].lstrip(b"\t\n\f\r ").lower()
    if start.startswith(b"<!--"):
        return "text/html; charset=utf-8"
    for tag in _HTML_TAGS:
        if start.startswith(b"<" + tag) and start[len(tag) + 1 : len(tag) + 2] in (b" ", b">"):
            return "text/html; charset=utf-8"
    if start.startswith(b"<?xml"):
        return "text/xml; charset=utf-8"
    if start.startswith(b"%pdf-"):
        return "application/pdf"
    if _BINARY.isdisjoint(body[:_SNIFFED]):
        return "text/plain; charset=utf-8"
    return "application/octet-stream"
