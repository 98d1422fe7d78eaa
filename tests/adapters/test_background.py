"""The queue of what is evaluated after its answer: bounded, in order, done between frames, drained at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable


class Work:
    """Remembers what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __call__(self, name: str) -> Callable[[], None]:
        return lambda: self.done.append(name)


def test_in_order_of_arrival() -> None:
    background, work = Background(), Work()
    for name in "abc":
        assert background.add(name, 1, work(name))
    while background.run_one():
        pass

    assert work.done == ["a", "b", "c"]
    assert background.run_one() is False


def test_what_does_not_fit_is_counted() -> None:
    background, work = Background(jobs=2, size=10), Work()

    assert background.add("a", 5, work("a"))
    assert not background.add("b", 6, work("b"))
    assert background.add("c", 5, work("c"))
    assert not background.add("d", 0, work("d"))
    assert background.run_one()
    assert background.add("e", 5, work("e"))
    counters = background.counters
    assert (counters.added, counters.done, counters.dropped, counters.waiting, counters.bytes) == (3, 1, 2, 2, 10)


def test_one_transaction_may_be_finished_ahead_of_the_others() -> None:
    background, work = Background(), Work()
    for key, name in (("x", "other"), ("y", "request"), ("y", "response")):
        background.add(key, 1, work(name))
    background.finish("y")
    background.finish("unknown")

    assert work.done == ["request", "response"]
    assert background.run_one()
    assert not background.run_one()
    assert work.done[2:] == ["other"]
    assert (background.counters.waiting, background.counters.bytes) == (0, 0)


def test_what_is_left_is_done_at_the_end_while_there_is_time() -> None:
    background, work = Background(), Work()
    for name in "abcde":
        background.add(name, 1, work(name))
    times = iter(range(100))

    assert background.drain(3, lambda: float(next(times))) == 3
    assert work.done == ["a", "b"]
    assert (background.counters.waiting, background.counters.dropped) == (0, 3)
    assert background.drain(3, lambda: 0.0) == 0


@given(st.lists(st.tuples(st.sampled_from(["add", "finish", "run"]), st.sampled_from("xyz"), st.integers(0, 9))))
def test_a_request_is_done_before_its_response(steps: list[tuple[str, str, int]]) -> None:
    background, done, added = Background(jobs=5, size=20), [], []
    for number, (what, key, size) in enumerate(steps):
        if what == "add":
            if background.add(key, size, lambda entry=(key, number): done.append(entry)):  # type: ignore[misc]  # bound
                added.append((key, number))
        elif what == "finish":
            background.finish(key)
        else:
            background.run_one()
        counters = background.counters
        assert counters.waiting <= 5
        assert counters.bytes <= 20
        assert len(done) + counters.waiting == len(added)
    background.drain(1, lambda: 0.0)

    assert sorted(done) == sorted(added)
    for key in "xyz":
        assert [entry for entry in done if entry[0] == key] == [entry for entry in added if entry[0] == key]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_others_have_their_turn_between_two_evaluations(backend: str) -> None:
    background, order = Background(), []

    async def other() -> None:
        while order.count("work") < 5:
            order.append("other")
            await anyio.lowlevel.checkpoint()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(background.serve)
            await anyio.wait_all_tasks_blocked()
            for _ in range(5):
                background.add("k", 1, lambda: order.append("work"))
            await other()
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)

    assert order.count("work") == 5
    assert "work,work" not in ",".join(order)
