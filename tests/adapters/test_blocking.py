from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

from adapters.answering import Reporter
from adapters.blocking import Stop, serve_connection
from adapters.sockets import remove_socket_file
from spop_proto import AgentDisconnect, AgentHello, HAProxyConnection, HAProxyHello, Limits, StatusCode
from tests.adapters.conformance import WAIT, Conformance, echo, recording_logger

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable


class TestBlocking(Conformance):
    """One connection after the other, each served where it was accepted."""

    many = False
    any_order = False

    def serve(
        self, listeners: list[socket.socket], handler: Any, logger: logging.Logger, limits: Limits | None
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        (listener,) = listeners
        listener.settimeout(0.05)
        stop, stopping = Stop(), threading.Event()

        def run() -> None:
            while not stopping.is_set():
                try:
                    sock, _ = listener.accept()
                except TimeoutError:
                    continue
                sock.setblocking(True)
                serve_connection(sock, handler, Reporter(logger), limits=limits, stop=stop)
            remove_socket_file(listener)
            listener.close()
            stop.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def end() -> None:
            stopping.set()
            stop.set()

        def join() -> None:
            thread.join(WAIT)
            assert not thread.is_alive()

        return end, join


def test_a_stop_inside_a_frame_waits_as_long_as_a_frame_may_take_and_no_longer() -> None:
    logger, lines = recording_logger()
    ours, theirs = socket.socketpair()
    stop, haproxy = Stop(), HAProxyConnection()
    haproxy.send(HAProxyHello())
    thread = threading.Thread(
        target=serve_connection,
        args=(theirs, echo, Reporter(logger)),
        kwargs={"limits": Limits(frame_timeout=0.2), "stop": stop},
    )
    with ours:
        ours.settimeout(WAIT)
        ours.sendall(haproxy.data_to_send() + b"\0")  # a HELLO, and the first byte of a frame
        thread.start()
        (hello,) = haproxy.receive_data(ours.recv(4096))
        stop.set()
        (bye,) = haproxy.receive_data(ours.recv(4096))
        assert ours.recv(4096) == b""
    thread.join(WAIT)
    stop.close()

    assert isinstance(hello, AgentHello)
    assert bye == AgentDisconnect(StatusCode.TIMEOUT, "timeout while waiting for the rest of a frame")
    assert [line.getMessage() for line in lines][-1:] == ["connection refused"]
