from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from adapters.answering import Reporter
from adapters.blocking import Stop, serve_connection
from adapters.sockets import remove_socket_file
from tests.adapters.conformance import WAIT, Conformance

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Callable

    from spop_proto import Limits


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
