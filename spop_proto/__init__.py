"""SPOP, the protocol between HAProxy and its agents, as a pure state machine: bytes in, events out. No I/O, no clock.

The words, as HAProxy's SPOE.txt has them:

    frame       What is sent: a length, a header (type, flags, two ids), a payload.
    HELLO       The first frame of each side; together they agree on version, max-frame-size and capabilities.
    NOTIFY      HAProxy's frame with messages about a stream (a request or a response, say); it waits for its ACK.
    message     A name and arguments, as an `spoe-message` section of HAProxy's configuration lists them.
    ACK         The agent's answer to one NOTIFY, with the same stream-id and frame-id: a list of actions, maybe empty.
    action      `SetVar` or `UnsetVar`: a variable of a scope that HAProxy's rules can then read.
    DISCONNECT  The last frame of each side, with a status code.

`AgentConnection` is the agent's side, `HAProxyConnection` the other one, for tests, checkers and load tools. Each
takes what was received (`receive_data`, `receive_eof`), reports events, takes events to send (`send`) and gives the
bytes to be written (`data_to_send`). The caller owns the socket, the time and the threads; a connection must not be
used by two threads at once.
"""

from spop_proto._agent import AgentConnection
from spop_proto._errors import LocalProtocolError, ProtocolError, RemoteProtocolError, StatusCode
from spop_proto._events import (
    Aborted,
    Ack,
    AgentDisconnect,
    AgentHello,
    Capability,
    ConnectionClosed,
    ConnectionFailed,
    Event,
    HAProxyDisconnect,
    HAProxyHello,
    Message,
    Notify,
    Scope,
    SetVar,
    UnknownFrame,
    UnsetVar,
)
from spop_proto._haproxy import HAProxyConnection
from spop_proto._limits import Limits
from spop_proto._typed_data import DataType, Typed

__all__ = [
    "Aborted",
    "Ack",
    "AgentConnection",
    "AgentDisconnect",
    "AgentHello",
    "Capability",
    "ConnectionClosed",
    "ConnectionFailed",
    "DataType",
    "Event",
    "HAProxyConnection",
    "HAProxyDisconnect",
    "HAProxyHello",
    "Limits",
    "LocalProtocolError",
    "Message",
    "Notify",
    "ProtocolError",
    "RemoteProtocolError",
    "Scope",
    "SetVar",
    "StatusCode",
    "Typed",
    "UnknownFrame",
    "UnsetVar",
]
