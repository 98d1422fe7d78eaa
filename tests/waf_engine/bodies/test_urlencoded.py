"""The URLENCODED processor: splitting, decoding, limits; against urllib on benign input."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote_plus, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies.urlencoded import parse_urlencoded, percent_decode, process_urlencoded
from waf_engine.types import BodyContext, BodyLimits


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a=1", [(b"a", b"1")]),
        (b"a=1&b=2&a=3", [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]),
        (b"a", [(b"a", b"")]),
        (b"a=", [(b"a", b"")]),
        (b"=z", [(b"", b"z")]),
        (b"=", [(b"", b"")]),
        (b"&&a&&", [(b"a", b"")]),
        (b"a=b=c", [(b"a", b"b=c")]),
        (b"a;b=1", [(b"a;b", b"1")]),
        (b"a+b=c+d", [(b"a b", b"c d")]),
        (b"a%20b=%2B%26%3d", [(b"a b", b"+&=")]),
        (b"a=%00%fF", [(b"a", b"\x00\xff")]),
        (b"a=%25%34%31", [(b"a", b"%41")]),
    ],
)
def test_pairs(data: bytes, expected: list[tuple[bytes, bytes]]):
    assert (expected, False) == parse_urlencoded(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a=%", [(b"a", b"%")]),
        (b"a=%4", [(b"a", b"%4")]),
        (b"a=%zz", [(b"a", b"%zz")]),
        (b"a=%u0041", [(b"a", b"%u0041")]),
        (b"%=1", [(b"%", b"1")]),
        (b"a=%%41", [(b"a", b"%A")]),
        (b"a=%+1", [(b"a", b"% 1")]),
        (b"a=%4%31", [(b"a", b"%41")]),
        (b"a=% 1&b=2", [(b"a", b"% 1"), (b"b", b"2")]),
    ],
)
def test_a_bad_escape_is_kept_and_reported(data: bytes, expected: list[tuple[bytes, bytes]]):
    assert (expected, True) == parse_urlencoded(data)


def test_another_separator():
    assert parse_urlencoded(b"a=1&2;b=%2B", b";") == ([(b"a", b"1&2"), (b"b", b"+")], False)


def test_a_plus_as_separator_is_not_a_blank():
    assert parse_urlencoded(b"a=1+b=2", b"+") == ([(b"a", b"1"), (b"b", b"2")], False)
    assert parse_urlencoded(b"a=1%2Bb=2+c", b"+") == ([(b"a", b"1+b=2"), (b"c", b"")], False)


@pytest.mark.parametrize("separator", [b"&", b"^", b"]", b"\\", b"-", b"\n"])
def test_one_pair_more_than_the_limit_is_returned(separator: bytes):
    data = separator * 3 + separator.join(b"a%d=1" % i for i in range(10)) + separator

    assert [b"a%d" % i for i in range(10)] == [name for name, _ in parse_urlencoded(data, separator)[0]]
    assert [b"a%d" % i for i in range(10)] == [name for name, _ in parse_urlencoded(data, separator, 10)[0]]
    assert [b"a%d" % i for i in range(10)] == [name for name, _ in parse_urlencoded(data, separator, 9)[0]]
    assert [name for name, _ in parse_urlencoded(data, separator, 2)[0]] == [b"a0", b"a1", b"a2"]


def test_the_processor_exposes_the_body_and_flags_bad_escapes():
    result = process_urlencoded(b"a=1&b=%zz", BodyContext())

    assert result.args == [(b"a", b"1"), (b"b", b"%zz")]
    assert result.flags == {"URLENCODED_ERROR": b"1"}
    assert (result.expose_body, result.error) == (True, "")


def test_the_processor_sets_no_flag_on_a_clean_body():
    assert process_urlencoded(b"a=%41+b", BodyContext()).flags == {}


@pytest.mark.parametrize(("body", "bad"), [(b"a=%", False), (b"a=%4", False), (b"a=%z", True), (b"a=%zz&b=%", True)])
def test_an_escape_that_was_cut_is_no_error(body: bytes, bad: bool):
    assert bad == ("URLENCODED_ERROR" in process_urlencoded(body, BodyContext(truncated=True)).flags)
    assert "URLENCODED_ERROR" in process_urlencoded(body, BodyContext()).flags


def test_more_arguments_than_the_limit_are_an_error():
    context = BodyContext(limits=BodyLimits(arguments=3))

    assert not process_urlencoded(b"a&b&c", context).error
    assert not process_urlencoded(b"a&b&c&&&", context).error
    result = process_urlencoded(b"a&b&c&d", context)
    assert result.error == "more than 3 arguments"
    assert result.args == [(b"a", b""), (b"b", b""), (b"c", b"")]


@given(st.binary())
def test_percent_decode_is_unquote_to_bytes(data: bytes):
    assert unquote_to_bytes(data) == percent_decode(data)[0]


@given(st.lists(st.tuples(st.text(), st.text(min_size=1)), max_size=20))
def test_what_a_browser_sends_is_what_urllib_reads(fields: list[tuple[str, str]]):
    body = "&".join(f"{quote_plus(k, errors='replace')}={quote_plus(v, errors='replace')}" for k, v in fields)
    expected = [(k.encode(), v.encode()) for k, v in parse_qsl(body, keep_blank_values=True)]

    assert (expected, False) == parse_urlencoded(body.encode())


@given(st.lists(st.sampled_from([b"a", b"%", b"4", b"1", b"&", b"=", b"+", b";", b"\x00", b"\xff"])), st.integers(0, 5))
def test_the_limit_only_cuts(pieces: list[bytes], limit: int):
    data = b"".join(pieces)
    everything = parse_urlencoded(data)[0]

    assert everything[: limit + 1 if limit else None] == parse_urlencoded(data, b"&", limit)[0]
