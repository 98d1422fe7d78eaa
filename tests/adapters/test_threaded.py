from __future__ import annotations

import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from adapters.bind import TcpBind
from adapters.sockets import listen
from adapters.threaded import ThreadedAgent
from spop_proto import HAProxyHello
from tests.adapters.conformance import (
    PATIENT,
    WAIT,
    Client,
    Conformance,
    Running,
    assert_no_more_is_read,
    echo,
    notify,
    recording_logger,
)

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Callable

    from spop_proto import Limits, Notify, SetVar


class TestThreaded(Conformance):
    any_order = False
    options: ClassVar[dict[str, int]] = {}

    def serve(
        self, listeners: list[socket.socket], handler: Any, logger: logging.Logger, limits: Limits | None
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        agent = ThreadedAgent(listeners, handler, logger, limits=limits, **self.options)
        thread = threading.Thread(target=agent.serve, daemon=True)
        thread.start()

        def join() -> None:
            thread.join(WAIT)
            assert not thread.is_alive()

        return agent.stop, join

    def test_a_handler_that_calls_exit_is_answered_and_ends_nobody(self, start: Callable[..., Running]) -> None:
        def handler(asked: Notify) -> list[SetVar]:
            return echo(asked) if asked.stream_id % 10 == 0 else sys.exit(1)

        client = start(handler).client()
        client.hello()

        for number in range(1, 10):  # one more than there are workers
            assert client.ask(number) == {"error": 512, "reason": "internal-error"}
        assert client.ask(10)["stream"] == 10


class TestWorkers(TestThreaded):
    """NOTIFYs of all connections are handled by eight threads."""

    any_order = True
    options: ClassVar[dict[str, int]] = {"workers": 8}

    def test_no_more_is_read_while_too_many_are_in_flight(self, start: Callable[..., Running]) -> None:
        entered, release = threading.Semaphore(0), threading.Event()

        def handler(asked: Notify) -> list[SetVar]:
            entered.release()
            release.wait(WAIT)
            return echo(asked)

        client = start(handler, limits=replace(PATIENT, in_flight=3)).client(max_waiting_frames=100)
        assert_no_more_is_read(client, entered, release)

    def test_who_leaves_while_an_answer_is_made_leaves_nothing_behind(self, start: Callable[..., Running]) -> None:
        entered, release = threading.Event(), threading.Event()

        def handler(asked: Notify) -> list[SetVar]:
            entered.set()
            release.wait(WAIT)
            return echo(asked)

        running = start(handler)
        client = running.client()
        client.hello()
        client.send(notify(1))
        assert entered.wait(WAIT)
        client.reset()
        release.set()
        after = running.client()
        after.hello()

        assert after.ask(1)["stream"] == 1
        assert running.loud() == []


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
