"""What both roles share: the way of bytes through the buffer to frames, failing, closing, timers, the outgoing queue.

No frame's meaning stands here; the roles are in _agent.py and _haproxy.py, the states in _state.py. No I/O, no clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from spop_proto._buffer import FrameBuffer
from spop_proto._errors import RemoteProtocolError, StatusCode
from spop_proto._events import ConnectionClosed, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spop_proto._events import Event
    from spop_proto._frames import Header
    from spop_proto._limits import Limits

Pair = tuple[int, int]
"""stream-id, frame-id."""


class Timer(NamedTuple):
    """What a connection waits for, and until when."""

    waiting_for: str
    """``HELLO``, ``the rest of a frame``, ``the next fragment``, ``work`` (idle) or ``the answer to DISCONNECT``."""
    deadline: float
    """In the caller's clock, seconds."""


class Wait(NamedTuple):
    """A reason to wait, before the clock is known."""

    waiting_for: str
    occasion: int
    """The wait starts anew whenever this number changes."""
    seconds: float


def complaint(header: Header, state: str, why: str) -> str:
    """The reason of a failure: the frame, where it came, and what is wrong with it unless the state alone is."""
    ids = f"stream-id {header.stream_id}, frame-id {header.frame_id}"
    frame = f"frame type {header.type}, flags {header.flags}, {ids} in state {state}"
    return f"{frame}: {why}" if why else frame


class Connection(ABC):
    """The part of a connection that has no role."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._buffer = FrameBuffer()
        self._over = False
        self._largest = limits.hello_size
        self._gate: Callable[[int], None] | None = None
        self._outgoing: deque[bytes] = deque()
        self._frames_received = 0
        self._received_anything = False
        self._waits_since: dict[str, tuple[int, float]] = {}

    @property
    def should_close(self) -> bool:
        """Whether the socket must be closed as soon as `data_to_send` is written."""
        return self._over

    @property
    def closed(self) -> bool:
        """Whether the socket may be closed now: `should_close`, and nothing is left to send."""
        return self._over and not self._outgoing

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take what was received. After this call write `data_to_send`, then look at `should_close`.

        Args:
            data: Any number of bytes, cut anywhere. None at all is no end of stream: that is `receive_eof`.

        Returns:
            What happened, in order. If the peer broke the protocol the last one is `ConnectionFailed`; nothing is
            raised.
        """
        events: list[Event] = []
        if self._over or not data:
            return events
        self._received_anything = True
        buffer = self._buffer
        try:
            if buffer.add(data if type(data) is bytes else bytes(data)):
                while (frame := buffer.next_frame(self._largest, self._gate)) is not None:
                    self._frames_received += 1
                    if not self._receive_frame(frame, events):
                        buffer.clear()  # what follows the last frame is nothing to us
                        break
        except RemoteProtocolError as error:
            buffer.clear()
            events.append(self._fail(error))
        self._all_received()
        return events

    def receive_eof(self) -> list[Event]:
        """The peer closed its side, or reset the connection. After this call close.

        Returns:
            One `ConnectionClosed`, or nothing if the connection was over already.
        """
        if self._over:
            return []
        clean = not self._buffer and self._between_notifies()
        if not self._received_anything:
            reason = "closed before anything was received"
        elif clean:
            reason = "closed between two frames"
        else:
            reason = (
                f"closed inside a frame, after {len(self._buffer)} bytes of it"
                if self._buffer
                else "closed inside a NOTIFY"
            )
        self._close()
        return [ConnectionClosed(clean, self._received_anything, reason)]

    def timer(self, now: float) -> Timer | None:
        """What the connection waits for and until when. Ask before each wait; call `handle_timer` once it is past.

        Args:
            now: The caller's clock in seconds, any that only goes forward. A wait that is new starts at this time.

        Returns:
            The wait that ends first, or None if there is no bound.
        """
        earliest: Timer | None = None
        since: dict[str, tuple[int, float]] = {}
        for waiting_for, occasion, seconds in self._waits():
            known = self._waits_since.get(waiting_for)
            start = known[1] if known is not None and known[0] == occasion else now
            since[waiting_for] = (occasion, start)
            if earliest is None or start + seconds < earliest.deadline:
                earliest = Timer(waiting_for, start + seconds)
        self._waits_since = since
        return earliest

    def handle_timer(self, now: float) -> list[Event]:
        """Tell the connection the time; too early or too often does no harm. After this call flush.

        Args:
            now: The clock given to `timer`.

        Returns:
            Nothing, or what became of the connection since its wait is over.
        """
        timer = self.timer(now)
        if timer is None or now < timer.deadline:
            return []
        return [self._time_out(timer.waiting_for)]

    def data_to_send(self) -> bytes:
        """Bytes to be written, in one write: whole frames. Call it until it returns nothing.

        HAProxy >= 3.1 resets a connection whose AGENT-HELLO arrives in pieces (haproxy#3478), so do not cut them.
        """
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def _fail(self, error: RemoteProtocolError) -> ConnectionFailed:
        failure = ConnectionFailed(error.status, error.reason, self._delay())
        self._disconnect(error.status, error.reason)
        return failure

    @abstractmethod
    def _receive_frame(self, frame: bytes, events: list[Event]) -> bool:
        """Do what the tables say about one frame; raise RemoteProtocolError where they say FAIL.

        Returns:
            Whether the connection goes on.
        """

    @abstractmethod
    def _all_received(self) -> None:
        """Called when all that was received has been handled."""

    @abstractmethod
    def _disconnect(self, status: int, reason: str) -> None:
        """Queue a DISCONNECT and go to FAILED."""

    @abstractmethod
    def _close(self) -> None:
        """Go to CLOSED without a frame."""

    @abstractmethod
    def _waits(self) -> Iterator[Wait]:
        """What the connection waits for now."""

    @abstractmethod
    def _between_notifies(self) -> bool:
        """Whether no fragmented NOTIFY is open."""

    def _delay(self) -> float:
        """Seconds before a failure is sent."""
        return 0.0

    def _time_out(self, waiting_for: str) -> Event:
        """What happens when a wait is over."""
        return self._fail(RemoteProtocolError(f"timeout while waiting for {waiting_for}", StatusCode.TIMEOUT))

    def _frame_wait(self) -> Iterator[Wait]:
        if self._buffer:
            yield Wait("the rest of a frame", self._frames_received, self.limits.frame_timeout)
