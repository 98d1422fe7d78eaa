from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from adapters.logs import Logs
from adapters.metrics import sampling
from adapters.metrics.observer import Observer
from adapters.metrics.sampling import Sampler
from adapters.transactions import TransactionStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest


class Seen(Observer):
    def __init__(self) -> None:
        self.delays: list[float] = []
        self.waited: list[str] = []
        self.lost: list[int] = []

    def delayed(self, seconds: float) -> None:
        self.delays.append(seconds)

    def waiting(self, stores: Mapping[str, TransactionStore[object]]) -> None:
        self.waited += stores

    def lines_lost(self, count: int) -> None:
        self.lost.append(count)


class FakeLogs(Logs):
    lost = 0  # type: ignore[assignment]  # as if it had lost some


def _sampler(logs: Logs) -> tuple[Sampler, Seen]:
    seen = Seen()
    store: TransactionStore[object] = TransactionStore(1, 1.0, lambda: 0.0)
    return Sampler(seen, lambda: {"shop": store}, logs), seen


def test_lost_lines_are_told_once():
    logs = FakeLogs()
    sampler, seen = _sampler(logs)
    for lost in (0, 3, 3, 5):
        logs.lost = lost  # type: ignore[misc]
        sampler.look()

    assert seen.lost == [3, 2]
    assert seen.waited == ["shop"] * 4


def test_delays_are_told_more_often_than_the_rest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sampling, "EVERY", 0.001)
    sampler, seen = _sampler(Logs())

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sampler.run)
            while len(seen.waited) < 3:  # noqa: ASYNC110  the sampler tells, it does not signal
                await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()

    anyio.run(run)

    assert len(seen.delays) // sampling.LOOKS >= 3
    assert all(delay >= 0 for delay in seen.delays)
