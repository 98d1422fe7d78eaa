"""A thread for each connection: for handlers that block, and for programs that have no event loop.

Here: accepting, the bound on threads, stopping. What a thread does is blocking.py. Not here: protocol.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from typing import TYPE_CHECKING

from adapters.answering import Reporter
from adapters.blocking import Stop, serve_connection
from adapters.sockets import remove_socket_file

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Sequence

    from adapters.answering import Handler
    from spop_proto import Limits

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
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        handler: Handler,
        logger: logging.Logger,
        *,
        limits: Limits | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._listeners, self._handler, self._limits = tuple(listeners), handler, limits
        self._reporter = Reporter(logger)
        self._free = threading.BoundedSemaphore(max_connections)
        self._threads: set[threading.Thread] = set()
        self._stop, self._stopping = Stop(), threading.Event()

    def serve(self, *, drain_seconds: float = 5.0) -> None:
        """Accept and serve until `stop` is called, then wait for what is in hand, for so many seconds at the most."""
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
            serve_connection(sock, self._handler, self._reporter, limits=self._limits, stop=self._stop)
        finally:
            self._threads.discard(threading.current_thread())
            with contextlib.suppress(ValueError):
                self._free.release()
