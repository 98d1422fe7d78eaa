"""Rules: white space is C's isspace(); removeWhitespace adds Unicode's, where it is UTF-8; no other byte is touched."""

from __future__ import annotations

import unicodedata

import pytest

from waf_engine.transformations.whitespace import (
    compress_whitespace,
    remove_whitespace,
    trim,
    trim_left,
    trim_right,
)

BLANKS = b" \t\n\v\f\r"


def test_trimming_takes_the_blanks_of_c_and_no_other_byte():
    value = BLANKS + b"\0a b\x85\xa0" + BLANKS

    assert trim(value) == b"\0a b\x85\xa0"
    assert trim_left(value) == b"\0a b\x85\xa0" + BLANKS
    assert trim_right(value) == BLANKS + b"\0a b\x85\xa0"
    assert trim(BLANKS) == trim_left(BLANKS) == trim_right(BLANKS) == b""


@pytest.mark.parametrize(
    ("value", "compressed"),
    [
        (BLANKS, b" "),
        (b"\ta\nb", b" a b"),
        (b"a" + b" " * 1001 + b"b ", b"a b "),
        ("à  à".encode(), "à à".encode()),  # C3 A0: not to be cut at its A0
        (b"a\xc2\xa0\xa0 b\x85", b"a\xc2\xa0\xa0 b\x85"),
    ],
)
def test_compress(value: bytes, compressed: bytes):
    assert compress_whitespace(value) == compressed


def test_remove_takes_all_white_space_of_unicode():
    # Unicode's White_Space: separators, and the controls 9 to 13 and 85.
    spaces = [chr(c) for c in range(0x3001) if unicodedata.category(chr(c))[0] == "Z"]
    spaces += [chr(c) for c in (9, 10, 11, 12, 13, 0x85)]

    assert len(spaces) == 25
    assert remove_whitespace("a".join(spaces).encode()) == b"a" * 24


@pytest.mark.parametrize("value", ["à", "Å", "…", "€", "\u200b", "\u3001", "\u1681"])
def test_remove_leaves_characters_that_share_bytes_with_white_space(value: str):
    assert remove_whitespace(value.encode()) == value.encode()


def test_remove_keeps_bytes_that_are_not_utf8():
    assert remove_whitespace(b"\xa0 \xff\t\x85") == b"\xa0\xff\x85"
