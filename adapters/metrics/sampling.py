"""What is not told when it happens but looked at now and then: how late the loop is, what waits, what logs lost.

Here: one coroutine for each process that answers. Not here: what is done with the numbers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adapters.logs import Logs
    from adapters.metrics.observer import Observer
    from adapters.transactions import TransactionStore

EVERY = 0.1
"""Seconds between two looks at how late the loop is; 40 microseconds each."""
LOOKS = 10
"""Of so many looks one is at all the rest."""


class Sampler:
    """Looks at a process that answers.

    Args:
        observer: is told what is seen.
        stores: gives the stores of the applications at work.
        logs: the log files at work.
    """

    def __init__(
        self, observer: Observer, stores: Callable[[], Mapping[str, TransactionStore[object]]], logs: Logs
    ) -> None:
        self._observer, self._stores, self._logs = observer, stores, logs
        self._lost = 0

    async def run(self) -> None:
        """Look until it is cancelled."""
        while True:
            for _ in range(LOOKS):
                due = time.monotonic() + EVERY
                await anyio.sleep(EVERY)
                self._observer.delayed(max(0.0, time.monotonic() - due))
            self.look()

    def look(self) -> None:
        """Look at everything but the loop's delay; also when somebody asks for numbers that are up to date."""
        self._observer.waiting(self._stores())
        lost = self._logs.lost
        if lost > self._lost:
            self._observer.lines_lost(lost - self._lost)
        self._lost = lost
