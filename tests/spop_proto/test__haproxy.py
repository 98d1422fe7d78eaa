"""HAProxy's side: each row of its table, sending, fragments and aborts, what it forgives."""

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
    ConnectionClosed,
    ConnectionFailed,
    HAProxyConnection,
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
    _haproxy,
)
from spop_proto._state import HAPROXY_RECEIVES, HAPROXY_SENDS, Effect, HAProxyInput, HAProxyState, Step
from tests.spop_proto.support import (
    ABRT,
    ACK,
    AGENT_DISCONNECT,
    AGENT_HELLO,
    AGENT_HELLO_ITEMS,
    BYE_ITEMS,
    FIN,
    FRAGMENTS_HELLO_ITEMS,
    HAPROXY_DISCONNECT,
    NOTIFY,
    UNSET,
    flush,
    frame,
    frames,
    in_pieces,
    names,
    pair,
    running_haproxy,
    status_of,
    types,
)

SMALL = Message("m", (("a", "xyz"),))
LARGE = Message("m", (("body", bytes(1000)),))
HELLO = HAProxyHello(max_frame_size=256)
SMALL_FRAMES_ITEMS = FRAGMENTS_HELLO_ITEMS.replace(b"\x03\xfc\xf0\x06", b"\x03\xf0\x01")
BYE = frame(AGENT_DISCONNECT, payload=BYE_ITEMS)
FRAMES = {
    HAProxyInput.HELLO: frame(AGENT_HELLO, payload=SMALL_FRAMES_ITEMS),
    HAProxyInput.HEALTHCHECK: frame(AGENT_HELLO, payload=SMALL_FRAMES_ITEMS),
    HAProxyInput.DISCONNECT: BYE,
    HAProxyInput.ACK: frame(ACK, FIN, 1, 1),
    HAProxyInput.ACK_ABORT: frame(ACK, FIN | ABRT, 7, 1),
    HAProxyInput.ACK_EARLY: frame(ACK, FIN, 7, 1),
    HAProxyInput.ACK_LATE: frame(ACK, FIN, 3, 1),
    HAProxyInput.ACK_NOT_FOUND: frame(ACK, FIN, 9, 1),
    HAProxyInput.ACK_PART: frame(ACK, 0, 1, 1),
    HAProxyInput.CONTROL_PART: frame(AGENT_DISCONNECT, 0, payload=BYE_ITEMS),
    HAProxyInput.CONTROL_IDS: frame(AGENT_DISCONNECT, FIN, 1, 0, payload=BYE_ITEMS),
    HAProxyInput.WRONG_DIRECTION: frame(NOTIFY, FIN, 1, 1),
    HAProxyInput.UNKNOWN: frame(200, FIN, 1, 1),
}
NEEDS_A_NOTIFY = {HAProxyInput.ACK, HAProxyInput.ACK_ABORT, HAProxyInput.ACK_EARLY, HAProxyInput.ACK_LATE}
CLOSING_EXPECTED = dict.fromkeys(set(HAProxyInput) - NEEDS_A_NOTIFY - {HAProxyInput.HEALTHCHECK}, ", CLOSING")
EXPECTED = {
    HAProxyState.START: {
        HAProxyInput.HELLO: 4,
        HAProxyInput.DISCONNECT: "AgentDisconnect, CLOSED",
        HAProxyInput.ACK_NOT_FOUND: 4,
        HAProxyInput.ACK_PART: 4,
        HAProxyInput.CONTROL_PART: 4,
        HAProxyInput.CONTROL_IDS: 4,
        HAProxyInput.WRONG_DIRECTION: 4,
        HAProxyInput.UNKNOWN: 4,
    },
    HAProxyState.WAIT_AGENT_HELLO: {
        HAProxyInput.HELLO: "AgentHello, RUNNING",
        HAProxyInput.HEALTHCHECK: "AgentHello, CLOSED",
        HAProxyInput.DISCONNECT: "AgentDisconnect, CLOSED",
        HAProxyInput.ACK_NOT_FOUND: 4,
        HAProxyInput.ACK_PART: 4,
        HAProxyInput.CONTROL_PART: 10,
        HAProxyInput.CONTROL_IDS: 4,
        HAProxyInput.WRONG_DIRECTION: 4,
        HAProxyInput.UNKNOWN: 4,
    },
    HAProxyState.RUNNING: {
        HAProxyInput.HELLO: 4,
        HAProxyInput.DISCONNECT: "AgentDisconnect, CLOSED",
        HAProxyInput.ACK: "Ack, RUNNING",
        HAProxyInput.ACK_ABORT: "Aborted, RUNNING",
        HAProxyInput.ACK_EARLY: 4,
        HAProxyInput.ACK_LATE: ", RUNNING",
        HAProxyInput.ACK_NOT_FOUND: 12,
        HAProxyInput.ACK_PART: 10,
        HAProxyInput.CONTROL_PART: 10,
        HAProxyInput.CONTROL_IDS: 4,
        HAProxyInput.WRONG_DIRECTION: 4,
        HAProxyInput.UNKNOWN: "UnknownFrame, RUNNING",
    },
    HAProxyState.CLOSING: {**CLOSING_EXPECTED, HAProxyInput.DISCONNECT: "AgentDisconnect, CLOSED"},
}
ROWS = [(state, received) for state, cells in EXPECTED.items() for received in sorted(cells)]


def in_state(state: HAProxyState, received: HAProxyInput | None = None) -> HAProxyConnection:
    """A connection in that state; RUNNING has 1/1 in flight, 3/1 answered, and of 7/1 the first fragment sent."""
    connection = HAProxyConnection()
    if state is not HAProxyState.START:
        connection.send(HAProxyHello(max_frame_size=256, healthcheck=received is HAProxyInput.HEALTHCHECK))
        connection.next_frame_to_send()
    if state in (HAProxyState.RUNNING, HAProxyState.FAILED):
        connection.receive_data(FRAMES[HAProxyInput.HELLO])
        for number in (1, 3):
            connection.send(Notify(number, 1, (SMALL,)))
        connection.receive_data(frame(ACK, FIN, 3, 1))
        connection.send(Notify(7, 1, (LARGE,)))
        for _ in range(3):
            connection.next_frame_to_send()
    if state is HAProxyState.CLOSING:
        connection.send(HAProxyDisconnect())
        flush(connection)
    if state is HAProxyState.CLOSED:
        connection.receive_data(BYE)
    if state is HAProxyState.FAILED:
        connection.receive_data(frame(ACK, 0))
        flush(connection)
    assert connection.state is state
    return connection


def observed(state: HAProxyState, received: HAProxyInput) -> int | str:
    """What comes of a frame in a state, in the words of EXPECTED."""
    connection = in_state(state, received)
    events = connection.receive_data(FRAMES[received])
    if connection.state is HAProxyState.FAILED:
        (failure,) = events
        assert isinstance(failure, ConnectionFailed)
        sent = flush(connection)
        assert not sent if state is HAProxyState.CLOSING else status_of(sent) == failure.status
        return failure.status
    return f"{' '.join(names(events))}, {connection.state.name}"


@pytest.mark.parametrize(("state", "received"), ROWS, ids=lambda each: each.name)
def test_each_row_of_the_table(state: Any, received: Any):
    assert observed(state, received) == EXPECTED[state][received]


@pytest.mark.parametrize(("state", "received"), ROWS, ids=lambda each: each.name)
def test_a_changed_row_is_noticed(state: Any, received: Any, monkeypatch: pytest.MonkeyPatch):
    """Mutation: each row replaced by another must change what is observed."""
    step = HAPROXY_RECEIVES[state][received]
    if step.effect is Effect.FAIL:
        changed = Step(Effect.IGNORE, HAProxyState.CLOSED)
    else:
        changed = Step(Effect.FAIL, HAProxyState.FAILED, StatusCode.UNKNOWN)
    steps = [list(cells) for cells in _haproxy._STEPS]
    steps[state][received] = changed
    assert observed(state, received) == EXPECTED[state][received]
    connection = in_state(state, received)
    monkeypatch.setattr(_haproxy, "_STEPS", steps)
    monkeypatch.setitem(globals(), "in_state", lambda *_: connection)

    assert observed(state, received) != EXPECTED[state][received]


@pytest.mark.parametrize("received", list(HAProxyInput), ids=lambda each: each.name)
@pytest.mark.parametrize("state", [HAProxyState.CLOSED, HAProxyState.FAILED], ids=lambda each: each.name)
def test_after_the_end_everything_is_ignored(state: Any, received: Any):
    connection = in_state(state)

    assert connection.receive_data(FRAMES[received]) == []
    assert connection.receive_eof() == []
    assert connection.handle_timer(1e9) == []
    assert connection.should_close
    assert not connection.want_read


@pytest.mark.parametrize("state", list(HAProxyState), ids=lambda each: each.name)
@pytest.mark.parametrize(
    "event",
    [HAProxyHello(), Notify(11, 1), Aborted(7, 1), HAProxyDisconnect(), Ack(1, 1)],
    ids=lambda each: type(each).__name__,
)
def test_what_may_be_sent(state: Any, event: Any):
    connection = in_state(state)
    following = HAPROXY_SENDS[state].get(type(event))
    if following is not None:
        connection.send(event)
        assert connection.state is following
        return

    queued = list(connection._outgoing)
    with pytest.raises(LocalProtocolError, match=f"cannot be sent in state {state.name}"):
        connection.send(event)
    assert connection.state is state
    assert list(connection._outgoing) == queued


# HELLO


COMMON_ITEMS = (
    "12737570706f727465642d76657273696f6e730803322e300e6d61782d6672616d652d73697a6503fcf0060c6361706162696c697469657308"
)
HEALTHCHECK = "0000004e01000000010000" + COMMON_ITEMS + "000b6865616c7468636865636b11"
LEGACY = (
    "0000008101000000010000"
    + COMMON_ITEMS
    + "10706970656c696e696e672c6173796e6309656e67696e652d696408243761326135353639"
    + "2d656432612d343233302d393239312d373363333638663361306639"
)
ENGINE_ID = "7a2a5569-ed2a-4230-9291-73c368f3a0f9"


@pytest.mark.parametrize(
    ("hello", "expected"),
    [
        (HAProxyHello(capabilities=(), healthcheck=True), HEALTHCHECK),
        (HAProxyHello(capabilities=("pipelining", "async"), engine_id=ENGINE_ID), LEGACY),
    ],
)
def test_a_hello_as_haproxy_writes_it(hello: HAProxyHello, expected: str):
    """spop.md 1.8, numbers 1 and 2, byte by byte."""
    connection = HAProxyConnection()
    connection.send(hello)

    assert connection.hello == hello
    assert flush(connection).hex() == expected


@pytest.mark.parametrize("hello", [HAProxyHello(max_frame_size=255), HAProxyHello(engine_id="x" * 200)])
def test_a_hello_that_makes_no_sense_is_our_fault(hello: Any):
    connection = HAProxyConnection()
    with pytest.raises(LocalProtocolError):
        connection.send(hello)
    assert (connection.state, connection.hello) == (HAProxyState.START, None)


def test_the_agents_hello_decides_what_may_be_sent():
    connection = running_haproxy()

    assert connection.agreed == AgentHello("2.0", 16380, ("pipelining",))
    assert (connection.max_frame_size, connection.in_flight_limit, connection.want_read) == (16380, 20, True)
    assert HAProxyConnection().in_flight_limit == 0


def test_a_wrong_hello_of_the_agent_is_refused():
    connection = HAProxyConnection()
    connection.send(HAProxyHello(max_frame_size=1000))
    flush(connection)
    (failure,) = connection.receive_data(frame(AGENT_HELLO, payload=AGENT_HELLO_ITEMS))

    assert (failure.status, failure.delay) == (StatusCode.MAX_FRAME_SIZE_OUT_OF_RANGE, 0)
    assert status_of(flush(connection)) == 9
    assert connection.closed


# NOTIFY and ACK


def test_a_notify_as_haproxy_writes_it():
    connection = running_haproxy()
    connection.send(Notify(1, 1, (Message("m", (("a", 42),)),)))

    assert (connection.data_to_send().hex(), connection.in_flight) == ("0000000e0300000001010101" + "6d010161042a", 1)


def test_an_ack_is_reported():
    connection = running_haproxy()
    connection.send(Notify(1, 1))
    events = connection.receive_data(bytes.fromhex("00000012670000000101010103020573636f7265042a"))

    assert events == [Ack(1, 1, (SetVar(Scope.TRANSACTION, "score", 42),))]
    assert connection.in_flight == 0


def test_the_limit_of_notifys_in_flight():
    alone = running_haproxy(items=AGENT_HELLO_ITEMS.replace(b"\x0apipelining", b"\x00"))
    alone.send(Notify(1, 1))
    with pytest.raises(LocalProtocolError, match="the limit is 1"):
        alone.send(Notify(2, 1))

    several = running_haproxy(HAProxyConnection(max_waiting_frames=3))
    for number in (1, 2, 3):
        several.send(Notify(number, 1))
    with pytest.raises(LocalProtocolError, match="the limit is 3"):
        several.send(Notify(4, 1))


@pytest.mark.parametrize("ids", [(-1, 1), (1, 0), (2**64, 1), (1, 2**64), (5, 1)])
def test_ids_that_cannot_be_used(ids: tuple[int, int]):
    connection = running_haproxy()
    connection.send(Notify(5, 1))
    flush(connection)

    with pytest.raises(LocalProtocolError, match="stream-id"):
        connection.send(Notify(*ids))
    assert (flush(connection), connection.in_flight) == (b"", 1)


def test_a_second_and_a_late_ack_are_ignored_an_unknown_one_is_not():
    connection = running_haproxy()
    connection.send(Notify(1, 1))
    connection.send(Notify(2, 1))
    connection.cancel(2, 1)
    assert names(connection.receive_data(frame(ACK, FIN, 1, 1) * 2 + frame(ACK, FIN, 2, 1))) == ["Ack"]

    with pytest.raises(LocalProtocolError, match="no NOTIFY in flight"):
        connection.cancel(2, 1)
    assert connection.receive_data(frame(ACK, FIN, 3, 1))[0].status == StatusCode.FRAME_ID_NOT_FOUND


def test_a_pair_can_be_used_again():
    connection = running_haproxy()
    for _ in range(2):
        connection.send(Notify(1, 1))
        assert names(connection.receive_data(frame(ACK, FIN, 1, 1))) == ["Ack"]


def test_what_was_answered_is_remembered_within_bounds():
    connection = running_haproxy()
    for number in range(1, 1100):
        connection.send(Notify(number, 1))
        connection.cancel(number, 1)

    assert len(connection._settled) == 1024
    assert (75, 1) not in connection._settled
    assert (76, 1) in connection._settled


def test_a_malformed_ack_fails_and_for_haproxy_it_ends_in_silence():
    bad = frame(ACK, FIN, 1, 1, bytes.fromhex("0103020161042a" + "0903020162042a"))
    strict, lenient = running_haproxy(), running_haproxy(HAProxyConnection(as_haproxy=True))
    for connection in (strict, lenient):
        connection.send(Notify(1, 1))

    assert strict.receive_data(bad)[0].status == StatusCode.INVALID_FRAME
    assert lenient.receive_data(bad) == [Ack(1, 1, (SetVar(Scope.TRANSACTION, "a", 42),))]


def test_what_haproxy_forgives():
    """spop.md 2.4: a second AGENT-HELLO, a type-0 frame and, with pipelining, an ACK of an unknown stream."""
    connection = running_haproxy(HAProxyConnection(as_haproxy=True))
    odd = frame(AGENT_HELLO, payload=AGENT_HELLO_ITEMS) + frame(UNSET, FIN, 1, 1)

    assert names(connection.receive_data(odd)) == ["UnknownFrame", "UnknownFrame"]
    assert connection.unknown_frames == 2
    assert connection.receive_data(frame(ACK, FIN, 9, 9)) == []
    alone = running_haproxy(
        HAProxyConnection(as_haproxy=True), items=AGENT_HELLO_ITEMS.replace(b"\x0apipelining", b"\x00")
    )
    assert alone.receive_data(frame(ACK, FIN, 9, 9))[0].status == StatusCode.FRAME_ID_NOT_FOUND


def test_an_unknown_frame_is_reported():
    assert running_haproxy().receive_data(frame(200, FIN, 1, 2, b"x")) == [UnknownFrame(200, FIN, 1, 2, b"x")]


# Fragments


def fragmenting() -> HAProxyConnection:
    """A connection that sends fragments, and frames of 256 bytes."""
    return running_haproxy(items=SMALL_FRAMES_ITEMS, hello=HELLO)


def test_a_large_notify_goes_out_in_fragments_with_room_for_the_header():
    connection = fragmenting()
    connection.send(Notify(7, 1, (LARGE,)))
    sent = frames(flush(connection))

    assert [(kind, flags) for kind, flags, *_ in sent] == [
        (NOTIFY, 0),
        (UNSET, 0),
        (UNSET, 0),
        (UNSET, 0),
        (UNSET, FIN),
    ]
    assert {ids for _, _, *ids, _ in map(tuple, sent) for ids in [tuple(ids)]} == {(7, 1)}
    assert [len(payload) for *_, payload in sent[:-1]] == [224] * 4


def test_without_fragmentation_a_large_notify_is_our_fault():
    connection = running_haproxy(
        items=SMALL_FRAMES_ITEMS.replace(b"\x18pipelining,fragmentation", b"\x00"), hello=HELLO
    )

    with pytest.raises(LocalProtocolError, match="takes no fragments") as raised:
        connection.send(Notify(1, 1, (LARGE,)))
    assert raised.value.status == StatusCode.FRAME_TOO_BIG
    assert connection.in_flight == 0
    connection.send(Notify(1, 1, (SMALL,)))


def test_we_abort_what_has_begun():
    connection = fragmenting()
    connection.send(Notify(7, 1, (LARGE,)))
    connection.send(Notify(9, 1, (SMALL,)))
    connection.next_frame_to_send()
    connection.next_frame_to_send()
    connection.send(Aborted(7, 1))

    assert [each[:4] for each in frames(flush(connection))] == [(UNSET, FIN | ABRT, 7, 1), (NOTIFY, FIN, 9, 1)]
    assert connection.in_flight == 1
    assert connection.next_frame_to_send() == b""


def test_we_abort_what_has_not_begun_without_a_word():
    connection = fragmenting()
    connection.send(Notify(7, 1, (LARGE,)))
    connection.send(Aborted(7, 1))

    assert flush(connection) == b""
    assert connection.in_flight == 0


@pytest.mark.parametrize("ids", [(7, 1), (9, 1), (8, 8)])
def test_what_is_sent_already_or_whole_cannot_be_aborted(ids: tuple[int, int]):
    connection = fragmenting()
    connection.send(Notify(7, 1, (LARGE,)))
    flush(connection)
    connection.send(Notify(9, 1, (SMALL,)))

    with pytest.raises(LocalProtocolError, match="no fragments to send"):
        connection.send(Aborted(*ids))


def test_the_agent_aborts():
    connection = in_state(HAProxyState.RUNNING)

    assert connection.receive_data(frame(ACK, FIN | ABRT, 7, 1)) == [Aborted(7, 1)]
    assert [each[:4] for each in frames(flush(connection))] == [(UNSET, FIN | ABRT, 7, 1)]
    assert connection.receive_data(frame(ACK, FIN, 7, 1)) == []  # late


def test_an_abort_after_the_last_fragment_is_an_ack():
    connection = in_state(HAProxyState.RUNNING)
    flush(connection)

    assert connection.receive_data(frame(ACK, FIN | ABRT, 7, 1)) == [Ack(7, 1, ())]


# Ending


def test_a_disconnect_waits_for_its_answer_and_ignores_all_else():
    connection = running_haproxy()
    connection.send(Notify(1, 1))
    connection.send(HAProxyDisconnect(2, "a timeout occurred"))

    assert types(flush(connection)) == [NOTIFY, HAPROXY_DISCONNECT]
    assert (connection.in_flight, connection.should_close) == (0, False)
    assert connection.receive_data(frame(ACK, FIN, 1, 1) + frame(200, FIN, 1, 1)) == []
    assert connection.receive_data(BYE) == [AgentDisconnect(StatusCode.NORMAL, "normal")]
    assert connection.closed


def test_a_disconnect_that_is_not_answered_ends_all_the_same():
    connection = running_haproxy(HAProxyConnection(Limits(disconnect_timeout=3)))
    assert connection.timer(0) is None
    connection.send(HAProxyDisconnect())

    assert connection.timer(10) == ("the answer to DISCONNECT", 13)
    assert connection.handle_timer(13) == [
        ConnectionClosed(clean=True, received=True, reason="no answer to DISCONNECT"),
    ]
    assert connection.should_close


def test_an_agent_that_says_nothing():
    connection = HAProxyConnection()
    assert connection.timer(0) is None
    connection.send(HAProxyHello())

    assert connection.timer(1) == ("HELLO", 6)
    (failure,) = connection.handle_timer(6)
    assert failure == ConnectionFailed(StatusCode.TIMEOUT, "timeout while waiting for HELLO")


def test_an_agent_that_stops_in_the_middle():
    connection = running_haproxy()
    connection.receive_data(b"\0\0")

    assert connection.timer(1) == ("the rest of a frame", 11)


def test_the_agent_closes():
    connection = running_haproxy()
    connection.send(Notify(1, 1))

    assert connection.receive_eof() == [ConnectionClosed(clean=True, received=True, reason="closed between two frames")]
    assert (connection.state, connection.in_flight) == (HAProxyState.CLOSED, 0)


# Both sides together

BODIES = st.binary(max_size=2000)


@given(
    st.lists(BODIES, max_size=8),
    st.lists(st.integers(1, 600), min_size=1, max_size=4),
    st.sampled_from([256, 512, 16380]),
)
@settings(max_examples=60)
def test_both_sides_understand_each_other_however_the_bytes_are_cut(
    bodies: list[bytes], sizes: list[int], frame_size: int
):
    haproxy, agent = pair(max_frame_size=frame_size)
    sent = [Notify(number, 1, (Message("m", (("body", body),)),)) for number, body in enumerate(bodies, 1)]
    for notify in sent:
        haproxy.send(notify)
    received = []
    for piece in in_pieces(flush(haproxy), sizes):
        received += agent.receive_data(piece)

    assert received == sent
    for notify in reversed(received):
        agent.send(Ack(notify.stream_id, 1, (SetVar(Scope.TRANSACTION, "length", len(notify.messages[0].args[0][1])),)))
    answers = []
    for piece in in_pieces(flush(agent), sizes):
        answers += haproxy.receive_data(piece)
    assert [(ack.stream_id, ack.actions[0].value) for ack in answers] == [
        (number, len(body)) for number, body in reversed(list(enumerate(bodies, 1)))
    ]
    assert (haproxy.in_flight, agent.in_flight) == (0, 0)


INPUTS = st.sampled_from(
    [*HAProxyInput, "eof", "cancel", HAProxyHello, Notify, "large", Aborted, HAProxyDisconnect, "one"]
)


@given(st.lists(INPUTS, max_size=25), st.booleans())
@settings(max_examples=300)
def test_all_states_with_all_inputs(inputs: Any, lenient: bool):
    """Whatever comes in whatever order: the tables are followed and nothing is raised but our own faults."""
    connection = HAProxyConnection(as_haproxy=lenient)
    for number, each in enumerate(inputs, 1):
        before = connection.state
        if isinstance(each, HAProxyInput):
            data = FRAMES[each]
            classified = connection._classify(_haproxy.parse_header(data[4:]))
            events = connection.receive_data(data)
            step = HAPROXY_RECEIVES[before][classified]
            assert connection.state is HAProxyState(step.next)
            assert (step.effect is Effect.FAIL) == any(isinstance(event, ConnectionFailed) for event in events)
        elif each == "eof":
            assert len(connection.receive_eof()) == (before < HAProxyState.CLOSED)
        elif each == "cancel":
            for ids in list(connection._in_flight):
                if not connection._unsent_fragments(ids):
                    connection.cancel(*ids)
        elif each == "one":
            connection.next_frame_to_send()
        else:
            event = {
                Notify: Notify(number, 1),
                "large": Notify(7, 1, (LARGE,)),
                Aborted: Aborted(7, 1),
                HAProxyHello: HELLO,
            }.get(each, HAProxyDisconnect())
            try:
                connection.send(event)
            except LocalProtocolError:
                assert connection.state is before
            else:
                assert connection.state is HAPROXY_SENDS[before][type(event)]
        assert connection.should_close == (connection.state >= HAProxyState.CLOSED)


def test_the_two_roles_go_through_a_whole_life():
    haproxy, agent = HAProxyConnection(), AgentConnection()
    haproxy.send(HAProxyHello(engine_id="e"))
    assert names(agent.receive_data(flush(haproxy))) == ["HAProxyHello"]
    assert names(haproxy.receive_data(flush(agent))) == ["AgentHello"]
    haproxy.send(HAProxyDisconnect())
    assert agent.receive_data(flush(haproxy)) == [HAProxyDisconnect(StatusCode.NORMAL, "normal")]
    assert haproxy.receive_data(flush(agent)) == [AgentDisconnect(StatusCode.NORMAL, "normal")]
    assert haproxy.closed
    assert agent.closed


@pytest.mark.parametrize("broken", [b"\0\0\0\0", frame(ACK, FIN, 255, 255), frame(AGENT_DISCONNECT, payload=b"\x05a")])
def test_after_our_disconnect_nothing_more_is_sent_whatever_comes(broken: bytes):
    connection = in_state(HAProxyState.CLOSING)

    assert names(connection.receive_data(broken)) == ["ConnectionFailed"]
    assert flush(connection) == b""
    assert connection.closed


@pytest.mark.parametrize("flags", [FIN | ABRT, 0x80000001, 0x00010001])
def test_a_health_check_wants_no_flag_but_fin(flags: int):
    connection = HAProxyConnection()
    connection.send(HAProxyHello(healthcheck=True))

    (failure,) = connection.receive_data(frame(AGENT_HELLO, flags, payload=AGENT_HELLO_ITEMS))
    assert failure == ConnectionFailed(StatusCode.INVALID_FRAME, f"flags {flags:08x}, a health check wants 00000001")
    other = HAProxyConnection()
    other.send(HAProxyHello())
    assert names(other.receive_data(frame(AGENT_HELLO, flags, payload=AGENT_HELLO_ITEMS))) == ["AgentHello"]


def test_a_failure_says_what_is_wrong():
    (failure,) = running_haproxy().receive_data(frame(ACK, FIN, 9, 1))
    assert isinstance(failure, ConnectionFailed)
    assert failure.reason == (
        "frame type 103, flags 1, stream-id 9, frame-id 1 in state RUNNING: there was no NOTIFY of these ids"
    )
