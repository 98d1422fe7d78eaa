"""The agent's side: each row of spop.md 2.1, sending, draining, the mitigation of the stall."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spop_proto import (
    Aborted,
    Ack,
    AgentConnection,
    AgentDisconnect,
    AgentHello,
    Capability,
    ConnectionClosed,
    ConnectionFailed,
    HAProxyDisconnect,
    HAProxyHello,
    Limits,
    LocalProtocolError,
    Message,
    Notify,
    Scope,
    SetVar,
    StatusCode,
    UnknownFrame,
    _agent,
)
from spop_proto._state import AGENT_RECEIVES, AGENT_SENDS, AgentInput, AgentState, Effect, Step
from spop_proto._varint import encode_varint
from tests.spop_proto import support
from tests.spop_proto.support import (
    ABRT,
    ACK,
    AGENT_DISCONNECT,
    AGENT_HELLO,
    BYE_ITEMS,
    FIN,
    HAPROXY_DISCONNECT,
    HAPROXY_HELLO,
    HEALTHCHECK_ITEMS,
    HELLO,
    HELLO_ITEMS,
    MESSAGES,
    UNSET,
    flush,
    frame,
    frames,
    names,
    notify,
    running_agent,
    status_of,
    types,
)

WHOLE = (Message("m", (("a", "xyz"), ("b", 42))),)
BYE = frame(HAPROXY_DISCONNECT, payload=BYE_ITEMS)

# Each row of the table of spop.md 2.1, and what SPOE.txt says of frames that the table has under "other": what the
# frame is, what comes of it. A number is the status of the DISCONNECT.
FRAMES = {
    AgentInput.HELLO: HELLO,
    AgentInput.HEALTHCHECK: frame(HAPROXY_HELLO, payload=HEALTHCHECK_ITEMS),
    AgentInput.DISCONNECT: BYE,
    AgentInput.NOTIFY: notify(5, 1),
    AgentInput.NOTIFY_PART: notify(5, 1, flags=0),
    AgentInput.NOTIFY_PART_NOT_AGREED: notify(5, 1, flags=0),
    AgentInput.NOTIFY_WRONG_IDS: notify(5, 0),
    AgentInput.UNSET_PART: frame(UNSET, 0, 7, 1, MESSAGES[4:6]),
    AgentInput.UNSET_LAST: frame(UNSET, FIN, 7, 1, MESSAGES[4:]),
    AgentInput.UNSET_ABORT: frame(UNSET, FIN | ABRT, 7, 1),
    AgentInput.UNSET_OTHER: frame(UNSET, FIN, 7, 2, MESSAGES[4:]),
    AgentInput.CONTROL_PART: frame(HAPROXY_DISCONNECT, 0, payload=BYE_ITEMS),
    AgentInput.CONTROL_IDS: frame(HAPROXY_DISCONNECT, FIN, 1, 0, payload=BYE_ITEMS),
    AgentInput.WRONG_DIRECTION: frame(ACK, FIN, 1, 1),
    AgentInput.UNKNOWN: frame(200, FIN, 1, 1),
}
ONLY_WITHOUT_FRAGMENTS = {AgentInput.NOTIFY_PART_NOT_AGREED}
NEEDS_AN_OPEN_FRAGMENT = {AgentInput.UNSET_PART, AgentInput.UNSET_LAST, AgentInput.UNSET_ABORT}
EXPECTED = {
    AgentState.WAIT_HELLO: {
        AgentInput.HELLO: "HAProxyHello, RUNNING",
        AgentInput.HEALTHCHECK: "HAProxyHello, CLOSED",
        AgentInput.DISCONNECT: "HAProxyDisconnect, CLOSED",
        AgentInput.NOTIFY: 4,
        AgentInput.NOTIFY_PART: 4,
        AgentInput.NOTIFY_PART_NOT_AGREED: 4,
        AgentInput.NOTIFY_WRONG_IDS: 4,
        AgentInput.UNSET_OTHER: 4,
        AgentInput.CONTROL_PART: 10,
        AgentInput.CONTROL_IDS: 4,
        AgentInput.WRONG_DIRECTION: 4,
        AgentInput.UNKNOWN: 4,
    },
    AgentState.RUNNING: {
        AgentInput.HELLO: 4,
        AgentInput.DISCONNECT: "HAProxyDisconnect, CLOSED",
        AgentInput.NOTIFY: "Notify, RUNNING",
        AgentInput.NOTIFY_PART: ", ASSEMBLING",
        AgentInput.NOTIFY_PART_NOT_AGREED: 10,
        AgentInput.NOTIFY_WRONG_IDS: 4,
        AgentInput.UNSET_OTHER: 4,
        AgentInput.CONTROL_PART: 10,
        AgentInput.CONTROL_IDS: 4,
        AgentInput.WRONG_DIRECTION: 4,
        AgentInput.UNKNOWN: "UnknownFrame, RUNNING",
    },
    AgentState.ASSEMBLING: {
        AgentInput.HELLO: 4,
        AgentInput.DISCONNECT: "HAProxyDisconnect, CLOSED",
        AgentInput.NOTIFY: 11,
        AgentInput.NOTIFY_PART: 11,
        AgentInput.NOTIFY_WRONG_IDS: 11,
        AgentInput.UNSET_PART: ", ASSEMBLING",
        AgentInput.UNSET_LAST: "Notify, RUNNING",
        AgentInput.UNSET_ABORT: "Aborted, RUNNING",
        AgentInput.UNSET_OTHER: 11,
        AgentInput.CONTROL_PART: 10,
        AgentInput.CONTROL_IDS: 4,
        AgentInput.WRONG_DIRECTION: 4,
        AgentInput.UNKNOWN: "UnknownFrame, ASSEMBLING",
    },
}
ROWS = [(state, received) for state, cells in EXPECTED.items() for received in cells]


def in_state(state: AgentState, received: AgentInput | None = None) -> AgentConnection:
    """A connection in that state, which can receive that input."""
    only = {Capability.PIPELINING} if received in ONLY_WITHOUT_FRAGMENTS else {Capability.FRAGMENTATION}
    connection = AgentConnection(capabilities=only)
    if state is not AgentState.WAIT_HELLO:
        connection.receive_data(HELLO)
    if state is AgentState.ASSEMBLING:
        connection.receive_data(notify(7, 1, MESSAGES[:4], flags=0))
    if state is AgentState.CLOSED:
        connection.receive_data(BYE)
    if state is AgentState.FAILED:
        connection.receive_data(notify(0, 0))
    assert connection.state is state
    flush(connection)
    return connection


def observed(state: AgentState, received: AgentInput) -> int | str:
    """What comes of a frame in a state, in the words of EXPECTED."""
    connection = in_state(state, received)
    events = connection.receive_data(FRAMES[received])
    if connection.state is AgentState.FAILED:
        (failure,) = events
        assert isinstance(failure, ConnectionFailed)
        assert status_of(flush(connection)) == failure.status
        return failure.status
    return f"{' '.join(names(events))}, {connection.state.name}"


@pytest.mark.parametrize(("state", "received"), ROWS, ids=lambda each: each.name)
def test_each_row_of_the_table(state: Any, received: Any):
    assert observed(state, received) == EXPECTED[state][received]


def test_the_rows_are_all_that_can_happen():
    for state, cells in EXPECTED.items():
        missing = set(AgentInput) - set(cells)
        if state is not AgentState.ASSEMBLING:
            missing -= NEEDS_AN_OPEN_FRAGMENT
        # A second HELLO is refused unread; without fragmentation there is nothing to assemble.
        impossible = {AgentInput.HEALTHCHECK, *ONLY_WITHOUT_FRAGMENTS} if state else set()
        assert missing <= impossible


@pytest.mark.parametrize(("state", "received"), ROWS, ids=lambda each: each.name)
def test_a_changed_row_is_noticed(state: Any, received: Any, monkeypatch: pytest.MonkeyPatch):
    """Mutation: each row replaced by another must change what is observed."""
    step = AGENT_RECEIVES[state][received]
    if step.effect is Effect.FAIL:
        changed = Step(Effect.IGNORE, AgentState.CLOSED)
    elif received is AgentInput.HEALTHCHECK:  # what is done is in the row of HELLO; its own says what follows
        changed = Step(step.effect, AgentState.RUNNING)
    else:
        changed = Step(Effect.FAIL, AgentState.FAILED, StatusCode.UNKNOWN)
    steps = [list(cells) for cells in _agent._STEPS]
    steps[state][received] = changed
    monkeypatch.setattr(_agent, "_STEPS", steps)

    assert observed(state, received) != EXPECTED[state][received]


@pytest.mark.parametrize("received", list(AgentInput), ids=lambda each: each.name)
@pytest.mark.parametrize("state", [AgentState.CLOSED, AgentState.FAILED], ids=lambda each: each.name)
def test_after_the_end_everything_is_ignored(state: Any, received: Any):
    connection = in_state(state)

    assert connection.receive_data(FRAMES[received]) == []
    assert connection.receive_eof() == []
    assert connection.handle_timer(1e9) == []
    assert connection.state is state
    assert not connection.want_read
    assert connection.closed
    connection.drain()
    connection.finish()
    assert flush(connection) == b""


@pytest.mark.parametrize("state", list(AgentState), ids=lambda each: each.name)
@pytest.mark.parametrize(
    "event",
    [Ack(1, 1), Aborted(7, 1), AgentDisconnect(), HAProxyHello(), Notify(1, 1)],
    ids=lambda each: type(each).__name__,
)
def test_what_a_state_does_not_allow_is_our_fault_and_changes_nothing(state: Any, event: Any):
    connection = in_state(state)
    if type(event) in AGENT_SENDS[state] and not isinstance(event, Ack):
        connection.send(event)
        assert connection.state is AGENT_SENDS[state][type(event)]
        return

    with pytest.raises(LocalProtocolError):
        connection.send(event)
    assert connection.state is state
    assert flush(connection) == b""


# HELLO


def test_hello_is_answered_and_reported():
    connection = AgentConnection()
    assert (connection.hello, connection.agreed, connection.max_frame_size) == (None, None, 4096)
    events = connection.receive_data(HELLO)

    assert events == [HAProxyHello(("2.0",), 16380, ("pipelining",), None, healthcheck=False)]
    assert connection.hello == events[0]
    assert connection.agreed == AgentHello("2.0", 16380, ("pipelining", "fragmentation"))
    assert flush(connection) == frame(AGENT_HELLO, payload=support.FRAGMENTS_HELLO_ITEMS)
    assert (connection.max_frame_size, connection.max_ack_size) == (16380, 16379)
    assert connection.want_read
    assert not connection.should_close


def test_the_answer_to_hello_is_one_piece():
    """haproxy#3478: HAProxy >= 3.1 resets the connection if AGENT-HELLO comes in pieces."""
    connection = AgentConnection()
    connection.receive_data(HELLO)

    assert types(connection.data_to_send()) == [AGENT_HELLO]
    assert connection.data_to_send() == b""


def test_a_health_check_is_answered_and_closed():
    connection = AgentConnection()
    (hello,) = connection.receive_data(FRAMES[AgentInput.HEALTHCHECK])

    assert hello.healthcheck
    assert types(flush(connection)) == [AGENT_HELLO]
    assert connection.should_close
    assert connection.closed


def test_a_health_check_is_refused_when_asked_to_but_other_hellos_are_not():
    connection = AgentConnection(refuse_healthchecks=True)
    (hello,) = connection.receive_data(FRAMES[AgentInput.HEALTHCHECK])

    assert hello.healthcheck
    assert status_of(flush(connection)) == StatusCode.RESOURCE_ERROR
    assert connection.should_close
    assert running_agent(AgentConnection(refuse_healthchecks=True)).state is AgentState.RUNNING


@pytest.mark.parametrize(
    ("items", "status"),
    [
        (HELLO_ITEMS.replace(b"supported-versions", b"Supported-versions"), 5),
        (HELLO_ITEMS.replace(b"max-frame-size", b"max-frame-sizE"), 6),
        (HELLO_ITEMS.replace(b"capabilities", b"capabilitieS"), 7),
        (HELLO_ITEMS.replace(b"2.0", b"1.0"), 8),
        (HELLO_ITEMS.replace(b"\xfc\xf0\x06", b"\xff\x00\x00"), 4),
        (HELLO_ITEMS[:-1], 4),
        (b"", 5),
    ],
)
def test_a_hello_that_cannot_be_agreed_to_is_refused_after_a_while(items: Any, status: int):
    """spop.md 0.9: HAProxy <= 3.0 reconnects at once, thousands of times a second."""
    connection = AgentConnection(Limits(refusal_delay=0.7))
    (failure,) = connection.receive_data(frame(HAPROXY_HELLO, payload=items))

    assert (failure.status, failure.delay) == (status, 0.7)
    assert status_of(flush(connection)) == status
    assert connection.should_close


def test_after_hello_a_failure_is_sent_at_once():
    connection = running_agent()
    (failure,) = connection.receive_data(notify(0, 0))

    assert failure.delay == 0


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01", b"PROXY TCP4 "]
)
def test_another_protocol_on_the_port_ends_at_its_first_bytes(first: bytes):
    connection = AgentConnection()
    events = connection.receive_data(first[:5])

    assert names(events) == ["ConnectionFailed"]
    assert events[0].status == StatusCode.FRAME_TOO_BIG
    assert ("HTTP" in events[0].reason) == (b"HTTP" in first)


def test_before_hello_the_type_is_judged_at_the_fifth_byte():
    connection = AgentConnection()

    assert connection.receive_data(b"\0\0\x0f\xff") == []
    (failure,) = connection.receive_data(b"\x03")
    assert failure.status == StatusCode.INVALID_FRAME
    assert failure.reason == "frame type 3 in state WAIT_HELLO"


def test_before_hello_frames_are_small_and_after_it_as_agreed():
    connection = AgentConnection()
    assert names(connection.receive_data(b"\0\0\x10\x01")) == ["ConnectionFailed"]

    connection = running_agent()
    assert connection.receive_data(b"\0\0\x3f\xfc\x03") == []
    assert running_agent().receive_data(b"\0\0\x3f\xfd")[0].status == StatusCode.FRAME_TOO_BIG


def test_our_largest_frame_is_announced_if_it_is_smaller():
    connection = AgentConnection(Limits(frame_size=1000))
    connection.receive_data(HELLO)

    assert connection.agreed.max_frame_size == 1000
    assert connection.receive_data(b"\0\0\x03\xe9")[0].status == StatusCode.FRAME_TOO_BIG


# NOTIFY and ACK


def test_a_notify_is_reported_and_answered():
    connection = running_agent()

    assert connection.receive_data(notify(3, 2)) == [Notify(3, 2, WHOLE)]
    assert connection.in_flight == 1
    connection.send(Ack(3, 2, (SetVar(Scope.TRANSACTION, "score", 42),)))
    assert connection.in_flight == 0
    assert connection.data_to_send().hex() == "00000012670000000103020103020573636f7265042a"


def test_notifys_are_answered_in_any_order():
    connection = running_agent()
    connection.receive_data(b"".join(notify(number, 1) for number in range(1, 21)))
    for number in (20, 3, 1, 2):
        connection.send(Ack(number, 1))

    assert [each[2] for each in frames(flush(connection))] == [20, 3, 1, 2]
    assert connection.in_flight == 16


def test_a_notify_without_messages_is_answered_too():
    connection = running_agent()

    assert connection.receive_data(notify(1, 1, b"")) == [Notify(1, 1, ())]
    connection.send(Ack(1, 1))
    assert connection.data_to_send().hex() == "0000000767000000010101"


@pytest.mark.parametrize("ids", [(1, 0), (0, 0)])
def test_a_frame_id_of_zero(ids: tuple[int, int]):
    assert running_agent().receive_data(notify(*ids))[0].status == StatusCode.INVALID_FRAME


def test_a_stream_id_of_zero_is_the_first_stream_of_haproxy_2():
    """Against spop.md 2.1, but seen: HAProxy 2.6 and 2.8 number streams from zero."""
    connection = running_agent()

    assert names(connection.receive_data(notify(0, 1))) == ["Notify"]
    connection.send(Ack(0, 1))
    connection.receive_data(notify(0, 2, MESSAGES[:5], flags=0))
    assert names(connection.receive_data(frame(UNSET, FIN, 0, 2, MESSAGES[5:]))) == ["Notify"]


def test_a_pair_is_free_again_after_its_ack():
    connection = running_agent()
    connection.receive_data(notify(1, 1))
    connection.send(Ack(1, 1))
    assert names(connection.receive_data(notify(1, 1))) == ["Notify"]

    assert connection.receive_data(notify(1, 1))[-1].status == StatusCode.INVALID_FRAME


@pytest.mark.parametrize("ids", [(1, 2), (2, 1), (0, 0)])
def test_an_ack_of_what_is_not_in_flight_is_our_fault(ids: tuple[int, int]):
    connection = running_agent()
    connection.receive_data(notify(1, 1))

    with pytest.raises(LocalProtocolError, match="no NOTIFY in flight"):
        connection.send(Ack(*ids))
    connection.send(Ack(1, 1))
    with pytest.raises(LocalProtocolError):
        connection.send(Ack(1, 1))


@pytest.mark.parametrize(
    "wrong", [SetVar(9, "a", 1), SetVar(2, "a-b", 1), SetVar(2, "a", 1 << 70), SetVar(2, "a", 1.5)]
)
def test_what_haproxy_punishes_cannot_be_sent_and_the_notify_can_still_be_answered(wrong: Any):
    connection = running_agent()
    connection.receive_data(notify(1, 1))

    with pytest.raises(LocalProtocolError):
        connection.send(Ack(1, 1, (wrong,)))
    assert (connection.in_flight, flush(connection)) == (1, b"")
    connection.send(Ack(1, 1))


def ack_of(size: int) -> Ack:
    """An ACK of so many bytes, length prefix not counted."""
    head = 7 + 3 + 2 + 1  # frame, action, name, type
    for name in ("v", "vv"):  # a name of two bytes where no length of the value fits
        for digits in (1, 2, 3):
            value = size - head - digits - len(name) + 1
            if len(encode_varint(value)) == digits:
                return Ack(1, 1, (SetVar(Scope.TRANSACTION, name, b"x" * value),))
    raise AssertionError(size)


@pytest.mark.parametrize(("mitigation", "largest"), [(True, 16379), (False, 16380)])
def test_the_largest_ack(mitigation: bool, largest: int):
    """spop.md 0.7: one of 16,380 bytes fills the buffer of HAProxy >= 3.1, which then stalls."""
    connection = running_agent(AgentConnection(stall_mitigation=mitigation))
    connection.receive_data(notify(1, 1))

    assert connection.max_ack_size == largest
    with pytest.raises(LocalProtocolError, match=f"at most {largest}") as raised:
        connection.send(ack_of(largest + 1))
    assert raised.value.status == StatusCode.FRAME_TOO_BIG
    connection.send(ack_of(largest))
    assert len(connection.data_to_send()) == largest + 4


def writes(sizes: list[int], *, mitigation: bool = True):
    """The sizes of the ACKs in each write, when ACKs of these sizes (prefix included) wait."""
    connection = running_agent(AgentConnection(stall_mitigation=mitigation))
    for number, size in enumerate(sizes, 1):
        connection.receive_data(notify(number, 1))
        ack = ack_of(size - 4)
        connection.send(Ack(number, 1, ack.actions))
    return [[len(each[4]) + 11 for each in frames(data)] for data in iter(connection.data_to_send, b"")]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([100] * 5, [[100] * 5]),
        ([819] * 21, [[819] * 20, [819]]),  # 20 x 819 = 16,380 are below the buffer, 21 are not
        ([820, 100, 100], [[820], [100, 100]]),
        ([100, 820, 100], [[100], [820], [100]]),
        ([9000, 9000], [[9000], [9000]]),
    ],
)
def test_no_write_fills_haproxys_buffer(sizes: list[int], expected: Any):
    assert writes(sizes) == expected
    assert writes(sizes, mitigation=False) == [sizes]


@given(st.lists(st.integers(300, 5000), max_size=30))
@settings(max_examples=30)
def test_writes_stay_below_the_buffer_and_lose_nothing(sizes: list[int]):
    chunks = writes(sizes)

    assert [size for chunk in chunks for size in chunk] == sizes
    for chunk in chunks:
        assert sum(chunk) < 16384
        assert len(chunk) == 1 or max(chunk) <= 819


def test_reading_stops_while_too_many_are_in_flight():
    connection = running_agent(AgentConnection(Limits(in_flight=2)))
    connection.receive_data(notify(1, 1))
    assert connection.want_read
    events = connection.receive_data(notify(2, 1) + notify(3, 1))

    assert names(events) == ["Notify", "Notify"]  # what was read is decoded; it is no error
    assert not connection.want_read
    connection.send(Ack(1, 1))
    connection.send(Ack(2, 1))
    assert connection.want_read


def test_unknown_frames_are_counted_and_strictly_refused():
    connection = running_agent()
    unknown = frame(200, 0x80000001, 3, 4, b"abc")

    assert connection.receive_data(unknown * 2) == [UnknownFrame(200, FIN, 3, 4, b"abc")] * 2
    assert connection.unknown_frames == 2
    strict = running_agent(AgentConnection(strict=True))
    assert strict.receive_data(unknown)[0].status == StatusCode.INVALID_FRAME


def test_a_malformed_notify_fails_with_what_came_before_reported():
    connection = running_agent()
    events = connection.receive_data(notify(1, 1) + notify(2, 1, MESSAGES[:-1]) + notify(3, 1))

    assert names(events) == ["Notify", "ConnectionFailed"]
    assert connection.in_flight == 0
    assert status_of(flush(connection)) == StatusCode.INVALID_FRAME


def test_answers_queued_before_a_failure_still_go_out():
    connection = running_agent()
    connection.receive_data(notify(1, 1))
    connection.send(Ack(1, 1))
    connection.receive_data(notify(0, 0))

    assert types(flush(connection)) == [ACK, AGENT_DISCONNECT]


def test_other_kinds_of_bytes_are_taken():
    assert AgentConnection().receive_data(bytearray(HELLO)) == AgentConnection().receive_data(memoryview(HELLO))
    assert AgentConnection().receive_data(b"") == []


# Fragments


def test_fragments_are_put_together():
    connection = running_agent()
    first, rest = notify(7, 1, MESSAGES[:5], flags=0), [frame(UNSET, 0, 7, 1, MESSAGES[5:9]), frame(UNSET, 0, 7, 1)]

    assert connection.receive_data(first) == []
    assert connection.receive_data(b"".join(rest)) == []
    assert connection.in_flight == 0
    assert connection.receive_data(frame(UNSET, FIN, 7, 1, MESSAGES[9:])) == [Notify(7, 1, WHOLE)]
    assert connection.in_flight == 1
    connection.send(Ack(7, 1))


def test_the_example_of_the_specification():
    """spop.md 1.8, numbers 16 and 17."""
    connection = running_agent()
    first = bytes.fromhex("0000001903000000000701016d020161080378797a0162090830313233")
    last = bytes.fromhex("0000000b0000000001070134353637")

    assert connection.receive_data(first + last) == [
        Notify(7, 1, (Message("m", (("a", "xyz"), ("b", b"01234567"))),)),
    ]


def test_other_notifys_may_be_answered_while_a_fragment_is_open():
    connection = running_agent()
    connection.receive_data(notify(1, 1) + notify(7, 1, MESSAGES[:5], flags=0))
    connection.send(Ack(1, 1))

    assert connection.state is AgentState.ASSEMBLING
    with pytest.raises(LocalProtocolError):  # never before the last fragment
        connection.send(Ack(7, 1))


def test_a_broken_whole_is_refused():
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:5], flags=0))

    assert connection.receive_data(frame(UNSET, FIN, 7, 1))[0].status == StatusCode.INVALID_FRAME


def test_haproxy_aborts():
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:5], flags=0))

    assert connection.receive_data(bytes.fromhex("0000000700000000030701")) == [Aborted(7, 1)]
    assert (connection.state, connection.in_flight, flush(connection)) == (AgentState.RUNNING, 0, b"")
    assert names(connection.receive_data(notify(7, 1))) == ["Notify"]


@pytest.mark.parametrize("last", [frame(UNSET, FIN, 7, 1, b"rest"), frame(UNSET, FIN | ABRT, 7, 1)])
def test_we_abort_and_what_still_comes_is_dropped(last: bytes):
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:5], flags=0))
    connection.send(Aborted(7, 1))

    assert connection.data_to_send().hex() == "0000000767000000030701"
    with pytest.raises(LocalProtocolError, match="no fragmented NOTIFY open"):
        connection.send(Aborted(7, 1))
    assert connection.receive_data(frame(UNSET, 0, 7, 1, b"more") + last) == []
    assert connection.state is AgentState.RUNNING
    connection.receive_data(notify(9, 1, MESSAGES[:5], flags=0))
    assert connection.receive_data(frame(UNSET, FIN, 9, 1, MESSAGES[5:])) == [Notify(9, 1, WHOLE)]


def test_only_the_open_notify_can_be_aborted():
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:5], flags=0))

    with pytest.raises(LocalProtocolError, match="stream-id 8"):
        connection.send(Aborted(8, 1))


def test_fragments_are_bounded_in_bytes():
    connection = running_agent(AgentConnection(Limits(fragment_bytes=20)))
    connection.receive_data(notify(7, 1, b"x" * 20, flags=0))
    assert connection.receive_data(frame(UNSET, 0, 7, 1)) == []

    (failure,) = connection.receive_data(frame(UNSET, 0, 7, 1, b"x"))
    assert (failure.status, failure.reason) == (3, "fragmented NOTIFY of more than 20 bytes")


def test_fragments_are_bounded_in_number():
    connection = running_agent(AgentConnection(Limits(fragments=3)))
    connection.receive_data(notify(7, 1, b"", flags=0))
    assert connection.receive_data(frame(UNSET, 0, 7, 1) * 2) == []

    (failure,) = connection.receive_data(frame(UNSET, FIN, 7, 1))
    assert (failure.status, failure.reason) == (3, "NOTIFY of more than 3 fragments")


# Ending


def test_haproxys_disconnect_is_answered_and_answers_are_void():
    connection = running_agent()
    connection.receive_data(notify(1, 1))

    assert connection.receive_data(BYE + notify(2, 1)) == [HAProxyDisconnect(StatusCode.NORMAL, "normal")]
    assert flush(connection).hex() == (
        "00000025660000000100000b7374617475732d636f64650300076d65737361676508066e6f726d616c"
    )
    assert connection.closed
    with pytest.raises(LocalProtocolError):
        connection.send(Ack(1, 1))


def test_we_disconnect():
    connection = running_agent()
    connection.send(AgentDisconnect(13, "busy"))

    assert not connection.closed
    assert status_of(flush(connection)) == 13
    assert connection.closed


def test_an_idle_connection_drains_at_once():
    connection = running_agent()
    connection.drain()

    assert status_of(flush(connection)) == 0
    assert connection.closed


def test_a_connection_before_hello_drains_at_once():
    connection = AgentConnection()
    connection.drain()

    assert status_of(flush(connection)) == 0
    assert connection.closed


def test_a_busy_connection_drains_when_all_is_answered():
    connection = running_agent()
    connection.receive_data(notify(1, 1) + notify(2, 1))
    connection.drain()
    connection.send(Ack(1, 1))
    assert names(connection.receive_data(notify(3, 1))) == ["Notify"]  # it crossed: answered all the same
    connection.send(Ack(3, 1))
    assert not connection.should_close
    connection.send(Ack(2, 1))

    assert types(flush(connection)) == [ACK, ACK, ACK, AGENT_DISCONNECT]
    assert connection.closed


def test_a_drain_waits_for_what_has_begun():
    connection = running_agent()
    half = notify(7, 1, MESSAGES[:5], flags=0)
    connection.receive_data(half[:9])
    connection.drain()
    assert not connection.should_close
    assert connection.receive_data(half[9:]) == []
    assert not connection.should_close

    assert names(connection.receive_data(frame(UNSET, FIN, 7, 1, MESSAGES[5:]))) == ["Notify"]
    connection.send(Ack(7, 1))
    assert types(flush(connection)) == [ACK, AGENT_DISCONNECT]


def test_a_drain_ends_with_an_abort():
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:5], flags=0))
    connection.drain()

    assert connection.receive_data(frame(UNSET, FIN | ABRT, 7, 1)) == [Aborted(7, 1)]
    assert types(flush(connection)) == [AGENT_DISCONNECT]


def test_finish_answers_everything_with_nothing():
    connection = running_agent()
    connection.receive_data(notify(1, 1) + notify(2, 1) + notify(7, 1, MESSAGES[:5], flags=0))
    connection.finish()

    assert [each[:5] for each in frames(flush(connection))[:3]] == [
        (ACK, FIN, 1, 1, b""),
        (ACK, FIN, 2, 1, b""),
        (ACK, FIN | ABRT, 7, 1, b""),
    ]
    assert connection.closed


def test_finish_does_not_abort_twice():
    connection = running_agent()
    connection.receive_data(notify(7, 1, MESSAGES[:5], flags=0))
    connection.send(Aborted(7, 1))
    flush(connection)
    connection.finish()

    assert types(flush(connection)) == [AGENT_DISCONNECT]


def test_an_idle_connection_is_ended_if_so_configured():
    connection = running_agent(AgentConnection(Limits(idle_timeout=300)))
    assert connection.timer(1000).deadline == 1300
    assert connection.handle_timer(1299) == []

    assert connection.handle_timer(1300) == [ConnectionClosed(clean=True, received=True, reason="idle for 300 s")]
    assert status_of(flush(connection)) == 0
    assert connection.should_close


def test_a_busy_connection_is_not_idle():
    connection = running_agent(AgentConnection(Limits(idle_timeout=300)))
    connection.receive_data(notify(1, 1))
    assert connection.timer(0) is None
    connection.send(Ack(1, 1))

    assert connection.timer(5) == ("work", 305)
    connection.receive_data(notify(1, 1)[:6])
    assert connection.timer(6) == ("the rest of a frame", 16)


# A walk through all states with all inputs

INPUTS = st.sampled_from([*AgentInput, "eof", "drain", "finish", Ack, Aborted, AgentDisconnect, "ack all"])


def realised(connection: Any, received: Any, number: int):
    """A frame that is this input in the connection's state."""
    pair = connection._fragment_pair or (number, 1)
    flags = {AgentInput.UNSET_PART: 0, AgentInput.UNSET_LAST: FIN, AgentInput.UNSET_ABORT: FIN | ABRT}
    if received in flags:
        return frame(UNSET, flags[received], *pair, MESSAGES[5:] if flags[received] == FIN else b"")
    if received is AgentInput.UNSET_OTHER:
        return frame(UNSET, FIN, pair[0], 9)
    if received is AgentInput.NOTIFY:
        return notify(number, 1)
    if received in (AgentInput.NOTIFY_PART, AgentInput.NOTIFY_PART_NOT_AGREED):
        return notify(number, 1, MESSAGES[:5], flags=0)
    return FRAMES[received]


@given(st.lists(INPUTS, max_size=25), st.booleans(), st.lists(st.integers(1, 40), min_size=1, max_size=4))
@settings(max_examples=300)
def test_all_states_with_all_inputs(inputs: Any, fragments: bool, sizes: list[int]):
    """Whatever comes in whatever order: the tables are followed, nothing is raised, only whole frames go out."""
    only = {Capability.PIPELINING, Capability.FRAGMENTATION} if fragments else {Capability.PIPELINING}
    connection = (
        running_agent(AgentConnection(capabilities=only)) if sizes[0] > 5 else AgentConnection(capabilities=only)
    )
    sent = b""
    for number, each in enumerate(inputs, 1):
        before = connection.state
        if isinstance(each, AgentInput):
            data = realised(connection, each, number)
            classified = connection._classify(_agent.parse_header(data[4:]))
            events = []
            for piece in support.in_pieces(data, sizes):
                events += connection.receive_data(piece)
            if each is AgentInput.HEALTHCHECK:
                classified = each if before is AgentState.WAIT_HELLO else classified
            step = AGENT_RECEIVES[before][classified]
            assert connection.state in {step.next, AgentState.CLOSED} if connection._draining else {step.next}
            assert (step.effect is Effect.FAIL) == any(isinstance(event, ConnectionFailed) for event in events)
        elif each == "eof":
            assert len(connection.receive_eof()) == (before < AgentState.CLOSED)
        elif each in ("drain", "finish"):
            getattr(connection, each)()
        elif each == "ack all":
            for pair in list(connection._in_flight):
                connection.send(Ack(*pair))
        else:
            event = each() if each is AgentDisconnect else each(*(connection._fragment_pair or (number, 1)))
            try:
                connection.send(event)
            except LocalProtocolError:
                assert connection.state is before
            else:
                assert connection.state is AGENT_SENDS[before][each]
        assert connection.should_close == (connection.state >= AgentState.CLOSED)
        if connection.should_close:
            assert (connection.in_flight, connection._fragment_pair, len(connection._buffer)) == (0, None, 0)
        sent += flush(connection)
    kinds = types(sent)
    assert kinds.count(AGENT_DISCONNECT) <= 1
    if AGENT_DISCONNECT in kinds:
        assert kinds[-1] == AGENT_DISCONNECT


def test_capabilities_may_depend_on_what_haproxy_said():
    asked = []

    def choose(hello: HAProxyHello):
        asked.append(hello)
        return {Capability.FRAGMENTATION} if Capability.ASYNC in hello.capabilities else {Capability.PIPELINING}

    connection = running_agent(AgentConnection(capabilities=choose))

    assert asked == [connection.hello]
    assert connection.agreed is not None
    assert connection.agreed.capabilities == (Capability.PIPELINING,)
    assert names(connection.receive_data(notify(7, 1, MESSAGES[:4], flags=0))) == ["ConnectionFailed"]


def test_idle_is_when_nothing_is_begun():
    connection = AgentConnection()
    assert not connection.idle
    connection.receive_data(HELLO)
    assert not connection.idle  # its answer is not sent yet
    flush(connection)
    assert connection.idle
    connection.receive_data(notify(1, 1) + b"\0")
    assert not connection.idle
    connection.receive_data(notify(2, 1)[1:])
    connection.send(Ack(1, 1))
    flush(connection)
    assert not connection.idle
    connection.send(Ack(2, 1))
    assert not connection.idle
    flush(connection)
    assert connection.idle
    connection.receive_data(notify(7, 1, MESSAGES[:4], flags=0))
    assert not connection.idle
    connection.receive_data(frame(UNSET, FIN | ABRT, 7, 1))
    assert connection.idle
    connection.drain()
    flush(connection)
    assert not connection.idle


def test_a_long_name_warns_where_the_answer_is_sent():
    connection = running_agent()
    connection.receive_data(notify(1, 1))

    with pytest.warns(UserWarning, match="HAProxy drops it") as warned:
        connection.send(Ack(1, 1, (SetVar(Scope.SESSION, "seen_where_it_is_sent_" + "x" * 30, 1),)))
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (notify(1, 0), "frame-id 0 in state RUNNING: the frame-id is 0, or a NOTIFY of these ids is in flight"),
        (frame(UNSET, FIN, 7, 1), "in state RUNNING: no fragmented NOTIFY of these ids is open"),
        (frame(ACK, FIN, 1, 1), "in state RUNNING: HAProxy does not send it"),
        (
            notify(7, 1, MESSAGES[:4], flags=0) + notify(1, 1),
            "frame type 3, flags 1, stream-id 1, frame-id 1 in state ASSEMBLING",
        ),
    ],
)
def test_a_failure_says_what_is_wrong(rest: bytes, said: str):
    (failure,) = running_agent().receive_data(rest)

    assert isinstance(failure, ConnectionFailed)
    assert failure.reason.endswith(said)
