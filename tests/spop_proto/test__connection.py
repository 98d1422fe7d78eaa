"""What both roles share: cutting, closing, waiting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spop_proto import (
    Ack,
    AgentConnection,
    ConnectionClosed,
    ConnectionFailed,
    HAProxyConnection,
    HAProxyHello,
    Limits,
    StatusCode,
)
from spop_proto._buffer import FrameBuffer
from tests.spop_proto.support import (
    HELLO,
    MESSAGES,
    UNSET,
    flush,
    frame,
    in_pieces,
    names,
    notify,
    running_agent,
    status_of,
    types,
)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.binary(max_size=30))
def test_events_do_not_depend_on_the_cuts(sizes: list[int], rest: bytes):
    """The same events, the same frames to send, whatever follows: rest may be no frame at all."""
    stream = HELLO + notify(1, 1) + notify(2, 1, MESSAGES[:5], flags=0) + frame(UNSET, 1, 2, 1, MESSAGES[5:]) + rest
    whole, cut = AgentConnection(), AgentConnection()
    expected = whole.receive_data(stream) + whole.receive_eof()
    events = []
    for piece in in_pieces(stream, sizes):
        events += cut.receive_data(piece)
    events += cut.receive_eof()

    assert events == expected
    assert names(events)[:3] == ["HAProxyHello", "Notify", "Notify"]
    assert flush(cut) == flush(whole)


def test_many_small_pieces_cost_what_they_weigh(monkeypatch: pytest.MonkeyPatch):
    """Counted, not timed: of a frame that comes byte by byte only the length is looked at twice."""
    copied = []
    original = FrameBuffer._wait

    def wait(self: FrameBuffer, needed: int):
        copied.append(len(self._data) - self._position)
        original(self, needed)

    monkeypatch.setattr(FrameBuffer, "_wait", wait)
    connection = running_agent()
    long = notify(1, 1, b"\x01m\x01\x01b\x09\xff\xff\x00" + bytes(4335))
    for at in range(len(long)):
        connection.receive_data(long[at : at + 1])

    assert connection.in_flight == 1
    assert sum(copied) < 20


@pytest.mark.parametrize(
    ("before", "clean", "received", "reason"),
    [
        (b"", True, False, "closed before anything was received"),
        (HELLO[:3], False, True, "closed inside a frame, after 3 bytes of it"),
        (HELLO[:-1], False, True, f"closed inside a frame, after {len(HELLO) - 1} bytes of it"),
        (HELLO, True, True, "closed between two frames"),
        (HELLO + notify(1, 1), True, True, "closed between two frames"),
        (HELLO + notify(1, 1)[:9], False, True, "closed inside a frame, after 9 bytes of it"),
        (HELLO + notify(1, 1, b"", flags=0), False, True, "closed inside a NOTIFY"),
    ],
)
def test_how_the_peer_closed(before: bytes, clean: bool, received: bool, reason: str):
    connection = AgentConnection()
    connection.receive_data(before)

    assert connection.receive_eof() == [ConnectionClosed(clean, received, reason)]
    assert connection.should_close
    assert connection.in_flight == 0
    assert connection.receive_eof() == []
    assert connection.receive_data(HELLO) == []


def test_what_was_answered_before_the_peer_closed_still_goes_out():
    connection = running_agent()
    connection.receive_data(notify(1, 1))
    connection.send(Ack(1, 1))
    connection.receive_eof()

    assert not connection.closed
    assert len(types(flush(connection))) == 1
    assert connection.closed


# Waiting. Times are the caller's; nothing here looks at a clock.


def test_hello_is_waited_for():
    connection = AgentConnection(Limits(hello_timeout=5))

    assert connection.timer(100) == ("HELLO", 105)
    assert connection.timer(103) == ("HELLO", 105)
    connection.receive_data(HELLO[:20])
    assert connection.timer(104) == ("HELLO", 105)  # a drop now and then does not prolong it
    assert connection.handle_timer(104.9) == []
    assert connection.handle_timer(105) == [
        ConnectionFailed(StatusCode.TIMEOUT, "timeout while waiting for HELLO", Limits().refusal_delay)
    ]
    assert status_of(flush(connection)) == StatusCode.TIMEOUT
    assert connection.timer(106) is None


def test_a_frame_that_has_begun_has_to_be_finished():
    connection = running_agent()
    assert connection.timer(0) is None
    connection.receive_data(notify(1, 1)[:5])
    assert connection.timer(10) == ("the rest of a frame", 20)
    connection.receive_data(notify(1, 1)[5:8])
    assert connection.timer(15) == ("the rest of a frame", 20)
    connection.receive_data(notify(1, 1)[8:] + notify(2, 1)[:4])

    assert connection.timer(19) == ("the rest of a frame", 29)
    assert names(connection.handle_timer(29)) == ["ConnectionFailed"]


def test_a_fragmented_notify_has_to_be_finished():
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:4], flags=0))
    assert connection.timer(0) == ("the next fragment", 30)
    connection.receive_data(frame(UNSET, 0, 7, 1, b"x"))
    assert connection.timer(20) == ("the next fragment", 30)
    connection.receive_data(frame(UNSET, 0, 7, 1, b"x")[:5])
    assert connection.timer(25) == ("the next fragment", 30)  # the earlier of the two
    connection.receive_data(frame(UNSET, 0, 7, 1, b"x")[5:])
    connection.receive_data(frame(UNSET, 3, 7, 1))
    assert connection.timer(26) is None
    connection.receive_data(notify(9, 1, MESSAGES[:4], flags=0))

    assert connection.timer(27) == ("the next fragment", 57)


def test_a_frame_may_run_out_before_the_fragments_do():
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:4], flags=0) + b"\0")

    assert connection.timer(0) == ("the rest of a frame", 10)


def test_nothing_is_held_against_a_peer_that_we_do_not_read():
    connection = running_agent(AgentConnection(Limits(in_flight=1)))
    connection.receive_data(notify(1, 1) + notify(2, 1)[:5])
    assert connection.timer(0) is None
    connection.send(Ack(1, 1))

    assert connection.timer(100) == ("the rest of a frame", 110)


def test_each_connection_has_its_own_limits():
    limits = Limits(messages=3)

    assert AgentConnection(limits).limits is limits
    assert HAProxyConnection(limits).limits is limits
    assert AgentConnection().limits == Limits()


def test_events_never_raise_out_of_a_haproxys_connection_either():
    connection = HAProxyConnection()
    connection.send(HAProxyHello())

    assert names(connection.receive_data(b"HTTP/1.1 400 Bad request\r\n")) == ["ConnectionFailed"]
    assert connection.should_close


def test_frames_of_unknown_types_do_not_lengthen_the_time_for_a_fragmented_notify():
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:4], flags=0))
    assert connection.timer(0) == ("the next fragment", 30)
    connection.receive_data(frame(200, 1, 7, 1))

    assert connection.timer(20) == ("the next fragment", 30)
    assert names(connection.handle_timer(30)) == ["ConnectionFailed"]
