"""URLENCODED: names and values of a form or a query string (engine.md 1.7; WHATWG URL, section 5.1).

Holds the splitting and the percent-decoding that query strings, form bodies and request paths share.
Knows nothing of the URI around a query (`uri.py`).
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from waf_engine.bodies.registry import body_processors
from waf_engine.types import BodyResult

if TYPE_CHECKING:
    from waf_engine.types import BodyContext, Entry

_DIGITS = b"0123456789abcdefABCDEF"
_ESCAPES = {bytes((high, low)): bytes([int(chr(high) + chr(low), 16)]) for high in _DIGITS for low in _DIGITS}


def percent_decode(data: bytes) -> tuple[bytes, bool]:
    """Replace every ``%XX`` by its byte; a ``%`` without two hexadecimal digits stays as it is.

    Args:
        data: any bytes; ``+`` is not touched.

    Returns:
        The decoded bytes, and whether a bad ``%`` was met.
    """
    first, *rest = data.split(b"%")
    if not rest:
        return data, False
    decoded = [first]
    bad = False
    for piece in rest:
        byte = _ESCAPES.get(piece[:2])
        if byte is None:
            bad = True
            decoded += (b"%", piece)
        else:
            decoded += (byte, piece[2:])
    return b"".join(decoded), bad


def parse_urlencoded(data: bytes, separator: bytes = b"&", limit: int = 0) -> tuple[list[Entry], bool]:
    """Split ``a=1&b=2`` at the separators and each piece at its first ``=``, then decode ``+`` and ``%XX``.

    Empty pieces are skipped; ``a`` is ``a`` with an empty value; ``=z`` has an empty name.

    Args:
        data: a query string or a form body.
        separator: one byte (SecArgumentSeparator).
        limit: pairs at most, 0 for no limit. One pair more than the limit is returned where there are
            more, so that the caller can see it, cut the list and report it: nothing is dropped silently.

    Returns:
        The pairs in their order, and whether a bad ``%`` escape was met (it is kept as it came).
    """
    if b"+" in data and separator not in b"+ ":
        data = data.replace(b"+", b" ")  # before %2B becomes a plus; once for all pieces
    if limit and data.count(separator) >= limit:
        # A million separators must not make a list of a million pieces: take what is wanted, no more.
        pieces = [match[0] for match in islice(re.finditer(b"[^%b]+" % re.escape(separator), data), limit + 1)]
    else:
        pieces = data.split(separator)
    if b"%" not in data:
        return [(pair[0], pair[2]) for pair in [piece.partition(b"=") for piece in pieces if piece]], False
    entries: list[Entry] = []
    bad = False
    for piece in pieces:
        if not piece:
            continue
        name, _, value = piece.partition(b"=")
        if b"%" in name:
            name, bad_name = percent_decode(name)
            bad = bad or bad_name
        if b"%" in value:
            value, bad_value = percent_decode(value)
            bad = bad or bad_value
        entries.append((name, value))
    return entries, bad


@body_processors.register("URLENCODED")
def process_urlencoded(body: bytes, context: BodyContext) -> BodyResult:
    """The body processor for ``application/x-www-form-urlencoded``.

    A bad ``%`` sets URLENCODED_ERROR, no more (both engines); more arguments than the limit set REQBODY_ERROR,
    where Coraza drops them in silence: what no rule sees must not pass unnoticed.
    """
    limit = context.limits.arguments
    args, bad = parse_urlencoded(body, context.separator or b"&", limit)
    if bad and context.truncated:
        bad = parse_urlencoded(_without_cut_escape(body), context.separator or b"&", limit)[1]
    result = BodyResult(args=args, expose_body=True)
    if bad:
        result.flags["URLENCODED_ERROR"] = b"1"
    if len(args) > limit:
        del args[limit:]
        result.error = f"more than {limit} arguments"
    return result


def _without_cut_escape(body: bytes) -> bytes:
    """A body that was cut, without the ``%`` or ``%X`` at its end: that escape is missing, not malformed."""
    if body.endswith(b"%"):
        return body[:-1]
    return body[:-2] if body[-2:-1] == b"%" and body[-1] in _DIGITS else body
