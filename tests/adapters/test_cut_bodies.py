"""Whether a body is all of what was announced, and the one line about it."""

from __future__ import annotations

import pytest

from adapters.cut_bodies import MAX_SHOWN, CutBodies, Extent, extent, has_body
from tests.adapters.conformance import recording_logger


@pytest.mark.parametrize(
    ("headers", "received", "expected"),
    [
        ([], 0, (Extent.WHOLE, 0)),
        ([(b"content-length", b"5")], 5, (Extent.WHOLE, 5)),
        ([(b"Content-Length", b" 5 ")], 4, (Extent.LATE, 5)),
        ([(b"content-length", b"5")], 0, (Extent.LATE, 5)),
        ([(b"content-length", b"14000")], 13_000, (Extent.LATE, 14_000)),
        ([(b"content-length", b"14000"), (b"cookie", b"x" * 1000)], 13_000, (Extent.PART, 14_000)),
        ([(b"content-length", b"40000")], 0, (Extent.PART, 40_000)),
        ([(b"content-length", b"0")], 0, (Extent.WHOLE, 0)),
        ([(b"content-length", b"5")], 6, (Extent.WHOLE, 5)),
        ([(b"content-length", b"5"), (b"content-length", b"7")], 5, (Extent.LATE, 7)),
        ([(b"content-length", b"five")], 3, (Extent.PERHAPS, 0)),
        ([(b"content-length", b"9" * 30)], 3, (Extent.PERHAPS, 0)),
        ([(b"content-length", b"-1")], 0, (Extent.WHOLE, 0)),
        ([(b"transfer-encoding", b"chunked")], 9, (Extent.PERHAPS, 0)),
        ([(b"Transfer-Encoding", b"gzip, chunked"), (b"content-length", b"5")], 4, (Extent.PERHAPS, 0)),
        ([(b"host", b"h2.example.com")], 9, (Extent.PERHAPS, 0)),
        ([(b"content-lengty", b"5"), (b"transfer-encodinx", b"chunked")], 0, (Extent.WHOLE, 0)),
    ],
)
def test_extent(headers: list[tuple[bytes, bytes]], received: int, expected: tuple[Extent, int]) -> None:
    assert extent(tuple(headers), received) == expected


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [(b"GET", 200, True), (b"HEAD", 200, False), (b"GET", 204, False), (b"GET", 304, False), (b"GET", 101, False)],
)
def test_responses_without_a_body(method: bytes, status: int, *, expected: bool) -> None:
    assert has_body(method, status) is expected


def test_each_path_is_told_of_once() -> None:
    logger, lines = recording_logger()
    cut = CutBodies(paths=3)
    for _ in range(2):
        cut.tell(logger, "a", b"/x", "request", received=0, announced=9, late=True)
        cut.tell(logger, "a", b"/x", "response", received=5000, announced=90_000, late=False)
        cut.tell(logger, "b", b"/" + b"\xff" * 5000, "request", received=5, announced=9, late=True)
        cut.tell(logger, "b", b"/fourth", "request", received=5, announced=9, late=True)
        cut.tell(logger, "b", b"/fifth", "request", received=5, announced=9, late=True)

    fields = [line.fields for line in lines]
    assert [each.get("path") for each in fields[:2]] == ["/x", "/x"]
    assert "http-buffer-request" in fields[0]["hint"]
    assert "tune.bufsize" in fields[1]["hint"]
    assert len(fields[2]["path"]) <= 4 * MAX_SHOWN
    assert len(lines) == 4
    assert "more paths" in lines[3].getMessage()
