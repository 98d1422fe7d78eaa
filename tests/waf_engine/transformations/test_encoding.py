"""Rules: what is no valid escape stays; decoders of whole values give what they can; no byte is ever replaced."""

from __future__ import annotations

import base64
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.transformations.encoding import (
    base64_decode,
    base64_decode_ext,
    base64_encode,
    hex_decode,
    hex_encode,
    sql_hex_decode,
    url_decode,
    url_decode_uni,
    url_encode,
    utf8_to_unicode,
)

ALL = bytes(range(256))
escapes = st.lists(st.sampled_from([b"%", b"%4", b"%41", b"%fF", b"%zz", b"%2b", b"+", b"u", b"\xff", b"0", b"\0"]))


@given(escapes.map(b"".join))
def test_url_decode_against_urllib(value: bytes):
    assert url_decode(value) == urllib.parse.unquote_to_bytes(value.replace(b"+", b" "))


@given(escapes.map(b"".join))
def test_without_u_both_url_decoders_agree(value: bytes):
    value = value.replace(b"u", b"")

    assert url_decode_uni(value) == url_decode(value)


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b"%u0041%U0042", b"AB"),
        (b"%u0141", b"L"),  # best fit
        (b"%u2019%uff07", b"''"),
        (b"%uff1f%uFF5E", b"?~"),
        (b"%u1141", b"A"),  # no best fit: low byte
        (b"%u00ff%u00f0", b"y\xf0"),
        (b"%u004", b"%u004"),
        (b"%u", b"%u"),
        (b"%u%u0041", b"%uA"),
        (b"%u00%41", b"%u00A"),
        (b"%u004g", b"%u004g"),
        (b"%u+041", b"%u 041"),
        (b"%2541", b"%41"),  # once
        (b"a%", b"a%"),
        (b"%", b"%"),
    ],
)
def test_url_decode_uni(value: bytes, decoded: bytes):
    assert url_decode_uni(value) == decoded


def test_url_decode_knows_no_u():
    assert url_decode(b"%u0041%4") == b"%u0041%4"


def test_url_encode_and_back():
    encoded = url_encode(ALL)

    assert url_decode(encoded) == ALL
    assert encoded.startswith(b"%00%01")
    assert url_encode(b"AZaz09*") == b"AZaz09*"
    assert url_encode(b" -._~") == b"+%2d%2e%5f%7e"


@given(st.binary())
def test_base64_and_back(value: bytes):
    encoded = base64_encode(value)

    assert encoded == base64.b64encode(value)
    for spelling in (encoded, encoded.rstrip(b"="), base64.encodebytes(value)):
        assert base64_decode(spelling) == base64_decode_ext(spelling) == value
    assert base64_decode_ext(base64.urlsafe_b64encode(value)) == value


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b"QUJD!QUJD", b"ABC"),
        (b"QUJD QUJD", b"ABC"),
        (b"QQ==QUJD", b"A"),
        (b"QU\r\nJD", b"ABC"),
        (b"QUJDQ", b"ABC"),
        (b"QUI", b"AB"),
        (b"Q", b""),
        (b"<script>", b""),
        (b"\xffQUJD", b""),
        (b"-_-_", b""),
    ],
)
def test_base64_decode_goes_as_far_as_it_can(value: bytes, decoded: bytes):
    assert base64_decode(value) == decoded


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b"PHN!jcm\xff lwdD4", b"<script>"),
        (b"PHNjcmlwdD4=PHNjcmlwdD4=", b"<script>\x0f\x1c\xd8\xdc\x9a\\\x1d\x0f"),
        (b"-_-_", b"\xfb\xff\xbf"),
        (b"!!!!", b""),
        (b"Q", b""),
    ],
)
def test_base64_decode_ext_skips(value: bytes, decoded: bytes):
    assert base64_decode_ext(value) == decoded


@given(st.binary())
def test_hex_and_back(value: bytes):
    assert hex_encode(value) == value.hex().encode()
    assert hex_decode(hex_encode(value)) == hex_decode(hex_encode(value).upper()) == value


@pytest.mark.parametrize(
    ("value", "decoded"),
    [(b"4142G", b"AB"), (b"41425", b"AB"), (b"41zz42", b"A"), (b"zz", b"zz"), (b"4", b"4"), (b"4z", b"4z")],
)
def test_hex_decode_goes_as_far_as_it_can(value: bytes, decoded: bytes):
    assert hex_decode(value) == decoded


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b"a 0X41420 b", b"a AB0 b"),
        (b"0x4100", b"A\0"),
        (b"00x41", b"0A"),
        (b"0x4", b"0x4"),
        (b"0x", b"0x"),
        (b"0x0x41", b"0xA"),
        (b"x41", b"x41"),
    ],
)
def test_sql_hex_decode(value: bytes, decoded: bytes):
    assert sql_hex_decode(value) == decoded


@pytest.mark.parametrize(
    ("value", "unicode"),
    [
        ("é€".encode(), b"%u00e9%u20ac"),
        ("日本 語!".encode(), b"%u65e5%u672c %u8a9e!"),
        ("a😀é".encode(), b"a%u1f600%u00e9"),
        (b"\xff", b"\xff"),
        (b"\xc3\xa9\xff\xc3", b"%u00e9\xff\xc3"),
        (b"\xc0\xaf", b"\xc0\xaf"),  # overlong: not UTF-8
        (b"\xed\xa0\x80", b"\xed\xa0\x80"),  # a surrogate: not UTF-8
        ("\udb80\udc80".encode("utf-16", "surrogatepass").decode("utf-16").encode(), b"%uf0080"),
        (b"a\0b", b"a\0b"),
    ],
)
def test_utf8_to_unicode(value: bytes, unicode: bytes):
    assert utf8_to_unicode(value) == unicode


def test_utf8_to_unicode_of_many_different_characters():
    """The path for texts: alphabets of two bytes, others by runs, those beyond the BMP and bytes not UTF-8 apart."""
    alphabets, ideographs, beyond = map(range, (0x80, 0x4E00, 0x1F600), (0x800, 0x4E80, 0x1F610))
    text = " ".join("".join(map(chr, codes)) for codes in (alphabets, ideographs, beyond))
    expected = b" ".join(b"".join(b"%%u%04x" % code for code in codes) for codes in (alphabets, ideographs, beyond))

    assert utf8_to_unicode(text.encode()) == expected
    assert utf8_to_unicode(b"\xff" + text.encode() + b"\xc3") == b"\xff" + expected + b"\xc3"


@given(st.text())
def test_utf8_to_unicode_of_any_text(text: str):
    expected = "".join(char if char.isascii() else f"%u{ord(char):04x}" for char in text)

    assert utf8_to_unicode(text.encode()) == expected.encode()


@given(st.lists(st.one_of(st.text(max_size=3).map(str.encode), st.binary(max_size=3))).map(b"".join))
def test_utf8_to_unicode_keeps_what_is_not_utf8(value: bytes):
    text = value.decode("utf-8", "surrogateescape")
    expected = b"".join(
        char.encode("utf-8", "surrogateescape")
        if char.isascii() or "\udc80" <= char <= "\udcff"
        else b"%%u%04x" % ord(char)
        for char in text
    )

    assert utf8_to_unicode(value) == expected
