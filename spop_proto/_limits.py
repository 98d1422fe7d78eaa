"""Every bound of the package in one place: default, unit and reason.

Holds numbers only; whoever enforces one names it. Source: spop.md section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypeVar

SMALLEST_MAX_FRAME_SIZE = 256
"""The smallest max-frame-size that HAProxy takes (SPOE.txt 3.2.4)."""

N = TypeVar("N", int, float, "int | None", "float | None")


def _limit(default: N, unit: str, reason: str) -> N:
    return field(default=default, metadata={"unit": unit, "reason": reason})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a connection accepts, buffers and waits for. Unit and reason of each field are in its metadata.

    Raises:
        ValueError: A limit is zero or negative, or `frame_size` is below 256.
    """

    frame_size: int = _limit(
        1 << 20,
        "bytes",
        "the largest max-frame-size we agree to; HAProxy's is tune.bufsize-4, 16380 by default, but may be many MB",
    )
    hello_size: int = _limit(
        4096,
        "bytes",
        "before HELLO nothing is agreed; real ones have 78 to 129 bytes, and 'GET ' as a length is 1.2 GB",
    )
    in_flight: int = _limit(
        64,
        "frames",
        "NOTIFYs without an answer before the caller stops reading; HAProxy keeps at most 20 (max-waiting-frames). "
        "Not an error, and frames that were read already are still decoded",
    )
    messages: int = _limit(64, "messages", "in one NOTIFY; 16 KB can hold 5,400 empty ones, one event sends a handful")
    arguments: int = _limit(1024, "arguments", "in all messages of one NOTIFY; 16 KB can hold 8,000 empty ones")
    actions: int = _limit(1024, "actions", "in one ACK that the HAProxy role receives; 16 KB can hold 3,000")
    items: int = _limit(64, "items", "in a HELLO or DISCONNECT; the protocol defines five")
    fragment_bytes: int = _limit(
        1 << 20, "bytes", "payload of one fragmented NOTIFY; HAProxy bounds it by tune.bufsize for each argument only"
    )
    fragments: int = _limit(4096, "frames", "of one fragmented NOTIFY, so that empty ones cannot go on for ever")
    variable_name: int = _limit(
        50,
        "characters",
        "of a set-var before we warn: HAProxy silently drops a variable whose scope.prefix.name has more than 63, "
        "and only HAProxy knows the prefix",
    )
    hello_timeout: float = _limit(5.0, "seconds", "for HELLO to arrive; HAProxy sends it as soon as it is connected")
    frame_timeout: float = _limit(10.0, "seconds", "for a frame that has begun to be complete (slow loris)")
    fragment_timeout: float = _limit(30.0, "seconds", "for a fragmented NOTIFY to be complete")
    idle_timeout: float | None = _limit(
        None,
        "seconds",
        "without a byte and without work; none by default since HAProxy keeps idle connections pooled for minutes",
    )
    disconnect_timeout: float = _limit(
        2.0,
        "seconds",
        "for the AGENT-DISCONNECT that answers ours (HAProxy role); an agent that never answers holds nothing up",
    )
    refusal_delay: float = _limit(
        0.5,
        "seconds",
        "to wait before a refused HELLO is answered: HAProxy <= 3.0 reconnects at once, up to 5,000 times a second",
    )

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if (value is not None and value < 0) or (value == 0 and limit.name != "refusal_delay"):
                raise ValueError(f"{limit.name} must be above zero, not {value!r}")
        if self.frame_size < SMALLEST_MAX_FRAME_SIZE:
            raise ValueError(f"frame_size must be at least {SMALLEST_MAX_FRAME_SIZE}, not {self.frame_size!r}")

    def memory_per_connection(self, max_frame_size: int = 16380) -> int:
        """The most a connection holds at a time, in bytes: input buffer, NOTIFYs in flight, an open fragment.

        Args:
            max_frame_size: As negotiated, in bytes.
        """
        frame = min(max_frame_size, self.frame_size) + 4
        return frame * (1 + self.in_flight) + self.fragment_bytes
