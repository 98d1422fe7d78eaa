"""Events: what a connection reports and what it is told to send, the same classes for both.

Holds data only. Source: SPOE.txt 3.2.4 to 3.2.12, spop.md 1.4 to 1.7. They are frozen: a NOTIFY may be read by several
threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from spop_proto._errors import StatusCode

if TYPE_CHECKING:
    from spop_proto._typed_data import Value

T = TypeVar("T")


class Scope(IntEnum):
    """Where HAProxy keeps a variable, and so for how long."""

    PROCESS = 0
    SESSION = 1
    TRANSACTION = 2
    REQUEST = 3
    RESPONSE = 4


class Capability(StrEnum):
    """What a side can do, as HELLO lists it."""

    PIPELINING = "pipelining"
    """Several NOTIFYs in flight on a connection, answered in any order."""
    ASYNC = "async"
    """ACKs on another connection of the same engine-id; HAProxy <= 3.0 only, never used by this package."""
    FRAGMENTATION = "fragmentation"
    """It can receive a NOTIFY in pieces. HAProxy never lists it, and up to 3.0 sends pieces to an agent that does."""


# The four classes that are made for each request fill their slots through the slots' own setters: the __init__ of a
# frozen dataclass goes through object.__setattr__ by name, which takes half as long again.


@dataclass(frozen=True, slots=True, init=False)
class Message:
    """A message of a NOTIFY: an ``spoe-message`` section of HAProxy's configuration with its arguments."""

    name: str
    args: tuple[tuple[str, Value], ...] = ()
    """Names and values in HAProxy's order. A name may be empty and may repeat."""

    def __init__(self, name: str, args: tuple[tuple[str, Value], ...] = ()) -> None:
        _message_name(self, name)
        _message_args(self, args)

    def get(self, name: str, default: T | None = None) -> Value | T | None:
        """The value of the first argument of that name, or the default."""
        for key, value in self.args:
            if key == name:
                return value
        return default


@dataclass(frozen=True, slots=True, init=False)
class SetVar:
    """The action ``set-var``. HAProxy prepends the scope and the ``var-prefix`` of its configuration to the name."""

    scope: Scope
    name: str
    """Letters, digits, ``.`` and ``_``; about 50 at most: HAProxy drops a variable whose full name exceeds 63."""
    value: Value

    def __init__(self, scope: Scope, name: str, value: Value) -> None:
        _set_var_scope(self, scope)
        _set_var_name(self, name)
        _set_var_value(self, value)


@dataclass(frozen=True, slots=True)
class UnsetVar:
    """The action ``unset-var``."""

    scope: Scope
    name: str


Action: TypeAlias = SetVar | UnsetVar
"""What an ACK is made of."""


@dataclass(frozen=True, slots=True)
class HAProxyHello:
    """HAPROXY-HELLO. The agent's side answers it by itself."""

    supported_versions: tuple[str, ...] = ("2.0",)
    max_frame_size: int = 16380
    """The largest frame HAProxy takes, in bytes: ``tune.bufsize`` - 4 unless configured lower."""
    capabilities: tuple[str, ...] = (Capability.PIPELINING,)
    engine_id: str | None = None
    """One for each HAProxy process and agent section (>= 3.1) or each thread (<= 3.0)."""
    healthcheck: bool = False
    """HAProxy's ``option spop-check``: it wants an answer and then the connection closed."""


@dataclass(frozen=True, slots=True)
class AgentHello:
    """AGENT-HELLO: what both sides agreed to."""

    version: str = "2.0"
    max_frame_size: int = 16380
    capabilities: tuple[str, ...] = (Capability.PIPELINING, Capability.FRAGMENTATION)


@dataclass(frozen=True, slots=True, init=False)
class Notify:
    """NOTIFY, whole: fragments are put together before. It has to be answered with an `Ack` of the same two ids."""

    stream_id: int
    frame_id: int
    messages: tuple[Message, ...] = ()

    def __init__(self, stream_id: int, frame_id: int, messages: tuple[Message, ...] = ()) -> None:
        _notify_stream_id(self, stream_id)
        _notify_frame_id(self, frame_id)
        _notify_messages(self, messages)


@dataclass(frozen=True, slots=True, init=False)
class Ack:
    """ACK: the answer to the NOTIFY of the same two ids. No actions is a legal answer."""

    stream_id: int
    frame_id: int
    actions: tuple[Action, ...] = ()

    def __init__(self, stream_id: int, frame_id: int, actions: tuple[Action, ...] = ()) -> None:
        _ack_stream_id(self, stream_id)
        _ack_frame_id(self, frame_id)
        _ack_actions(self, actions)


@dataclass(frozen=True, slots=True)
class HAProxyDisconnect:
    """HAPROXY-DISCONNECT. The agent's side answers it by itself; answers to NOTIFYs are void from here on."""

    status: int = StatusCode.NORMAL
    """A `StatusCode`, or another number."""
    message: str = "normal"
    """At most 255 bytes; from the peer, so log its repr()."""


@dataclass(frozen=True, slots=True)
class AgentDisconnect:
    """AGENT-DISCONNECT. Sent by the agent's side as its last frame."""

    status: int = StatusCode.NORMAL
    """A `StatusCode`, or another number."""
    message: str = "normal"
    """At most 255 bytes."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The open fragmented NOTIFY of these ids was given up, by whoever sends the event. It gets no ACK."""

    stream_id: int
    frame_id: int


@dataclass(frozen=True, slots=True)
class UnknownFrame:
    """A frame of a type that SPOP does not define: skipped, as SPOE.txt 3.2.2 allows."""

    type: int
    flags: int
    stream_id: int
    frame_id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The peer closed without a DISCONNECT. NOTIFYs in flight are void.

    HAProxy >= 3.1 ends every connection so; a port scan looks like it too. Neither is an error.
    """

    clean: bool
    """Between two frames. False: inside a frame or a fragmented NOTIFY."""
    received: bool
    """Whether the peer had sent anything: False is a port scan or a TCP health check."""
    reason: str
    """For the log."""


@dataclass(frozen=True, slots=True)
class ConnectionFailed:
    """The peer broke the protocol or was too slow: flush the DISCONNECT, then close. Always the last event."""

    status: int
    """The `StatusCode` of the DISCONNECT."""
    reason: str
    """For the log: what came, what was expected."""
    delay: float = 0.0
    """Seconds to wait before the flush; above zero for a refused HELLO, which HAProxy <= 3.0 repeats at once."""


_message_name, _message_args = (Message.__dict__[name].__set__ for name in Message.__slots__)
_set_var_scope, _set_var_name, _set_var_value = (SetVar.__dict__[name].__set__ for name in SetVar.__slots__)
_notify_stream_id, _notify_frame_id, _notify_messages = (Notify.__dict__[name].__set__ for name in Notify.__slots__)
_ack_stream_id, _ack_frame_id, _ack_actions = (Ack.__dict__[name].__set__ for name in Ack.__slots__)

Event: TypeAlias = (
    HAProxyHello
    | AgentHello
    | Notify
    | Ack
    | HAProxyDisconnect
    | AgentDisconnect
    | Aborted
    | UnknownFrame
    | ConnectionClosed
    | ConnectionFailed
)
"""Whatever `receive_data`, `receive_eof` and `handle_timer` may return."""
