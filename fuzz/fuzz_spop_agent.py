# Invariant: whatever comes, cut however, an agent's connection raises nothing, reports the same events and wants the
# same whole frames sent; ConnectionFailed comes last and once, with its DISCONNECT; every NOTIFY can be answered
# until the end. Allowed: none.
"""Fuzz target of the agent's state machine."""

from __future__ import annotations

import sys

from spop_proto import Ack, AgentConnection, ConnectionFailed, HAProxyHello, Notify
from spop_proto._frames import FrameType

HELLO = bytes.fromhex(
    "0000004b0100000001000012737570706f727465642d76657273696f6e730803322e300e6d61782d6672616d652d73697a6503fcf0060c63"
    "61706162696c6974696573080a706970656c696e696e67"
)


def receive(pieces: list[bytes], *, answer: bool) -> tuple[list[object], bytes]:
    """The events of a stream, its NOTIFYs answered after each piece or never, and all that is to be sent."""
    connection = AgentConnection()
    events: list[object] = []
    for piece in pieces:
        happened = connection.receive_data(piece)
        events += happened
        for event in happened:
            if answer and isinstance(event, Notify) and not connection.should_close:
                connection.send(Ack(event.stream_id, event.frame_id))
        if connection.should_close:
            assert connection.in_flight == 0
            assert connection.receive_data(b"\0") == []
    events += connection.receive_eof()
    assert connection.should_close
    assert connection.timer(0) is None
    return events, b"".join(iter(connection.data_to_send, b""))


def types_sent(data: bytes) -> list[int]:
    """The types of the frames to be sent, which are whole."""
    found, position = [], 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        assert position + 4 + length <= len(data)
        found.append(data[position + 4])
        position += 4 + length
    return found


def fuzz(data: bytes) -> None:
    """Feed the data as it is, or after a HELLO if it begins with an odd byte."""
    stream = HELLO + data[1:] if data[:1] and data[0] & 1 else data
    size = data[0] % 7 + 1 if data else 1
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    # Not answered, since an answer makes its ids free again: what comes then depends on when it is sent.
    events, _ = receive([stream], answer=False)
    assert stream is data or isinstance(events[0], HAProxyHello)
    assert receive(pieces, answer=False)[0] == events
    answered, sent = receive(pieces, answer=True)
    failed = [isinstance(event, ConnectionFailed) for event in answered]
    assert sum(failed) == sum(failed[-1:])
    kinds = types_sent(sent)
    assert kinds.count(FrameType.ACK) <= sum(isinstance(event, Notify) for event in answered)
    assert kinds.count(FrameType.AGENT_DISCONNECT) == (kinds[-1:] == [FrameType.AGENT_DISCONNECT])
    assert not any(failed) or kinds[-1] == FrameType.AGENT_DISCONNECT


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
