# Invariant: whatever an agent sends, cut however, HAProxy's side raises nothing and reports the same events; an ACK
# is reported once for each NOTIFY at most; ConnectionFailed comes last and once. Both ways of judging hold it.
# Allowed: none.
"""Fuzz target of HAProxy's state machine."""

from __future__ import annotations

import sys

from spop_proto import Ack, AgentHello, ConnectionFailed, HAProxyConnection, HAProxyHello, Message, Notify

AGENT_HELLO = bytes.fromhex(
    "00000040650000000100000776657273696f6e0803322e300e6d61782d6672616d652d73697a6503fcf0060c6361706162696c6974696573"
    "080a706970656c696e696e67"
)


def receive(pieces: list[bytes], *, as_haproxy: bool) -> list[object]:
    """The events of a stream that answers a HELLO and, if it gets so far, four NOTIFYs."""
    connection = HAProxyConnection(as_haproxy=as_haproxy)
    connection.send(HAProxyHello())
    events: list[object] = []
    sent: set[tuple[int, int]] = set()
    for piece in pieces:
        events += connection.receive_data(piece)
        if connection.agreed is not None and connection.in_flight_limit > 1 and not connection.should_close:
            for number in range(1, 5):
                if (number, 1) not in sent:
                    sent.add((number, 1))
                    connection.send(Notify(number, 1, (Message("m", (("a", 1),)),)))
    return events + list(connection.receive_eof())


def fuzz(data: bytes) -> None:
    """Feed the data after an AGENT-HELLO if it begins with an odd byte."""
    hello = AGENT_HELLO if data[:1] and data[0] & 1 else b""
    stream = data[1:] if hello else data
    for as_haproxy in (False, True):
        events = receive([hello, stream], as_haproxy=as_haproxy)
        assert not hello or isinstance(events[0], AgentHello)
        if hello:
            cut = [hello, *(stream[at : at + 3] for at in range(0, len(stream), 3))]
            assert receive(cut, as_haproxy=as_haproxy) == events
        failed = [isinstance(event, ConnectionFailed) for event in events]
        assert sum(failed) == sum(failed[-1:])
        pairs = [(event.stream_id, event.frame_id) for event in events if isinstance(event, Ack)]
        assert len(set(pairs)) == len(pairs)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
