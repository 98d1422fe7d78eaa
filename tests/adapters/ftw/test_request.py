"""Requests byte for byte as go-ftw builds them."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ftw.model import Input
from adapters.ftw.request import build_request, encode_form

FORM = b"Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (Input(), b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
        (Input(autocomplete=False), b"GET / HTTP/1.1\r\n\r\n"),
        (Input(method="POST"), b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (Input(method="DELETE"), b"DELETE / HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (Input(method="OPTIONS"), b"OPTIONS / HTTP/1.1\r\nConnection: close\r\n\r\n"),
        # the pattern of go-ftw has its anchors at the outer words only
        (Input(method="POSTER"), b"POSTER / HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (
            Input(method="POST", data=b"a=b c", headers=(("Host", "h"),)),
            b"POST / HTTP/1.1\r\nHost: h\r\n%s\r\nConnection: close\r\nContent-Length: 5\r\n\r\na=b+c" % FORM,
        ),
        (
            Input(data=b"<a>", headers=(("content-type", "text/xml"), ("connection", "x"), ("content-length", "9"))),
            b"GET / HTTP/1.1\r\ncontent-type: text/xml\r\nconnection: x\r\ncontent-length: 9\r\n\r\n<a>",
        ),
        (
            Input(data=b"a\nb", autocomplete=False, headers=(("Content-Type", "Multipart/form-data; boundary=x"),)),
            b"GET / HTTP/1.1\r\nContent-Type: Multipart/form-data; boundary=x\r\n\r\na\r\nb",
        ),
        (Input(version="", autocomplete=False), b"GET / \r\n\r\n"),
        (Input(raw=b"\x00anything", data=b"x"), b"\x00anything"),
        (
            Input(headers=(("X", "\xe9\ud800"),), autocomplete=False),
            b"GET / HTTP/1.1\r\nX: \xc3\xa9\xed\xa0\x80\r\n\r\n",
        ),
    ],
)
def test_requests(stage: Input, expected: bytes):
    assert build_request(stage, stage.uris[0]) == expected


def test_headers_of_earlier_stages_are_added():
    assert build_request(Input(autocomplete=False), "/x", [("Cookie", "a=1")]) == (
        b"GET /x HTTP/1.1\r\nCookie: a=1\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a=b", b"a=b"),
        (b"a=<b>&c=/d", b"a=%3Cb%3E&c=%2Fd"),
        (b"a=b=c", b"a=b%3Dc"),
        (b"a&b", b"a&b"),
        (b"a&", b"a"),
        (b"a=\xff", b"a=%FF"),
        (b"a=%41 ", b"a=%41 "),
        (b"a=+ ", b"a=+ "),
        (b"a=100% <", b"a=100% <"),
        (b"a=%4", b"a=%4"),
    ],
)
def test_forms_are_encoded_unless_something_in_them_is(data: bytes, expected: bytes):
    assert encode_form(data) == expected


@given(st.binary(max_size=40))
def test_an_encoded_form_decodes_to_what_it_was(data: bytes):
    encoded = encode_form(data)

    assert encoded == data or unquote_to_bytes(encoded.replace(b"+", b" ")) == data.removesuffix(b"&")
