"""Transformations of escapes in source texts: JavaScript, CSS, ANSI C, HTML.

Sources: ModSecurity v3 reference manual, "Transformation functions"; CSS Syntax, section 4.3.7 (Coraza's issue 1654);
the HTML standard, section 13.2.5.72 on character references.
"""

from __future__ import annotations

import html.entities
import string
from typing import TYPE_CHECKING

from waf_engine.transformations._registry import AMPERSAND, BACKSLASH, transformations, triggered_by
from waf_engine.transformations.encoding import HEX_PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable

_DIGITS = string.digits.encode()
_HEX_DIGITS = string.hexdigits.encode()
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()

_CONTROLS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_FULL_WIDTH = {bytes((low,)): bytes((low + 0x20,)) for low in range(0x01, 0x5F)}
_OCTAL = {b"%0*o" % (digits, number): bytes((number & 0xFF,)) for digits in (3, 2, 1) for number in range(8**digits)}
_OCTAL_OF_A_BYTE = {text: byte for text, byte in _OCTAL.items() if int(text, 8) <= 0xFF}


def _unescape(value: bytes, decode: Callable[[bytes], bytes], lone: bytes) -> bytes:
    """Decode what stands after each backslash; two of them make one.

    Args:
        value: the value, with a backslash in it.
        decode: given what follows a backslash, up to the next one, gives what replaces both; never given nothing.
        lone: what becomes of a backslash at the end of the value.
    """
    pieces = value.split(b"\\")
    out = [pieces[0]]
    is_literal = False
    for piece in pieces[1:-1]:
        if is_literal:
            out.append(piece)
            is_literal = False
        elif piece:
            out.append(decode(piece))
        else:
            out.append(b"\\")
            is_literal = True
    piece = pieces[-1]
    out.append(piece if is_literal else decode(piece) if piece else lone)
    decoded = b"".join(out)
    return value if decoded == value else decoded


def _from_octal(piece: bytes, table: dict[bytes, bytes]) -> bytes:
    """Decode one to three octal digits, as many as the table has."""
    for size in (3, 2, 1):
        digits = piece[:size]
        byte = table.get(digits)
        if byte is not None:
            return byte + piece[len(digits) :]
    return piece


@transformations.register("jsDecode")
@triggered_by(b"\\")
def js_decode(value: bytes) -> bytes:
    r"""Decode JavaScript's escapes: ``\uHHHH`` (its low byte, full width forms as ASCII), ``\xHH``, octal, ``\n``.

    Octal is at most 377, so three digits above are read as two. Another character loses its backslash; a backslash at
    the end stays.

    Example: t:jsDecode turns ``\u0041\u{42}\101\'`` into ``Au{42}A'``
    """
    return _unescape(value, _from_js, b"\\") if BACKSLASH in value else value


def _from_js(piece: bytes) -> bytes:
    first = piece[:1]
    if first == b"u":
        high, low = HEX_PAIRS.get(piece[1:3]), HEX_PAIRS.get(piece[3:5])
        if high is not None and low is not None:
            return (_FULL_WIDTH.get(low, low) if high == b"\xff" else low) + piece[5:]
        return piece
    if first == b"x":
        byte = HEX_PAIRS.get(piece[1:3])
        return piece if byte is None else byte + piece[3:]
    control = _CONTROLS.get(first)
    return _from_octal(piece, _OCTAL_OF_A_BYTE) if control is None else control + piece[1:]


@transformations.register("escapeSeqDecode")
@triggered_by(b"\\")
def escape_seq_decode(value: bytes) -> bytes:
    r"""Decode the escapes of ANSI C: ``\n``, ``\xHH``, octal (its low byte).

    Another character loses its backslash; a backslash at the end stays.

    Example: t:escapeSeqDecode turns ``\101\102\t\e\?`` into ``AB\x09e?``
    """
    return _unescape(value, _from_c, b"\\") if BACKSLASH in value else value


def _from_c(piece: bytes) -> bytes:
    if piece.startswith((b"x", b"X")):
        byte = HEX_PAIRS.get(piece[1:3])
        return piece if byte is None else byte + piece[3:]
    control = _CONTROLS.get(piece[:1])
    return _from_octal(piece, _OCTAL) if control is None else control + piece[1:]


@transformations.register("cssDecode")
@triggered_by(b"\\")
def css_decode(value: bytes) -> bytes:
    r"""Decode CSS escapes: one to six hexadecimal digits and a blank after them are one character, in UTF-8.

    Full width forms become ASCII; what is no character becomes U+FFFD. A line break after a backslash goes with it,
    and so does a backslash at the end; another character loses its backslash.

    Example: t:cssDecode turns ``j\61 vascript\3A\(\0000e9`` into ``javascript:(é``
    """
    return _unescape(value, _from_css, b"") if BACKSLASH in value else value


def _from_css(piece: bytes) -> bytes:
    head = piece[:6]
    digits = head[: len(head) - len(head.lstrip(_HEX_DIGITS))]
    if digits:
        rest = piece[len(digits) :]
        code = int(digits, 16)
        if 0xFF01 <= code <= 0xFF5E:
            code -= 0xFEE0
        return _character(code) + (rest[1:] if rest[:1].isspace() else rest)
    if piece.startswith(b"\r\n"):
        return piece[2:]
    return piece[1:] if piece.startswith((b"\n", b"\f", b"\r")) else piece


def _character(code: int) -> bytes:
    """A code point in UTF-8; U+FFFD for zero, surrogates and numbers above Unicode."""
    if 0 < code < 0xD800 or 0xDFFF < code <= 0x10FFFF:
        return chr(code).encode()
    return _REPLACEMENT


# Names as they stand after the ampersand, most with their semicolon; those of HTML 2 to 4 do without.
_ENTITIES = {name.encode(): text.encode() for name, text in html.entities.html5.items()}
_LONGEST_ENTITY = max(map(len, _ENTITIES))
_OPEN_ENTITIES = {name: text for name, text in _ENTITIES.items() if not name.endswith(b";")}
_OPEN_ENTITY_STARTS = {name[:2] for name in _OPEN_ENTITIES}
_OPEN_ENTITY_SIZES = sorted({len(name) for name in _OPEN_ENTITIES}, reverse=True)

# Browsers read the numbers 128 to 159 as Windows-1252.
_WINDOWS_1252 = {
    code: bytes((code,)).decode("cp1252", "replace").encode()
    for code in range(0x80, 0xA0)
    if code not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}


@transformations.register("htmlEntityDecode")
@triggered_by(b"&")
def html_entity_decode(value: bytes) -> bytes:
    """Decode character references as a browser does, to UTF-8: numbers, and all names of HTML.

    Numbers and the names of HTML 4 need no semicolon.

    Example: t:htmlEntityDecode turns ``&#x41;&#66&lt;b&gt;&eacute;&bogus;`` into ``AB<b>é&bogus;``
    """
    if AMPERSAND not in value:
        return value
    pieces = value.split(b"&")
    out = [pieces[0]]
    for piece in pieces[1:]:
        if piece.startswith(b"#"):
            out.append(_from_number(piece))
            continue
        end = piece.find(b";", 0, _LONGEST_ENTITY) + 1
        text = _ENTITIES.get(piece[:end]) if end else None
        if text is not None:
            out.append(text + piece[end:])
        elif piece:
            out.append(_from_open_name(piece))
        else:
            out.append(b"&")
    decoded = b"".join(out)
    return value if decoded == value else decoded


def _from_open_name(piece: bytes) -> bytes:
    """Decode the longest name without a semicolon at the start of a piece."""
    if piece[:2] not in _OPEN_ENTITY_STARTS:  # mostly it is the next argument of a query
        return b"&" + piece
    for size in _OPEN_ENTITY_SIZES:
        text = _OPEN_ENTITIES.get(piece[:size])
        if text is not None:
            return text + piece[len(piece[:size]) :]
    return b"&" + piece


def _from_number(piece: bytes) -> bytes:
    """Decode a piece that starts with ``#``."""
    is_hex = piece[1:2] in {b"x", b"X"}
    start = 2 if is_hex else 1
    after = piece[start:].lstrip(_HEX_DIGITS if is_hex else _DIGITS)
    digits = piece[start : len(piece) - len(after)]
    if not digits:
        return b"&" + piece
    # Eight digits are above Unicode in either base; more would make int() slow.
    code = int(digits.lstrip(b"0")[:8] or b"0", 16 if is_hex else 10)
    return (_WINDOWS_1252.get(code) or _character(code)) + after.removeprefix(b";")
