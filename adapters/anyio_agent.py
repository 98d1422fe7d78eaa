"""Many connections in one event loop, asyncio or trio: the loop for production.

Here: accepting, reading and writing without blocking, backpressure, draining. Not here: protocol, rules, signals.

The sockets are used directly and only the waiting is anyio's: a frame is written by one `send`, what has come can be
read without waiting when the agent stops, and it costs less than a stream object. In asyncio NOTIFYs are read and
answered by the loop's callback itself (`_answer_at_once`), without waking the task of their connection, which costs as
much again as to answer them; the task wakes for everything else. A handler that is a plain function is called in the
loop (a rule engine only computes, so another thread would not make it faster). What it returns may have to be awaited
(`Later`), when the answer is somewhere else: that NOTIFY gets a task, and others go on meanwhile. A handler that is a
coroutine function gets a task for each NOTIFY. Answers come in any order then.

Connections may come from elsewhere (`adopt`) and go elsewhere (`hand_over` all, `ease` one), between two NOTIFYs,
without HAProxy noticing: another process goes on with the same socket.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias, cast

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint

from adapters.answering import Reporter, acknowledge, begin
from adapters.metrics.observer import Observer
from adapters.sockets import close_gently, peer_name, prepare, remove_socket_file
from adapters.tls import HANDSHAKE_SECONDS, TlsSocket, why_failed
from adapters.troubles import Reason, trouble_actions
from spop_proto import AgentConnection, Capability, ConnectionFailed, HAProxyConnection, Notify

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

    from anyio.abc import TaskGroup, TaskStatus

    from adapters.answering import Action, EventedHandler, Handler
    from spop_proto import Event, HAProxyHello, Limits

    AsyncHandler: TypeAlias = Callable[[Notify], Awaitable[Iterable[Action]]]
    Later: TypeAlias = Awaitable[Iterable[Action]]
    Give: TypeAlias = Callable[[socket.socket, bytes], bool]

MAX_CONNECTIONS = 10_000
"""Connections served at a time; at most some 40 KiB each. Beyond, they wait to be accepted."""
MAX_READ = 65_536
DRAIN_SECONDS = 5.0
CAPABILITIES = frozenset({Capability.PIPELINING, Capability.FRAGMENTATION})
WORTH_MOVING, TOO_MUCH = 0.2, 1.8
"""What a connection that is to go elsewhere may carry, as parts of what was wanted: with less little would change, with
twice as much the other side would have too much to do."""


def in_thread(handler: Handler) -> AsyncHandler:
    """A handler that may block, made one for this loop: it runs in a worker thread."""

    async def run(notify: Notify) -> Iterable[Action]:
        return await anyio.to_thread.run_sync(handler, notify)

    return run


class AnyioAgent:
    """Serves listening sockets in the running event loop.

    Args:
        listeners: sockets that listen, not blocking; the agent closes them.
        handler: answers NOTIFYs; a function, whose answer may have to be awaited, or a coroutine function. An object
            with ``__await__`` does better than a coroutine: it may be dropped without a warning when HAProxy leaves.
        logger: the agent's log.
        limits: what connections accept.
        max_connections: how many are served at a time.
        drain_seconds: how long connections may take to end after `stop`.
        capabilities: what connections offer, see `AgentConnection`.
        observer: is told what happens on connections.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        handler: EventedHandler | AsyncHandler,
        logger: logging.Logger,
        *,
        limits: Limits | None = None,
        max_connections: int = MAX_CONNECTIONS,
        drain_seconds: float = DRAIN_SECONDS,
        capabilities: Collection[Capability] | Callable[[HAProxyHello], Collection[Capability]] = CAPABILITIES,
        observer: Observer | None = None,
    ) -> None:
        self.handler, self.limits, self.reporter = handler, limits, Reporter(logger)
        self.is_async = inspect.iscoroutinefunction(handler)
        self._stop_by: float | None = None
        self._listeners, self._max_connections, self._drain_seconds = tuple(listeners), max_connections, drain_seconds
        self.capabilities = capabilities
        self.give: Give | None = None
        self.on_change: Callable[[], object] | None = None
        """Called when a connection has come or gone."""
        self.observer = observer or Observer()
        self._connections: set[_Connection] = set()
        self._tasks: TaskGroup | None = None
        self._accepting: anyio.CancelScope | None = None
        self._stopped = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def use_logger(self, logger: logging.Logger) -> None:
        """Write to another log from now on; connections that are open keep the old one."""
        self.reporter = Reporter(logger)

    @property
    def drain_seconds(self) -> float:
        """How long connections may take to end after `stop`; may be set."""
        return self._drain_seconds

    @drain_seconds.setter
    def drain_seconds(self, seconds: float) -> None:
        self._drain_seconds = seconds

    def adopt(self, sock: socket.socket, greeting: bytes = b"") -> None:
        """Serve a connection that was accepted elsewhere; while `serve` runs.

        Args:
            sock: the connection.
            greeting: the HAPROXY-HELLO that another agent like this one has answered on it; empty: none came yet.

        Raises:
            RuntimeError: `serve` does not run.
        """
        if self._tasks is None:
            raise RuntimeError("nobody serves")
        self._tasks.start_soon(self._serve, sock, None, greeting)

    def hand_over(self, give: Give) -> None:
        """Have every connection go on elsewhere as soon as nothing on it is begun.

        Args:
            give: called with the socket and its greeting (see `adopt`); whether it was taken. What is not taken is
                served here.
        """
        self.give = give
        for connection in tuple(self._connections):
            connection.wake()

    def age(self) -> None:
        """To be called now and then: what connections carried before counts for half as much from now on."""
        for connection in self._connections:
            connection.carried /= 2

    def ease(self, share: float, give: Give) -> bool:
        """Have the connection go on elsewhere that carries about a part of what all carry.

        Args:
            share: the part, between 0 and 1.
            give: see `hand_over`.

        Returns:
            Whether there is one.
        """
        wanted = share * sum(connection.carried for connection in self._connections)
        fit = [
            each
            for each in self._connections
            if each.can_leave and WORTH_MOVING * wanted < each.carried < TOO_MUCH * wanted
        ]
        if fit:
            min(fit, key=lambda each: abs(each.carried - wanted)).go(give)
        return bool(fit)

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Accept and serve until `stop` is called; ends when all connections have ended."""
        async with anyio.create_task_group() as tasks:
            self._tasks, self._stop_wanted = tasks, anyio.Event()
            with anyio.CancelScope() as self._accepting:
                if self._stopped:
                    self._accepting.cancel()
                async with anyio.create_task_group() as accepting:
                    free = anyio.Semaphore(self._max_connections)
                    for listener in self._listeners:
                        accepting.start_soon(self._accept, listener, tasks, free)
                    task_status.started()
                    await anyio.sleep_forever()  # there may be no listener, but connections from elsewhere
            for listener in self._listeners:
                remove_socket_file(listener)
                listener.close()
            if not self._stopped:
                await self._stop_wanted.wait()
            self._stop_by = anyio.current_time() + self._drain_seconds
            tasks.cancel_scope.deadline = self._stop_by + 1  # for a handler that does not return
            for connection in tuple(self._connections):
                connection.stop(self._stop_by)

    def stop_accepting(self) -> None:
        """Close the listening sockets; connections that are open go on."""
        if self._accepting is not None:
            self._accepting.cancel()

    def stop(self) -> None:
        """Stop accepting, answer what is in hand, end the connections, then let `serve` return."""
        self._stopped = True
        if self._accepting is not None:
            self._accepting.cancel()
            self._stop_wanted.set()

    async def _accept(self, listener: socket.socket, tasks: TaskGroup, free: anyio.Semaphore) -> None:
        while True:
            await free.acquire()
            try:
                sock, _ = listener.accept()
            except OSError as error:
                free.release()
                if isinstance(error, BlockingIOError):
                    await anyio.wait_readable(listener)
                elif not isinstance(error, ConnectionAbortedError):
                    self.reporter.warning("a connection could not be accepted", reason=str(error))
                    await anyio.sleep(0.05)  # out of descriptors: some may come free
            else:
                tasks.start_soon(self._serve, sock, free)

    async def _serve(self, sock: socket.socket, free: anyio.Semaphore | None, greeting: bytes = b"") -> None:
        connection = _Connection(sock, self, greeting)
        self._connections.add(connection)
        self.observer.opened()
        self._changed()
        if self._stop_by is not None:  # accepted just before the stop
            connection.stop(self._stop_by)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self.observer.closed()
            self._changed()
            if free is not None:
                free.release()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


class _Connection:
    """One connection of the agent.

    Attributes:
        carried: bytes that came, lately; see `AnyioAgent.age`.
    """

    def __init__(self, sock: socket.socket, agent: AnyioAgent, greeting: bytes) -> None:
        sock.setblocking(False)
        prepare(sock)
        self._sock, self._peer = sock, peer_name(sock)
        self._agent, self._reporter = agent, agent.reporter
        self._connection = AgentConnection(agent.limits, capabilities=agent.capabilities)
        if greeting:
            self._connection.receive_data(greeting)
            self._connection.data_to_send()  # HAProxy has the answer already
        self.carried = 0.0
        self._give: Give | None = None
        self._given = self._received = False
        self._waiting: anyio.CancelScope | None = None
        self._writing = anyio.Lock(fast_acquire=True)
        self._unsent = b""
        self._left: tuple[bytes, list[Event]] | None = None
        self._begun: tuple[Notify, Later] | None = None
        self._error: BaseException | None = None
        self._can_call_back = False
        self._several_write = agent.is_async
        self._stop_by: float | None = None

    def stop(self, deadline: float) -> None:
        """End as soon as nothing is in hand, and at the deadline in any case."""
        self._stop_by = deadline
        self.wake()

    def go(self, give: Give) -> None:
        """Go on elsewhere as soon as nothing is begun; if it is not taken there, stay."""
        self._give = give
        self.wake()

    @property
    def can_leave(self) -> bool:
        """Whether another process could go on with it: one with TLS has its keys in this one."""
        return not isinstance(self._sock, TlsSocket)

    def _leaving(self) -> Give | None:
        """By what it is to go elsewhere; None: it stays."""
        return (self._agent.give or self._give) if self.can_leave else None

    async def serve(self) -> None:
        """Serve until the connection ends, then close it. Never raises for what the peer does."""
        self._can_call_back = not (self._agent.is_async or isinstance(self._sock, TlsSocket)) and _in_asyncio()
        try:
            if isinstance(self._sock, TlsSocket) and not await self._shake_hands(self._sock):
                return
            async with anyio.create_task_group() as tasks:
                await self._loop(tasks)
                tasks.cancel_scope.cancel()  # answers that nobody waits for any more
        finally:
            if self._given:
                self._sock.close()
            else:
                close_gently(self._sock)

    async def _shake_hands(self, sock: TlsSocket) -> bool:
        """The handshake of TLS, in a bounded time; whether it succeeded."""
        deadline = anyio.current_time() + HANDSHAKE_SECONDS
        while self._stop_by is None and anyio.current_time() < deadline:
            with anyio.CancelScope(deadline=deadline) as self._waiting:
                try:
                    sock.do_handshake()
                except ssl.SSLWantReadError:
                    await anyio.wait_readable(sock)
                except ssl.SSLWantWriteError:
                    await anyio.wait_writable(sock)
                except OSError as error:
                    if reason := why_failed(error):
                        self._reporter.warning("no TLS with a client", peer=self._peer, reason=reason)
                    else:
                        self._reporter.lost(error, self._peer)
                    return False
                else:
                    return True
        if self._stop_by is None:
            reason = f"no handshake within {HANDSHAKE_SECONDS:g} s"
            self._reporter.warning("no TLS with a client", peer=self._peer, reason=reason)
        return False

    async def _loop(self, tasks: TaskGroup) -> None:
        connection = self._connection
        try:
            while not connection.should_close:
                if (give := self._leaving()) is not None:
                    if self._hand_over(give):
                        return
                    if connection.in_flight:  # read no more before these are answered, or it would never be idle
                        with anyio.CancelScope() as self._waiting:
                            await anyio.sleep_forever()
                        self._waiting = None
                        continue
                data, events = await self._read()
                if self._begun is not None:
                    (notify, made), self._begun = self._begun, None
                    self._answer_in_time(notify, made, tasks)
                for event in events:
                    if isinstance(event, Notify):
                        if not connection.should_close:  # else HAProxy disconnected in the same breath
                            await self._answer(event, tasks)
                        continue
                    self._reporter.report(event, self._peer, data)
                    if isinstance(event, ConnectionFailed):
                        await anyio.sleep(event.delay)
                await self._flush()
        except OSError as error:
            self._reporter.lost(error, self._peer)

    async def _read(self) -> tuple[bytes, list[Event]]:
        """Wait for bytes, for a time-out, or to be woken; what came, and the events that follow."""
        connection = self._connection
        if self._stop_by is not None:
            await checkpoint()
            with suppress(BlockingIOError):
                return self._receive()  # what HAProxy sent before it could know is still answered
            connection.drain()
            if connection.should_close:
                return b"", []
        timer = connection.timer(anyio.current_time())
        deadlines = [each for each in (timer and timer.deadline, self._stop_by) if each is not None]
        with anyio.CancelScope(deadline=min(deadlines, default=math.inf)) as self._waiting:
            if connection.want_read and not deadlines and self._can_call_back:
                await self._call_back()
            elif connection.want_read:
                await anyio.wait_readable(self._sock)
            else:
                await anyio.sleep_forever()  # the answers in hand come first; the next one wakes us
        woken, self._waiting = self._waiting.cancelled_caught, None
        if self._error is not None:
            raise self._error
        if self._left is not None:
            left, self._left = self._left, None
            return left
        if not woken:
            with suppress(BlockingIOError):
                return self._receive()
            return b"", []
        now = anyio.current_time()
        if self._stop_by is not None and now >= self._stop_by:
            connection.finish()
        return b"", connection.handle_timer(now)

    async def _call_back(self) -> None:
        """Have NOTIFYs answered by the loop's callback; return when there is something else to do.

        What came and is not answered is in `_left` and `_begun` then, also when this is cancelled.
        """
        loop = asyncio.get_running_loop()
        something: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._sock, self._on_readable, something)
        try:
            await something
        finally:
            loop.remove_reader(self._sock)

    def _on_readable(self, something: asyncio.Future[None]) -> None:
        if something.done():
            return
        try:
            if not self._answer_at_once() or self._leaving() is not None:
                something.set_result(None)
        except BaseException as error:  # noqa: BLE001  the task raises it
            self._error = error
            something.set_result(None)

    def _answer_at_once(self) -> bool:
        """Read, and answer NOTIFYs; whether there is nothing left to do for the task."""
        connection = self._connection
        try:
            data, events = self._receive()
        except BlockingIOError:
            return True
        for number, event in enumerate(events):
            if not isinstance(event, Notify) or connection.should_close:
                self._left = data, events[number:]
                return False
            made = begin(event, self._agent.handler, self._reporter)
            if isinstance(made, tuple):
                acknowledge(connection, event, made, self._reporter)
            else:
                self._begun = event, made
            if self._begun is not None or not self._send_now():
                self._left = data, events[number + 1 :]
                return False
        if connection.want_read and connection.timer(asyncio.get_running_loop().time()) is None:
            return True
        self._left = data, []
        return False

    def _send_now(self) -> bool:
        """Send without waiting; whether all of it went. The task sends what is left, and meets errors there."""
        if self._unsent or self._writing.locked():
            return False
        out = self._connection.data_to_send()
        if not out:
            return True
        self._agent.observer.sent(out)
        try:
            self._unsent = out[self._sock.send(out) :]
        except OSError:
            self._unsent = out
        return not self._unsent

    def _receive(self) -> tuple[bytes, list[Event]]:
        data = self._sock.recv(MAX_READ)
        self._received = True
        self.carried += len(data)
        events = self._connection.receive_data(data) if data else self._connection.receive_eof()
        self._agent.observer.received(len(data), events)
        return data, events

    def _hand_over(self, give: Give) -> bool:
        """Let another process go on with this connection, if nothing on it is begun; whether it was so."""
        connection = self._connection
        if connection.hello is None:
            self._given = not self._received and give(self._sock, b"")
        elif connection.idle:
            greeting = HAProxyConnection(connection.limits)
            greeting.send(connection.hello)
            self._given = give(self._sock, greeting.data_to_send())
            self._give = None
        return self._given

    async def _answer(self, notify: Notify, tasks: TaskGroup) -> None:
        # The agent's handler is looked up each time, for a reload exchanges it.
        if self._agent.is_async:
            tasks.start_soon(self._answer_later, notify, None)
            return
        made = begin(notify, self._agent.handler, self._reporter)
        if isinstance(made, tuple):
            acknowledge(self._connection, notify, made, self._reporter)
            await self._flush()  # at once: the next one may take its time
        else:
            self._answer_in_time(notify, made, tasks)

    def _answer_in_time(self, notify: Notify, made: Later, tasks: TaskGroup) -> None:
        self._several_write = True
        tasks.start_soon(self._answer_later, notify, made)

    async def _answer_later(self, notify: Notify, later: Later | None) -> None:
        """Answer one NOTIFY by what is to be awaited, or by a handler that is a coroutine function."""
        try:
            actions = tuple(await (later or cast("AsyncHandler", self._agent.handler)(notify)))
        except Exception as error:  # noqa: BLE001  whatever it is, HAProxy waits for an answer
            self._reporter.handler_failed(notify, error)
            actions = tuple(trouble_actions(Reason.INTERNAL_ERROR))
        waited = not self._connection.want_read
        acknowledge(self._connection, notify, actions, self._reporter)
        try:
            await self._flush()
        except OSError as error:
            self._reporter.lost(error, self._peer)
            self._connection.receive_eof()
        if waited or self._connection.should_close or self._leaving() is not None:
            self.wake()

    def wake(self) -> None:
        """Look again at what is to be done, instead of waiting for bytes."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def _flush(self) -> None:
        """Write what is to be sent: a whole frame by one call, unless the peer does not keep up.

        Raises:
            OSError: the peer is gone, or has read nothing for the time that a frame may take.
        """
        if not self._several_write:
            await self._write()
            return
        async with self._writing:
            await self._write()

    async def _write(self) -> None:
        while out := self._unsent or self._connection.data_to_send():
            if not self._unsent:
                self._agent.observer.sent(out)
            self._unsent = b""
            try:
                sent = self._sock.send(out)
            except BlockingIOError:
                sent = 0
            while sent < len(out):
                with anyio.fail_after(self._connection.limits.frame_timeout):
                    await anyio.wait_writable(self._sock)
                with suppress(BlockingIOError):
                    sent += self._sock.send(out[sent:])


def _in_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
