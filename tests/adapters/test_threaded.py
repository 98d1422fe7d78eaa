from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from adapters.bind import TcpBind
from adapters.sockets import listen
from adapters.threaded import ThreadedAgent
from spop_proto import HAProxyHello
from tests.adapters.conformance import WAIT, Client, Conformance, echo, recording_logger

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Callable

    from spop_proto import Limits


class TestThreaded(Conformance):
    def serve(
        self, listeners: list[socket.socket], handler: Any, logger: logging.Logger, limits: Limits | None
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        agent = ThreadedAgent(listeners, handler, logger, limits=limits)
        thread = threading.Thread(target=agent.serve, daemon=True)
        thread.start()

        def join() -> None:
            thread.join(WAIT)
            assert not thread.is_alive()

        return agent.stop, join


def test_connections_beyond_the_bound_wait_for_their_turn() -> None:
    (listener,) = listen(TcpBind("127.0.0.1", 0))
    agent = ThreadedAgent([listener], echo, recording_logger()[0], max_connections=1)
    thread = threading.Thread(target=agent.serve, daemon=True)
    thread.start()
    first, second = (Client(listener.getsockname()) for _ in range(2))
    first.hello()
    second.sock.sendall(second.bytes_of(HAProxyHello()))
    first.close()

    assert second.next() is not None
    agent.stop()
    second.close()
    thread.join(WAIT)
    assert not thread.is_alive()


def test_stop_before_serve() -> None:
    agent = ThreadedAgent(listen(TcpBind("127.0.0.1", 0)), echo, recording_logger()[0])
    agent.stop()
    agent.serve()
