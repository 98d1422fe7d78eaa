"""What every loop does with the events of a connection: answer NOTIFYs, log the rest.

Here: the handler's contract, and that each NOTIFY is answered whatever the handler does. Not here: sockets, clocks,
waiting; those are the loops' (blocking.py, threaded.py, anyio_agent.py).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, TypeAlias, assert_never, cast

from adapters.logs import Occasional, event
from adapters.troubles import Reason, shortened, trouble_actions
from spop_proto import (
    Aborted,
    Ack,
    AgentConnection,
    AgentDisconnect,
    AgentHello,
    ConnectionClosed,
    ConnectionFailed,
    HAProxyDisconnect,
    HAProxyHello,
    LocalProtocolError,
    Notify,
    UnknownFrame,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from spop_proto import Event, SetVar, UnsetVar

    Action: TypeAlias = SetVar | UnsetVar
    Handler: TypeAlias = Callable[[Notify], Iterable[Action]]
    EventedHandler: TypeAlias = Callable[[Notify], Iterable[Action] | Awaitable[Iterable[Action]]]

QUIET_DISCONNECTS = (0, 2)
"""normal, and HAProxy's own idle time-out: HAProxy <= 3.0 ends most of its connections so."""

_NOT_SPOP = (
    ((b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"PATC", b"CONN", b"PRI "), "HTTP"),
    ((b"\x16\x03",), "TLS"),
    ((b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"), "the PROXY protocol"),
    ((b"SSH-",), "SSH"),
)
_NOT_SPOP_HINT = (
    "the backend of the agent in HAProxy needs `mode tcp` (from 3.1 on `mode spop`), without ssl or send-proxy"
)


class Reporter:
    """Writes what happens on connections to a log, repeated things only now and then.

    Args:
        logger: the agent's log.
        occasional: holds back repeated lines.
    """

    def __init__(self, logger: logging.Logger, occasional: Occasional | None = None) -> None:
        self._logger = logger
        self._occasional = occasional or Occasional()

    def report(self, happened: Event, peer: str, first_bytes: bytes = b"") -> None:
        """Log an event of a connection.

        Args:
            happened: the event.
            peer: the other end.
            first_bytes: how what came begins, so that something else than SPOP can be called by its name.
        """
        match happened:
            case Notify() | Ack() | AgentHello() | AgentDisconnect() | Aborted():
                pass
            case UnknownFrame():
                event(self._logger, logging.DEBUG, "unknown frame skipped", peer=peer, type=happened.type)
            case HAProxyHello():
                event(self._logger, logging.DEBUG, "HAProxy connected", peer=peer, healthcheck=happened.healthcheck)
            case HAProxyDisconnect():
                quiet = happened.status in QUIET_DISCONNECTS
                fields = {"peer": peer, "status": int(happened.status), "said": repr(happened.message)}
                self._say(logging.DEBUG if quiet else logging.WARNING, "HAProxy disconnected", fields)
            case ConnectionClosed():
                level = logging.DEBUG if happened.clean or not happened.received else logging.INFO
                self._say(level, "connection closed", {"peer": peer, "how": happened.reason})
            case ConnectionFailed():
                fields = {"peer": peer, "status": int(happened.status), "reason": happened.reason}
                for beginnings, name in _NOT_SPOP:
                    if first_bytes.startswith(beginnings):
                        fields |= {"reason": f"{name} instead of SPOP", "hint": _NOT_SPOP_HINT}
                self._say(logging.WARNING, "connection refused", fields)
            case _:
                assert_never(happened)

    def lost(self, error: OSError, peer: str) -> None:
        """Log that a connection broke. HAProxy >= 3.1 resets idle connections as a matter of course."""
        event(self._logger, logging.DEBUG, "connection lost", peer=peer, how=str(error))

    def handler_failed(self, notify: Notify, error: Exception) -> None:
        """Log what a handler raised, with its traceback."""
        names = ",".join(message.name for message in notify.messages)
        fields = {"stream": notify.stream_id, "messages": names}
        self._logger.error("the handler raised", exc_info=error, extra={"fields": fields})

    def warning(self, text: str, **fields: object) -> None:
        """Log something else that is wrong, now and then."""
        self._say(logging.WARNING, text, fields)

    def _say(self, level: int, text: str, fields: dict[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        held = self._occasional.due(f"{text}{fields.get('status', '')}{fields.get('reason', '')}")
        if held is not None:
            event(self._logger, level, text, **fields, **({"repeated": held} if held else {}))


def answer(connection: AgentConnection, notify: Notify, handler: Handler, reporter: Reporter) -> None:
    """Answer a NOTIFY with what the handler says, or with `error` and `reason` when it raises."""
    if connection.should_close:
        return  # HAProxy disconnected in the same breath: it wants no answer any more
    acknowledge(connection, notify, handle(notify, handler, reporter), reporter)


def handle(notify: Notify, handler: Handler, reporter: Reporter) -> tuple[Action, ...]:
    """What the handler says; `error` and `reason` when it raises, at once or, if it is a generator, later."""
    try:
        return tuple(handler(notify))
    except Exception as error:  # noqa: BLE001  whatever it is, HAProxy waits for an answer
        reporter.handler_failed(notify, error)
        return tuple(trouble_actions(Reason.INTERNAL_ERROR))


def begin(
    notify: Notify, handler: EventedHandler, reporter: Reporter
) -> tuple[Action, ...] | Awaitable[Iterable[Action]]:
    """As `handle`, for a loop whose handler may return something to be awaited; that is given back as it is."""
    try:
        made = handler(notify)
        if made.__class__ is not list and isawaitable(made):
            return made
        return tuple(cast("Iterable[Action]", made))
    except Exception as error:  # noqa: BLE001  whatever it is, HAProxy waits for an answer
        reporter.handler_failed(notify, error)
        return tuple(trouble_actions(Reason.INTERNAL_ERROR))


def acknowledge(connection: AgentConnection, notify: Notify, actions: tuple[Action, ...], reporter: Reporter) -> None:
    """Queue the ACK of a NOTIFY; when it cannot be sent as it is, one without long texts, or one that says so."""
    if connection.should_close:
        return
    try:
        connection.send(Ack(notify.stream_id, notify.frame_id, actions))
    except (LocalProtocolError, TypeError, ValueError) as error:
        # A verdict must arrive also where a page or a list of ids does not fit into HAProxy's frames.
        less = shortened(actions)
        if 0 < len(less) < len(actions):
            with suppress(LocalProtocolError, TypeError, ValueError):
                connection.send(Ack(notify.stream_id, notify.frame_id, less))
                reporter.warning("an answer did not fit into a frame: its long texts were left out", why=str(error))
                return
        reporter.handler_failed(notify, error)
        connection.send(Ack(notify.stream_id, notify.frame_id, tuple(trouble_actions(Reason.INTERNAL_ERROR))))
