"""The states of both roles and what each frame does in each of them: tables, nothing else.

Two rules of this file: what moves the state stands here and nowhere else, and nothing here looks at bytes. The
connections classify a frame (one of `AgentInput`, `HAProxyInput`), look the pair up, and do what the `Step` says.
docs/spop-states.md is drawn from the same tables. Source: SPOE.txt 3.2 and 3.3, spop.md 2.1 and 2.2.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from spop_proto._errors import StatusCode
from spop_proto._events import Aborted, Ack, AgentDisconnect, HAProxyDisconnect, HAProxyHello, Notify

if TYPE_CHECKING:
    from collections.abc import Mapping


class AgentState(IntEnum):
    """Where an agent's connection stands."""

    WAIT_HELLO = 0
    """Connected; HAPROXY-HELLO has to come first."""
    RUNNING = 1
    """NOTIFYs are taken and answered."""
    ASSEMBLING = 2
    """As RUNNING, with the first part of a fragmented NOTIFY here; only its other parts may come."""
    CLOSED = 3
    """Over. Flush and close."""
    FAILED = 4
    """The peer broke the rules. Flush and close."""


class HAProxyState(IntEnum):
    """Where HAProxy's connection stands."""

    START = 0
    """Connected; HAPROXY-HELLO has to be sent first."""
    WAIT_AGENT_HELLO = 1
    """HAPROXY-HELLO is sent."""
    RUNNING = 2
    """NOTIFYs are sent, ACKs taken."""
    CLOSING = 3
    """HAPROXY-DISCONNECT is sent; its answer is awaited, all else is ignored."""
    CLOSED = 4
    """Over. Flush and close."""
    FAILED = 5
    """The peer broke the rules. Flush and close."""


class AgentInput(IntEnum):
    """What an agent may receive, told apart as far as the table needs it."""

    HELLO = 0
    """HAPROXY-HELLO that can be agreed to."""
    HEALTHCHECK = 1
    """HAPROXY-HELLO with healthcheck=true."""
    DISCONNECT = 2
    """HAPROXY-DISCONNECT."""
    NOTIFY = 3
    """NOTIFY with FIN, frame-id above zero, not in flight."""
    NOTIFY_PART = 4
    """The same without FIN, fragmentation agreed."""
    NOTIFY_PART_NOT_AGREED = 5
    """NOTIFY without FIN, fragmentation not announced by us."""
    NOTIFY_WRONG_IDS = 6
    """NOTIFY with a frame-id of zero, or of a pair that is in flight."""
    UNSET_PART = 7
    """UNSET without FIN, ids of the open NOTIFY."""
    UNSET_LAST = 8
    """UNSET with FIN, ids of the open NOTIFY."""
    UNSET_ABORT = 9
    """UNSET with ABRT, ids of the open NOTIFY."""
    UNSET_OTHER = 10
    """UNSET with other ids, or with none open."""
    CONTROL_PART = 11
    """HELLO or DISCONNECT without FIN."""
    CONTROL_IDS = 12
    """HELLO or DISCONNECT with ids other than 0/0."""
    WRONG_DIRECTION = 13
    """A frame that only agents send."""
    UNKNOWN = 14
    """A type that SPOP does not define."""


class HAProxyInput(IntEnum):
    """What HAProxy may receive, told apart as far as the table needs it."""

    HELLO = 0
    """AGENT-HELLO that agrees with ours, which was no health check."""
    HEALTHCHECK = 1
    """AGENT-HELLO that agrees with ours, which was a health check."""
    DISCONNECT = 2
    """AGENT-DISCONNECT."""
    ACK = 3
    """ACK of a NOTIFY in flight."""
    ACK_ABORT = 4
    """ACK with ABRT of a NOTIFY whose last fragments are not sent yet."""
    ACK_EARLY = 5
    """ACK without ABRT of such a NOTIFY."""
    ACK_LATE = 6
    """ACK of a NOTIFY that was answered or cancelled."""
    ACK_NOT_FOUND = 7
    """ACK of a NOTIFY that never was."""
    ACK_PART = 8
    """ACK without FIN."""
    CONTROL_PART = 9
    """HELLO or DISCONNECT without FIN."""
    CONTROL_IDS = 10
    """HELLO or DISCONNECT with ids other than 0/0."""
    WRONG_DIRECTION = 11
    """A frame that only HAProxy sends."""
    UNKNOWN = 12
    """A type that SPOP does not define."""


class Effect(StrEnum):
    """What a connection does with a frame."""

    AGREE = "report it, queue AGENT-HELLO"
    REPORT_HELLO = "report it"
    BYE = "report it, queue AGENT-DISCONNECT 0; NOTIFYs in flight are void"
    REPORT_BYE = "report it; NOTIFYs in flight are void"
    NOTIFY = "report it, in flight until its ACK"
    OPEN = "keep the payload"
    APPEND = "append the payload"
    FINISH = "append the payload, report the NOTIFY, in flight until its ACK"
    DROP = "drop the payload, report Aborted"
    ACK = "report it, no longer in flight"
    ABORT = "drop the fragments not sent, queue UNSET with ABRT, report Aborted"
    SKIP = "report UnknownFrame"
    IGNORE = "nothing"
    FAIL = "queue DISCONNECT, report ConnectionFailed"


class Step(NamedTuple):
    """A cell of a table."""

    effect: Effect
    next: int
    """The state after it, of the role's own enum."""
    status: StatusCode = StatusCode.NORMAL
    """For `Effect.FAIL`: what the DISCONNECT says."""


def _agent_fails(status: StatusCode) -> Step:
    return Step(Effect.FAIL, AgentState.FAILED, status)


def _haproxy_fails(status: StatusCode) -> Step:
    return Step(Effect.FAIL, HAProxyState.FAILED, status)


_A, _I = AgentState, AgentInput
_INVALID = _agent_fails(StatusCode.INVALID_FRAME)
_INTERLACED = _agent_fails(StatusCode.INTERLACED_FRAMES)
_NO_FRAGMENTS = _agent_fails(StatusCode.FRAGMENTATION_NOT_SUPPORTED)

AGENT_RECEIVES: Mapping[AgentState, Mapping[AgentInput, Step]] = {
    _A.WAIT_HELLO: {
        _I.HELLO: Step(Effect.AGREE, _A.RUNNING),
        _I.HEALTHCHECK: Step(Effect.AGREE, _A.CLOSED),
        _I.DISCONNECT: Step(Effect.BYE, _A.CLOSED),
        _I.NOTIFY: _INVALID,
        _I.NOTIFY_PART: _INVALID,
        _I.NOTIFY_PART_NOT_AGREED: _INVALID,
        _I.NOTIFY_WRONG_IDS: _INVALID,
        _I.UNSET_PART: _INVALID,
        _I.UNSET_LAST: _INVALID,
        _I.UNSET_ABORT: _INVALID,
        _I.UNSET_OTHER: _INVALID,
        _I.CONTROL_PART: _NO_FRAGMENTS,
        _I.CONTROL_IDS: _INVALID,
        _I.WRONG_DIRECTION: _INVALID,
        _I.UNKNOWN: _INVALID,
    },
    _A.RUNNING: {
        _I.HELLO: _INVALID,
        _I.HEALTHCHECK: _INVALID,
        _I.DISCONNECT: Step(Effect.BYE, _A.CLOSED),
        _I.NOTIFY: Step(Effect.NOTIFY, _A.RUNNING),
        _I.NOTIFY_PART: Step(Effect.OPEN, _A.ASSEMBLING),
        _I.NOTIFY_PART_NOT_AGREED: _NO_FRAGMENTS,
        _I.NOTIFY_WRONG_IDS: _INVALID,
        _I.UNSET_PART: _INVALID,
        _I.UNSET_LAST: _INVALID,
        _I.UNSET_ABORT: _INVALID,
        _I.UNSET_OTHER: _INVALID,
        _I.CONTROL_PART: _NO_FRAGMENTS,
        _I.CONTROL_IDS: _INVALID,
        _I.WRONG_DIRECTION: _INVALID,
        _I.UNKNOWN: Step(Effect.SKIP, _A.RUNNING),
    },
    _A.ASSEMBLING: {
        _I.HELLO: _INVALID,
        _I.HEALTHCHECK: _INVALID,
        _I.DISCONNECT: Step(Effect.BYE, _A.CLOSED),
        _I.NOTIFY: _INTERLACED,
        _I.NOTIFY_PART: _INTERLACED,
        _I.NOTIFY_PART_NOT_AGREED: _INTERLACED,
        _I.NOTIFY_WRONG_IDS: _INTERLACED,
        _I.UNSET_PART: Step(Effect.APPEND, _A.ASSEMBLING),
        _I.UNSET_LAST: Step(Effect.FINISH, _A.RUNNING),
        _I.UNSET_ABORT: Step(Effect.DROP, _A.RUNNING),
        _I.UNSET_OTHER: _INTERLACED,
        _I.CONTROL_PART: _NO_FRAGMENTS,
        _I.CONTROL_IDS: _INVALID,
        _I.WRONG_DIRECTION: _INVALID,
        _I.UNKNOWN: Step(Effect.SKIP, _A.ASSEMBLING),
    },
    _A.CLOSED: dict.fromkeys(_I, Step(Effect.IGNORE, _A.CLOSED)),
    _A.FAILED: dict.fromkeys(_I, Step(Effect.IGNORE, _A.FAILED)),
}

AGENT_SENDS: Mapping[AgentState, Mapping[type, AgentState]] = {
    _A.WAIT_HELLO: {AgentDisconnect: _A.CLOSED},
    _A.RUNNING: {Ack: _A.RUNNING, AgentDisconnect: _A.CLOSED},
    # After an Aborted of ours the rest of the fragments still comes, and is dropped.
    _A.ASSEMBLING: {Ack: _A.ASSEMBLING, AgentDisconnect: _A.CLOSED, Aborted: _A.ASSEMBLING},
    _A.CLOSED: {},
    _A.FAILED: {},
}

AGENT_COMPLAINTS: Mapping[AgentInput, str] = {
    _I.NOTIFY_PART_NOT_AGREED: "FIN is missing, and we did not announce fragmentation",
    _I.NOTIFY_WRONG_IDS: "the frame-id is 0, or a NOTIFY of these ids is in flight",
    _I.UNSET_OTHER: "no fragmented NOTIFY of these ids is open",
    _I.CONTROL_PART: "FIN is missing",
    _I.CONTROL_IDS: "its ids have to be 0",
    _I.WRONG_DIRECTION: "HAProxy does not send it",
}
"""What is wrong with a frame, where that is not the state alone."""

_H, _J = HAProxyState, HAProxyInput
_BAD = _haproxy_fails(StatusCode.INVALID_FRAME)
_PART = _haproxy_fails(StatusCode.FRAGMENTATION_NOT_SUPPORTED)
_CLOSING = Step(Effect.IGNORE, _H.CLOSING)

HAPROXY_RECEIVES: Mapping[HAProxyState, Mapping[HAProxyInput, Step]] = {
    _H.START: {
        **dict.fromkeys(_J, _BAD),
        _J.DISCONNECT: Step(Effect.REPORT_BYE, _H.CLOSED),
    },
    _H.WAIT_AGENT_HELLO: {
        _J.HELLO: Step(Effect.REPORT_HELLO, _H.RUNNING),
        _J.HEALTHCHECK: Step(Effect.REPORT_HELLO, _H.CLOSED),
        _J.DISCONNECT: Step(Effect.REPORT_BYE, _H.CLOSED),
        _J.ACK: _BAD,
        _J.ACK_ABORT: _BAD,
        _J.ACK_EARLY: _BAD,
        _J.ACK_LATE: _BAD,
        _J.ACK_NOT_FOUND: _BAD,
        _J.ACK_PART: _BAD,
        _J.CONTROL_PART: _PART,
        _J.CONTROL_IDS: _BAD,
        _J.WRONG_DIRECTION: _BAD,
        _J.UNKNOWN: _BAD,
    },
    _H.RUNNING: {
        _J.HELLO: _BAD,
        _J.HEALTHCHECK: _BAD,
        _J.DISCONNECT: Step(Effect.REPORT_BYE, _H.CLOSED),
        _J.ACK: Step(Effect.ACK, _H.RUNNING),
        _J.ACK_ABORT: Step(Effect.ABORT, _H.RUNNING),
        _J.ACK_EARLY: _BAD,
        _J.ACK_LATE: Step(Effect.IGNORE, _H.RUNNING),
        _J.ACK_NOT_FOUND: _haproxy_fails(StatusCode.FRAME_ID_NOT_FOUND),
        _J.ACK_PART: _PART,
        _J.CONTROL_PART: _PART,
        _J.CONTROL_IDS: _BAD,
        _J.WRONG_DIRECTION: _BAD,
        _J.UNKNOWN: Step(Effect.SKIP, _H.RUNNING),
    },
    _H.CLOSING: {
        **dict.fromkeys(_J, _CLOSING),
        _J.DISCONNECT: Step(Effect.REPORT_BYE, _H.CLOSED),
    },
    _H.CLOSED: dict.fromkeys(_J, Step(Effect.IGNORE, _H.CLOSED)),
    _H.FAILED: dict.fromkeys(_J, Step(Effect.IGNORE, _H.FAILED)),
}

HAPROXY_SENDS: Mapping[HAProxyState, Mapping[type, HAProxyState]] = {
    _H.START: {HAProxyHello: _H.WAIT_AGENT_HELLO},
    _H.WAIT_AGENT_HELLO: {HAProxyDisconnect: _H.CLOSING},
    _H.RUNNING: {Notify: _H.RUNNING, Aborted: _H.RUNNING, HAProxyDisconnect: _H.CLOSING},
    _H.CLOSING: {},
    _H.CLOSED: {},
    _H.FAILED: {},
}

HAPROXY_COMPLAINTS: Mapping[HAProxyInput, str] = {
    _J.ACK_EARLY: "the NOTIFY is not sent as a whole yet",
    _J.ACK_NOT_FOUND: "there was no NOTIFY of these ids",
    _J.ACK_PART: "FIN is missing",
    _J.CONTROL_PART: "FIN is missing",
    _J.CONTROL_IDS: "its ids have to be 0",
    _J.WRONG_DIRECTION: "agents do not send it",
}
"""What is wrong with a frame, where that is not the state alone."""
