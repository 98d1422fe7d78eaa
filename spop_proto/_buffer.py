"""The receive buffer: cuts a stream into frames, whatever way the bytes were cut before.

Refuses a length before anything of that length is stored. Knows no frame's meaning. Source: SPOE.txt 3.2, spop.md 1.1,
4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spop_proto._errors import RemoteProtocolError, StatusCode, shown
from spop_proto._frames import PREFIX, SMALLEST_FRAME

if TYPE_CHECKING:
    from collections.abc import Callable

_HTTP_WORDS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"DELE", b"PATC", b"PRI ", b"TRAC")


class FrameBuffer:
    """Bytes in, whole frames out.

    The cost is linear in the bytes received: a tail that is no whole frame waits in a bytearray, and is not looked at
    again until as many bytes are there as it needs.
    """

    __slots__ = ("_data", "_needed", "_position", "_tail")

    def __init__(self) -> None:
        self._data = b""  # what is being cut, up to _position done
        self._position = 0
        self._tail = bytearray()  # the beginning of a frame, waiting for the rest
        self._needed = PREFIX

    def add(self, data: bytes) -> bool:
        """Add what was received.

        Returns:
            Whether `next_frame` may have news.
        """
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < self._needed:
                return False
            data = bytes(tail)
            tail.clear()
        self._data = data
        self._position = 0
        return True

    def next_frame(self, largest: int, gate: Callable[[int], None] | None = None) -> bytes | None:
        """The next whole frame, without its length prefix, or None until more bytes are added.

        Args:
            largest: The largest frame allowed now, in bytes, prefix not counted.
            gate: Called with the type of a frame as soon as that byte is there; it may raise RemoteProtocolError.

        Raises:
            RemoteProtocolError: A length that is too small or too large, or the gate's. No frame's beginning can be
                known any more: clear the buffer.
        """
        data, start = self._data, self._position
        body = start + PREFIX
        available = len(data) - start
        if available < PREFIX:
            if available:
                self._wait(PREFIX)
            else:
                self.clear()
            return None
        length = int.from_bytes(data[start:body], "big")
        if not SMALLEST_FRAME <= length <= largest:
            raise _length_error(data[start:body], length, largest)
        if gate is not None:
            if available == PREFIX:
                self._wait(PREFIX + 1)
                return None
            gate(data[body])
        end = body + length
        if end > len(data):
            self._wait(PREFIX + length)
            return None
        self._position = end
        return data[body:end]

    def _wait(self, needed: int) -> None:
        self._tail += self._data[self._position :] if self._position else self._data
        self._needed = needed
        self._data = b""
        self._position = 0

    def clear(self) -> None:
        """Forget everything."""
        self._data = b""
        self._position = 0
        self._tail.clear()

    def __len__(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._tail) + len(self._data) - self._position


def _length_error(prefix: bytes, length: int, largest: int) -> RemoteProtocolError:
    if prefix in _HTTP_WORDS:
        return RemoteProtocolError(
            f"this is HTTP, not SPOP: the stream begins with {shown(prefix)}", StatusCode.FRAME_TOO_BIG
        )
    if length > largest:
        return RemoteProtocolError(f"frame of {length} bytes, at most {largest} are allowed", StatusCode.FRAME_TOO_BIG)
    return RemoteProtocolError(f"frame of {length} bytes, the smallest has {SMALLEST_FRAME}")
