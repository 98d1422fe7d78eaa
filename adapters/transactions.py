"""The transactions that wait for their response, bounded by number, by bytes and by time.

Here: a store that hands out what it drops, so that the caller can finish and log it, and that remembers for a while
why an id is gone ("transaction not found" is the most frequent complaint about agents of this kind, and it has five
different causes). Not here: a clock (it is given), how many bytes a transaction holds (it is told), rules, logging,
SPOP.

The store is safe to use from several threads. All waits are equally long, so the order of arrival is the order
of expiry, and every operation costs the same whatever the number of transactions.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

REMEMBERED = 16_384
"""Ids of which the end is remembered: at 1,000 requests a second the last quarter of a minute, in about 3 MiB."""

SKIPPED = 65_536
"""Skipped ids that are remembered at least, as hashes in at most 12 MiB: there are many more of them (images, styles),
and to forget one is to answer its response with an error."""

DEFAULT_BYTES = 512 << 20


class Gone(StrEnum):
    """Why a transaction is no longer, or not, waiting for its response."""

    ANSWERED = "answered"
    """Its response was checked already."""
    INTERRUPTED = "interrupted"
    """A rule interrupted the request, so no response is waited for."""
    SKIPPED = "skipped"
    """The request was on a skip list."""
    EXPIRED = "expired"
    """Its response did not come within the time to live."""
    EVICTED = "evicted"
    """Newer transactions took its place: there were more, or larger ones, than the limits allow."""
    REPLACED = "replaced"
    """Another request came with the same id."""
    FAILED = "failed"
    """Its request could not be evaluated."""
    STOPPED = "stopped"
    """The agent is stopping."""
    UNREACHABLE = "unreachable"
    """Agents share transactions, and the server that has them does not answer."""
    UNREADABLE = "unreadable"
    """The agent that had the request has other rules, or what it left is damaged."""
    LOST = "worker-died"
    """The process that kept it died, or was ended before its response came."""
    UNANSWERED = "worker-silent"
    """It waits in another process, which is too busy or hangs."""
    UNKNOWN = "unknown"
    """This agent has not seen a request with this id lately."""


@dataclass(slots=True)
class StoreCounters:
    """What happened since the start; `bytes` is what waits at present."""

    added: int = 0
    taken: int = 0
    expired: int = 0
    evicted: int = 0
    replaced: int = 0
    missed: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Waiting(Generic[T]):
    deadline: float
    size: int
    transaction: T


class Register(Protocol):
    """Where other processes look up which of them knows an id (workers/directory.py)."""

    def add(self, key: str) -> None:
        """This process knows the id."""
        ...

    def remove(self, key: str) -> None:
        """There is nothing more to be asked about the id."""
        ...


class TransactionStore(Generic[T]):
    """Transactions by id, oldest first.

    Args:
        limit: how many may wait (`transaction_active_limit`); at least 1.
        ttl: how long one may wait (`transaction_ttl`), in seconds; more than 0.
        clock: gives the time in seconds; never goes back (`time.monotonic`).
        limit_bytes: how many bytes may wait (`transaction_active_bytes`); the newest transaction always may.
        remembered: how many ids of which the end is remembered.
        skipped: how many skipped ids are remembered.

    Attributes:
        register: is told of the ids that are put or remembered here, and of those that are taken; None: nobody is.
    """

    def __init__(
        self,
        limit: int,
        ttl: float,
        clock: Callable[[], float],
        *,
        limit_bytes: int = DEFAULT_BYTES,
        remembered: int = REMEMBERED,
        skipped: int = SKIPPED,
    ) -> None:
        if limit < 1 or ttl <= 0 or limit_bytes < 1:
            raise ValueError(f"limits and ttl must be above zero, not {limit}, {limit_bytes} and {ttl}")
        self.limit, self.limit_bytes, self.ttl = limit, limit_bytes, ttl
        self._clock, self._remembered = clock, remembered
        self.counters = StoreCounters()
        self.register: Register | None = None
        self._waiting: OrderedDict[str, _Waiting[T]] = OrderedDict()
        self._gone: dict[str, Gone] = {}
        self._gone_order: deque[str] = deque()
        self._skipped = _RecentIds(skipped)
        self._lock = threading.Lock()

    def put(self, key: str, transaction: T, size: int = 0) -> list[tuple[T, Gone]]:
        """Let a transaction wait.

        Args:
            key: its id.
            transaction: the transaction.
            size: about how many bytes it holds.

        Returns:
            The transactions that had to leave, with the reason. The caller finishes them.
        """
        with self._lock:
            counters = self.counters
            counters.added += 1
            dropped = self._expire()
            if key in self._waiting:
                counters.replaced += 1
                dropped.append((self._pop(key), Gone.REPLACED))
            while self._waiting and (len(self._waiting) >= self.limit or counters.bytes + size > self.limit_bytes):
                oldest = next(iter(self._waiting))
                counters.evicted += 1
                dropped.append((self._pop(oldest), Gone.EVICTED))
                self._remember(oldest, Gone.EVICTED)
            self._waiting[key] = _Waiting(self._clock() + self.ttl, size, transaction)
            counters.bytes += size
            if self.register is not None:
                self.register.add(key)
            return dropped

    def take(self, key: str) -> tuple[T | None, Gone]:
        """Take a transaction out for good.

        Returns:
            The transaction and `Gone.ANSWERED`, or None and why it is not here. One whose time is over but which
            nothing has dropped yet is still given: its response is here, and that is what it waited for.
        """
        with self._lock:
            if key not in self._waiting:
                gone = self._why_gone(key)
                self.counters.missed += gone is not Gone.SKIPPED
                return None, gone
            self.counters.taken += 1
            self._remember(key, Gone.ANSWERED)
            if self.register is not None:
                self.register.remove(key)
            return self._pop(key), Gone.ANSWERED

    def remember(self, key: str, gone: Gone) -> None:
        """Note the end of a transaction that was never put here."""
        with self._lock:
            self._remember(key, gone)
            if self.register is not None:
                self.register.add(key)

    def expect(self, key: str) -> None:
        """A transaction of this id will be put here soon: what other processes get about it is for this one."""
        with self._lock:
            if self.register is not None:
                self.register.add(key)

    def knows(self, key: str) -> bool:
        """Whether a transaction of this id waits here, or has been here lately."""
        with self._lock:
            return key in self._waiting or self._why_gone(key) is not Gone.UNKNOWN

    def expire(self) -> list[tuple[T, Gone]]:
        """Drop what has waited too long; the caller finishes it. To be called now and then when no request comes."""
        with self._lock:
            return self._expire()

    def drain(self) -> list[tuple[T, Gone]]:
        """Drop everything, because the agent stops; the caller finishes it."""
        with self._lock:
            left = [(waiting.transaction, Gone.STOPPED) for waiting in self._waiting.values()]
            self._waiting.clear()
            self.counters.bytes = 0
            return left

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def elsewhere(self) -> int:
        """How many transactions of requests that came here may wait elsewhere (shared_store.py)."""
        return 0

    def _pop(self, key: str) -> T:
        waiting = self._waiting.pop(key)
        self.counters.bytes -= waiting.size
        return waiting.transaction

    def _expire(self) -> list[tuple[T, Gone]]:
        dropped: list[tuple[T, Gone]] = []
        now = self._clock()
        while self._waiting:
            key, waiting = next(iter(self._waiting.items()))
            if waiting.deadline > now:
                break
            self.counters.expired += 1
            dropped.append((self._pop(key), Gone.EXPIRED))
            self._remember(key, Gone.EXPIRED)
        return dropped

    def _why_gone(self, key: str) -> Gone:
        return self._gone.get(key) or (Gone.SKIPPED if key in self._skipped else Gone.UNKNOWN)

    def _remember(self, key: str, gone: Gone) -> None:
        if gone is Gone.SKIPPED:
            self._skipped.add(key)
            return
        if key not in self._gone:
            if len(self._gone_order) >= self._remembered:
                del self._gone[self._gone_order.popleft()]
            self._gone_order.append(key)
        self._gone[key] = gone


class _RecentIds:
    """The latest ids, as hashes in two sets: when the newer is full, the older is forgotten.

    Args:
        size: how many are remembered at least; twice as many at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def add(self, key: str) -> None:
        if len(self._newer) >= self._size:
            self._older, self._newer = self._newer, set()
        self._newer.add(hash(key))

    def __contains__(self, key: str) -> bool:
        number = hash(key)
        return number in self._newer or number in self._older
