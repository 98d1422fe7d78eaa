"""The HTTP server in front of the WAF: raw bytes to what a proxy hands to the agent, or a refusal.

Lenient, for rules are to be tested with requests that no browser sends: odd methods, bytes beyond ASCII in the target,
strange header names and values, folded lines, bare LF all go through. Refused (with 400, before any rule) is what makes
the request ambiguous, and what the CRS's own tests expect their server to refuse: more or fewer than three words in
the request line, a target or a version that is none, a fragment, a header line without a colon, a bare CR or a NUL in a
header, no host where HTTP/1.1 needs one, a Content-Length that is no number, a body that is shorter than announced.

Source: RFC 9112, RFC 9110; HAProxy 2.8 (`option accept-invalid-http-request`) for what is let through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # linear: one class, as all patterns here
_VERSION = re.compile(rb"HTTP/[1-9](?:\.[0-9])?\Z")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://")
_AUTHORITY = re.compile(rb"[^/?#@]+:[0-9]+\Z")
_ESCAPED_CONTROL = re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff])")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}\Z")
_MAX_LENGTH_DIGITS = 19

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request as the agent sees it.

    Attributes:
        method: of the request line.
        target: of the request line.
        version: of the request line, ``HTTP/1.1``.
        headers: names and values in order, values without blanks around them.
        body: the bytes of the body, chunks joined.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: Headers = ()
    body: bytes = b""


class RefusedError(Exception):
    """A request that the server answers itself: the WAF never sees it.

    Attributes:
        status: the status it answers with; 0: it closes the connection, or answers without a status line (HTTP/0.9).
        reason: why.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


def parse_request(raw: bytes) -> ParsedRequest:
    """Read one request.

    Raises:
        RefusedError: the server would not pass it on. Nothing else, whatever the bytes.
    """
    head, body = _split_head(raw)
    lines = _unfold(head)
    method, target, version = _request_line(lines[0])
    headers = [_header(line) for line in lines[1:]]
    _check_target(method, target)
    _check_host(headers, version)
    kept, content = _body(headers, body)
    return ParsedRequest(method, target, version, tuple(kept), content)


def _split_head(raw: bytes) -> tuple[bytes, bytes]:
    """The lines before the empty one, and what comes after it."""
    raw = raw[2:] if raw.startswith(b"\r\n") else raw  # RFC 9112, 2.2: an empty line before the request is skipped
    ends = [(at, len(end)) for end in (b"\r\n\r\n", b"\n\n", b"\n\r\n") if (at := raw.find(end)) >= 0]
    if not ends:
        reason = "there is no request" if not raw else "the header ends nowhere: there is no empty line after it"
        raise RefusedError(reason, 0)  # a server waits for the rest until its time is up
    at, length = min(ends)
    return raw[:at], raw[at + length :]


def _unfold(head: bytes) -> list[bytes]:
    """The lines of the header; a line that begins with a blank continues the one before it (RFC 9112, 5.2)."""
    lines: list[bytes] = []
    for line in head.split(b"\n"):
        text = line.removesuffix(b"\r")
        if text[:1] in (b" ", b"\t") and len(lines) > 1:
            lines[-1] += b" " + text.strip(b" \t")
        else:
            lines.append(text)
    for line in lines:
        if b"\r" in line:
            raise RefusedError("there is a CR without LF in the header")
        if b"\0" in line:
            raise RefusedError("there is a NUL in the header")
    return lines


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    words = line.split(b" ")
    if len(words) == 2 or (len(words) == 3 and not words[2]):
        raise RefusedError("a request line without a version is HTTP/0.9, whose answer has no status line", 0)
    if len(words) != 3:
        raise RefusedError(f"the request line has {len(words)} words, not three: a blank in the target must be %20")
    method, target, version = words
    if not _TOKEN.match(method):
        raise RefusedError("the method has characters that no method has")
    if not _VERSION.match(version):
        raise RefusedError("the version is not HTTP/1.0 or later")
    return method, target, version


def _check_target(method: bytes, target: bytes) -> None:
    if method == b"CONNECT":
        if not _AUTHORITY.match(target):
            raise RefusedError("the target of CONNECT is HOST:PORT")
        return
    if not target.startswith(b"/") and target != b"*" and not _SCHEME.match(target):
        raise RefusedError("the target begins neither with / nor with a scheme such as http://")
    if b"#" in target:
        raise RefusedError("the target has a fragment (#...), which clients do not send")


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon:
        raise RefusedError("a header line has no colon")
    if not name:
        raise RefusedError("a header has no name")
    return name, value.strip(b" \t")


def _check_host(headers: list[tuple[bytes, bytes]], version: bytes) -> None:
    hosts = [value for name, value in headers if name.lower() == b"host"]
    if any(_ESCAPED_CONTROL.search(host) for host in hosts):
        raise RefusedError("the Host has an escaped control character")
    if version == b"HTTP/1.1" and hosts and not hosts[0]:
        raise RefusedError("the Host is empty")


def _body(headers: list[tuple[bytes, bytes]], rest: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The headers that are passed on, and the body that they announce. What comes after it is another request."""
    lengths = {value for name, value in headers if name.lower() == b"content-length"}
    codings = b",".join(value for name, value in headers if name.lower() == b"transfer-encoding").lower()
    for length in lengths:
        if not (length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS):
            raise RefusedError("the Content-Length is not a number")
    if codings:
        if codings.split(b",")[-1].strip(b" \t") != b"chunked":
            raise RefusedError("the last Transfer-Encoding is not chunked: the body's end cannot be known")
        # RFC 9112, 6.3: the length is not to be believed, and is to be removed before the message is passed on
        return [header for header in headers if header[0].lower() != b"content-length"], _join_chunks(rest)
    if not lengths:
        return headers, b""
    if len(lengths) > 1:
        raise RefusedError("there are two Content-Lengths that differ")
    announced = int(lengths.pop())
    if announced > len(rest):
        raise RefusedError(f"the Content-Length is {announced}, but only {len(rest)} bytes of body are sent")
    return headers, rest[:announced]


def _join_chunks(rest: bytes) -> bytes:
    chunks: list[bytes] = []
    at = 0
    while True:
        end = rest.find(b"\n", at)
        size = rest[at : max(end, at)].split(b";", 1)[0].strip(b" \t\r")
        if end < 0 or not _CHUNK_SIZE.match(size):
            raise RefusedError("the body is said to be chunked, but its chunks cannot be read")
        length = int(size, 16)
        if not length:
            return b"".join(chunks)
        at = end + 1 + length
        if len(rest) < at:
            raise RefusedError("the last chunk of the body is shorter than announced")
        chunks.append(rest[end + 1 : at])
        for line_end in (b"\r\n", b"\n"):
            if rest.startswith(line_end, at):
                at += len(line_end)
                break
        else:
            raise RefusedError("a chunk of the body is not followed by the end of its line")
