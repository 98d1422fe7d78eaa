"""Names, lines, newline forms, byte order marks and bounds of source texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine import source
from waf_engine.diagnostics import ArgumentError
from waf_engine.source import SourceFile


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ("",)),
        ("a", ("a",)),
        ("a\nb\n", ("a", "b", "")),
        ("a\r\nb\r\n", ("a", "b", "")),
        ("a\nb\r\nc", ("a", "b", "c")),
        ("a\rb", ("a", "b")),
        ("a\rb\nc", ("a\rb", "c")),
        ("a\x0b\x0c\x1c\x85\u2028b\n", ("a\x0b\x0c\x1c\x85\u2028b", "")),
        ("\ufeffa\nb", ("a", "b")),
        ("a\ufeff", ("a\ufeff",)),
    ],
)
def test_lines(text: str, lines: tuple[str, ...]):
    assert SourceFile("f", text).lines == lines


def test_a_byte_order_mark_is_dropped():
    assert SourceFile.from_bytes("f", b"\xef\xbb\xbfSecMarker A").text == "SecMarker A"


@given(st.binary(max_size=60).filter(lambda b: not b.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))))
def test_every_byte_survives(content: bytes):
    assert SourceFile.from_bytes("f", content).text.encode("utf-8", "surrogateescape") == content


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(codec: str):
    with pytest.raises(ArgumentError, match="UTF-16") as caught:
        SourceFile.from_bytes("f", "\ufeffSecMarker A".encode(codec))

    assert (caught.value.code, caught.value.hint) == ("not-utf-8", "save the file as UTF-8")


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "MAX_SOURCE_BYTES", 10)

    assert SourceFile.from_bytes("f", b"0123456789").text == "0123456789"
    with pytest.raises(ArgumentError, match="f has 11 bytes, at most 10 are read") as caught:
        SourceFile.from_bytes("f", b"0123456789a")
    assert caught.value.code == "file-too-large"


def test_equality_is_by_name_and_text():
    assert SourceFile("f", "a") == SourceFile("f", "a")
    assert SourceFile("f", "a") != SourceFile("g", "a")
