from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from anyio.lowlevel import checkpoint

from adapters.anyio_agent import AnyioAgent, in_thread
from adapters.bind import TcpBind
from adapters.metrics.observer import Observer
from adapters.sockets import listen
from spop_proto import AgentDisconnect, Scope, SetVar
from spop_proto import Notify as Asked
from tests.adapters.conformance import (
    PATIENT,
    QUICK,
    WAIT,
    Client,
    Conformance,
    Running,
    assert_no_more_is_read,
    echo,
    notify,
    recording_logger,
)
from tests.adapters.proc import tcp_sockets

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from spop_proto import Limits, Notify


@dataclass
class Pair:
    """Two agents in one loop, and clients of the first."""

    first: AnyioAgent
    second: AnyioAgent
    address: Any = None
    clients: list[Client] = field(default_factory=list)
    given: list[bytes] = field(default_factory=list)
    streams: Iterator[int] = field(default_factory=lambda: itertools.count(1001, 2))

    def give(self, sock: socket.socket, greeting: bytes) -> bool:
        self.given.append(greeting)
        self.second.adopt(sock.dup(), greeting)
        return True

    async def client(self) -> Client:
        self.clients.append(Client(self.address))
        await anyio.to_thread.run_sync(self.clients[-1].hello)
        return self.clients[-1]

    async def ask(self, client: Client) -> str:
        """Who answers."""
        number = next(self.streams)
        answer = await anyio.to_thread.run_sync(client.ask, number, "x" * 4000)
        return str(answer["by"])

    async def until_read(self, client: Client) -> None:
        """Until the agent has read all that a client has sent."""
        while _unread(client.sock):
            await checkpoint()


def _unread(sock: socket.socket) -> int:
    """The bytes that were sent by a connection of this machine, and are not read yet: what its other end has."""
    ends = sock.getpeername()[1], sock.getsockname()[1]
    return sum(each.unread for each in tcp_sockets() if (each.local, each.remote) == ends)


class AnyioConformance(Conformance):
    backend = ""

    def blocking(self, handler: Any) -> Any:
        return in_thread(handler)

    def serve(
        self,
        listeners: list[socket.socket],
        handler: Any,
        logger: logging.Logger,
        limits: Limits | None,
        **options: Any,
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        agents: list[AnyioAgent] = []
        ready, ended = threading.Event(), threading.Event()

        async def run() -> None:
            agent = AnyioAgent(listeners, handler, logger, limits=limits, **options)
            async with anyio.create_task_group() as tasks:
                await tasks.start(agent.serve)
                agents.append(agent)
                ready.set()
                # Signals end an agent in real life; here a thread does.
                while not stopping.is_set():  # noqa: ASYNC110  the event belongs to another thread
                    await anyio.sleep(0.01)
                agent.stop()

        def main() -> None:
            try:
                anyio.run(run, backend=self.backend)
            finally:
                ended.set()

        stopping = threading.Event()
        thread = threading.Thread(target=main, daemon=True)
        thread.start()
        assert ready.wait(WAIT)

        def join() -> None:
            thread.join(WAIT)
            assert not thread.is_alive()

        return stopping.set, join

    def test_coroutines_answer_in_any_order(self, start: Callable[..., Running]) -> None:
        async def handler(asked: Notify) -> list[SetVar]:
            if asked.stream_id == 1:
                await release.wait()
            elif asked.stream_id == 9:
                release.set()
            return echo(asked)

        release = anyio.Event()
        client = start(handler).client()
        client.hello()
        client.send(*(notify(number) for number in (1, 3, 5, 7)))
        early = list(client.answers(3))
        client.send(notify(9))

        assert sorted(early) == [3, 5, 7]
        assert sorted(client.answers(2)) == [1, 9]

    def test_a_coroutine_that_raises(self, start: Callable[..., Running]) -> None:
        async def handler(_: Notify) -> list[SetVar]:
            await anyio.lowlevel.checkpoint()
            raise RuntimeError("boom")

        running = start(handler)
        client = running.client()
        client.hello()

        assert client.ask(1) == {"error": 512, "reason": "internal-error"}
        assert client.ask(3)["error"] == 512
        assert running.loud() == ["the handler raised"] * 2

    def test_a_function_may_return_what_is_to_be_awaited(self, start: Callable[..., Running]) -> None:
        class Later:
            def __init__(self, asked: Notify) -> None:
                self.asked = asked

            def __await__(self) -> Any:
                yield from release.wait().__await__()
                if self.asked.stream_id == 7:
                    raise RuntimeError("boom")
                return echo(self.asked)

        def handler(asked: Notify) -> Any:
            if asked.stream_id == 9:
                release.set()
            return echo(asked) if asked.stream_id in {3, 9} else Later(asked)

        release = anyio.Event()
        running = start(handler)
        client = running.client()
        client.hello()
        client.send(notify(1), notify(3), notify(5), notify(7))
        assert list(client.answers(1)) == [3]
        client.send(notify(9))

        answers = client.answers(4)
        assert sorted(answers) == [1, 5, 7, 9]
        assert answers[7] == {"error": 512, "reason": "internal-error"}
        assert answers[5]["stream"] == 5
        assert running.loud() == ["the handler raised"]

    def two_agents(self, test: Callable[[Pair], Awaitable[None]]) -> None:
        """Run a test in the loop of two agents, of whom the first listens."""

        def says(name: str) -> Callable[[Notify], list[SetVar]]:
            return lambda _: [SetVar(Scope.TRANSACTION, "by", name)]

        async def run() -> None:
            listeners = listen(TcpBind("127.0.0.1", 0))
            logger, _ = recording_logger()
            pair = Pair(AnyioAgent(listeners, says("first"), logger), AnyioAgent((), says("second"), logger))
            pair.address = listeners[0].getsockname()
            async with anyio.create_task_group() as tasks:
                for agent in (pair.first, pair.second):
                    await tasks.start(agent.serve)
                with anyio.fail_after(WAIT):
                    await test(pair)
                for client in pair.clients:
                    client.close()
                for agent in (pair.first, pair.second):
                    agent.stop()

        anyio.run(run, backend=self.backend)

    def test_a_connection_that_carries_about_so_much_goes_elsewhere(self) -> None:
        async def test(pair: Pair) -> None:
            much, some, little, none = [await pair.client() for _ in range(4)]
            for client, times in ((much, 12), (some, 4), (little, 1)):
                for _ in range(times):
                    assert await pair.ask(client) == "first"
            pair.first.age()
            assert not pair.first.ease(0.02, pair.give)
            assert pair.first.ease(0.25, pair.give)
            while len(pair.given) < 1:
                await checkpoint()

            assert [await pair.ask(each) for each in (much, some, little, none)] == [
                "first",
                "second",
                "first",
                "first",
            ]
            assert (pair.first.connections, pair.second.connections) == (3, 1)

        self.two_agents(test)

    def test_it_goes_when_the_frame_that_has_begun_is_answered(self) -> None:
        async def test(pair: Pair) -> None:
            client = await pair.client()
            frame = client.bytes_of(notify(1))
            client.sock.sendall(frame[:10])
            await pair.until_read(client)
            assert pair.first.ease(1.0, pair.give)
            client.sock.sendall(frame[10:])
            assert (await anyio.to_thread.run_sync(client.answers, 1))[1] == {"by": "first"}
            while not pair.given:
                await checkpoint()

            assert await pair.ask(client) == "second"

        self.two_agents(test)

    def test_what_nobody_takes_stays(self) -> None:
        async def test(pair: Pair) -> None:
            client = await pair.client()
            asked: list[bytes] = []

            def refuse(_: socket.socket, greeting: bytes) -> bool:
                asked.append(greeting)
                return False

            assert pair.first.ease(1.0, refuse)
            while not asked:
                await checkpoint()
            assert [await pair.ask(client) for _ in range(3)] == ["first"] * 3
            assert len(asked) == 1

        self.two_agents(test)

    def test_what_comes_after_one_that_is_awaited_keeps_its_order(self, start: Callable[..., Running]) -> None:
        class Later:
            def __init__(self, asked: Notify) -> None:
                self.asked = asked

            def __await__(self) -> Any:
                yield from anyio.lowlevel.checkpoint().__await__()
                return echo(self.asked)

        client = start(lambda asked: Later(asked) if asked.stream_id % 5 == 0 else echo(asked)).client()
        client.hello()
        got: list[int] = []
        for first in range(1, 200, 10):
            client.send(*(notify(number) for number in range(first, first + 10)))
            got += client.answers(10)

        assert sorted(got) == list(range(1, 201))
        at_once = [number for number in got if number % 5]
        assert at_once == sorted(at_once)

    def test_a_fault_of_the_agents_own_ends_it_and_hangs_nobody(self) -> None:
        class Faulty(Observer):
            def received(self, _: int, events: Any) -> None:
                if any(isinstance(event, Asked) for event in events):
                    raise ZeroDivisionError

        async def run() -> None:
            listeners = listen(TcpBind("127.0.0.1", 0))
            client = Client(listeners[0].getsockname())
            async with anyio.create_task_group() as tasks:
                agent = AnyioAgent(listeners, echo, recording_logger()[0], observer=Faulty())
                await tasks.start(agent.serve)
                await anyio.to_thread.run_sync(client.hello)
                client.send(notify(1))
                try:
                    with anyio.fail_after(WAIT):
                        await anyio.sleep_forever()
                finally:
                    client.close()
                    listeners[0].close()

        with pytest.raises(BaseExceptionGroup) as raised:
            anyio.run(run, backend=self.backend)

        assert raised.value.split(ZeroDivisionError)[1] is None

    def test_who_leaves_while_it_is_awaited(self, start: Callable[..., Running]) -> None:
        class Later:
            def __await__(self) -> Any:
                entered.set()
                try:
                    yield from anyio.sleep(WAIT).__await__()
                finally:
                    cancelled.set()

        entered, cancelled = threading.Event(), threading.Event()
        running = start(lambda _: Later())
        client = running.client()
        client.hello()
        client.send(notify(1))
        assert entered.wait(WAIT)
        client.close()

        assert cancelled.wait(WAIT)
        assert running.loud() == []

    def test_no_more_is_read_while_too_many_are_in_flight(self, start: Callable[..., Running]) -> None:
        entered, release = threading.Semaphore(0), threading.Event()

        async def handler(asked: Notify) -> list[SetVar]:
            entered.release()
            while not release.is_set():  # noqa: ASYNC110  the event belongs to another thread
                await anyio.sleep(0.005)
            return echo(asked)

        limits = replace(PATIENT, in_flight=3)
        client = start(handler, limits=limits).client(max_waiting_frames=100)
        assert_no_more_is_read(client, entered, release)

    def test_who_leaves_while_answers_are_made_leaves_nothing_behind(self, start: Callable[..., Running]) -> None:
        entered, cancelled = threading.Event(), threading.Event()

        async def handler(_: Notify) -> list[SetVar]:
            entered.set()
            try:
                await anyio.sleep(WAIT)
            finally:
                cancelled.set()
            return []

        running = start(handler)
        client = running.client()
        client.hello()
        client.send(notify(1))
        assert entered.wait(WAIT)
        client.close()

        assert cancelled.wait(WAIT)
        assert running.loud() == []

    def test_stopping_waits_for_coroutines(self, start: Callable[..., Running]) -> None:
        entered, release = threading.Event(), threading.Event()

        async def handler(asked: Notify) -> list[SetVar]:
            entered.set()
            while not release.is_set():  # noqa: ASYNC110  the event belongs to another thread
                await anyio.sleep(0.005)
            return echo(asked)

        running = start(handler)
        client = running.client()
        client.hello()
        client.send(notify(1))
        assert entered.wait(WAIT)
        running.stop()
        release.set()

        assert list(client.answers(1)) == [1]
        assert client.rest() == [AgentDisconnect()]


class TestAsyncio(AnyioConformance):
    backend = "asyncio"


class TestTrio(AnyioConformance):
    backend = "trio"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_handler_that_does_not_return_is_left_at_the_deadline(backend: str) -> None:
    """Its NOTIFY gets an empty ACK, so that HAProxy's stream goes on."""

    async def handler(_: Notify) -> list[SetVar]:
        entered.set()
        await anyio.sleep(WAIT)
        return []

    entered = threading.Event()
    listeners = listen(TcpBind("127.0.0.1", 0))
    logger, lines = recording_logger()
    with start_blocking_portal(backend) as portal:
        agent = AnyioAgent(listeners, handler, logger, limits=QUICK, drain_seconds=0.1)
        future, _ = portal.start_task(agent.serve)
        running = Running(listeners[0].getsockname(), lines, agent.stop, lambda: None)
        client = running.client()
        client.hello()
        client.send(notify(1))
        assert entered.wait(WAIT)
        portal.call(agent.stop)

        assert list(client.answers(1).values()) == [{}]
        assert client.rest() == [AgentDisconnect()]
        future.result(WAIT)
        running.close()


def test_stop_before_serve() -> None:
    agent = AnyioAgent(listen(TcpBind("127.0.0.1", 0)), echo, recording_logger()[0])
    agent.stop()
    anyio.run(agent.serve)

    assert agent.connections == 0
