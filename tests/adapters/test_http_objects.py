from __future__ import annotations

from ipaddress import IPv4Address

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http_objects import (
    MAX_HEADERS,
    BadHeadersError,
    HttpRequest,
    HttpResponse,
    as_bytes,
    parse_headers_binary,
    parse_headers_text,
    request_target,
)


def _varint(number: int) -> bytes:
    """SPOP's varint, written apart from the code under test (spop.md 1.2)."""
    if number < 240:
        return bytes((number,))
    out = [(number & 0xFF) | 0xF0]
    number = (number - 240) >> 4
    while number >= 128:
        out.append((number & 0xFF) | 0x80)
        number = (number - 128) >> 7
    return bytes((*out, number))


def _binary(headers: list[tuple[bytes, bytes]]) -> bytes:
    counted = b"".join(_varint(len(part)) + part for pair in headers for part in pair)
    return counted + b"\0\0"


def _request(**changes: object) -> HttpRequest:
    values = {
        "method": b"GET",
        "target": b"/a?b=c",
        "version": b"1.1",
        "headers": ((b"host", b"example.com"), (b"accept", b"*/*")),
    }
    return HttpRequest(**(values | changes))  # type: ignore[arg-type]  # the tests pass what the fields take


def test_request_as_h11() -> None:
    request = _request().request

    assert isinstance(request, h11.Request)
    assert (request.method, request.target, request.http_version) == (b"GET", b"/a?b=c", b"1.1")
    assert list(request.headers) == [(b"host", b"example.com"), (b"accept", b"*/*")]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": ((b"host", b"a"), (b"bad name", b"x"))},
        {"headers": ((b"host", b"a"), (b"x", b"a\0b"))},
        {"headers": ((b"host", b"a"), (b"x", b"a\r\n b"))},
        {"headers": ((b"host", b"a"), (b"no colon here", b""))},
        {"headers": ((b"host", b"a"), (b"content-length", b"1"), (b"content-length", b"2"))},
        {"headers": ()},
        {"headers": ((b"host", b"a"), (b"", b"x"))},
        {"method": b"GE T"},
        {"method": b""},
        {"target": b"/a b"},
    ],
)
def test_what_h11_refuses_keeps_its_bytes_and_a_reason(changes: dict[str, object]) -> None:
    request = _request(**changes)

    assert request.request is None
    assert request.rejected
    for name, value in changes.items():
        assert getattr(request, name) == value


def test_many_headers_are_fine() -> None:
    headers = ((b"host", b"a"), *((b"x-%d" % number, b"1") for number in range(256)))

    assert len(_request(headers=headers).request.headers) == 257  # type: ignore[union-attr]  # not None, or it fails


def test_http_2_becomes_the_same_request_in_1_1() -> None:
    request = _request(version=b"2.0")

    assert request.version == b"2.0"
    assert request.request is not None
    assert request.request.http_version == b"1.1"


@pytest.mark.parametrize(
    ("status", "kind"), [(200, h11.Response), (404, h11.Response), (103, h11.InformationalResponse)]
)
def test_response_as_h11(status: int, kind: type) -> None:
    response = HttpResponse(status=status, version=b"1.1", headers=((b"content-type", b"text/html"),)).response

    assert type(response) is kind
    assert response is not None
    assert response.status_code == status


def test_response_that_h11_refuses() -> None:
    response = HttpResponse(status=0, version=b"1.1", headers=())

    assert (response.response, response.status) == (None, 0)
    assert "status_code" in response.rejected


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        (b"/a", None, b"/a"),
        (b"/a", b"", b"/a?"),
        (b"/a", b"b=c", b"/a?b=c"),
        (b"", None, b"/"),
        (b"", b"x", b"/?x"),
        (b"*", None, b"*"),
    ],
)
def test_request_target(path: bytes, query: bytes | None, target: bytes) -> None:
    assert request_target(path, query) == target


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b""),
        ("text é \udcff", "text é ".encode() + b"\xff"),
        (b"\0\xff", b"\0\xff"),
        (7, b"7"),
        (-7, b"-7"),
        (True, b"1"),
        (False, b"0"),
        (IPv4Address("192.0.2.1"), b"192.0.2.1"),
    ],
)
def test_as_bytes(value: object, expected: bytes) -> None:
    assert as_bytes(value) == expected  # type: ignore[arg-type]  # each is one of the types


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        (b"", ()),
        (b"\r\n", ()),
        (b"host: a\r\n\r\n", ((b"host", b"a"),)),
        (b"host: a\r\nx:b\r\n\r\n", ((b"host", b"a"), (b"x", b"b"))),
        (b"a:  two blanks \r\n\r\n", ((b"a", b" two blanks "),)),
        (b"a: b: c\r\n\r\n", ((b"a", b"b: c"),)),
        (b"no colon\r\n\r\n", ((b"no colon", b""),)),
        (b"a: \r\n\r\n", ((b"a", b""),)),
        (b": b\r\n\r\n", ((b"", b"b"),)),
        (b"a: b\rc\r\n\r\n", ((b"a", b"b\rc"),)),
        (b"a: b\n c\n", ((b"a", b"b"), (b" c", b""))),
        (b"a: 1\r\na: 2\r\n\r\n", ((b"a", b"1"), (b"a", b"2"))),
        (b"a: \0\xff\r\n\r\n", ((b"a", b"\0\xff"),)),
        (b"cut: off", ((b"cut", b"off"),)),
    ],
)
def test_headers_as_text(text: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    assert parse_headers_text(text) == headers


def test_headers_as_text_are_bounded() -> None:
    assert len(parse_headers_text(b"a: b\r\n" * MAX_HEADERS + b"\r\n")) == MAX_HEADERS

    with pytest.raises(BadHeadersError):
        parse_headers_text(b"a: b\r\n" * (MAX_HEADERS + 2))


def test_a_header_line_of_a_megabyte() -> None:
    assert parse_headers_text(b"a: " + b"x" * (1 << 20) + b"\r\n\r\n") == ((b"a", b"x" * (1 << 20)),)


def test_headers_as_binary_of_the_capture() -> None:
    """The value that HAProxy 3.4 sent (spop.md 1.8, frame 6)."""
    data = bytes.fromhex(
        "0f6163636570742d656e636f64696e67086964656e7469747904686f73740c6578616d706c652e746573740a757365722d6167656e74"
        "076361702f312e3006616363657074032a2f2a0000"
    )

    assert parse_headers_binary(data) == (
        (b"accept-encoding", b"identity"),
        (b"host", b"example.test"),
        (b"user-agent", b"cap/1.0"),
        (b"accept", b"*/*"),
    )


@given(
    st.lists(
        st.tuples(st.binary(max_size=20), st.binary(max_size=6000)).filter(lambda pair: pair != (b"", b"")), max_size=8
    )
)
def test_headers_as_binary_round_trip(headers: list[tuple[bytes, bytes]]) -> None:
    assert parse_headers_binary(_binary(headers)) == tuple(headers)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=9)), min_size=1, max_size=4), st.data())
def test_every_cut_of_binary_headers_is_refused(headers: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    whole = _binary(headers)
    cut = data.draw(st.integers(1, len(whole) - 1))

    with pytest.raises(BadHeadersError):
        parse_headers_binary(whole[:cut])


@pytest.mark.parametrize("data", [b"\0", b"\x05ab", b"\xf0", b"\xff" * 11, b"\xf0" + b"\x80" * 12 + b"\0", b"\x01a"])
def test_bad_binary_headers(data: bytes) -> None:
    with pytest.raises(BadHeadersError):
        parse_headers_binary(data)


@given(st.binary(max_size=300))
def test_parsers_raise_nothing_else(data: bytes) -> None:
    parse_headers_text(data)
    try:
        shown = repr(parse_headers_binary(data))
    except BadHeadersError as error:
        shown = str(error)

    assert shown


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=4), st.binary(max_size=9))
def test_h11_objects_never_raise(headers: list[tuple[bytes, bytes]], other: bytes) -> None:
    request = HttpRequest(method=other, target=other, version=other, headers=tuple(headers))

    assert (request.request is None) == bool(request.rejected)
