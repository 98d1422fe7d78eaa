"""Rules: only ASCII has case; parity counts eight bits; cmdLine as ModSecurity's manual lists it."""

from __future__ import annotations

import pytest

from waf_engine.transformations.text import (
    cmd_line,
    length,
    lowercase,
    parity_even_7bit,
    parity_odd_7bit,
    parity_zero_7bit,
    remove_nulls,
    replace_nulls,
    uppercase,
)

ALL = bytes(range(256))


def test_case_is_that_of_ascii_and_other_bytes_stay():
    assert lowercase(ALL) == ALL.lower()
    assert uppercase(ALL) == ALL.upper()
    assert lowercase("ÉÀ".encode() + b"\xc9A") == "ÉÀ".encode() + b"\xc9a"


def test_nulls():
    assert remove_nulls(b"\0a\0\0b\0") == b"ab"
    assert replace_nulls(b"\0a\0\0b\0") == b" a  b "


def test_length_counts_bytes():
    assert length(b"") == b"0"
    assert length("ñ".encode() * 5000) == b"10000"


def test_parity_of_seven_bit_characters():
    even, odd = parity_even_7bit(ALL), parity_odd_7bit(ALL)

    assert all(byte.bit_count() % 2 == 0 for byte in even[:128])
    assert all(byte.bit_count() % 2 == 1 for byte in odd[:128])
    assert parity_zero_7bit(even) == parity_zero_7bit(odd) == parity_zero_7bit(ALL) == ALL[:128] * 2


def test_parity_counts_the_high_bit_of_what_comes_in():
    assert parity_even_7bit(b"\x80\x81") == b"\x80\x01"
    assert parity_odd_7bit(b"\x80\x81") == b"\x00\x81"


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        (b"c^a\"t' \\/etc/pass\\wd", b"cat/etc/passwd"),
        (b"ls;;,,  -la", b"ls -la"),
        (b"a ^ b", b"a b"),  # what is deleted does not part a run of spaces
        (b"f (x)  ( y", b"f(x)( y"),
        (b"  /bin/sh ", b"/bin/sh "),
        (b"a\v\fb", b"a\v\fb"),  # vertical tab and form feed are not blanks to it
        (b"\xc9 \xe9", b"\xc9 \xe9"),
        (b"'\"^\\", b""),
    ],
)
def test_cmd_line(line: bytes, plain: bytes):
    assert cmd_line(line) == plain
