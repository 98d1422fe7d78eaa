"""Rules: each language's own; a truncated escape is text; numbers too large are U+FFFD, as browsers show them."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.transformations.escapes import css_decode, escape_seq_decode, html_entity_decode, js_decode


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (rb"\u0041\x42\103\n", b"ABC\n"),
        (rb"\uFF1c\uff00\uff5F", b"<\0\x5f"),  # full width, and what is just beside it
        (rb"\u2019", b"\x19"),
        (rb"\u004", b"u004"),
        (rb"\u+041", b"u+041"),
        (rb"\x4", b"x4"),
        (rb"\X41\U0041", b"X41U0041"),
        (rb"\377\400\477\8", b"\xff\x200\x2778"),
        (rb"\1\12\1234", b"\x01\nS4"),
        (rb"\a\b\f\r\t\v\'\/", b"\a\b\f\r\t\v'/"),
        (b"a\\", b"a\\"),
        (b"\\\\", b"\\"),
        (b"\\\\\\", b"\\\\"),
        (rb"\\u0041", rb"\u0041"),
        (b"\\\0\\\xff", b"\0\xff"),
    ],
)
def test_js_decode(value: bytes, decoded: bytes):
    assert js_decode(value) == decoded


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (rb"\x41\X42\103", b"ABC"),
        (rb"\666\400", b"\xb6\0"),
        (rb"\8\9\xag\xga\0123", b"89xagxga\n3"),
        (rb"\u0041\e", b"u0041e"),
        (rb"\x4", b"x4"),
        (b"a\\", b"a\\"),
        (rb"\\n", rb"\n"),
        (b"\\\0", b"\0"),
    ],
)
def test_escape_seq_decode(value: bytes, decoded: bytes):
    assert escape_seq_decode(value) == decoded


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (rb"\61 b\000063\64  e", b"abcd e"),
        (rb"\0000611", b"a1"),
        (rb"caf\e9", "café".encode()),
        (rb"\12345\1F600", "\U00012345\N{GRINNING FACE}".encode()),
        (rb"\0\d800\110000\ffffff", "\ufffd".encode() * 4),
        (rb"\ff1c\ff5e\ff5f", b"<~" + "\uff5f".encode()),
        (b"\\61\r\nb", b"a\nb"),  # one blank after the digits goes
        (b"a\\\r\nb\\\nc\\\rd\\\fe", b"abcde"),
        (b"a\rb\fc\\x", b"a\rb\fcx"),
        (rb"\g\\61", rb"g\61"),
        (b"a\\", b"a"),
        (b"\\\\\\", b"\\"),
        (b"\\\0\\\xff", b"\0\xff"),
        (b"a\\\x19b", b"a\x19b"),
        (b"\\41\x19b", b"A\x19b"),
    ],
)
def test_css_decode(value: bytes, decoded: bytes):
    assert css_decode(value) == decoded


@given(st.lists(st.sampled_from(["\\", "n", "x41", "1", "u0041", "z", "é"])).map("".join))
def test_no_escape_that_stands_for_itself_is_lost(text: str):
    """Doubled backslashes come back single, whatever is between them."""
    doubled = text.replace("\\", "\\\\").encode()

    assert js_decode(doubled) == escape_seq_decode(doubled) == css_decode(doubled) == text.encode()


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b"&lt;&lt&LT;&amp;lt;", b"<<<&lt;"),
        (b"&Lt;", "≪".encode()),  # names have case
        (b"&Quot;", b"&Quot;"),
        (b"&quotx&ampamp;", b'"x&amp;'),
        (b"&notit;", "¬it;".encode()),
        (b"&notin;", "∉".encode()),
        (b"&NotEqualTilde;", "≂̸".encode()),  # two code points
        (b"&CounterClockwiseContourIntegral;", "∳".encode()),  # the longest name
        (b"&nbsp;&eacute", b"\xc2\xa0\xc3\xa9"),
        (b"&l&t;&", b"&l&t;&"),
        (b"&;& ;&\0;", b"&;& ;&\0;"),
        (b"&#65;&#65&#x41;&#X41g", b"AAAAg"),
        (b"&#9a&#9", b"\ta\t"),  # Go leaves a single digit without its semicolon
        (b"&#;&#x;&#xg;&#-1;&#+1;&# 1;&#1_0;", b"&#;&#x;&#xg;&#-1;&#+1;&# 1;\x01_0;"),
        (b"&#0;&#xD800;&#x110000;&#99999999999;", "\ufffd".encode() * 4),
        (b"&#x100000041;", "\ufffd".encode()),
        (b"&#0000000000000000065;", b"A"),
        (b"&#128;&#x99;&#x81;", "€™\x81".encode()),
        (b"&#x1F600;", "\N{GRINNING FACE}".encode()),
        (b"\xff&lt;\xfe", b"\xff<\xfe"),
    ],
)
def test_html_entity_decode(value: bytes, decoded: bytes):
    assert html_entity_decode(value) == decoded


def test_a_number_of_a_million_digits_is_cheap():
    assert html_entity_decode(b"&#" + b"9" * 1_000_000) == "\ufffd".encode()
    assert html_entity_decode(b"&#x" + b"0" * 1_000_000 + b"41;") == b"A"


@given(
    st.lists(
        st.sampled_from(
            ["&", "&#65", "&#x41", "&#8364", ";", "lt", "amp", "not", "in", "notin", "NotEqual", "z", "é", " "]
        )
    ).map("".join)
)
def test_html_entity_decode_against_python(text: str):
    assert html_entity_decode(text.encode()) == html.unescape(text).encode()
