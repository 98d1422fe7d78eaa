"""Status codes of DISCONNECT and the errors of this package.

Holds no protocol logic. Source: SPOE.txt 3.2.10 (frame errors), spop.md 1.6.
"""

from __future__ import annotations

from enum import IntEnum


class StatusCode(IntEnum):
    """The ``status-code`` of a DISCONNECT frame. Agents may use numbers of their own: those stay a plain int."""

    NORMAL = 0
    IO_ERROR = 1
    TIMEOUT = 2
    FRAME_TOO_BIG = 3
    INVALID_FRAME = 4
    VERSION_MISSING = 5
    MAX_FRAME_SIZE_MISSING = 6
    CAPABILITIES_MISSING = 7
    UNSUPPORTED_VERSION = 8
    MAX_FRAME_SIZE_OUT_OF_RANGE = 9
    FRAGMENTATION_NOT_SUPPORTED = 10
    INTERLACED_FRAMES = 11
    FRAME_ID_NOT_FOUND = 12
    RESOURCE_ERROR = 13
    UNKNOWN = 99


_STATUS_OF_NUMBER: dict[int, StatusCode] = {int(code): code for code in StatusCode}


def known_status(number: int) -> int:
    """The `StatusCode` of a number, or the number itself where an agent defined its own."""
    return _STATUS_OF_NUMBER.get(number, number)


class ProtocolError(Exception):
    """The rules of SPOP were broken. Abstract: one of the two below says by whom.

    Attributes:
        reason: What came, what was expected, and where; text for a log line.
        status: The status code that a DISCONNECT for it bears.
    """

    def __init__(self, reason: str, status: int = StatusCode.INVALID_FRAME) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status

    def __str__(self) -> str:
        return self.reason


class LocalProtocolError(ProtocolError):
    """We tried to send what the protocol, the state or HAProxy's bugs forbid. Nothing was sent, no state changed."""


class RemoteProtocolError(ProtocolError):
    """The peer is at fault. Connections never raise it out of `receive_data`; the pure decoders do."""


def shown(data: bytes) -> str:
    """Bytes of the peer as they may stand in a log line: cut to 40 bytes and escaped."""
    return repr(data if len(data) <= 40 else data[:40] + b"...")
