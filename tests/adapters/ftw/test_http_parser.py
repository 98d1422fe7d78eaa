"""The server in front: what it lets through, what it refuses and why, and that it never raises anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ftw.http_parser import ParsedRequest, RefusedError, parse_request


def _parsed(head: bytes, body: bytes = b"") -> ParsedRequest:
    return parse_request(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"GET / HTTP/1.1", (b"GET", b"/", b"HTTP/1.1")),
        (b"|GET /a?b HTTP/1.0", (b"|GET", b"/a?b", b"HTTP/1.0")),
        (b'get /\xff\x01"<> HTTP/4.0', (b"get", b'/\xff\x01"<>', b"HTTP/4.0")),
        (b"OPTIONS * HTTP/2", (b"OPTIONS", b"*", b"HTTP/2")),
        (b"GET http://a HTTP/1.1", (b"GET", b"http://a", b"HTTP/1.1")),
        (b"CONNECT a:80 HTTP/1.1", (b"CONNECT", b"a:80", b"HTTP/1.1")),
    ],
)
def test_request_lines(line: bytes, words: tuple[bytes, bytes, bytes]):
    request = _parsed(line)

    assert (request.method, request.target, request.version) == words


def test_headers_odd_ones_too():
    request = _parsed(b"GET / HTTP/1.1\nA: 1\na:\t2 \nB x:<script>\nC: long\n  line\n\tand more\nD:")

    assert request.headers == (
        (b"A", b"1"), (b"a", b"2"), (b"B x", b"<script>"), (b"C", b"long line and more"), (b"D", b""),
    )  # fmt: skip


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_line_ends(end: bytes):
    raw = end.join([b"POST / HTTP/1.1", b"Content-Length: 1", b"", b"x"])

    assert parse_request(raw) == ParsedRequest(b"POST", b"/", b"HTTP/1.1", ((b"Content-Length", b"1"),), b"x")


def test_an_empty_line_before_the_request_is_skipped():
    assert parse_request(b"\r\nGET / HTTP/1.1\r\n\r\n").method == b"GET"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (b"", b"ignored", b""),
        (b"Content-Length: 3", b"abcdef", b"abc"),
        (b"Content-Length: 3\nContent-Length: 3", b"abc", b"abc"),
        (b"Content-Length: 0", b"abc", b""),
        (b"Transfer-Encoding: chunked", b"3\r\nHi \r\n3;x=y\r\nCRS\r\n0\r\n\r\n", b"Hi CRS"),
        (b"Transfer-Encoding: gzip, Chunked", b"1\nx\n0\n\n", b"x"),
    ],
)
def test_bodies(headers: bytes, body: bytes, expected: bytes):
    head = b"POST / HTTP/1.1" + (b"\n" + headers if headers else b"")

    assert _parsed(head, body).body == expected


def test_a_length_beside_chunks_is_removed():
    request = _parsed(b"POST / HTTP/1.1\nContent-Length: 7\nTransfer-Encoding: chunked\nX: y", b"1\r\nx\r\n0\r\n\r\n")

    assert request.headers == ((b"Transfer-Encoding", b"chunked"), (b"X", b"y"))
    assert request.body == b"x"


@pytest.mark.parametrize(
    ("head", "body", "word"),
    [
        (b"   GET / HTTP/1.1", b"", "three"),
        (b"\tGET / HTTP/1.1", b"", "method"),
        (b"GET / x HTTP/1.1", b"", "three"),
        (b"GET \\ HTTP/1.1", b"", "target"),
        (b"GET x HTTP/1.1", b"", "target"),
        (b"CONNECT a HTTP/1.1", b"", "HOST:PORT"),
        (b"GET /#x HTTP/1.1", b"", "fragment"),
        (b"GET / HTTP/0.9", b"", "version"),
        (b"GET / HTTP\\1.0", b"", "version"),
        (b"GET / JUNK/1.0", b"", "version"),
        (b"GET / HTTP/1.1\nno colon", b"", "colon"),
        (b"GET / HTTP/1.1\n: x", b"", "name"),
        (b"GET / HTTP/1.1\nA: x\ry", b"", "CR"),
        (b"GET / HTTP/1.1\nA: x\0y", b"", "NUL"),
        (b"GET / HTTP/1.1\nHost:", b"", "empty"),
        (b"GET / HTTP/1.1\nHost: a%1F", b"", "control"),
        (b"GET / HTTP/1.1\nContent-Length: x", b"", "not a number"),
        (b"GET / HTTP/1.1\nContent-Length: +1", b"x", "not a number"),
        (b"GET / HTTP/1.1\nContent-Length: 99999999999999999999", b"x", "not a number"),
        (b"GET / HTTP/1.1\nContent-Length: 2\nContent-Length: 1", b"xx", "differ"),
        (b"GET / HTTP/1.1\nContent-Length: 5", b"xx", "only 2 bytes"),
        (b"GET / HTTP/1.1\nTransfer-Encoding: gzip", b"xx", "not chunked"),
        (b"GET / HTTP/1.1\nTransfer-Encoding: chunked", b"xx", "chunks"),
        (b"GET / HTTP/1.1\nTransfer-Encoding: chunked", b"5\r\nxx", "shorter"),
        (b"GET / HTTP/1.1\nTransfer-Encoding: chunked", b"1\r\nxx\r\n0\r\n\r\n", "line"),
        (b"GET / HTTP/1.1\nTransfer-Encoding: chunked", b"1\r\nx\r\n", "chunks"),
    ],
)
def test_what_is_refused_with_400(head: bytes, body: bytes, word: str):
    with pytest.raises(RefusedError) as caught:
        _parsed(head, body)

    assert caught.value.status == 400
    assert word in caught.value.reason


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"GET / HTTP/1.1\r\nA: b\r\n", b"GET / \r\n\r\n", b"GET /\r\n\r\n"])
def test_what_gets_no_response(raw: bytes):
    with pytest.raises(RefusedError) as caught:
        parse_request(raw)

    assert caught.value.status == 0


_PIECES = st.sampled_from(
    [
        b"GET", b"POST", b"CONNECT", b" ", b"/", b"a:1", b"#", b"HTTP/1.1", b"HTTP/0.9", b"\r\n", b"\n", b"\r", b"\0",
        b":", b"Host: ", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"\t", b"3", b"0", b";", b"xyz", b"%00",
    ]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=40).map(b"".join)))
def test_any_bytes_are_a_request_or_a_refusal(raw: bytes):
    try:
        request = parse_request(raw)
    except RefusedError as error:
        refusal = error
    else:
        assert len(request.body) <= len(raw)
        assert not any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in request.headers)
        return
    assert refusal.status in (0, 400)
    assert refusal.reason


@given(
    st.lists(
        st.tuples(st.from_regex(rb"[A-Za-z-]{1,8}", fullmatch=True), st.from_regex(rb"[!-~]{0,9}", fullmatch=True))
    ),
    st.binary(max_size=50),
)
def test_what_is_written_is_read(headers: list[tuple[bytes, bytes]], body: bytes):
    special = (b"host", b"content-length", b"transfer-encoding")
    sent = [header for header in headers if header[0].lower() not in special]
    sent.append((b"Content-Length", str(len(body)).encode()))
    raw = b"POST /x HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % header for header in sent) + b"\r\n" + body

    assert parse_request(raw) == ParsedRequest(b"POST", b"/x", b"HTTP/1.1", tuple(sent), body)
