"""Which worker should give a connection to which other one, so that all have about as much to do.

Each worker is dealt as many connections as the others (supervisor.py), but HAProxy uses its connections unequally and
keeps them for long: version 2.8 with four threads and fifty clients had ten connections to four workers, and those of
one of them carried nothing, all the time. Workers that have twice as much to do as another one therefore give it a
connection, as at a reload. What one connection carries cannot be shared out.

Here: who, whom, and how much, from numbers that others measure. Not here: how a connection moves (anyio_agent.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY = 1.0
"""Seconds between two looks. One that is to give is so at two of them."""
BUSY = 0.1
"""Cores that a worker must use before it is worth while to relieve it."""
UNEVEN = 2.0
"""How many times as much as another one a worker must have to do."""


class Work(NamedTuple):
    """What a worker has done so far.

    Attributes:
        pid: its process.
        seconds: processor time that it has used.
        connections: open now.
    """

    pid: int
    seconds: float
    connections: int


class Move(NamedTuple):
    """What is to be done.

    Attributes:
        giver: the slot of the worker that is to give a connection.
        taker: the slot of the one that is to get it.
        share: the part of the giver's work that the connection should carry, above 0 and at most a half.
    """

    giver: int
    taker: int
    share: float


class Balance:
    """Looks at the workers now and then."""

    def __init__(self) -> None:
        self._at = 0.0
        self._last: Mapping[int, Work] = {}
        self._loads: dict[int, float] = {}
        self._giver = -1

    def due(self, now: float) -> bool:
        """Whether it is time for a look."""
        return now >= self._at + EVERY

    def look(self, now: float, workers: Mapping[int, Work]) -> Move | None:
        """Compare what workers have done since the last look.

        Args:
            now: the time in seconds.
            workers: those that serve, by slot.

        Returns:
            What should move; None while all is even enough, or cannot be helped.
        """
        passed = max(now - self._at, EVERY)
        loads = {
            slot: (work.seconds - self._last[slot].seconds) / passed
            for slot, work in workers.items()
            if slot in self._last and self._last[slot].pid == work.pid
        }
        self._at, self._last = now, workers
        before, self._giver = self._giver, -1
        if len(loads) < len(workers) or len(loads) < 2:
            return None
        giver, taker = max(loads, key=loads.__getitem__), min(loads, key=loads.__getitem__)
        most, least = loads[giver], loads[taker]
        if most < BUSY or most < UNEVEN * least or workers[giver].connections < 2:
            return None
        if giver != before:
            self._giver = giver
            return None
        return Move(giver, taker, (most - least) / 2 / most)
