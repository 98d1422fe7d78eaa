# Invariant: a NOTIFY cut into fragments anywhere gives the same event as the NOTIFY in one frame, or fails with the
# same status; an abort leaves nothing behind. The first bytes of the data are the cuts. Allowed: none.
"""Fuzz target of putting fragments together."""

from __future__ import annotations

import sys
from itertools import pairwise

from spop_proto import Aborted, AgentConnection, ConnectionFailed
from spop_proto._frames import ABRT, FIN, FrameType, encode_frame

HELLO = bytes.fromhex(
    "0000004b0100000001000012737570706f727465642d76657273696f6e730803322e300e6d61782d6672616d652d73697a6503fcf0060c63"
    "61706162696c6974696573080a706970656c696e696e67"
)


def receive(stream: bytes) -> tuple[AgentConnection, list[object]]:
    """The events that follow HELLO."""
    connection = AgentConnection()
    connection.receive_data(HELLO)
    assert connection.agreed is not None
    return connection, list(connection.receive_data(stream))


def fragments(payload: bytes, cuts: list[int]) -> list[bytes]:
    """The payload in as many frames as there are cuts, and one."""
    places = [0, *sorted(cut % (len(payload) + 1) for cut in cuts), len(payload)]
    pieces = [payload[start:end] for start, end in pairwise(places)]
    kinds = [FrameType.NOTIFY, *[FrameType.UNSET] * len(cuts)]
    flags = [*[0] * len(cuts), FIN]
    return [encode_frame(kind, flag, 7, 1, piece) for kind, flag, piece in zip(kinds, flags, pieces, strict=True)]


def fuzz(data: bytes) -> None:
    """Send the payload whole, in fragments, and aborted."""
    count = data[0] % 5 + 1 if data else 1
    cuts, payload = list(data[1 : 1 + count]), data[1 + count : 16000]
    _, whole = receive(encode_frame(FrameType.NOTIFY, FIN, 7, 1, payload))
    frames = fragments(payload, cuts)
    connection, events = receive(b"".join(frames))
    if isinstance(whole[0], ConnectionFailed):
        assert isinstance(events[-1], ConnectionFailed)
        assert events[-1].status == whole[0].status
        return
    assert events == whole
    assert connection.in_flight == 1
    if len(frames) > 1:
        abort = encode_frame(FrameType.UNSET, FIN | ABRT, 7, 1, b"")
        connection, events = receive(b"".join(frames[:-1]) + abort + frames[0] + b"".join(frames[1:]))
        assert events == [Aborted(7, 1), *whole]


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
