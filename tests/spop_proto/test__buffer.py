"""Cutting a stream into frames."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spop_proto import RemoteProtocolError, StatusCode
from spop_proto._buffer import FrameBuffer
from tests.spop_proto.support import frame, in_pieces

BODIES = st.lists(st.binary(min_size=7, max_size=40), max_size=8)
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def cut(pieces: Any):
    buffer = FrameBuffer()
    found = []
    for piece in pieces:
        if buffer.add(piece):
            while (body := buffer.next_frame(100)) is not None:
                found.append(body)
    return found, buffer


@given(BODIES, SIZES, st.binary(max_size=3))
def test_the_frames_do_not_depend_on_the_cuts(bodies: list[bytes], sizes: list[int], rest: bytes):
    stream = b"".join(len(body).to_bytes(4, "big") + body for body in bodies) + rest
    found, buffer = cut(in_pieces(stream, sizes))

    assert found == bodies
    assert len(buffer) == len(rest)


def test_a_frame_in_the_making_is_not_looked_at_before_it_is_whole():
    buffer = FrameBuffer()
    whole = frame(3, payload=b"x" * 50)

    assert buffer.add(whole[:4])
    assert buffer.next_frame(100) is None
    assert not any(buffer.add(whole[at : at + 1]) for at in range(4, len(whole) - 1))
    assert buffer.add(whole[-1:])
    assert buffer.next_frame(100) == whole[4:]
    assert buffer.next_frame(100) is None
    assert not buffer


@pytest.mark.parametrize(
    ("prefix", "status", "reason"),
    [
        (b"\0\0\0\0", StatusCode.INVALID_FRAME, "frame of 0 bytes, the smallest has 7"),
        (b"\0\0\0\6", StatusCode.INVALID_FRAME, "frame of 6 bytes, the smallest has 7"),
        (b"\0\0\0\x65", StatusCode.FRAME_TOO_BIG, "frame of 101 bytes, at most 100 are allowed"),
        (b"\xff\xff\xff\xff", StatusCode.FRAME_TOO_BIG, "frame of 4294967295 bytes, at most 100 are allowed"),
        (b"GET ", StatusCode.FRAME_TOO_BIG, "this is HTTP, not SPOP: the stream begins with b'GET '"),
    ],
)
def test_a_wrong_length_is_refused_before_anything_is_stored(prefix: bytes, status: int, reason: str):
    buffer = FrameBuffer()
    buffer.add(prefix)

    with pytest.raises(RemoteProtocolError) as raised:
        buffer.next_frame(100)
    assert (raised.value.reason, raised.value.status) == (reason, status)


def test_the_gate_sees_the_type_as_soon_as_it_is_there():
    seen = []
    buffer = FrameBuffer()
    buffer.add(b"\0\0\0\x07")

    assert buffer.next_frame(100, seen.append) is None
    assert seen == []
    assert buffer.add(b"\x03")
    assert buffer.next_frame(100, seen.append) is None
    assert seen == [3]


def test_clear_forgets_what_was_cut_and_what_waits():
    buffer = FrameBuffer()
    buffer.add(frame(3) + frame(3)[:5])
    buffer.next_frame(100)
    assert len(buffer) == 5
    buffer.clear()

    assert len(buffer) == 0
    assert buffer.add(frame(3))
    assert buffer.next_frame(100) == frame(3)[4:]
