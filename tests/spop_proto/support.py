"""What the tests of this folder share: frames made by hand (wrong ones too), connections in a given state."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from spop_proto import AgentConnection, HAProxyConnection, HAProxyHello

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spop_proto import Event

UNSET, HAPROXY_HELLO, HAPROXY_DISCONNECT, NOTIFY, AGENT_HELLO, AGENT_DISCONNECT, ACK = 0, 1, 2, 3, 101, 102, 103
FIN, ABRT = 1, 2

HELLO_ITEMS = bytes.fromhex(
    "12737570706f727465642d76657273696f6e730803322e300e6d61782d6672616d652d73697a6503fcf0060c6361706162696c6974696573"
    "080a706970656c696e696e67"
)
HEALTHCHECK_ITEMS = HELLO_ITEMS + bytes.fromhex("0b6865616c7468636865636b11")
AGENT_HELLO_ITEMS = bytes.fromhex(
    "0776657273696f6e0803322e300e6d61782d6672616d652d73697a6503fcf0060c6361706162696c6974696573080a706970656c696e696e67"
)
FRAGMENTS_HELLO_ITEMS = AGENT_HELLO_ITEMS.replace(b"\x0apipelining", b"\x18pipelining,fragmentation")
BYE_ITEMS = bytes.fromhex("0b7374617475732d636f64650300076d65737361676508066e6f726d616c")
MESSAGES = bytes.fromhex("016d020161080378797a0162042a")  # m: a="xyz", b=42


def frame(kind: int, flags: int = FIN, stream_id: int = 0, frame_id: int = 0, payload: bytes = b"") -> bytes:
    """A frame with ids below 240, after its length."""
    body = struct.pack(">BI", kind, flags) + bytes((stream_id, frame_id)) + payload
    return struct.pack(">I", len(body)) + body


HELLO = frame(HAPROXY_HELLO, payload=HELLO_ITEMS)


def notify(stream_id: int = 1, frame_id: int = 1, payload: bytes = MESSAGES, flags: int = FIN) -> bytes:
    """A NOTIFY."""
    return frame(NOTIFY, flags, stream_id, frame_id, payload)


def frames(data: bytes) -> list[tuple[int, int, int, int, bytes]]:
    """Type, flags, both ids and payload of the frames of a stream, which must be whole and have small ids."""
    found = []
    while data:
        (length,) = struct.unpack(">I", data[:4])
        body, data = data[4 : 4 + length], data[4 + length :]
        assert len(body) == length
        kind, flags = struct.unpack(">BI", body[:5])
        found.append((kind, flags, body[5], body[6], body[7:]))
    return found


def types(data: bytes) -> list[int]:
    """The types of the frames of a stream."""
    return [each[0] for each in frames(data)]


def status_of(data: bytes) -> int:
    """The status code of the DISCONNECT that ends a stream."""
    kind, _, _, _, payload = frames(data)[-1]
    assert kind in (HAPROXY_DISCONNECT, AGENT_DISCONNECT)
    assert payload.startswith(b"\x0bstatus-code\x03")
    return payload[13]


def flush(connection: AgentConnection | HAProxyConnection) -> bytes:
    """All that a connection wants to send."""
    return b"".join(iter(connection.data_to_send, b""))


def running_agent(connection: AgentConnection | None = None) -> AgentConnection:
    """An agent's connection after HELLO, nothing left to send."""
    connection = connection or AgentConnection()
    connection.receive_data(HELLO)
    flush(connection)
    return connection


def running_haproxy(
    connection: HAProxyConnection | None = None, items: bytes = AGENT_HELLO_ITEMS, hello: HAProxyHello | None = None
) -> HAProxyConnection:
    """A HAProxy's connection after HELLO, nothing left to send."""
    connection = connection or HAProxyConnection()
    connection.send(hello or HAProxyHello())
    flush(connection)
    connection.receive_data(frame(AGENT_HELLO, payload=items))
    return connection


def pair(**hello: object) -> tuple[HAProxyConnection, AgentConnection]:
    """Both sides, joined by nothing, after HELLO."""
    haproxy, agent = HAProxyConnection(), AgentConnection()
    haproxy.send(HAProxyHello(**hello))  # type: ignore[arg-type]  # of a test
    agent.receive_data(flush(haproxy))
    haproxy.receive_data(flush(agent))
    return haproxy, agent


def in_pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The data cut into pieces of these sizes, over and over."""
    position, turn = 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        yield data[position : position + size]
        position, turn = position + size, turn + 1


def names(events: list[Event]) -> list[str]:
    """The classes of events."""
    return [type(event).__name__ for event in events]
