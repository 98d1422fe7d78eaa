"""Persistent collections: what IP, SESSION, USER, GLOBAL and RESOURCE remember from one transaction to the next.

One small interface, `CollectionStore`, and the store that keeps everything in memory. The rule language's side
(initcol, setvar, expirevar, the variables) is in actions/ and variables/; nothing here knows a rule. Source:
engine.md 1.11, ModSecurity's reference manual ("Persistent Storage").
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from waf_engine.counters import integer, reckon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from waf_engine.types import Entry

COLLECTIONS = ("IP", "SESSION", "USER", "GLOBAL", "RESOURCE")
"""The persistent collections of the rule language."""

MAX_KEY = 256
"""Bytes of a collection's key; a longer one (a client chooses session ids) is replaced by its digest."""

_COLLECTION_COST = 600
_MEMBER_COST = 150
"""Bytes of memory that a collection and a member take beside their text, measured on CPython 3.11."""


class CollectionKey(NamedTuple):
    """Which collection: its name (``IP``), the name space (SecWebAppId), and the key that initcol gave."""

    name: str
    namespace: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A collection at one moment.

    Attributes:
        members: (member in lower case, value), in the order in which they were made; none has expired.
        created: when the collection was made, in seconds since 1970.
        updated: when a member was last changed.
        updates: how many transactions changed it.
        timeout: seconds after the last change until the whole collection expires.
    """

    members: tuple[Entry, ...]
    created: float
    updated: float
    updates: int
    timeout: int


@dataclass(slots=True)
class OpenCollection:
    """A collection as one transaction has it open.

    Attributes:
        key: which one.
        timeout: seconds after its last change until it expires.
        is_new: whether opening it made it.
        changed: whether this transaction's first change was counted in `Snapshot.updates`; the store's own note.
        view: what a store remembers of it; the store's own, too, and no other process's.
    """

    key: CollectionKey
    timeout: int
    is_new: bool
    changed: bool = False
    view: Any = None


class CollectionStore(Protocol):
    """Where persistent collections live. Several WAFs may share one.

    Every method is atomic and may be called from any thread. A collection that expired or was evicted while a
    transaction had it open is made again, empty.
    """

    def open(self, key: CollectionKey, timeout: int) -> OpenCollection:
        """Open a collection, made if it does not exist; the timeout is in seconds after its last change."""
        ...

    def read(self, collection: OpenCollection) -> Snapshot:
        """Everything in it now, other transactions' changes included."""
        ...

    def set(self, collection: OpenCollection, member: bytes, value: bytes) -> None:
        """Set a member; its expiry, if it has one, stays."""
        ...

    def add(self, collection: OpenCollection, member: bytes, step: int) -> None:
        """Add to a counter in the store itself, so that no concurrent step is lost; see `reckon`."""
        ...

    def remove(self, collection: OpenCollection, member: bytes) -> None:
        """Remove a member and its expiry."""
        ...

    def expire(self, collection: OpenCollection, member: bytes, seconds: int) -> None:
        """Remove a member when so many seconds have passed; it need not exist yet."""
        ...

    def flush(self, collections: Iterable[OpenCollection]) -> None:
        """A phase has ended: what the store has put off for these collections is to be done."""
        ...


def bounded_key(key: bytes) -> bytes:
    """The key, or its SHA-256 in hex if it is longer than `MAX_KEY` bytes."""
    return key if len(key) <= MAX_KEY else hashlib.sha256(key).hexdigest().encode()


@dataclass(slots=True)
class _Record:
    """A collection in memory.

    Attributes:
        values: member: value.
        expiry: member: time after which it is gone; members that do not exist yet, too.
        cost: bytes that it is reckoned to take.
    """

    created: float
    updated: float
    timeout: int
    cost: int
    updates: int = 0
    values: dict[bytes, bytes] = field(default_factory=dict)
    expiry: dict[bytes, float] = field(default_factory=dict)

    def expired(self, now: float) -> bool:
        return now >= self.updated + self.timeout

    def drop_expired(self, now: float) -> int:
        """Remove the members whose time is over; gives the bytes that became free."""
        freed = 0
        for member in [member for member, end in self.expiry.items() if now >= end]:
            freed += self.drop(member)
        return freed

    def drop(self, member: bytes) -> int:
        freed = 0
        if self.expiry.pop(member, None) is not None:
            freed += _MEMBER_COST + len(member)
        value = self.values.pop(member, None)
        if value is not None:
            freed += _MEMBER_COST + len(member) + len(value)
        self.cost -= freed
        return freed


class MemoryStore:
    """Persistent collections in this process's memory.

    It is bounded: beyond `max_collections` or `max_bytes` the collections that were not used for longest make
    room. What has expired is never seen; its memory comes back when the collection is used, or when it has
    become one of the oldest and another is opened.

    Attributes:
        evicted: collections that had to go before their time.
        refused: changes that did not fit into their collection.
    """

    def __init__(
        self,
        *,
        max_collections: int = 65_536,
        max_bytes: int = 64 * 1024 * 1024,
        max_collection_bytes: int = 64 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make an empty store.

        Args:
            max_collections: collections at most; one takes about 1 kB, and a botnet brings a new address a request.
            max_bytes: memory at most, keys, members and an estimate of Python's own share together.
            max_collection_bytes: the same for one collection: rules may name members after what a client sent.
            clock: the time in seconds.

        Raises:
            ValueError: a bound is not positive.
        """
        if min(max_collections, max_bytes, max_collection_bytes) < 1:
            raise ValueError("the bounds of a store are positive numbers")
        self.evicted = 0
        self.refused = 0
        self._max_collections = max_collections
        self._max_bytes = max_bytes
        self._max_collection_bytes = max_collection_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[CollectionKey, _Record] = OrderedDict()  # least recently used first
        self._bytes = 0

    def __len__(self) -> int:
        """The number of collections held, expired ones that were not met yet included."""
        return len(self._records)

    @property
    def size(self) -> int:
        """Bytes that the collections are reckoned to take."""
        return self._bytes

    def open(self, key: CollectionKey, timeout: int) -> OpenCollection:
        """Open a collection, made if it does not exist; the timeout is in seconds after its last change."""
        collection = OpenCollection(key._replace(key=bounded_key(key.key)), timeout, is_new=False)
        with self._lock:
            now = self._clock()
            self._drop_oldest_expired(now)
            collection.is_new = collection.key not in self._records or self._records[collection.key].expired(now)
            self._record(collection, now)
        return collection

    def read(self, collection: OpenCollection) -> Snapshot:
        """Everything in it now, other transactions' changes included."""
        with self._lock:
            record = self._record(collection, self._clock())
            members = tuple(record.values.items())
            return Snapshot(members, record.created, record.updated, record.updates, record.timeout)

    def set(self, collection: OpenCollection, member: bytes, value: bytes) -> None:
        """Set a member; its expiry, if it has one, stays. The member ``timeout`` is the collection's own timeout."""
        with self._lock:
            self._write(collection, member, lambda _: value)

    def add(self, collection: OpenCollection, member: bytes, step: int) -> None:
        """Add to a counter, so that no concurrent step is lost; see `reckon`."""
        with self._lock:
            self._write(collection, member, lambda current: reckon(current, step))

    def remove(self, collection: OpenCollection, member: bytes) -> None:
        """Remove a member and its expiry."""
        with self._lock:
            now = self._clock()
            record = self._record(collection, now)
            freed = record.drop(member)
            if freed:
                self._bytes -= freed
                _touch(record, collection, now)

    def expire(self, collection: OpenCollection, member: bytes, seconds: int) -> None:
        """Remove a member when so many seconds have passed; it need not exist yet."""
        with self._lock:
            now = self._clock()
            record = self._record(collection, now)
            growth = 0 if member in record.expiry else _MEMBER_COST + len(member)
            if self._fits(collection, record, growth):
                record.expiry[member] = now + seconds
                _touch(record, collection, now)

    def flush(self, collections: Iterable[OpenCollection]) -> None:
        """Nothing is put off here."""

    # What follows needs the lock.

    def _write(self, collection: OpenCollection, member: bytes, change: Callable[[bytes], bytes]) -> None:
        now = self._clock()
        record = self._record(collection, now)
        current = record.values.get(member)
        value = change(current or b"")
        growth = len(value) - len(current) if current is not None else _MEMBER_COST + len(member) + len(value)
        if not self._fits(collection, record, growth):
            return
        record.values[member] = value
        if member == b"timeout" and (seconds := integer(value)):
            record.timeout = max(1, seconds)
        _touch(record, collection, now)

    def _record(self, collection: OpenCollection, now: float) -> _Record:
        """The record without its expired members, made if need be; it becomes the most recently used."""
        key = collection.key
        record = self._records.get(key)
        if record is not None and record.expired(now):
            self._forget(key)
            record = None
        if record is not None:
            self._records.move_to_end(key)
            self._bytes -= record.drop_expired(now)
            return record
        cost = _COLLECTION_COST + len(key.key) + len(key.namespace)
        record = self._records[key] = _Record(now, now, collection.timeout, cost)
        self._bytes += cost
        self._make_room(key)
        return record

    def _forget(self, key: CollectionKey) -> None:
        self._bytes -= self._records.pop(key).cost

    def _drop_oldest_expired(self, now: float) -> None:
        """Let go of two expired collections at the old end: more than come in, so expired ones do not pile up."""
        for _ in range(2):
            oldest = next(iter(self._records), None)
            if oldest is None or not self._records[oldest].expired(now):
                return
            self._forget(oldest)

    def _make_room(self, wanted: CollectionKey) -> None:
        """Evict the least recently used collections, but not the one in use, until the bounds hold."""
        while len(self._records) > self._max_collections or self._bytes > self._max_bytes:
            oldest = next(iter(self._records))
            if oldest == wanted:
                return
            self._forget(oldest)
            self.evicted += 1

    def _fits(self, collection: OpenCollection, record: _Record, growth: int) -> bool:
        """Account for a change of size; False, and counted, where the collection would become too large."""
        if growth > 0 and record.cost + growth > self._max_collection_bytes:
            self.refused += 1
            return False
        record.cost += growth
        self._bytes += growth
        self._make_room(collection.key)
        return True


def _touch(record: _Record, collection: OpenCollection, now: float) -> None:
    record.updated = now
    if not collection.changed:
        collection.changed = True
        record.updates += 1


class Partition:
    """A part of a store for one rule set, so that rule sets that know nothing of each other may share the store.

    Args:
        store: the store.
        label: what tells this part from others; the same in all processes and on all machines that are to share it.
    """

    def __init__(self, store: CollectionStore, label: str) -> None:
        self._store, self._label = store, label
        self.read, self.set, self.add = store.read, store.set, store.add
        self.remove, self.expire, self.flush = store.remove, store.expire, store.flush

    def open(self, key: CollectionKey, timeout: int) -> OpenCollection:
        """Open a collection of this part."""
        return self._store.open(key._replace(namespace=f"{self._label}/{key.namespace}"), timeout)
