from __future__ import annotations

import logging
import socket
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from adapters.anyio_agent import AnyioAgent
from adapters.transactions import Gone, TransactionStore
from adapters.troubles import Reason, trouble_actions
from adapters.workers.channels import Kind, receive
from adapters.workers.forwarding import LIMITS, Forwarding, id_of
from adapters.workers.shared import Shared
from adapters.workers.status import State
from spop_proto import Message, Notify, Scope, SetVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


class Handler:
    """Answers a response with the text that its request left here."""

    def __init__(self, shared: Shared, slot: int) -> None:
        self.store: TransactionStore[str] = TransactionStore(1000, 60, time.monotonic)
        shared.status.slots[slot].begin(1)
        shared.status.slots[slot].born(1000 + slot)
        self.store.register = shared.directory.page(slot)
        self.applications = {"a": SimpleNamespace(store=self.store)}
        self.asked: list[Notify] = []

    def __call__(self, notify: Notify) -> list[SetVar]:
        self.asked.append(notify)
        actions: list[SetVar] = []
        for message in notify.messages:
            text, gone = self.store.take(id_of(message))
            if text is None:
                actions += [
                    *trouble_actions(Reason.TRANSACTION_NOT_FOUND),
                    SetVar(Scope.TRANSACTION, "gone", str(gone)),
                ]
            else:
                actions.append(SetVar(Scope.TRANSACTION, "text", text))
        return actions


@pytest.fixture
def shared() -> Iterator[Shared]:
    made = Shared(1)
    yield made
    for channel in made.channels:
        for message in channel.empty():
            if message.sock is not None:
                message.sock.close()
    made.close()


def response(key: str, stream: int = 1, **more: Any) -> Notify:
    return Notify(stream, 1, (Message("coraza-res", (("app", "a"), ("unique-id", key), *more.items())),))


async def values(made: Any) -> dict[str, Any]:
    if not isinstance(made, list):
        made = await made
    return {each.name: each.value for each in made}


def run(
    shared: Shared,
    test: Callable[[Forwarding, Handler, Handler], Awaitable[None]],
    *,
    seconds: float = 60.0,
    hangs: bool = False,
) -> None:
    """A test of worker 0, with worker 1 beside it in the same loop."""

    async def main() -> None:
        mine, other = Handler(shared, 0), Handler(shared, 1)
        async with anyio.create_task_group() as tasks:
            agent = AnyioAgent((), other, logging.getLogger("test"), limits=LIMITS)
            await tasks.start(agent.serve)

            async def adopt() -> None:
                inner = shared.channels[1].inner
                while True:
                    await anyio.wait_readable(inner)
                    while (message := receive(inner)) is not None:
                        assert message.kind is Kind.PEER
                        assert message.sock is not None
                        agent.adopt(message.sock)

            if not hangs:
                tasks.start_soon(adopt)
            await test(Forwarding(mine, shared.status.slots[0], shared, tasks, seconds), mine, other)  # type: ignore[arg-type]  a handler as far as it is used
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_a_response_is_answered_by_the_worker_that_keeps_its_request(shared: Shared):
    async def test(forwarding: Forwarding, mine: Handler, other: Handler) -> None:
        other.store.put("t", "kept")
        assert await values(forwarding(response("t"))) == {"text": "kept"}
        assert len(mine.asked) == 0
        assert other.asked[0].messages == response("t").messages

    run(shared, test)
    assert shared.status.report().forwarded == 1


def test_what_is_known_here_or_nowhere_is_answered_here_at_once(shared: Shared):
    async def test(forwarding: Forwarding, mine: Handler, other: Handler) -> None:
        mine.store.put("here", "kept")
        mine.store.remember("blocked", Gone.INTERRUPTED)
        assert forwarding(response("here")) == [SetVar(Scope.TRANSACTION, "text", "kept")]
        assert (await values(forwarding(response("blocked"))))["gone"] == "interrupted"
        assert (await values(forwarding(response("never"))))["gone"] == "unknown"
        assert (await values(forwarding(response(""))))["gone"] == "unknown"
        assert other.asked == []

    run(shared, test)


def test_what_the_other_worker_only_remembers_is_asked_of_it(shared: Shared):
    """Not an error of this worker's making: the other one knows that the request was blocked."""

    async def test(forwarding: Forwarding, mine: Handler, other: Handler) -> None:
        other.store.remember("t", Gone.INTERRUPTED)
        await values(forwarding(response("t")))
        assert len(other.asked) == 1
        assert len(mine.asked) == 1, "which then answers that nobody has it"

    run(shared, test)


def test_hundreds_at_once_and_large_ones(shared: Shared):
    async def test(forwarding: Forwarding, mine: Handler, other: Handler) -> None:
        found: dict[str, Any] = {}

        async def ask(key: str) -> None:
            found[key] = (await values(forwarding(response(key, body=b"x" * 100_000))))["text"]

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                other.store.put(f"t{number}", f"kept {number}")
                tasks.start_soon(ask, f"t{number}")
        assert found == {f"t{number}": f"kept {number}" for number in range(200)}
        assert mine.asked == []

    run(shared, test)


def test_the_worker_that_kept_it_has_died(shared: Shared):
    async def test(forwarding: Forwarding, _: Handler, other: Handler) -> None:
        other.store.put("t", "kept")
        shared.status.slots[1].begin(1)
        shared.status.slots[1].born(3000)
        assert await values(forwarding(response("t"))) == {
            "error": 516,
            "reason": "transaction-not-found",
            "gone": "worker-died",
        }

    run(shared, test)
    assert shared.status.report().forwards_failed == 1


def test_the_worker_that_keeps_it_hangs(shared: Shared):
    async def test(forwarding: Forwarding, _: Handler, other: Handler) -> None:
        other.store.put("t", "kept")
        begin = time.monotonic()
        answer = await values(forwarding(response("t")))
        assert (answer["error"], answer["gone"]) == (516, "worker-silent")
        assert time.monotonic() - begin >= 0.05

    run(shared, test, seconds=0.05, hangs=True)


def test_the_worker_that_keeps_it_dies_while_it_is_asked(shared: Shared):
    async def test(forwarding: Forwarding, _: Handler, other: Handler) -> None:
        async def die() -> None:
            while (message := receive(shared.channels[1].inner)) is None:
                await anyio.lowlevel.checkpoint()
            assert message.sock is not None
            message.sock.close()

        other.store.put("t", "kept")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(die)
            answer = await values(forwarding(response("t")))
        assert answer["gone"] == "worker-died"

    run(shared, test, hangs=True)


def test_a_worker_asks_its_successor_after_a_broken_connection(shared: Shared):
    async def test(forwarding: Forwarding, _: Handler, other: Handler) -> None:
        other.store.put("t1", "kept")
        assert await values(forwarding(response("t1"))) == {"text": "kept"}
        forwarding._peers[1]._sock.shutdown(socket.SHUT_RDWR)
        for _ in range(1000):
            if forwarding._peers[1].broken:
                break
            await anyio.lowlevel.checkpoint()
        other.store.put("t2", "kept too")
        assert await values(forwarding(response("t2"))) == {"text": "kept too"}

    run(shared, test)


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        ((("id", "abc"),), "abc"),
        ((("status", 200), ("unique_id", b"abc")), "abc"),
        ((("app", "a"),), ""),
        ((("id", None),), ""),
        ((("id", 7),), "7"),
    ],
)
def test_the_id_of_a_message(args: tuple[tuple[str, Any], ...], wanted: str):
    assert id_of(Message("coraza-res", args)) == wanted


def test_a_long_id_is_shortened_as_the_handler_does_it():
    assert len(id_of(Message("coraza-res", (("id", "x" * 1000),)))) == 256


def test_nobody_waits_for_a_worker_that_died_before_it_read_its_queue(shared: Shared):
    async def test(forwarding: Forwarding, _: Handler, other: Handler) -> None:
        async def die() -> None:
            await anyio.lowlevel.checkpoint()
            shared.status.slots[1].gone(State.DEAD)
            forwarding.look()

        other.store.put("t", "kept")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(die)
            answer = await values(forwarding(response("t")))
        assert answer["gone"] == "worker-died", "and not silent, as after the time that one may take"

    run(shared, test, hangs=True)
