"""The agent's side of a connection.

What it does with a frame is in the table of _state.py; here is how. Source: SPOE.txt 3.2 and 3.3, spop.md 2.1, 2.5,
2.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spop_proto._connection import Connection, Pair, Wait, complaint
from spop_proto._errors import LocalProtocolError, RemoteProtocolError, StatusCode
from spop_proto._events import (
    Aborted,
    Ack,
    AgentDisconnect,
    Capability,
    ConnectionClosed,
    HAProxyDisconnect,
    Notify,
    UnknownFrame,
)
from spop_proto._frames import ABRT, FIN, PREFIX, FrameType, Header, encode_frame, parse_header
from spop_proto._limits import Limits
from spop_proto._negotiation import agent_hello_items, disconnect_items, negotiate, read_disconnect, read_haproxy_hello
from spop_proto._payloads import decode_items, decode_messages, encode_actions, encode_items
from spop_proto._state import AGENT_COMPLAINTS, AGENT_RECEIVES, AGENT_SENDS, AgentInput, AgentState, Effect, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from spop_proto._events import AgentHello, Event, HAProxyHello

# Tuples by number: looking up by a member of an enum costs its __hash__, in Python, for each frame.
_STEPS: tuple[tuple[Step, ...], ...] = tuple(
    tuple(AGENT_RECEIVES[state][received] for received in AgentInput) for state in AgentState
)
_SENDS = tuple(AGENT_SENDS[state] for state in AgentState)
_INPUTS_OF_TYPE: dict[int, tuple[AgentInput, ...]] = {
    FrameType.UNSET: (AgentInput.UNSET_PART, AgentInput.UNSET_LAST, AgentInput.UNSET_ABORT, AgentInput.UNSET_OTHER),
    FrameType.HAPROXY_HELLO: (AgentInput.HELLO, AgentInput.HEALTHCHECK),
    FrameType.HAPROXY_DISCONNECT: (AgentInput.DISCONNECT,),
    FrameType.NOTIFY: (
        AgentInput.NOTIFY,
        AgentInput.NOTIFY_PART,
        AgentInput.NOTIFY_PART_NOT_AGREED,
        AgentInput.NOTIFY_WRONG_IDS,
    ),
}
_FRAGMENT_EFFECTS = (Effect.OPEN, Effect.APPEND, Effect.FINISH, Effect.DROP)
_AGENT_TYPES = (FrameType.AGENT_HELLO, FrameType.AGENT_DISCONNECT, FrameType.ACK)
_NOTIFY, _NOTIFY_STEP = FrameType.NOTIFY.value, Effect.NOTIFY
_HAPROXY_IN_FLIGHT = 20
"""HAProxy never has more NOTIFYs in flight on a connection (max-waiting-frames by default, fixed since 3.1)."""
_DEFAULT_BUFFER = 16384
_DEFAULT_CAPABILITIES = frozenset({Capability.PIPELINING, Capability.FRAGMENTATION})


class AgentConnection(Connection):
    """The agent's side: give it what the socket received, write what it wants sent.

        for event in connection.receive_data(data):
            if isinstance(event, Notify) and not connection.should_close:
                connection.send(Ack(event.stream_id, event.frame_id, actions))
        while out := connection.data_to_send():
            socket.sendall(out)
        if connection.should_close: ...

    HELLO and DISCONNECT of HAProxy are answered by the connection itself; they are reported all the same.

    Args:
        limits: What to accept; see `Limits`.
        capabilities: What we are willing to do: PIPELINING and FRAGMENTATION, or fewer, or what says that of HAProxy's
            HELLO. ASYNC is not offered by this package.
        stall_mitigation: Keep what HAProxy >= 3.1 has to read below its buffer, which a full one makes it stall
            (spop.md 2.6): no ACK of the full max-frame-size, none above a twentieth of the buffer together with others
            in a write.
        strict: Fail on a frame of an unknown type instead of skipping it.
        refuse_healthchecks: Answer health checks with DISCONNECT, so that HAProxy stops using this agent. May be set
            later.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        capabilities: Collection[Capability] | Callable[[HAProxyHello], Collection[Capability]] = _DEFAULT_CAPABILITIES,
        stall_mitigation: bool = True,
        strict: bool = False,
        refuse_healthchecks: bool = False,
    ) -> None:
        super().__init__(limits or Limits())
        self.refuse_healthchecks = refuse_healthchecks
        self.hello: HAProxyHello | None = None
        """What HAProxy said, once it did."""
        self.agreed: AgentHello | None = None
        """What we answered."""
        self.unknown_frames = 0
        """How many frames of unknown types were skipped."""
        self._state = AgentState.WAIT_HELLO
        self._choose = capabilities if callable(capabilities) else None
        self._capabilities = frozenset(() if callable(capabilities) else capabilities)
        self._stall_mitigation = stall_mitigation
        self._strict = strict
        self._gate = self._refuse_early
        self._in_flight: dict[Pair, None] = {}  # a dict, for it keeps the order of arrival
        self._write_limit = _DEFAULT_BUFFER - 1
        self._ack_limit = 0
        self._draining = False
        self._fragment = bytearray()
        self._fragment_pair: Pair | None = None
        self._fragment_count = 0
        self._fragment_unwanted = False
        self._fragment_begun = 0

    @property
    def state(self) -> AgentState:
        """Where the connection stands."""
        return self._state

    @property
    def in_flight(self) -> int:
        """How many NOTIFYs have no ACK yet."""
        return len(self._in_flight)

    @property
    def idle(self) -> bool:
        """Whether HELLO is done, and no frame, no NOTIFY and no answer is begun.

        Another `AgentConnection` that is given the same HELLO can then go on in the place of this one.
        """
        between = not self._in_flight and not self._buffer and self._fragment_pair is None
        return between and not self._outgoing and self._state is AgentState.RUNNING

    @property
    def want_read(self) -> bool:
        """Whether to read on: not while `Limits.in_flight` NOTIFYs are unanswered, nor when it is over."""
        return not self._over and len(self._in_flight) < self.limits.in_flight

    @property
    def max_frame_size(self) -> int:
        """The largest frame either side may send, in bytes; before HELLO the largest one we accept."""
        return self._largest

    @property
    def max_ack_size(self) -> int:
        """The largest ACK `send` accepts, in bytes, header included and length prefix not; 0 before HELLO."""
        return self._ack_limit

    def send(self, event: Ack | AgentDisconnect | Aborted) -> None:
        """Queue a frame. After this call write `data_to_send`.

        Args:
            event: `Ack` for a NOTIFY in flight; `AgentDisconnect` to end the connection; `Aborted` to give up the
                fragmented NOTIFY that is open (it gets no ACK, and HAProxy sets error 4).

        Raises:
            LocalProtocolError: The state does not allow it, no such NOTIFY is in flight, or HAProxy would punish the
                frame (a name or a value that cannot be sent, a frame that is too large). Nothing was queued, nothing
                has changed: the NOTIFY is still to be answered, by an ACK with less in it.
        """
        if type(event) not in _SENDS[self._state]:
            raise LocalProtocolError(f"{type(event).__name__} cannot be sent in state {self._state.name}")
        if isinstance(event, Ack):
            self._send_ack(event)
        elif isinstance(event, AgentDisconnect):
            self._queue_disconnect(event)
            self._move(AgentState.CLOSED)
        else:
            self._send_abort(event)

    def data_to_send(self) -> bytes:
        """Bytes to be written, in one write: whole frames. Call it until it returns nothing.

        HAProxy >= 3.1 resets a connection whose AGENT-HELLO arrives in pieces (haproxy#3478), so do not cut them; and
        it stalls when its buffer is filled (spop.md 2.6), so do not put them together.
        """
        outgoing = self._outgoing
        if not outgoing:
            return b""
        data = outgoing.popleft()
        if not outgoing:
            return data
        if not self._stall_mitigation:
            return data + super().data_to_send()
        size = len(data)
        small = self._write_limit // _HAPROXY_IN_FLIGHT
        if size > small:
            return data
        frames = [data]
        while outgoing and len(outgoing[0]) <= small and size + len(outgoing[0]) <= self._write_limit:
            size += len(outgoing[0])
            frames.append(outgoing.popleft())
        return b"".join(frames)

    def drain(self) -> None:
        """End gracefully (spop.md 2.5): AGENT-DISCONNECT 0 as soon as nothing is in flight, maybe at once.

        NOTIFYs that still come are reported and may be answered. After this call write `data_to_send`.
        """
        self._draining = True
        self._end_drain()

    def finish(self) -> None:
        """End now: an empty ACK for each NOTIFY in flight, so that no stream fails, then AGENT-DISCONNECT 0.

        What to do at the deadline of a drain. After this call write `data_to_send`.
        """
        if self._over:
            return
        for stream_id, frame_id in self._in_flight:
            self._outgoing.append(encode_frame(FrameType.ACK, FIN, stream_id, frame_id, b""))
        if self._fragment_pair is not None and not self._fragment_unwanted:
            self._outgoing.append(encode_frame(FrameType.ACK, FIN | ABRT, *self._fragment_pair, b""))
        self._queue_disconnect(AgentDisconnect())
        self._move(AgentState.CLOSED)

    # Receiving

    def _receive_frame(self, frame: bytes, events: list[Event]) -> bool:
        header = parse_header(frame)
        received = self._classify(header)
        step = _STEPS[self._state][received]
        effect = step.effect
        if effect is _NOTIFY_STEP:  # nearly every frame
            self._in_flight[header.stream_id, header.frame_id] = None
            messages = decode_messages(frame, header.size, self.limits)
            events.append(Notify(header.stream_id, header.frame_id, messages))
        elif effect is Effect.FAIL:
            why = AGENT_COMPLAINTS.get(AgentInput(received), "")
            raise RemoteProtocolError(complaint(header, self._state.name, why), step.status)
        elif effect is Effect.AGREE:
            self._receive_hello(frame, header, events)
        elif effect is Effect.BYE:
            events.append(HAProxyDisconnect(*read_disconnect(decode_items(frame, header.size, self.limits))))
            self._queue_disconnect(AgentDisconnect())
            self._move(step.next)
        elif effect is Effect.SKIP:
            self.unknown_frames += 1
            events.append(UnknownFrame(*header[:4], frame[header.size :]))
        elif effect in _FRAGMENT_EFFECTS:
            self._receive_fragment(frame, header, step, events)
        return not self._over

    def _classify(self, header: Header) -> int:
        kind, flags, stream_id, frame_id, _ = header
        if kind == _NOTIFY:
            # A stream-id of 0 is the first stream of a HAProxy <= 3.0, which numbers from there (seen on 2.6 and 2.8).
            if not frame_id or (stream_id, frame_id) in self._in_flight:
                return AgentInput.NOTIFY_WRONG_IDS
            if flags & FIN:
                return AgentInput.NOTIFY
            agreed = Capability.FRAGMENTATION in self._capabilities
            return AgentInput.NOTIFY_PART if agreed else AgentInput.NOTIFY_PART_NOT_AGREED
        if kind == FrameType.UNSET:
            if (stream_id, frame_id) != self._fragment_pair:
                return AgentInput.UNSET_OTHER
            if flags & ABRT:
                return AgentInput.UNSET_ABORT
            return AgentInput.UNSET_LAST if flags & FIN else AgentInput.UNSET_PART
        if kind not in _INPUTS_OF_TYPE:
            return self._classify_other(kind)
        if not flags & FIN:
            return AgentInput.CONTROL_PART
        if stream_id or frame_id:
            return AgentInput.CONTROL_IDS
        return AgentInput.HELLO if kind == FrameType.HAPROXY_HELLO else AgentInput.DISCONNECT

    def _classify_other(self, kind: int) -> AgentInput:
        # To a strict agent a type that nobody knows is one that HAProxy does not send.
        return AgentInput.WRONG_DIRECTION if self._strict or kind in _AGENT_TYPES else AgentInput.UNKNOWN

    def _refuse_early(self, kind: int) -> None:
        """Fail as soon as the type of the first frame is known, if the table has nothing else for it."""
        steps = [_STEPS[self._state][received] for received in _INPUTS_OF_TYPE.get(kind, (self._classify_other(kind),))]
        if all(step.effect is Effect.FAIL for step in steps):
            raise RemoteProtocolError(f"frame type {kind} in state {self._state.name}", steps[0].status)

    def _receive_hello(self, frame: bytes, header: Header, events: list[Event]) -> None:
        hello = read_haproxy_hello(decode_items(frame, header.size, self.limits))
        if self._choose is not None:
            self._capabilities = frozenset(self._choose(hello))
        agreed = negotiate(hello, frame_size=self.limits.frame_size, capabilities=self._capabilities)
        self.hello = hello
        events.append(hello)
        received = AgentInput.HEALTHCHECK if hello.healthcheck else AgentInput.HELLO
        if hello.healthcheck and self.refuse_healthchecks:
            self._queue_disconnect(AgentDisconnect(StatusCode.RESOURCE_ERROR, "agent is shutting down"))
        else:
            self.agreed = agreed
            self._largest = agreed.max_frame_size
            self._gate = None
            # HAProxy's buffer has at least four bytes more than the frames it takes.
            self._write_limit = agreed.max_frame_size + PREFIX - 1
            self._ack_limit = agreed.max_frame_size - self._stall_mitigation
            items = encode_items(agent_hello_items(agreed))
            self._outgoing.append(encode_frame(FrameType.AGENT_HELLO, FIN, 0, 0, items))
        self._move(_STEPS[self._state][received].next)

    def _receive_fragment(self, frame: bytes, header: Header, step: Step, events: list[Event]) -> None:
        pair = (header.stream_id, header.frame_id)
        if step.effect is Effect.OPEN:
            self._fragment_pair = pair
            self._fragment_count = 0
            self._fragment_unwanted = False
            self._fragment_begun = self._frames_received
        if step.effect is not Effect.DROP:
            self._append_fragment(frame[header.size :])
        self._state = AgentState(step.next)
        if step.effect in (Effect.OPEN, Effect.APPEND):
            return
        payload, unwanted = bytes(self._fragment), self._fragment_unwanted
        self._forget_fragment()
        if unwanted:
            return
        if step.effect is Effect.DROP:
            events.append(Aborted(*pair))
            return
        self._in_flight[pair] = None
        events.append(Notify(*pair, decode_messages(payload, 0, self.limits)))

    def _append_fragment(self, payload: bytes) -> None:
        self._fragment_count += 1
        if self._fragment_count > self.limits.fragments:
            raise RemoteProtocolError(
                f"NOTIFY of more than {self.limits.fragments} fragments", StatusCode.FRAME_TOO_BIG
            )
        if len(self._fragment) + len(payload) > self.limits.fragment_bytes:
            raise RemoteProtocolError(
                f"fragmented NOTIFY of more than {self.limits.fragment_bytes} bytes", StatusCode.FRAME_TOO_BIG
            )
        if not self._fragment_unwanted:
            self._fragment += payload

    # Sending

    def _send_ack(self, ack: Ack) -> None:
        pair = (ack.stream_id, ack.frame_id)
        if pair not in self._in_flight:
            raise LocalProtocolError(f"no NOTIFY in flight with stream-id {ack.stream_id}, frame-id {ack.frame_id}")
        payload = encode_actions(ack.actions, self.limits)
        frame = encode_frame(FrameType.ACK, FIN, ack.stream_id, ack.frame_id, payload)
        if len(frame) - PREFIX > self._ack_limit:
            raise LocalProtocolError(
                f"ACK of {len(frame) - PREFIX} bytes, at most {self._ack_limit} are allowed", StatusCode.FRAME_TOO_BIG
            )
        del self._in_flight[pair]
        self._outgoing.append(frame)
        if self._draining:
            self._end_drain()

    def _send_abort(self, event: Aborted) -> None:
        pair = (event.stream_id, event.frame_id)
        if pair != self._fragment_pair or self._fragment_unwanted:
            raise LocalProtocolError(f"no fragmented NOTIFY open with stream-id {pair[0]}, frame-id {pair[1]}")
        self._outgoing.append(encode_frame(FrameType.ACK, FIN | ABRT, *pair, b""))
        self._fragment_unwanted = True  # what HAProxy has queued already still comes
        self._fragment.clear()

    def _queue_disconnect(self, event: AgentDisconnect) -> None:
        items = encode_items(disconnect_items(event))
        self._outgoing.append(encode_frame(FrameType.AGENT_DISCONNECT, FIN, 0, 0, items))

    # Closing

    def _move(self, state: int) -> None:
        self._state = AgentState(state)
        if state >= AgentState.CLOSED:
            self._over = True
            self._gate = None  # it holds this connection; without it nothing is left to the garbage collector
            self._in_flight.clear()
            self._buffer.clear()
            self._forget_fragment()

    def _forget_fragment(self) -> None:
        self._fragment = bytearray()
        self._fragment_pair = None

    def _all_received(self) -> None:
        if self._draining:
            self._end_drain()

    def _end_drain(self) -> None:
        if not (self._over or self._in_flight or self._buffer or self._fragment_pair):
            self._queue_disconnect(AgentDisconnect())
            self._move(AgentState.CLOSED)

    def _between_notifies(self) -> bool:
        return self._fragment_pair is None

    def _close(self) -> None:
        self._move(AgentState.CLOSED)

    def _disconnect(self, status: int, reason: str) -> None:
        self._queue_disconnect(AgentDisconnect(status, reason))
        self._move(AgentState.FAILED)

    def _delay(self) -> float:
        return self.limits.refusal_delay if self._state is AgentState.WAIT_HELLO else 0.0

    # Waiting

    def _waits(self) -> Iterator[Wait]:
        if not self.want_read:
            return  # it is we who keep the peer waiting
        if self._state is AgentState.WAIT_HELLO:
            yield Wait("HELLO", 0, self.limits.hello_timeout)
            return
        yield from self._frame_wait()
        if self._fragment_pair is not None:
            yield Wait("the next fragment", self._fragment_begun, self.limits.fragment_timeout)
        elif self.limits.idle_timeout is not None and not self._in_flight and not self._buffer:
            yield Wait("work", self._frames_received, self.limits.idle_timeout)

    def _time_out(self, waiting_for: str) -> Event:
        if waiting_for != "work":
            return super()._time_out(waiting_for)
        self.send(AgentDisconnect())
        return ConnectionClosed(clean=True, received=True, reason=f"idle for {self.limits.idle_timeout} s")
