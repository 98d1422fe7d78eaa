"""The raw bytes of a stage's request, exactly as go-ftw puts them together.

What it adds by itself (``autocomplete_headers``): a Content-Type for data without one, the data urlencoded piece by
piece where decoding would not change it, ``Connection: close``, a Content-Length where there is data or the method
has a body. And always: in multipart bodies each LF becomes CRLF. Source: engine.md section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote_plus, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.ftw.model import Input

FORM = "application/x-www-form-urlencoded"
_HEX = frozenset(b"0123456789abcdefABCDEF")

Headers = list[tuple[str, str]]


def build_request(stage: Input, uri: str, extra_headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """The bytes that go to the server.

    Args:
        stage: what the test says.
        uri: the target, one of the stage's or where a redirect led.
        extra_headers: added after the stage's own (cookies of earlier stages).
    """
    if stage.raw is not None:
        return stage.raw
    headers: Headers = [*stage.headers, *extra_headers]
    data = stage.data
    if data and stage.autocomplete:
        if not _values(headers, "content-type"):
            headers.append(("Content-Type", FORM))
        if any(value.lower() == FORM for value in _values(headers, "content-type")):
            data = encode_form(data)
    if any("multipart/form-data;" in value.lower() for value in _values(headers, "content-type")):
        data = data.replace(b"\n", b"\r\n")
    if stage.autocomplete:
        if not _values(headers, "connection"):
            headers.append(("Connection", "close"))
        if not _values(headers, "content-length") and (data or _has_body(stage.method)):
            headers.append(("Content-Length", str(len(data))))
    lines = [f"{stage.method} {uri} {stage.version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + data


def encode_form(data: bytes) -> bytes:
    """Pairs urlencoded, keys and values apart; unchanged where something in them would decode already."""
    if _decodes(data):
        return data
    pairs = []
    for pair in data.removesuffix(b"&").split(b"&"):
        key, equals, value = pair.partition(b"=")
        pairs.append(quote_plus(key, safe="") + ("=" + quote_plus(value, safe="") if equals else ""))
    return "&".join(pairs).encode()


def _decodes(data: bytes) -> bool:
    """Whether decoding changes the data, or finds a percent sign that begins no escape."""
    at = data.find(b"%")
    while at >= 0:
        digits = data[at + 1 : at + 3]
        if len(digits) < 2 or not _HEX.issuperset(digits):
            return True
        at = data.find(b"%", at + 1)
    return unquote_to_bytes(data.replace(b"+", b" ")) != data


def _has_body(method: str) -> bool:
    """go-ftw's pattern is ``^POST|PUT|PATCH|DELETE$``, whose anchors hold for one word each."""
    return method.startswith("POST") or "PUT" in method or "PATCH" in method or method.endswith("DELETE")


def _values(headers: Headers, name: str) -> list[str]:
    return [value for known, value in headers if known.lower() == name]
