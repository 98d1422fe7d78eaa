"""/metrics, /healthz and /readyz, served by a thread of the process that knows all the others.

Here: a small HTTP server, what it answers, and that it starts and ends with the agent. Not here: numbers (metrics/),
what processes do (workers/status.py).

It is Python's own server for WSGI with prometheus_client's application behind /metrics: one request per connection, a
few at a time, each for some seconds at most. A scrape takes milliseconds, in which an event loop answers nobody. So
an agent of one process has it in a thread, and the interpreter changes between the two. A supervisor must not have
threads, for it forks: it forks once more for each request, and the fork, which knows all that the supervisor knew,
answers and ends.
"""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from adapters.metrics.board import Board
from adapters.sockets import listen, start_listening
from adapters.workers.status import State

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from adapters.bind import TcpBind
    from adapters.workers.status import StatusReport

MAX_REQUESTS = 16
"""Requests served at a time; Prometheus makes one. Others are turned away."""
MAX_SECONDS = 5
"""How long each step of a request may take."""
LOOK_EVERY = 0.5
"""Seconds between two looks whether it is to stop."""
NOT_FOUND = "not found: there are /metrics, /healthz and /readyz\n"


def missing(status: StatusReport) -> list[str]:
    """Why the agent is not ready to answer HAProxy; empty when it is."""
    if status.stopping:
        return ["it is stopping"]
    if not status.generation:
        return ["configuration and rules are not at work yet"]
    if not any(each.state is State.SERVING for each in status.workers):
        states = sorted({each.state.name.lower() for each in status.workers})
        return [f"no worker serves ({', '.join(states) or 'there is none'})"]
    return []


class Monitor:
    """What an agent shows of itself by HTTP.

    Args:
        bind: where.
        status: tells of the agent's processes.
        logger: for what goes wrong here; may be exchanged.

    Attributes:
        board: the numbers; give it the applications before `start`.
    """

    def __init__(self, bind: TcpBind, status: Callable[[], StatusReport], logger: logging.Logger) -> None:
        self.bind, self.logger = bind, logger
        self.board = Board(status)
        self._status = status
        self._metrics: WSGIApplication = make_wsgi_app(self.board.registry())
        self._sockets: list[socket.socket] = []
        self._servers: list[_Server] = []
        self._forks: set[int] = set()

    def open(self) -> None:
        """Take the address; nobody is answered yet.

        Raises:
            ListenError: it is taken, or not allowed, or not there.
        """
        self._sockets = listen(self.bind, start=False)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Hosts and ports it listens on."""
        return [each.getsockname()[:2] for each in self._sockets]

    def start(self) -> None:
        """Answer from now on, in threads. Not before a fork: threads do not survive it."""
        start_listening(self._sockets)
        free = threading.BoundedSemaphore(MAX_REQUESTS)
        for each in self._sockets:
            each.setblocking(True)
            server = _Server(each, self._answer, free)
            threading.Thread(target=server.serve_forever, args=(LOOK_EVERY,), name="metrics", daemon=True).start()
            self._servers.append(server)

    def listen(self) -> list[socket.socket]:
        """The other way to answer: the sockets, for a loop that calls `answer_by_fork` when one is readable."""
        start_listening(self._sockets)
        return self._sockets

    def answer_by_fork(self, listener: socket.socket) -> None:
        """Have a process answer one connection that waits; it ends in any case soon."""
        try:
            client, address = listener.accept()
        except OSError:
            return
        with client:
            if len(self._forks) >= MAX_REQUESTS:
                return
            self.board.settle()
            pid = os.fork()
            if pid:
                self._forks.add(pid)
                return
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(2 * MAX_SECONDS)
                client.setblocking(True)
                _Server(listener, self._answer).finish_request(client, address)
                client.shutdown(socket.SHUT_WR)
            finally:
                os._exit(0)

    def ended(self, pid: int) -> None:
        """A child has ended; perhaps it was one of those that answer."""
        self._forks.discard(pid)

    def close(self) -> None:
        """Stop answering and give the address back."""
        for server in self._servers:
            server.shutdown()
        self.forget()

    def forget(self) -> None:
        """Let go of the sockets, in a process that was forked while they were open."""
        for each in self._sockets:
            each.close()
        self._sockets, self._servers = [], []

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            path = environ.get("PATH_INFO", "")
            if path == "/metrics":
                return self._metrics(environ, start_response)
            if path == "/healthz":  # somebody answers, hence the process is alive
                return _text(start_response, "200 OK", "ok\n")
            if path == "/readyz":
                reasons = missing(self._status())
                if reasons:
                    return _text(start_response, "503 Service Unavailable", f"not ready: {'; '.join(reasons)}\n")
                return _text(start_response, "200 OK", "ready\n")
            return _text(start_response, "404 Not Found", NOT_FOUND)
        except Exception:
            self.logger.exception("metrics could not be told")
            return _text(start_response, "500 Internal Server Error", "see the agent's log\n")


def _text(start_response: StartResponse, status: str, text: str) -> list[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """Serves one socket that listens already."""

    daemon_threads = True

    def __init__(
        self, listener: socket.socket, answer: WSGIApplication, free: threading.BoundedSemaphore | None = None
    ) -> None:
        address = listener.getsockname()
        super().__init__(address[:2], _Request, bind_and_activate=False)
        self.socket.close()
        self.socket, self._free = listener, free or threading.BoundedSemaphore()
        self.server_name, self.server_port = address[0], address[1]
        self.setup_environ()
        self.set_app(answer)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked is gone or too slow: no news."""


class _Request(WSGIRequestHandler):
    timeout = MAX_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name of the standard library
        """No line for each scrape."""
