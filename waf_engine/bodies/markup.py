"""A tolerant reader of markup that is no well-formed XML: texts and attribute values, as far as the body goes.

For `xml.py`, which asks libxml2 first: a parser stops where the markup breaks (or at its limits), and what
comes after must not be hidden from the rules. Tolerates what Go's non-strict decoder, so Coraza, does: open and
mismatched tags, attributes without quotes, several roots, text outside the root, unknown entities.
"""

from __future__ import annotations

import html
import re
from codecs import BOM_UTF8

# Possessive, so linear: a tag ends at the first > outside quotes.
_TAG = re.compile(rb"""<(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""")
_ATTRIBUTE = re.compile(rb"""=[ \t\r\n]*+(?:"([^"]*+)"|'([^']*+)'|([^ \t\r\n"'>][^ \t\r\n>]*+))""")
_SUBSET = re.compile(rb"""(?:[^"'\]]++|"[^"]*+"|'[^']*+')*+\]""")
_BLANKS = b" \t\r\n"
_ENCODINGS = {
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
    b"<\x00": "utf-16-le",
    b"\x00<": "utf-16-be",
}


def read_markup(body: bytes) -> tuple[list[bytes], list[bytes]]:
    """Gather the texts and the attribute values of any markup.

    Args:
        body: the whole body, UTF-16 or an encoding that has ASCII in it.

    Returns:
        The texts, trimmed, none empty, and the values of attributes, each in the order of the body. The
        internal subset of a document type declaration is a text: an entity's value must not hide there. So is
        what follows a tag, comment or the like that is never closed.
    """
    encoding = _ENCODINGS.get(body[:2])
    data = body.decode(encoding, "replace").encode("utf-8", "replace") if encoding else body
    data = data.removeprefix(BOM_UTF8)
    texts: list[bytes] = []
    attributes: list[bytes] = []
    quotes = True  # whether quotes are obeyed in looking for the end of a tag; once they failed, no more
    position, end = 0, len(data)
    while position < end:
        start = data.find(b"<", position)
        if start < 0:
            texts.append(_unescape(data[position:]))
            break
        if start > position:
            texts.append(_unescape(data[position:start]))
        mark = data[start + 1 : start + 2]
        if mark == b"!":
            position, text = _declaration(data, start)
            texts.append(text)
        elif mark == b"?":
            position = _after(data, b"?>", start)
        else:
            tag = _TAG.match(data, start) if quotes else None
            quotes = quotes and tag is not None
            position = tag.end() if tag else _after(data, b">", start)
            if mark != b"/" and data.find(b"=", start, position - 1) >= 0:
                found = _ATTRIBUTE.findall(data, start, position - 1)
                attributes += [_unescape(double or single or bare) for double, single, bare in found]
        if not position:  # never closed
            texts.append(_unescape(data[start:]))
            break
    return [text for text in (text.strip(_BLANKS) for text in texts) if text], attributes


def _after(data: bytes, terminator: bytes, start: int) -> int:
    """The position after a terminator, or 0 when there is none."""
    found = data.find(terminator, start)
    return found + len(terminator) if found >= 0 else 0


def _declaration(data: bytes, start: int) -> tuple[int, bytes]:
    """What begins with ``<!``: the position after it, 0 when it is never closed, and its text.

    A comment has none, a CDATA section is one, a document type declaration has its internal subset.
    """
    if data.startswith(b"<!--", start):
        return _after(data, b"-->", start + 4), b""
    if data.startswith(b"<![CDATA[", start):
        position = _after(data, b"]]>", start + 9)
        return position, data[start + 9 : position - 3] if position else b""
    close = data.find(b">", start)
    bracket = data.find(b"[", start, close) if close >= 0 else -1
    if bracket < 0:
        return close + 1, b""
    subset = _SUBSET.match(data, bracket + 1)
    after = subset.end() if subset else _after(data, b"]", bracket)
    return (_after(data, b">", after), data[bracket + 1 : after - 1]) if after else (0, b"")


def _unescape(text: bytes) -> bytes:
    """Replace character and entity references; those that HTML does not know stay."""
    if b"&" not in text:
        return text
    try:
        return html.unescape(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    except ValueError:  # a reference of more than 4,300 digits
        return text
