"""A response that comes to another worker than its request: passed on to the worker that keeps the transaction.

The handler here looks at each NOTIFY before the real one does. If it has a response whose request is not known in this
process but in another, it returns something to be awaited: the messages go to that worker in SPOP, over a private
connection that is made with the first of them, and its ACK becomes the answer. Meanwhile the loop goes on, so two
workers that wait for each other hold nothing up; and what was forwarded is not forwarded again.

Time is bounded: after `SECONDS` the answer is an error, as it is when the other worker has died. Here: the asking side.
The asked one serves such a connection like any other (worker.py).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, cast

import anyio

from adapters.arguments import exchange_id
from adapters.transactions import Gone
from adapters.troubles import Reason
from adapters.workers.channels import Channel, Kind, send
from spop_proto import Ack, AgentHello, HAProxyConnection, HAProxyHello, Limits, LocalProtocolError, Notify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator, Iterable, Sequence

    from anyio.abc import TaskGroup

    from adapters.answering import Action, EventedHandler
    from adapters.http_objects import ArgumentValue
    from adapters.waf_handler import Application, WafHandler
    from adapters.workers.directory import Known
    from adapters.workers.shared import Shared
    from adapters.workers.status import Slot
    from spop_proto import Message

SECONDS = 1.0
"""How long another worker may take. HAProxy gives up after its `timeout processing`, mostly sooner; a worker that takes
longer hangs, or the machine does."""
RESPONSE = "coraza-res"
ID_NAMES = frozenset({"id", "unique-id", "unique_id"})
LIMITS = Limits(frame_size=16 << 20, in_flight=10_000, fragment_bytes=16 << 20)
"""Of connections between workers: what HAProxy could send has to fit, and nobody else is on them."""
MAX_READ = 262_144


class Peer:
    """A connection to another worker, for as long as that worker lives.

    Args:
        channel: the other worker's.
        slot: its place.
        tasks: where the reading runs.
    """

    def __init__(self, channel: Channel, slot: Slot, tasks: TaskGroup) -> None:
        self._slot, self._incarnation = slot, slot.incarnation
        self._connection = HAProxyConnection(LIMITS, max_waiting_frames=LIMITS.in_flight)
        self._waiting: dict[int, _Answer] = {}
        self._ready = anyio.Event()
        self._next_stream = 0
        self._unsent = b""
        self._tasks = tasks
        self.broken = False
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        with theirs:
            if not send(channel.outer, Kind.PEER, theirs):
                self._break()
                self._sock.close()
                return
        self._connection.send(HAProxyHello(max_frame_size=LIMITS.frame_size))
        self._flush()
        tasks.start_soon(self._read)

    def look(self) -> None:
        """Give up if the other worker is not the same any more: one that died may have left this in its queue."""
        if not self.broken and (self._slot.incarnation != self._incarnation or not self._slot.pid):
            self._break()

    async def ask(self, messages: tuple[Message, ...]) -> tuple[Action, ...] | None:
        """The answer of the other worker; None when there will be none. Waits: bound it."""
        await self._ready.wait()
        if self.broken:
            return None
        self._next_stream += 1
        stream, answer = self._next_stream, _Answer()
        try:
            self._connection.send(Notify(stream, 1, messages))
        except LocalProtocolError:
            return None
        self._waiting[stream] = answer
        try:
            self._flush()
            await answer.came.wait()
        finally:
            if self._waiting.pop(stream, None) is not None:
                with suppress(LocalProtocolError):
                    self._connection.cancel(stream, 1)
        return answer.actions

    async def _read(self) -> None:
        try:
            while not self._connection.should_close:
                await anyio.wait_readable(self._sock)
                with suppress(BlockingIOError):
                    data = self._sock.recv(MAX_READ)
                    events = self._connection.receive_data(data) if data else self._connection.receive_eof()
                    for event in events:
                        if isinstance(event, Ack):
                            if (answer := self._waiting.pop(event.stream_id, None)) is not None:
                                answer.actions = event.actions
                                answer.came.set()
                        elif isinstance(event, AgentHello):
                            self._ready.set()
        except OSError:
            pass
        finally:
            self._break()
            self._sock.close()

    def _break(self) -> None:
        self.broken = True
        self._ready.set()
        for answer in self._waiting.values():
            answer.came.set()
        self._waiting.clear()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # the reading task sees the end, and closes it

    def _flush(self) -> None:
        """Write what there is; the rest of what does not fit is written by a task, whoever still waits for it."""
        while not self._unsent and not self.broken and (out := self._connection.data_to_send()):
            try:
                sent = self._sock.send(out)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._break()
                return
            if sent < len(out):
                self._unsent = out[sent:]
                self._tasks.start_soon(self._write_rest)

    async def _write_rest(self) -> None:
        try:
            while self._unsent and not self.broken:
                await anyio.wait_writable(self._sock)
                with suppress(BlockingIOError):
                    self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except OSError:
            self._break()
        self._flush()


class _Answer:
    __slots__ = ("actions", "came")

    def __init__(self) -> None:
        self.came = anyio.Event()
        self.actions: tuple[Action, ...] | None = None


class Forwarding:
    """The handler of a worker: the real one, with what concerns other workers passed on to them.

    Args:
        handler: answers for this worker.
        slot: this worker's.
        shared: what the workers have in common.
        tasks: where connections to other workers are read; as long as this is used.
        seconds: how long one answer may take; None: `SECONDS`.
    """

    def __init__(
        self,
        handler: WafHandler,
        slot: Slot,
        shared: Shared,
        tasks: TaskGroup,
        seconds: float | None = None,
    ) -> None:
        self._handler: EventedHandler = handler
        self._applications: tuple[Application, ...] = tuple(handler.applications.values())
        self._slot, self._directory, self._channels = slot, shared.directory, shared.channels
        self._slots = shared.status.slots
        self._tasks, self._seconds = tasks, SECONDS if seconds is None else seconds
        self._peers: dict[int, Peer] = {}

    def __call__(self, notify: Notify) -> Iterable[Action] | Awaitable[Iterable[Action]]:
        """The answer to a NOTIFY, or what is to be awaited for it."""
        for message in notify.messages:
            if message.name == RESPONSE:
                key = id_of(message)
                if key and not self._known_here(key) and (known := self._directory.find(key, self._slot.index)):
                    return _Later(self, notify, key, known)
        return self._handler(notify)

    def _known_here(self, key: str) -> bool:
        return any(application.store.knows(key) for application in self._applications)

    async def elsewhere(self, notify: Notify, key: str, known: Sequence[Known]) -> Iterable[Action]:
        """Ask those who know the id, one after the other."""
        gone = Gone.LOST
        with anyio.move_on_after(self._seconds) as bound:
            for slot, alive in known:
                if not alive:
                    continue
                answer = await self._peer(slot).ask(notify.messages)
                if answer is not None and not _is_not_found(answer):
                    self._slot.count_forwarded()
                    return answer
                if answer is not None:
                    gone = Gone.UNKNOWN
        if bound.cancelled_caught:
            gone = Gone.UNANSWERED
        self._slot.count_forward_failed()
        if gone is not Gone.UNKNOWN:
            for application in self._applications:
                application.store.remember(key, gone)
        # The error, its line in the log, and what is counted are the same as for any other that is not here.
        made = self._handler(notify)
        return await made if isawaitable(made) else made

    def _peer(self, slot: int) -> Peer:
        peer = self._peers.get(slot)
        if peer is None or peer.broken:
            peer = self._peers[slot] = Peer(self._channels[slot], self._slots[slot], self._tasks)
        return peer

    def look(self) -> None:
        """Let nobody wait for a worker that has died; to be called several times a second."""
        for peer in self._peers.values():
            peer.look()


class _Later:
    """What is to be awaited. No coroutine: when HAProxy leaves before its turn comes, it is simply forgotten."""

    __slots__ = ("_forwarding", "_key", "_known", "_notify")

    def __init__(self, forwarding: Forwarding, notify: Notify, key: str, known: Sequence[Known]) -> None:
        self._forwarding, self._notify, self._key, self._known = forwarding, notify, key, known

    def __await__(self) -> Generator[object, object, Iterable[Action]]:
        return self._forwarding.elsewhere(self._notify, self._key, self._known).__await__()


def id_of(message: Message) -> str:
    """The id of a message; empty when there is none."""
    for name, value in message.args:
        if name in ID_NAMES:
            return (
                value
                if value.__class__ is str and len(value) <= 64
                else exchange_id({"id": cast("ArgumentValue", value)})
            )
    return ""


def _is_not_found(actions: Iterable[Action]) -> bool:
    return any(
        getattr(each, "value", None) == Reason.TRANSACTION_NOT_FOUND and each.name == "error" for each in actions
    )
