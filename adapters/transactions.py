"""The transactions that wait for their response, bounded by number and by time.

Here: a store that hands out what it drops, so that the caller can finish and log it, and that remembers for a while
why an id is gone ("transaction not found" is the most frequent complaint about agents of this kind, and it has five
different causes). Not here: a clock (it is given), rules, logging, SPOP.

The store is safe to use from several threads. All waits are equally long, so the order of arrival is the order
of expiry, and every operation costs the same whatever the number of transactions.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

REMEMBERED = 16_384
"""Ids of which the end is remembered: at 1,000 requests a second the last quarter of a minute, in about 3 MiB."""


class Gone(StrEnum):
    """Why a transaction is no longer, or not, waiting for its response."""

    ANSWERED = "answered"
    """Its response was checked already."""
    INTERRUPTED = "interrupted"
    """A rule interrupted the request, so no response is waited for."""
    EXPIRED = "expired"
    """Its response did not come within the time to live."""
    EVICTED = "evicted"
    """Newer transactions took its place: there were more than the limit allows."""
    REPLACED = "replaced"
    """Another request came with the same id."""
    FAILED = "failed"
    """Its request could not be evaluated."""
    STOPPED = "stopped"
    """The agent is stopping."""
    UNKNOWN = "unknown"
    """This agent has not seen a request with this id lately."""


@dataclass(slots=True)
class StoreCounters:
    """What happened since the start; `waiting` is the present number."""

    added: int = 0
    taken: int = 0
    expired: int = 0
    evicted: int = 0
    replaced: int = 0
    missed: int = 0


class TransactionStore(Generic[T]):
    """Transactions by id, oldest first.

    Args:
        limit: how many may wait (`transaction_active_limit`); at least 1.
        ttl: how long one may wait (`transaction_ttl`), in seconds; more than 0.
        clock: gives the time in seconds; never goes back (`time.monotonic`).
        remembered: how many ids of which the end is remembered.
    """

    def __init__(self, limit: int, ttl: float, clock: Callable[[], float], *, remembered: int = REMEMBERED) -> None:
        if limit < 1 or ttl <= 0:
            raise ValueError(f"limit and ttl must be above zero, not {limit} and {ttl}")
        self.limit, self.ttl, self._clock, self._remembered = limit, ttl, clock, remembered
        self.counters = StoreCounters()
        self._waiting: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._gone: dict[str, Gone] = {}
        self._gone_order: deque[str] = deque()
        self._lock = threading.Lock()

    def put(self, key: str, transaction: T) -> list[tuple[T, Gone]]:
        """Let a transaction wait.

        Returns:
            The transactions that had to leave, with the reason. The caller finishes them.
        """
        with self._lock:
            self.counters.added += 1
            dropped = self._expire()
            if key in self._waiting:
                self.counters.replaced += 1
                dropped.append((self._waiting.pop(key)[1], Gone.REPLACED))
            while len(self._waiting) >= self.limit:
                old_key, (_, old) = self._waiting.popitem(last=False)
                self.counters.evicted += 1
                self._remember(old_key, Gone.EVICTED)
                dropped.append((old, Gone.EVICTED))
            self._waiting[key] = (self._clock() + self.ttl, transaction)
            return dropped

    def take(self, key: str) -> tuple[T | None, Gone]:
        """Take a transaction out for good.

        Returns:
            The transaction and `Gone.ANSWERED`, or None and why it is not here. One whose time is over but which
            nothing has dropped yet is still given: its response is here, and that is what it waited for.
        """
        with self._lock:
            entry = self._waiting.pop(key, None)
            if entry is None:
                self.counters.missed += 1
                return None, self._gone.get(key, Gone.UNKNOWN)
            self.counters.taken += 1
            self._remember(key, Gone.ANSWERED)
            return entry[1], Gone.ANSWERED

    def remember(self, key: str, gone: Gone) -> None:
        """Note the end of a transaction that was never put here."""
        with self._lock:
            self._remember(key, gone)

    def expire(self) -> list[tuple[T, Gone]]:
        """Drop what has waited too long; the caller finishes it. To be called now and then when no request comes."""
        with self._lock:
            return self._expire()

    def drain(self) -> list[tuple[T, Gone]]:
        """Drop everything, because the agent stops; the caller finishes it."""
        with self._lock:
            left = [(transaction, Gone.STOPPED) for _, transaction in self._waiting.values()]
            self._waiting.clear()
            return left

    def __len__(self) -> int:
        return len(self._waiting)

    def _expire(self) -> list[tuple[T, Gone]]:
        dropped: list[tuple[T, Gone]] = []
        now = self._clock()
        while self._waiting:
            key, (deadline, transaction) = next(iter(self._waiting.items()))
            if deadline > now:
                break
            del self._waiting[key]
            self.counters.expired += 1
            self._remember(key, Gone.EXPIRED)
            dropped.append((transaction, Gone.EXPIRED))
        return dropped

    def _remember(self, key: str, gone: Gone) -> None:
        if key not in self._gone:
            if len(self._gone_order) >= self._remembered:
                del self._gone[self._gone_order.popleft()]
            self._gone_order.append(key)
        self._gone[key] = gone
