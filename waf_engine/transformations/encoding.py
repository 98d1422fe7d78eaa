"""Transformations of encodings: URL, base64, hexadecimal, UTF-8.

Escapes with a backslash and HTML entities are in `escapes`. Sources: ModSecurity v3 reference manual, "Transformation
functions"; Coraza's issues 1649 (best fit), 1651 and 1661 (base64DecodeExt).
"""

from __future__ import annotations

import binascii
import codecs
import re
import string

from waf_engine.transformations._best_fit import BEST_FIT
from waf_engine.transformations._registry import LOWER_X, PERCENT, UPPER_X, transformations, triggered_by

_HEX_DIGITS = string.hexdigits.encode()
HEX_PAIRS = {bytes((high, low)): bytes((int(chr(high) + chr(low), 16),)) for high in _HEX_DIGITS for low in _HEX_DIGITS}
"""Each spelling of a byte in two hexadecimal digits."""

_BASE64 = (string.ascii_letters + string.digits + "+/").encode()
_NOT_BASE64 = bytes(byte for byte in range(256) if byte not in _BASE64)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_NOT_BASE64_NOR_URL_SAFE = bytes(byte for byte in _NOT_BASE64 if byte not in b"-_")

_URL_UNCHANGED = (string.ascii_letters + string.digits + "*").encode()
_URL_ENCODED = tuple(
    bytes((byte,)) if byte in _URL_UNCHANGED else b"+" if byte == 0x20 else b"%%%02x" % byte for byte in range(256)
)

_SQL_HEX = re.compile(rb"0[xX]((?:[0-9a-fA-F]{2})+)")
_UTF8_LEADS = range(0xC2, 0xF5)
_ASCII = bytes(range(0x80))
_FEW = 8  # up to about so many characters a pass over the value for each is quicker than a step for each character
# The alphabets of two bytes in UTF-8 (Latin, Greek, Cyrillic, Hebrew, Arabic): texts, not exceptions.
_ALPHABETS = {code: f"%u{code:04x}" for code in range(0x80, 0x800)}


@transformations.register("urlDecode")
@triggered_by(b"%+")
def url_decode(value: bytes) -> bytes:
    """Decode ``%XX`` and ``+``; a percent sign without two hexadecimal digits stays.

    Example: t:urlDecode turns ``a%20b+c%zz`` into ``a b c%zz``
    """
    value = value.replace(b"+", b" ")
    if PERCENT not in value:
        return value
    pieces = value.split(b"%")
    get = HEX_PAIRS.get
    decoded = pieces[0] + b"".join(
        [b"%" + piece if (byte := get(piece[:2])) is None else byte + piece[2:] for piece in pieces[1:]]
    )
    return value if len(decoded) == len(value) else decoded


@transformations.register("urlDecodeUni")
@triggered_by(b"%+")
def url_decode_uni(value: bytes) -> bytes:
    """Decode ``%XX`` and ``+`` as urlDecode does, and ``%uXXXX`` to one byte.

    The byte is the best fit in ASCII of the character (as IIS took it), else its low byte.

    Example: t:urlDecodeUni turns ``%41+%u0042%u2019%uFF1C`` into ``A B'<``
    """
    value = value.replace(b"+", b" ")
    if PERCENT not in value:
        return value
    pieces = value.split(b"%")
    out = [pieces[0]]
    for piece in pieces[1:]:
        byte = HEX_PAIRS.get(piece[:2])
        if byte is not None:
            out.append(byte + piece[2:])
            continue
        if piece.startswith((b"u", b"U")):
            high, low = HEX_PAIRS.get(piece[1:3]), HEX_PAIRS.get(piece[3:5])
            if high is not None and low is not None:
                out.append(BEST_FIT.get(high + low, low) + piece[5:])
                continue
        out.append(b"%" + piece)
    decoded = b"".join(out)
    return value if len(decoded) == len(value) else decoded


@transformations.register("urlEncode")
@triggered_by(byte for byte in range(256) if byte not in _URL_UNCHANGED)
def url_encode(value: bytes) -> bytes:
    """Encode all but letters, digits and ``*``: a space as ``+``, another byte as ``%xx`` in lower case.

    Example: t:urlEncode turns ``a b/c`` into ``a+b%2fc``
    """
    if not value.translate(None, _URL_UNCHANGED):
        return value
    return b"".join(map(_URL_ENCODED.__getitem__, value))


def _from_base64(digits: bytes) -> bytes:
    """Decode base64 digits without padding; a last digit that makes no byte is dropped."""
    extra = len(digits) % 4
    if extra == 1:
        digits = digits[:-1]
    elif extra:
        digits += b"=="[extra - 2 :]
    return binascii.a2b_base64(digits)


@transformations.register("base64Decode")
def base64_decode(value: bytes) -> bytes:
    """Decode base64 as far as it goes: up to the first byte that is no base64 digit. Line breaks are skipped.

    Padding may be absent. (ModSecurity leaves the whole value alone if a part of it is not base64.)

    Example: t:base64Decode turns ``SGVsbG8=`` into ``Hello``
    """
    digits = value.translate(None, b"\r\n")
    others = digits.translate(None, _BASE64)
    if others:
        digits = digits[: digits.index(others[:1])]
    return _from_base64(digits)


@transformations.register("base64DecodeExt")
def base64_decode_ext(value: bytes) -> bytes:
    """Decode base64 forgivingly: all that is no base64 digit is skipped, ``-`` and ``_`` are read as ``+`` and ``/``.

    Example: t:base64DecodeExt turns ``P.HNj cml!wdD4=`` into ``<script>``
    """
    return _from_base64(value.translate(_URL_SAFE, _NOT_BASE64_NOR_URL_SAFE))


@transformations.register("base64Encode")
def base64_encode(value: bytes) -> bytes:
    """Encode in base64, with padding, in one line.

    Example: t:base64Encode turns ``Hello`` into ``SGVsbG8=``
    """
    return binascii.b2a_base64(value, newline=False)


@transformations.register("hexDecode")
@triggered_by(_HEX_DIGITS)
def hex_decode(value: bytes) -> bytes:
    """Decode pairs of hexadecimal digits, up to the first byte that is no digit; a digit left over is dropped.

    A value that does not start with a pair is returned as it is.

    Example: t:hexDecode turns ``48656c6c6f!`` into ``Hello``
    """
    others = value.translate(None, _HEX_DIGITS)
    end = value.index(others[:1]) if others else len(value)
    return binascii.a2b_hex(value[: end & ~1]) if end >= 2 else value


@transformations.register("hexEncode")
def hex_encode(value: bytes) -> bytes:
    """Write each byte as two hexadecimal digits, in lower case.

    Example: t:hexEncode turns ``Hello`` into ``48656c6c6f``
    """
    return binascii.b2a_hex(value)


@transformations.register("sqlHexDecode")
@triggered_by(b"xX")
def sql_hex_decode(value: bytes) -> bytes:
    """Decode the hexadecimal literals of SQL, wherever they stand; a digit left over stays.

    Example: t:sqlHexDecode turns ``name=0x414243`` into ``name=ABC``
    """
    if LOWER_X not in value and UPPER_X not in value:
        return value
    decoded = _SQL_HEX.sub(lambda match: binascii.a2b_hex(match[1]), value)
    return value if len(decoded) == len(value) else decoded


@transformations.register("utf8toUnicode")
@triggered_by(_UTF8_LEADS)
def utf8_to_unicode(value: bytes) -> bytes:
    """Write each character beyond ASCII as ``%uxxxx``, at least four digits in lower case; bytes not UTF-8 stay.

    Example: t:utf8toUnicode turns ``a €`` into ``a %u20ac``
    """
    if value.isascii():
        return value
    # A lead byte always starts a character, so in bytes, too, a character stands only where it is meant.
    distinct = set(value.translate(None, _ASCII).decode("utf-8", "ignore"))
    if len(distinct) <= _FEW:
        for char in distinct:
            value = value.replace(char.encode(), b"%%u%04x" % ord(char))
        return value
    return value.decode("utf-8", "surrogateescape").translate(_ALPHABETS).encode("ascii", _PERCENT_U)


_PERCENT_U = "waf_engine.percent_u"


def _percent_u(error: UnicodeError) -> tuple[bytes, int]:
    """Encode a run of characters beyond ASCII; the handler of `utf8_to_unicode`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    run = error.object[error.start : error.end]
    try:
        units = run.encode("utf-16-be")
    except UnicodeEncodeError:  # an escaped byte is in it
        units = b""
    if len(units) == 2 * len(run):  # one unit a character: no loop over them is needed
        return b"%u" + units.hex(".", 2).encode().replace(b".", b"%u"), error.end
    # A byte that is not UTF-8 was decoded to a code point of DC80 to DCFF.
    codes = [b"%c" % (code - 0xDC00) if 0xDC80 <= code <= 0xDCFF else b"%%u%04x" % code for code in map(ord, run)]
    return b"".join(codes), error.end


codecs.register_error(_PERCENT_U, _percent_u)
