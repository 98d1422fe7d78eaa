"""The frame header, spop.md 1.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spop_proto import RemoteProtocolError
from spop_proto._frames import FIN, FrameType, Header, encode_frame, parse_header

IDS = st.integers(0, 2**64 - 1)


def test_an_empty_ack_as_the_specification_writes_it():
    assert encode_frame(FrameType.ACK, FIN, 1, 1, b"").hex() == "0000000767000000010101"


@given(st.integers(0, 255), st.integers(0, 3), IDS, IDS, st.binary())
def test_round_trip(kind: int, flags: int, stream_id: int, frame_id: int, payload: bytes):
    encoded = encode_frame(kind, flags, stream_id, frame_id, payload)
    frame = encoded[4:]
    header = parse_header(frame)

    assert int.from_bytes(encoded[:4], "big") == len(frame)
    assert header == Header(kind, flags, stream_id, frame_id, len(frame) - len(payload))
    assert isinstance(header, Header)
    assert frame[header.size :] == payload


def test_reserved_flags_are_ignored():
    assert parse_header(bytes.fromhex("67800000010101")).flags == FIN


@pytest.mark.parametrize("frame", ["03000000010" + "1f0", "0300000001f0f0", "0300000001f0f0f0", "0300000001f08080"])
def test_a_cut_id_is_the_peers_fault(frame: str):
    with pytest.raises(RemoteProtocolError, match="inside its stream-id or frame-id"):
        parse_header(bytes.fromhex(frame))


def test_an_endless_id_is_the_peers_fault():
    with pytest.raises(RemoteProtocolError, match="64 bits"):
        parse_header(bytes.fromhex("0300000001") + b"\xff" * 20)
