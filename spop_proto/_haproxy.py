"""HAProxy's side of a connection, for tests, checkers and load tools.

What it does with a frame is in the table of _state.py; here is how. Source: SPOE.txt 3.2 and 3.3, spop.md 1.7, 2.2 to
2.4.
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
    HAProxyHello,
    Notify,
    UnknownFrame,
)
from spop_proto._frames import ABRT, FIN, HEADER_ROOM, PREFIX, FrameType, Header, encode_frame, parse_header
from spop_proto._limits import SMALLEST_MAX_FRAME_SIZE, Limits
from spop_proto._negotiation import disconnect_items, haproxy_hello_items, read_agent_hello, read_disconnect
from spop_proto._payloads import decode_actions, decode_items, encode_items, encode_messages
from spop_proto._state import (
    HAPROXY_COMPLAINTS,
    HAPROXY_RECEIVES,
    HAPROXY_SENDS,
    Effect,
    HAProxyInput,
    HAProxyState,
    Step,
)
from spop_proto._varint import MASK64

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spop_proto._events import AgentHello, Event

_STEPS: tuple[tuple[Step, ...], ...] = tuple(
    tuple(HAPROXY_RECEIVES[state][received] for received in HAProxyInput) for state in HAProxyState
)
_HAPROXY_TYPES = (FrameType.UNSET, FrameType.HAPROXY_HELLO, FrameType.HAPROXY_DISCONNECT, FrameType.NOTIFY)
_FLAGS_OF_A_HEALTHCHECK = b"\x00\x00\x00\x01"
_REMEMBERED = 1024
"""How many answered or cancelled NOTIFYs are remembered, to tell a second or a late ACK from an unknown one."""


class HAProxyConnection(Connection):
    """HAProxy's side: send a `HAProxyHello`, then `Notify` events; what the agent answers is reported.

    Args:
        limits: What to accept; see `Limits`.
        max_waiting_frames: How many NOTIFYs may be in flight if the agent can do pipelining; else it is one.
        as_haproxy: Forgive what HAProxy forgives (spop.md 2.4): an ACK of an unknown NOTIFY with pipelining, a second
            AGENT-HELLO, a malformed action (which ends the list without an error). Otherwise all that is an error.
    """

    def __init__(self, limits: Limits | None = None, *, max_waiting_frames: int = 20, as_haproxy: bool = False) -> None:
        super().__init__(limits or Limits())
        self.hello: HAProxyHello | None = None
        """What we said, once we did."""
        self.agreed: AgentHello | None = None
        """What the agent answered."""
        self.unknown_frames = 0
        """How many frames of unknown types were skipped."""
        self._state = HAProxyState.START
        self._max_waiting_frames = max_waiting_frames
        self._as_haproxy = as_haproxy
        self._in_flight: dict[Pair, None] = {}
        self._settled: dict[Pair, None] = {}

    @property
    def state(self) -> HAProxyState:
        """Where the connection stands."""
        return self._state

    @property
    def in_flight(self) -> int:
        """How many NOTIFYs have no ACK yet."""
        return len(self._in_flight)

    @property
    def in_flight_limit(self) -> int:
        """How many NOTIFYs may be in flight: 0 before the agent's HELLO."""
        if self.agreed is None:
            return 0
        return self._max_waiting_frames if Capability.PIPELINING in self.agreed.capabilities else 1

    @property
    def want_read(self) -> bool:
        """Whether the caller should read on."""
        return not self._over

    @property
    def max_frame_size(self) -> int:
        """The largest frame either side may send, in bytes; before HELLO the largest one we accept."""
        return self._largest

    def send(self, event: HAProxyHello | Notify | HAProxyDisconnect | Aborted) -> None:
        """Queue the frames of an event. After this call write `data_to_send`.

        Args:
            event: `HAProxyHello` first; `Notify`, in fragments if it is too large and the agent takes them;
                `HAProxyDisconnect` to end the connection; `Aborted` to give up a NOTIFY some fragments of which are
                queued still (see `next_frame_to_send`).

        Raises:
            LocalProtocolError: The state does not allow it, the ids are in use, too many NOTIFYs are in flight, or it
                cannot be encoded or is too large. Nothing was queued, nothing has changed.
        """
        following = HAPROXY_SENDS[self._state].get(type(event))
        if following is None:
            raise LocalProtocolError(f"{type(event).__name__} cannot be sent in state {self._state.name}")
        if isinstance(event, Notify):
            self._send_notify(event)
        elif isinstance(event, HAProxyHello):
            self._send_hello(event)
        elif isinstance(event, HAProxyDisconnect):
            self._queue_disconnect(event)
        else:
            self._send_abort(event)
        self._move(following)

    def next_frame_to_send(self) -> bytes:
        """As `data_to_send`, but one frame at most, so that fragments can be given up between two of them."""
        return self._outgoing.popleft() if self._outgoing else b""

    def cancel(self, stream_id: int, frame_id: int) -> None:
        """Wait no longer for an ACK: the stream timed out. If it comes it is ignored.

        Raises:
            LocalProtocolError: No such NOTIFY is in flight.
        """
        if (stream_id, frame_id) not in self._in_flight:
            raise LocalProtocolError(f"no NOTIFY in flight with stream-id {stream_id}, frame-id {frame_id}")
        self._settle((stream_id, frame_id))

    # Receiving

    def _receive_frame(self, frame: bytes, events: list[Event]) -> bool:
        header = parse_header(frame)
        received = self._classify(header)
        step = _STEPS[self._state][received]
        effect = step.effect
        pair = (header.stream_id, header.frame_id)
        if effect is Effect.FAIL:
            why = HAPROXY_COMPLAINTS.get(received, "")
            raise RemoteProtocolError(complaint(header, self._state.name, why), step.status)
        if effect is Effect.ACK:
            actions = decode_actions(frame, header.size, self.limits, as_haproxy=self._as_haproxy)
            self._settle(pair)
            events.append(Ack(*pair, actions))
        elif effect is Effect.ABORT:
            self._drop_fragments(pair)
            events.append(Aborted(*pair))
        elif effect is Effect.REPORT_HELLO:
            events.append(self._receive_hello(frame, header))
        elif effect is Effect.REPORT_BYE:
            events.append(AgentDisconnect(*read_disconnect(decode_items(frame, header.size, self.limits))))
        elif effect is Effect.SKIP:
            self.unknown_frames += 1
            events.append(UnknownFrame(*header[:4], frame[header.size :]))
        self._move(step.next)
        return not self._over

    def _classify(self, header: Header) -> HAProxyInput:
        kind, flags, stream_id, frame_id, _ = header
        if kind == FrameType.ACK:
            return self._classify_ack(flags, (stream_id, frame_id))
        if kind == FrameType.AGENT_HELLO and self._as_haproxy and self._state is HAProxyState.RUNNING:
            return HAProxyInput.UNKNOWN
        if kind in (FrameType.AGENT_HELLO, FrameType.AGENT_DISCONNECT):
            if not flags & FIN:
                return HAProxyInput.CONTROL_PART
            if stream_id or frame_id:
                return HAProxyInput.CONTROL_IDS
            if kind == FrameType.AGENT_DISCONNECT:
                return HAProxyInput.DISCONNECT
            return HAProxyInput.HEALTHCHECK if self.hello is not None and self.hello.healthcheck else HAProxyInput.HELLO
        if kind in _HAPROXY_TYPES and not self._as_haproxy:
            return HAProxyInput.WRONG_DIRECTION
        return HAProxyInput.UNKNOWN

    def _classify_ack(self, flags: int, pair: Pair) -> HAProxyInput:
        if not flags & FIN:
            return HAProxyInput.ACK_PART
        if pair in self._in_flight:
            if not self._unsent_fragments(pair):
                return HAProxyInput.ACK
            return HAProxyInput.ACK_ABORT if flags & ABRT else HAProxyInput.ACK_EARLY
        if pair in self._settled or (self._as_haproxy and self.in_flight_limit > 1):
            return HAProxyInput.ACK_LATE
        return HAProxyInput.ACK_NOT_FOUND

    def _receive_hello(self, frame: bytes, header: Header) -> AgentHello:
        assert self.hello is not None
        if self.hello.healthcheck and frame[1:5] != _FLAGS_OF_A_HEALTHCHECK:
            # In a health check HAProxy >= 3.1 compares all four bytes; elsewhere it ignores the other bits.
            raise RemoteProtocolError(f"flags {frame[1:5].hex()}, a health check wants {_FLAGS_OF_A_HEALTHCHECK.hex()}")
        items = decode_items(frame, header.size, self.limits)
        self.agreed = read_agent_hello(items, self.hello, as_haproxy=self._as_haproxy)
        self._largest = self.agreed.max_frame_size
        return self.agreed

    # Sending

    def _send_hello(self, hello: HAProxyHello) -> None:
        if hello.max_frame_size < SMALLEST_MAX_FRAME_SIZE:
            raise LocalProtocolError(
                f"max-frame-size {hello.max_frame_size}, at least {SMALLEST_MAX_FRAME_SIZE} is needed"
            )
        items = encode_items(haproxy_hello_items(hello))
        if len(items) > SMALLEST_MAX_FRAME_SIZE - HEADER_ROOM:
            raise LocalProtocolError(f"HELLO with {len(items)} bytes of items does not fit the smallest frame")
        self._outgoing.append(encode_frame(FrameType.HAPROXY_HELLO, FIN, 0, 0, items))
        self.hello = hello

    def _send_notify(self, event: Notify) -> None:
        pair = (event.stream_id, event.frame_id)
        if not (0 <= event.stream_id <= MASK64 and 0 < event.frame_id <= MASK64):
            raise LocalProtocolError(
                f"stream-id {event.stream_id}, frame-id {event.frame_id}: at most 2**64-1, the second not 0"
            )
        if pair in self._in_flight:
            raise LocalProtocolError(f"stream-id {event.stream_id}, frame-id {event.frame_id} is in flight")
        if len(self._in_flight) >= self.in_flight_limit:
            raise LocalProtocolError(
                f"{len(self._in_flight)} NOTIFYs are in flight, the limit is {self.in_flight_limit}"
            )
        frames = self._notify_frames(pair, encode_messages(event.messages))
        self._outgoing += frames
        self._in_flight[pair] = None
        self._settled.pop(pair, None)

    def _notify_frames(self, pair: Pair, payload: bytes) -> list[bytes]:
        assert self.agreed is not None
        piece = self._largest - HEADER_ROOM
        if len(payload) <= piece:
            return [encode_frame(FrameType.NOTIFY, FIN, *pair, payload)]
        if Capability.FRAGMENTATION not in self.agreed.capabilities:
            raise LocalProtocolError(
                f"NOTIFY with {len(payload)} bytes of messages, at most {piece} fit, and the agent takes no fragments",
                StatusCode.FRAME_TOO_BIG,
            )
        frames = []
        for start in range(0, len(payload), piece):
            kind = FrameType.UNSET if start else FrameType.NOTIFY
            flags = FIN if start + piece >= len(payload) else 0
            frames.append(encode_frame(kind, flags, *pair, payload[start : start + piece]))
        return frames

    def _send_abort(self, event: Aborted) -> None:
        pair = (event.stream_id, event.frame_id)
        if not self._unsent_fragments(pair):
            raise LocalProtocolError(
                f"no fragments to send with stream-id {event.stream_id}, frame-id {event.frame_id}"
            )
        self._drop_fragments(pair)

    def _unsent_fragments(self, pair: Pair) -> list[Header]:
        """Headers of the queued fragments of a NOTIFY. The queue is empty or short whenever this is asked."""
        headers = (parse_header(frame[PREFIX:]) for frame in self._outgoing)
        return [
            header
            for header in headers
            if (header.stream_id, header.frame_id) == pair
            and (header.type == FrameType.UNSET or not header.flags & FIN)
        ]

    def _drop_fragments(self, pair: Pair) -> None:
        unsent = self._unsent_fragments(pair)
        begun = unsent[0].type == FrameType.UNSET
        kept = [frame for frame in self._outgoing if parse_header(frame[PREFIX:])[2:4] != pair]
        self._outgoing.clear()
        if begun:
            # Before all else: the NOTIFYs behind it would be interlaced with one that is open.
            self._outgoing.append(encode_frame(FrameType.UNSET, FIN | ABRT, *pair, b""))
        self._outgoing += kept
        self._settle(pair)

    def _queue_disconnect(self, event: HAProxyDisconnect) -> None:
        items = encode_items(disconnect_items(event))
        self._outgoing.append(encode_frame(FrameType.HAPROXY_DISCONNECT, FIN, 0, 0, items))

    # Closing

    def _settle(self, pair: Pair) -> None:
        del self._in_flight[pair]
        self._settled[pair] = None
        if len(self._settled) > _REMEMBERED:
            del self._settled[next(iter(self._settled))]

    def _move(self, state: int) -> None:
        self._state = HAProxyState(state)
        if state >= HAProxyState.CLOSING:
            self._in_flight.clear()
        self._over = state >= HAProxyState.CLOSED

    def _all_received(self) -> None:
        """Nothing to do: HAProxy's side does not drain."""

    def _between_notifies(self) -> bool:
        return True

    def _close(self) -> None:
        self._move(HAProxyState.CLOSED)

    def _disconnect(self, status: int, reason: str) -> None:
        if self._state is not HAProxyState.CLOSING:  # then it was the last frame already
            self._queue_disconnect(HAProxyDisconnect(status, reason))
        self._move(HAProxyState.FAILED)

    # Waiting

    def _waits(self) -> Iterator[Wait]:
        if self._state is HAProxyState.WAIT_AGENT_HELLO:
            yield Wait("HELLO", 0, self.limits.hello_timeout)
        elif self._state is HAProxyState.RUNNING:
            yield from self._frame_wait()
        elif self._state is HAProxyState.CLOSING:
            yield Wait("the answer to DISCONNECT", 0, self.limits.disconnect_timeout)

    def _time_out(self, waiting_for: str) -> Event:
        if self._state is not HAProxyState.CLOSING:
            return super()._time_out(waiting_for)
        self._close()
        return ConnectionClosed(clean=True, received=self._received_anything, reason="no answer to DISCONNECT")
