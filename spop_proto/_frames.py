"""Frame types, flags and the frame header. Knows nothing of payloads, roles or states.

Source: SPOE.txt 3.2.2, spop.md 1.1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from spop_proto._errors import RemoteProtocolError
from spop_proto._varint import SINGLE_BYTE_LIMIT, decode_varint, encode_varint


class FrameType(IntEnum):
    """The frame types; 1 to 3 (and 0, the continuation of a NOTIFY) are HAProxy's, 101 to 103 the agent's."""

    UNSET = 0
    HAPROXY_HELLO = 1
    HAPROXY_DISCONNECT = 2
    NOTIFY = 3
    AGENT_HELLO = 101
    AGENT_DISCONNECT = 102
    ACK = 103


FIN = 1
ABRT = 2
SMALLEST_FRAME = 7
"""Type, flags, two ids of a byte each, empty payload."""
PREFIX = 4
"""Bytes of the length before each frame; it does not count itself."""
HEADER_ROOM = 32
"""What HAProxy keeps free for the header of a NOTIFY: payloads have at most max-frame-size - 32 bytes."""


class Header(NamedTuple):
    """The header of a frame."""

    type: int
    """A `FrameType`, or a number that SPOP does not define."""
    flags: int
    """Reserved bits are cleared: they are to be ignored."""
    stream_id: int
    frame_id: int
    size: int
    """Index of the first payload byte."""


def parse_header(frame: bytes) -> Header:
    """Decode the header of a frame (without the length before it).

    Args:
        frame: At least 7 bytes; the buffer sees to that.

    Raises:
        RemoteProtocolError: An id is cut or has more than 64 bits.
    """
    stream_id = frame[5]
    frame_id = frame[6]
    if stream_id < SINGLE_BYTE_LIMIT and frame_id < SINGLE_BYTE_LIMIT:
        # tuple's own constructor: a NamedTuple's is written in Python, and this runs for each frame.
        return tuple.__new__(Header, (frame[0], frame[4] & 3, stream_id, frame_id, SMALLEST_FRAME))
    try:
        stream_id, position = decode_varint(frame, 5)
        frame_id, position = decode_varint(frame, position)
    except IndexError:
        raise RemoteProtocolError("frame ends inside its stream-id or frame-id") from None
    return Header(frame[0], frame[4] & 3, stream_id, frame_id, position)


def encode_frame(kind: int, flags: int, stream_id: int, frame_id: int, payload: bytes) -> bytes:
    """A frame ready to be written, with the length before it.

    Args:
        kind: A `FrameType`.
        flags: `FIN` and `ABRT`.
        stream_id: From 0 to 2**64-1.
        frame_id: From 0 to 2**64-1.
        payload: The encoded payload.
    """
    body = b"%c\x00\x00\x00%c%b%b%b" % (kind, flags, encode_varint(stream_id), encode_varint(frame_id), payload)
    return len(body).to_bytes(PREFIX, "big") + body
