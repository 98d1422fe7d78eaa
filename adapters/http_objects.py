"""HTTP messages rebuilt from the arguments of SPOE messages, for a WAF and for any other agent.

Here: reading the two forms in which HAProxy sends headers (`req.hdrs`, `req.hdrs_bin`), joining path and query,
and the `h11.Request` and `h11.Response` of the result. Not here: sockets, rules, SPOP frames.

The parsed parts are bytes exactly as HAProxy sent them, in order, duplicates kept: that is what is inspected.
The h11 objects are for code that wants well-formed HTTP; what h11 refuses (odd names, control characters, two
different Content-Length, ...) is named in ``rejected`` and stays in the parts. They are built when first asked for:
for ten headers that costs 15 microseconds, more than all the rest of this module.

Source: HAProxy's configuration manual 7.3.6 (the fetches), shared reference spop.md 1.3 (as observed).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import h11

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address, IPv6Address

    ArgumentValue = bool | int | str | bytes | IPv4Address | IPv6Address | None
    Headers = tuple[tuple[bytes, bytes], ...]

T = TypeVar("T")

MAX_HEADERS = 32_767
"""Header lines read from one message: the most that HAProxy can be told to accept (tune.http.maxhdr; default 101).
Without a bound a message could hold a header for every two of its bytes."""

MAX_VARINT_BYTES = 10  # what a 64-bit length can need


class BadHeadersError(ValueError):
    """A header argument that is not in the form that HAProxy sends."""


@dataclass(frozen=True)
class HttpRequest:
    """A request as HAProxy described it.

    Attributes:
        method: the method.
        target: path and query, as in the request line.
        version: such as ``1.1``, without ``HTTP/``.
        headers: names and values in order, as sent; HAProxy writes names in lower case.
        body: what HAProxy had of the body when it sent the message; perhaps not all of it.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: Headers
    body: bytes = b""

    @property
    def request(self) -> h11.Request | None:
        """The request as an h11 event, or None when h11 refuses it."""
        return self._h11[0]

    @property
    def rejected(self) -> str:
        """Why h11 refuses this request; empty when it does not."""
        return self._h11[1]

    @cached_property
    def _h11(self) -> tuple[h11.Request | None, str]:
        return _attempt(
            lambda: h11.Request(
                method=self.method,
                target=self.target,
                headers=list(self.headers),
                http_version=_h11_version(self.version),
            )
        )


@dataclass(frozen=True)
class HttpResponse:
    """A response as HAProxy described it.

    Attributes:
        status: the status code.
        version: such as ``1.1``, without ``HTTP/``.
        headers: names and values in order, as sent.
        body: what HAProxy had of the body when it sent the message; perhaps not all of it.
    """

    status: int
    version: bytes
    headers: Headers
    body: bytes = b""

    @property
    def response(self) -> h11.Response | h11.InformationalResponse | None:
        """The response as an h11 event, or None when h11 refuses it."""
        return self._h11[0]

    @property
    def rejected(self) -> str:
        """Why h11 refuses this response; empty when it does not."""
        return self._h11[1]

    @cached_property
    def _h11(self) -> tuple[h11.Response | h11.InformationalResponse | None, str]:
        kind = h11.InformationalResponse if 100 <= self.status < 200 else h11.Response
        return _attempt(
            lambda: kind(status_code=self.status, headers=list(self.headers), http_version=_h11_version(self.version))
        )


def _attempt(build: Callable[[], T]) -> tuple[T | None, str]:
    try:
        return build(), ""
    except h11.LocalProtocolError as error:
        return None, str(error)


def _h11_version(version: bytes) -> bytes:
    # h11 speaks 1.x only. What came over HTTP/2 or 3 is, at this point, the same message as its 1.1 form.
    return b"1.1" if version[:1] in (b"2", b"3") else version


def request_target(path: bytes, query: bytes | None) -> bytes:
    """The target of the request line from HAProxy's `path` and `query`.

    Args:
        path: the path; when empty (as with `CONNECT`), ``/`` stands for it.
        query: the text after ``?``; None where the request has no ``?``.
    """
    path = path or b"/"
    return path if query is None else path + b"?" + query


def as_bytes(value: ArgumentValue) -> bytes:
    """An argument's value as bytes, whatever type HAProxy gave it; NULL is empty, a number its decimal digits."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"1" if value else b"0"
    return str(value).encode("ascii")


def parse_headers_text(text: bytes) -> Headers:
    """The headers of `req.hdrs` or `res.hdrs`: a line each, ``name: value``, an empty line at the end.

    A line without a colon is a header with an empty value: rules shall see it, so it is never dropped. Neither is
    white space inside the value, nor a line that begins with a blank (HAProxy unfolds those that are legal).

    Raises:
        BadHeadersError: there are more than `MAX_HEADERS` lines.
    """
    lines = text.split(b"\n", MAX_HEADERS + 2)
    if len(lines) > MAX_HEADERS + 2:
        raise BadHeadersError(f"more than {MAX_HEADERS} header lines")
    headers = []
    for line in lines:
        field = line[:-1] if line.endswith(b"\r") else line
        if field:
            name, _, value = field.partition(b":")
            headers.append((name, value[1:] if value.startswith(b" ") else value))
    return tuple(headers)


def parse_headers_binary(data: bytes) -> Headers:
    """The headers of `req.hdrs_bin` or `res.hdrs_bin`: length and name, length and value, two empty ones at the end.

    Raises:
        BadHeadersError: a length reaches beyond the end, or the end mark is missing, or there are more than
            `MAX_HEADERS`.
    """
    headers: list[tuple[bytes, bytes]] = []
    offset = 0
    while offset < len(data):
        name, offset = _counted(data, offset)
        value, offset = _counted(data, offset)
        if not name and not value:
            return tuple(headers)
        if len(headers) == MAX_HEADERS:
            raise BadHeadersError(f"more than {MAX_HEADERS} headers")
        headers.append((name, value))
    if not data:
        return ()
    raise BadHeadersError(f"no end mark after {len(headers)} headers in {len(data)} bytes")


def _counted(data: bytes, offset: int) -> tuple[bytes, int]:
    """A text with its length before it, and the offset after it. The length is SPOP's varint (SPOE.txt 3.1)."""
    if offset >= len(data):
        raise BadHeadersError(f"a length was expected at byte {offset} of {len(data)}")
    length = data[offset]
    start = offset
    offset += 1
    if length >= 240:
        shift, more = 4, True
        while more:
            if offset >= len(data) or offset - start >= MAX_VARINT_BYTES:
                raise BadHeadersError(f"the length at byte {start} does not end")
            length += data[offset] << shift
            shift += 7
            more = data[offset] >= 128
            offset += 1
    end = offset + length
    if end > len(data):
        raise BadHeadersError(f"{length} bytes were announced at byte {start}, {len(data) - offset} are left")
    return data[offset:end], end
