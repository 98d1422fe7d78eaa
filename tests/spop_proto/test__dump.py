"""A capture as plain values."""

import json

import pytest

from spop_proto._dump import dump
from spop_proto._varint import encode_varint
from tests.spop_proto.support import (
    ABRT,
    ACK,
    BYE_ITEMS,
    FIN,
    HAPROXY_DISCONNECT,
    HELLO,
    MESSAGES,
    UNSET,
    frame,
    notify,
)


def dumped(stream: bytes):
    records = list(dump(stream))
    json.dumps(records)
    return records


def test_each_frame_with_its_offset_and_payload():
    hello, bye = dumped(HELLO + frame(HAPROXY_DISCONNECT, payload=BYE_ITEMS))

    assert hello == {
        "offset": 0, "type": "HAPROXY-HELLO", "flags": 1, "stream_id": 0, "frame_id": 0, "len": len(HELLO) - 4,
        "items": {"supported-versions": "2.0", "max-frame-size": 16380, "capabilities": "pipelining"},
    }  # fmt: skip
    assert (bye["offset"], bye["items"]) == (len(HELLO), {"status-code": 0, "message": "normal"})


def test_values():
    payload = bytes.fromhex(
        "016d06" + "0161067f000001" + "016209020aff" + "016300" + "016411" + "016504fff0fefefefefefefe0e" + "01660801ff"
    )
    (record,) = dumped(notify(1, 2, payload))

    assert record["messages"] == [
        {
            "name": "m",
            "args": [["a", "127.0.0.1"], ["b", {"hex": "0aff"}], ["c", None], ["d", True], ["e", -1], ["f", "\udcff"]],
        }
    ]


def test_fragments_are_decoded_with_the_last():
    records = dumped(
        notify(7, 1, MESSAGES[:5], flags=0) + frame(UNSET, 0, 7, 1) + frame(UNSET, FIN, 7, 1, MESSAGES[5:])
    )

    assert [record.get("fragment") for record in records] == [5, 0, None]
    assert records[2]["messages"] == [{"name": "m", "args": [["a", "xyz"], ["b", 42]]}]


def test_an_abort_and_a_fragment_of_nothing():
    first, abort, stray = dumped(
        notify(7, 1, MESSAGES[:5], flags=0) + frame(UNSET, FIN | ABRT, 7, 1) + frame(UNSET, FIN, 7, 1)
    )

    assert (first["fragment"], abort["fragment"], abort["flags"]) == (5, 0, 3)
    assert stray["remark"] == "of no NOTIFY that is open"


def test_actions_are_those_that_haproxy_executes():
    payload = bytes.fromhex("0103020161042a" + "0202040162" + "0903020162042a")
    (record,) = dumped(frame(ACK, FIN, 1, 1, payload))

    assert record["actions"] == [
        {"action": "set-var", "scope": "transaction", "name": "a", "value": 42},
        {"action": "unset-var", "scope": "response", "name": "b"},
    ]
    assert record["remark"] == "action 9 of 3 arguments at offset 19"
    assert "remark" not in dumped(frame(ACK, FIN, 1, 1, payload[:7]))[0]


def test_unknown_types_and_reserved_flags_are_shown_as_they_are():
    (record,) = dumped(frame(200, 0x80000001, 1, 2, b"\x01\x02"))

    assert (record["type"], record["flags"], record["payload"]) == (200, 0x80000001, "0102")


@pytest.mark.parametrize("payload", [MESSAGES[:-1], b"\x01"])
def test_a_broken_payload_is_an_error_and_the_next_frame_follows(payload: bytes):
    broken, following = dumped(notify(1, 1, payload) + notify(2, 1))

    assert broken["error"] == "NOTIFY ends inside message 1"
    assert broken["len"] == 7 + len(payload)
    assert "messages" in following


def test_a_broken_header_is_an_error():
    (record,) = dumped(frame(3, FIN, 255, 255))

    assert (record["error"], record["len"]) == ("frame ends inside its stream-id or frame-id", 7)


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        (b"\0\0", "the stream ends inside a length: 2 of 4 bytes"),
        (b"\0\0\0\0", r"no frame has 0 bytes (b'\x00\x00\x00\x00')"),
        (b"\0\0\0\x06" + bytes(6), r"no frame has 6 bytes (b'\x00\x00\x00\x06')"),
        (b"GET / HTTP/1.1", "no frame has 1195725856 bytes (b'GET ')"),
        (b"\0\0\0\x09abc", "the stream ends inside a frame: 3 of 9 bytes"),
    ],
)
def test_what_is_no_frame_ends_it(rest: bytes, reason: str):
    assert dumped(HELLO + rest)[1:] == [{"offset": len(HELLO), "error": reason}]


def test_nothing_gives_nothing():
    assert dumped(b"") == []


def test_the_abort_flag_of_a_notify_says_nothing():
    """As the agent reads it: only an UNSET aborts."""
    (whole,) = dumped(notify(1, 1, flags=FIN | ABRT))
    first, last = dumped(notify(7, 1, MESSAGES[:5], flags=ABRT) + frame(UNSET, FIN, 7, 1, MESSAGES[5:]))

    assert "messages" in whole
    assert first["fragment"] == 5
    assert "messages" in last


def test_frames_of_a_large_bufsize_are_frames():
    (record,) = dumped(notify(1, 1, b"\x01m\x01\x01a\x09" + encode_varint(3_000_000) + bytes(3_000_000)))

    assert record["len"] > 3_000_000
    assert "error" not in record
