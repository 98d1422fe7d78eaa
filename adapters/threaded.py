"""A thread for each connection: for handlers that block, and for programs that have no event loop.

Here: accepting, the bound on threads, stopping; and, for agents with workers, connections whose NOTIFYs are handled at
the same time and answered in any order. Without workers, what a thread does is blocking.py. Not here: protocol.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from adapters.answering import Reporter, acknowledge, handle
from adapters.blocking import Stop, serve_connection
from adapters.sockets import close_gently, peer_name, prepare, remove_socket_file
from spop_proto import AgentConnection, ConnectionFailed, Notify

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Sequence

    from adapters.answering import Action, Handler
    from spop_proto import Event, Limits

    Jobs = queue.SimpleQueue[Callable[[], None] | None]

MAX_CONNECTIONS = 1000
"""Threads; HAProxy up to 3.0 opens a connection for each concurrent request. Beyond, they wait to be accepted."""


class ThreadedAgent:
    """Serves listening sockets with a thread for each connection.

    Args:
        listeners: sockets that listen; the agent closes them.
        handler: answers NOTIFYs; called from several threads at once.
        logger: the agent's log.
        limits: what connections accept.
        max_connections: how many are served at a time.
        workers: 0: a connection's NOTIFYs are handled one after the other, in its thread. Above: so many threads
            handle the NOTIFYs of all connections, and a handler that waits holds up nobody. HAProxy >= 3.1 sends up to
            20 at a time on a connection, so handlers that wait for something want workers.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        handler: Handler,
        logger: logging.Logger,
        *,
        limits: Limits | None = None,
        max_connections: int = MAX_CONNECTIONS,
        workers: int = 0,
    ) -> None:
        self._listeners, self._handler, self._limits = tuple(listeners), _without_exit(handler), limits
        self._reporter = Reporter(logger)
        self._free = threading.BoundedSemaphore(max_connections)
        self._threads: set[threading.Thread] = set()
        self._stop, self._stopping = Stop(), threading.Event()
        self._workers = workers
        self._jobs: Jobs = queue.SimpleQueue()

    def serve(self, *, drain_seconds: float = 5.0) -> None:
        """Accept and serve until `stop` is called, then wait for what is in hand, for so many seconds at the most."""
        for number in range(self._workers):
            threading.Thread(target=_work, args=(self._jobs,), name=f"spop worker {number}", daemon=True).start()
        waiting = select.poll()
        waiting.register(self._stop, select.POLLIN)
        for listener in self._listeners:
            waiting.register(listener, select.POLLIN)
        by_number = {listener.fileno(): listener for listener in self._listeners}
        while not self._stopping.is_set():
            for number, _ in waiting.poll():
                if number in by_number:
                    self._accept(by_number[number])
        for listener in self._listeners:
            remove_socket_file(listener)
            listener.close()
        deadline = time.monotonic() + drain_seconds
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        for _ in range(self._workers):
            self._jobs.put(None)
        if not self._threads:  # else a thread may still wait on it
            self._stop.close()

    def stop(self) -> None:
        """End `serve`; may be called from any thread, or a signal handler."""
        self._stopping.set()
        self._stop.set()

    def _accept(self, listener: socket.socket) -> None:
        while not self._free.acquire(timeout=0.1):
            if self._stopping.is_set():
                return
        try:
            sock, _ = listener.accept()
        except OSError as error:
            self._free.release()
            if not isinstance(error, (BlockingIOError, ConnectionAbortedError)):
                self._reporter.warning("a connection could not be accepted", reason=str(error))
                time.sleep(0.05)  # out of descriptors: some may come free
            return
        sock.setblocking(True)
        thread = threading.Thread(target=self._serve, args=(sock,), name="spop connection", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._workers:
                _Pipelined(sock, self._handler, self._reporter, self._limits, self._jobs).serve(self._stop)
            else:
                serve_connection(sock, self._handler, self._reporter, limits=self._limits, stop=self._stop)
        finally:
            self._threads.discard(threading.current_thread())
            with contextlib.suppress(ValueError):
                self._free.release()


def _without_exit(handler: Handler) -> Handler:
    """A handler whose sys.exit is an error as any other: it would end a thread without a word, and not the program."""

    def run(notify: Notify) -> Iterable[Action]:
        try:
            return tuple(handler(notify))
        except SystemExit as error:
            raise RuntimeError("the handler called sys.exit") from error

    return run


def _work(jobs: Jobs) -> None:
    """What a worker does until the agent has stopped."""
    while (job := jobs.get()) is not None:
        job()


class _Pipelined:
    """A connection whose NOTIFYs go to workers: its thread reads, they write; who touches its state has the lock."""

    def __init__(
        self, sock: socket.socket, handler: Handler, reporter: Reporter, limits: Limits | None, jobs: Jobs
    ) -> None:
        self._sock, self._peer = sock, peer_name(sock)
        self._handler, self._reporter, self._jobs = handler, reporter, jobs
        self._connection = AgentConnection(limits)
        self._lock = threading.Condition()  # notified by each answer
        self._draining = self._ended = False

    def serve(self, stop: Stop) -> None:
        """Serve until the connection ends, then close it. Never raises for what the peer does."""
        prepare(self._sock)
        self._sock.settimeout(self._connection.limits.frame_timeout)
        try:
            while not self._over():
                stopped = self._wait(stop)
                with self._lock:
                    self._receive()
                    if self._ended:  # perhaps only the peer's half, and it still wants what it asked for
                        self._lock.wait_for(lambda: not self._connection.in_flight)
                        self._take(self._connection.receive_eof())
                    if stopped:
                        self._draining = True
                        self._connection.drain()
                    self._take(self._connection.handle_timer(time.monotonic()))
                    self._flush()
        except OSError as error:
            self._lost(error)
        finally:
            close_gently(self._sock)

    def _wait(self, stop: Stop) -> bool:
        """Wait for bytes, a time-out or the stop, but for answers first while too many are in flight.

        Returns:
            Whether to stop.
        """
        connection = self._connection
        with self._lock:
            self._lock.wait_for(lambda: connection.want_read or connection.should_close)
            timer = connection.timer(time.monotonic())
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        if not self._draining:
            waiting.register(stop, select.POLLIN)
        ready = waiting.poll(None if timer is None else max(0.0, timer.deadline - time.monotonic()) * 1000)
        return stop.fileno() in dict(ready)

    def _receive(self) -> None:
        """Take what has come, without waiting."""
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        if waiting.poll(0):
            data = self._sock.recv(65536)
            self._ended = not data
            self._take(self._connection.receive_data(data), data)

    def _take(self, events: list[Event], data: bytes = b"") -> None:
        for event in events:
            self._reporter.report(event, self._peer, data)
            if isinstance(event, Notify):
                self._jobs.put(partial(self._answer, event))
            elif isinstance(event, ConnectionFailed):
                time.sleep(event.delay)

    def _answer(self, notify: Notify) -> None:
        """What a worker does with a NOTIFY."""
        if self._over():
            return  # nobody waits for it any more
        actions = handle(notify, self._handler, self._reporter)
        with self._lock:
            try:
                if self._draining:
                    self._receive()  # what HAProxy sent before it could know of the end is still answered
                acknowledge(self._connection, notify, actions, self._reporter)
                self._flush()
            except OSError as error:
                self._lost(error)
            if self._over():
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RD)  # wakes the thread that reads
            self._lock.notify()

    def _flush(self) -> None:
        while out := self._connection.data_to_send():
            self._sock.sendall(out)

    def _lost(self, error: OSError) -> None:
        with self._lock:
            if not self._over():
                self._reporter.lost(error, self._peer)
                self._connection.receive_eof()

    def _over(self) -> bool:
        return self._connection.should_close
