"""One connection, served over a blocking socket: the loop to read first. The other two do the same, for many.

Every loop is: read, `receive_data`, handle the events, write `data_to_send`. All that SPOP asks for is in
`spop_proto`, what becomes of an event in answering.py; a loop only moves bytes and minds the time.
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from adapters.answering import answer
from adapters.sockets import close_gently, peer_name, prepare
from spop_proto import AgentConnection, ConnectionFailed, Notify

if TYPE_CHECKING:
    from adapters.answering import Handler, Reporter
    from spop_proto import Event, Limits


class Stop:
    """Tells loops that wait for bytes, in any number of threads, to come to an end. Made of two connected sockets."""

    def __init__(self) -> None:
        self._read_end, self._write_end = socket.socketpair()

    def set(self) -> None:
        """Ask everyone to stop."""
        self._write_end.close()  # whoever polls the other end now finds it readable, for ever

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._read_end.fileno()

    def close(self) -> None:
        """Let go of both sockets, once nobody waits any more."""
        self._write_end.close()
        self._read_end.close()


def serve_connection(
    sock: socket.socket, handler: Handler, reporter: Reporter, *, limits: Limits | None = None, stop: Stop | None = None
) -> None:
    """Serve an accepted connection until it ends, then close it. Never raises for what the peer does.

    Args:
        sock: the connection.
        handler: answers NOTIFYs.
        reporter: logs the rest.
        limits: what to accept.
        stop: when set, the connection ends as soon as what was begun is answered.
    """
    connection, peer = AgentConnection(limits), peer_name(sock)
    prepare(sock)
    try:
        while not connection.should_close:
            data, events = _read(sock, connection, stop)
            for event in events:
                reporter.report(event, peer, data)
                if isinstance(event, Notify):
                    answer(connection, event, handler, reporter)
                    _flush(sock, connection)  # at once: the next one may take its time
                elif isinstance(event, ConnectionFailed):
                    time.sleep(event.delay)
            _flush(sock, connection)
    except OSError as error:
        reporter.lost(error, peer)
    finally:
        close_gently(sock)


def _read(sock: socket.socket, connection: AgentConnection, stop: Stop | None) -> tuple[bytes, list[Event]]:
    """Wait for bytes, for the connection's own time-out, or for the stop; what came, and the events that follow."""
    timer = connection.timer(time.monotonic())
    deadline = None if timer is None else timer.deadline
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    if stop is not None:
        waiting.register(stop, select.POLLIN)
    ready = waiting.poll(_milliseconds(deadline))
    if stop is not None and dict(ready).keys() == {stop.fileno()}:
        connection.drain()
        if connection.should_close:
            return b"", []
        waiting.unregister(stop)  # what had begun may still come, for as long as it could have without the stop
        ready = waiting.poll(_milliseconds(deadline))
    if not ready:
        return b"", connection.handle_timer(time.monotonic())
    sock.settimeout(connection.limits.frame_timeout)
    data = sock.recv(65536)
    return data, connection.receive_data(data) if data else connection.receive_eof()


def _flush(sock: socket.socket, connection: AgentConnection) -> None:
    """Write what is to be sent, a whole frame by one call."""
    while out := connection.data_to_send():
        sock.sendall(out)


def _milliseconds(deadline: float | None) -> float | None:
    """Until then; None if it is never."""
    return None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
