"""The header lines of a part: lines, folding, the end, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies.part_headers import read_part_headers

LIMIT = 200


def test_headers_and_content():
    part = b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain \r\n\r\ncontent\r\n\r\nmore'
    headers = read_part_headers(part, LIMIT)

    assert headers.lines == [b'Content-Disposition: form-data; name="a"', b"Content-Type: text/plain"]
    assert headers.dispositions == [b'form-data; name="a"']
    assert headers.content_type == b"text/plain"
    assert part[headers.content :] == b"content\r\n\r\nmore"
    assert (headers.crlf, headers.lf, headers.doubtful, headers.error) == (True, False, False, "")


@pytest.mark.parametrize(
    ("part", "crlf", "lf"),
    [(b"A: b\r\n\r\n", True, False), (b"A: b\n\n", False, True), (b"A: b\r\n\n", True, True)],
)
def test_line_ends_are_noted(part: bytes, crlf: bool, lf: bool):
    headers = read_part_headers(part, LIMIT)

    assert (crlf, lf, len(part)) == (headers.crlf, headers.lf, headers.content)


@pytest.mark.parametrize(("blank", "invalid"), [(b" ", False), (b"\t", False), (b" \t ", False), (b"\x0b", True)])
def test_folded_headers_are_joined(blank: bytes, invalid: bool):
    headers = read_part_headers(b"A: b;\r\n" + blank + b"c\r\nD: e\r\n\r\n", LIMIT)

    assert headers.lines == [b"A: b; c", b"D: e"]
    assert (True, invalid, "") == (headers.folding, headers.invalid_folding, headers.error)


@pytest.mark.parametrize(
    ("part", "error", "content"),
    [
        (b"\r\nx", "", b"x"),
        (b"text\r\nA: b\r\n\r\nx", "a header line of a part has no colon", b"text\r\nA: b\r\n\r\nx"),
        (b": b\r\n\r\nx", "a header name of a part is empty or has an invalid character", b"x"),
        (b"\x0eA: b\r\n\r\nx", "a header name of a part is empty or has an invalid character", b"x"),
        (b" A: b\r\n\r\nx", "the headers of a part begin with a continuation line", b"x"),
        (b"A: b\r\n", "the headers of a part have no end, or are too long", b""),
        (b"A: b", "the headers of a part have no end, or are too long", b"A: b"),
        (b"A: " + b"b" * LIMIT + b"\r\n\r\nx", "the headers of a part have no end, or are too long", None),
        (b"A:\r\n" * 101 + b"\r\nx", "the headers of a part have no end, or are too long", None),
    ],
)
def test_errors(part: bytes, error: str, content: bytes | None):
    headers = read_part_headers(part, LIMIT)

    assert (error, error != "") == (headers.error, headers.doubtful)
    assert part.endswith(part[headers.content :] if content is None else content)
    if content is not None:
        assert content == part[headers.content :]


def test_a_blank_in_a_header_name_makes_the_part_doubtful_but_is_no_error():
    """Go takes it for another header."""
    headers = read_part_headers(b"Content-Disposition : form-data\r\n\r\n", LIMIT)

    assert (headers.doubtful, headers.error, headers.dispositions) == (True, "", [b"form-data"])


def test_what_was_cut_is_no_error():
    headers = read_part_headers(b"A: b\r\nConte", LIMIT, cut=True)

    assert (headers.lines, headers.error, headers.doubtful) == ([b"A: b"], "", False)


@given(st.lists(st.sampled_from([b"A", b":", b" ", b"\r", b"\n", b"\r\n", b"\x00", b"\xff"])).map(b"".join))
def test_every_byte_is_in_a_line_or_in_the_content(part: bytes):
    headers = read_part_headers(part, LIMIT)
    seen = b"".join(headers.lines) + part[headers.content :]

    assert part.count(b"A") <= seen.count(b"A")
    assert part.count(b"\xff") <= seen.count(b"\xff")
