"""JSON: the leaves of a document as arguments, named by their paths (engine.md 1.7).

Python's own parser (C) reads what is valid, short and not too deep, which is nearly all there is; everything
else goes to `json_reader.py`, which reads on where a parser stops. Both give the same for what both can read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from waf_engine.bodies.json_reader import MAX_PATH, JSONReader, KeyStyle
from waf_engine.bodies.registry import body_processors
from waf_engine.types import BodyResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.types import BodyContext, Entry

_STYLES = {
    "coraza": KeyStyle(item=b".%d", lengths=True),
    "modsecurity": KeyStyle(item=b".array_%d", lengths=False, empty_name=b"empty-key"),
}
_MAX_FAST = 262_144  # bytes; objects in memory take twenty times the space of a hostile document
_CONSTANTS: dict[Any, bytes] = {None: b"", True: b"true", False: b"false"}
_BOMS = (  # the longer first
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


@body_processors.register("JSON")
def process_json(body: bytes, context: BodyContext) -> BodyResult:
    """The body processor for JSON: leaves to ARGS_POST (of a response: RESPONSE_ARGS), the raw body to TX."""
    style = _STYLES.get(context.json_keys, _STYLES["coraza"])
    limits = context.limits
    tx = {b"json_request_body": body}
    entries = _read_fast(body, style, limits.depth) if len(body) <= _MAX_FAST else None
    if entries is not None and len(entries) <= limits.leaves:
        return BodyResult(args=entries, tx=tx)
    reader = JSONReader(style, depth=limits.depth, leaves=limits.leaves, cut=context.cut_before)
    data, other_encoding = _to_utf8(body)
    reader.read(data, context.tick)
    error = f"the body is in {other_encoding}" if other_encoding else reader.error
    return BodyResult(args=reader.entries, tx=tx, error=error)


def _to_utf8(body: bytes) -> tuple[bytes, str]:
    """The body in UTF-8, and the encoding it had if it was another: some servers recognise those (RFC 4627)."""
    if body.startswith(b"\xef\xbb\xbf"):
        return body[3:], ""
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return _convert(body[len(mark) :], encoding)
    zeros = [byte == 0 for byte in body[:4]]
    if zeros == [False, True, True, True]:
        return _convert(body, "utf-32-le")
    if zeros == [True, True, True, False]:
        return _convert(body, "utf-32-be")
    if zeros[:2] == [False, True]:
        return _convert(body, "utf-16-le")
    if zeros[:2] == [True, False]:
        return _convert(body, "utf-16-be")
    return body, ""


def _convert(body: bytes, encoding: str) -> tuple[bytes, str]:
    return body.decode(encoding, "replace").encode("utf-8", "replace"), encoding


class _NotPlainError(Exception):
    """The document is none for the fast way."""


def _refuse(constant: str) -> NoReturn:
    """NaN and Infinity, which Python's parser takes and JSON does not have."""
    raise _NotPlainError(constant)


# Numbers stay text. An object becomes a tuple of its pairs, repeated names and all; an array stays a list.
_DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_float=str, parse_int=str, parse_constant=_refuse)


def _read_fast(body: bytes, style: KeyStyle, depth: int) -> list[Entry] | None:
    """The leaves of a plain document, or None for one that is not."""
    entries: list[Entry] = []
    try:
        document = _DECODER.decode(body.decode())
        if type(document) is tuple or type(document) is list:
            _flatten(document, style.root, depth, entries.append, style)
        else:
            return None  # a lone scalar: rare, and named in its own way
    except (ValueError, RecursionError, _NotPlainError):  # lone surrogates, too: they cannot be encoded
        return None
    return entries


def _flatten(container: Any, path: bytes, depth: int, add: Callable[[Entry], None], style: KeyStyle) -> None:
    """Add the leaves of a container (a tuple of pairs, or a list); the hot loop of JSON bodies."""
    if depth <= 0 or len(path) > MAX_PATH:
        raise _NotPlainError
    if type(container) is list:
        length = len(container)
        items = style.items if length <= len(style.items) else map(style.item.__mod__, range(length))
        for item, value in zip(items, container, strict=False):
            kind = type(value)
            if kind is str:
                add((path + item, value.encode()))
            elif kind is tuple or kind is list:
                _flatten(value, path + item, depth - 1, add, style)
            else:
                add((path + item, _CONSTANTS[value]))
        if length and style.lengths:
            add((path, b"%d" % length))
        return
    prefix = path + b"."
    empty = style.empty_name
    for name, value in container:
        kind = type(value)
        if kind is str:
            add((prefix + (name.encode() or empty), value.encode()))
        elif kind is tuple or kind is list:
            _flatten(value, prefix + (name.encode() or empty), depth - 1, add, style)
        else:
            add((prefix + (name.encode() or empty), _CONSTANTS[value]))
