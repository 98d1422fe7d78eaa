"""Persistent collections that all processes of one machine share: a `CollectionStore` in memory that is mapped once.

Here: the table and its locks. It needs no server: the store is made before processes are forked, and each of them has
it afterwards. Not here: what a collection is (persistence.py), other machines (adapters/redis_collections.py).

The memory is a row of buckets. A collection belongs to one of them by a keyed hash, and a bucket holds its
collections as one MessagePack text, those changed last at its end. To read or change one, its bucket is locked, read,
changed and written as a whole; where it is full, the collections at its front go first. Pages that nobody wrote take
no memory.

A lock is a record lock on a byte of an anonymous file, so it ends with the process that holds it, however that ends;
what such a process left half written is found by its check sum, and the bucket begins anew. A process that is stopped
while it holds a lock holds up the others for `MAX_WAIT` seconds at most: then a reader sees nothing, and a change is
lost and counted.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgpack

from waf_engine.counters import integer, reckon
from waf_engine.persistence import CollectionKey, OpenCollection, Snapshot, bounded_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEFAULT_BYTES: Final = 64 * 1024 * 1024
BUCKET: Final = 8 * 1024
"""Bytes of a bucket, and so of the largest collection. A usual one takes 150."""
HEAD: Final = 8
MAX_WAIT: Final = 0.1
"""Seconds; a lock is held for 10 microseconds, but on a busy machine its holder may have to wait for a processor."""
_PAUSE: Final = 0.00005

_CREATED, _UPDATED, _UPDATES, _TIMEOUT, _VALUES, _EXPIRY = range(6)
_Record = list[Any]
_Bucket = dict[bytes, _Record]


class SharedMemoryStore:
    """Persistent collections in memory that forked processes share.

    Every change is atomic, between processes and between threads. Each process counts what happens in it.

    Attributes:
        evicted: collections that had to go before their time.
        refused: changes that did not fit into their collection.
        busy: reads and changes that were given up because a bucket stayed locked.
        damaged: buckets that began anew because a process died while it wrote.
    """

    def __init__(self, *, max_bytes: int = DEFAULT_BYTES, clock: Callable[[], float] = time.time) -> None:
        """Make an empty store, to be shared with all processes that are forked afterwards.

        Args:
            max_bytes: memory at most; a multiple of 8 KiB is used.
            clock: the time in seconds.

        Raises:
            ValueError: there is no room for a single bucket.
        """
        self._buckets = max_bytes // BUCKET
        if self._buckets < 1:
            raise ValueError(f"a store has {BUCKET} bytes at least, not {max_bytes}")
        self.evicted = self.refused = self.busy = self.damaged = 0
        self._clock = clock
        self._seed = os.urandom(16)  # or clients could choose keys that fall into one bucket
        self._memory = mmap.mmap(-1, self._buckets * BUCKET)
        self._locks = os.memfd_create("collections", os.MFD_CLOEXEC)
        self._thread_lock = threading.Lock()  # a record lock is the process's

    def open(self, key: CollectionKey, timeout: int) -> OpenCollection:
        """Open a collection, made if it does not exist; the timeout is in seconds after its last change."""
        collection = OpenCollection(key._replace(key=bounded_key(key.key)), timeout, is_new=False)

        def look(record: _Record) -> bool:
            collection.is_new = not record[_CREATED]
            return collection.is_new

        self._change(collection, look)
        return collection

    def read(self, collection: OpenCollection) -> Snapshot:
        """Everything in it now, other transactions' and processes' changes included."""
        found: list[Snapshot] = []
        now = self._clock()

        def look(record: _Record) -> bool:
            created, updated = record[_CREATED] or now, record[_UPDATED] or now
            members = tuple(record[_VALUES].items())
            found.append(Snapshot(members, created, updated, record[_UPDATES], record[_TIMEOUT]))
            return False

        self._change(collection, look)
        return found[0] if found else Snapshot((), now, now, 0, collection.timeout)

    def set(self, collection: OpenCollection, member: bytes, value: bytes) -> None:
        """Set a member; its expiry, if it has one, stays. The member ``timeout`` is the collection's own timeout."""

        def change(record: _Record) -> bool:
            record[_VALUES][member] = value
            if member == b"timeout" and (seconds := integer(value)):
                record[_TIMEOUT] = max(1, seconds)
            return _touched(record, collection, self._clock())

        self._change(collection, change)

    def add(self, collection: OpenCollection, member: bytes, step: int) -> None:
        """Add to a counter, so that no concurrent step of any process is lost; see `reckon`."""

        def change(record: _Record) -> bool:
            record[_VALUES][member] = reckon(record[_VALUES].get(member, b""), step)
            return _touched(record, collection, self._clock())

        self._change(collection, change)

    def remove(self, collection: OpenCollection, member: bytes) -> None:
        """Remove a member and its expiry."""

        def change(record: _Record) -> bool:
            expiry, value = record[_EXPIRY].pop(member, None), record[_VALUES].pop(member, None)
            return (expiry is not None or value is not None) and _touched(record, collection, self._clock())

        self._change(collection, change)

    def expire(self, collection: OpenCollection, member: bytes, seconds: int) -> None:
        """Remove a member when so many seconds have passed; it need not exist yet."""

        def change(record: _Record) -> bool:
            record[_EXPIRY][member] = self._clock() + seconds
            return _touched(record, collection, self._clock())

        self._change(collection, change)

    def flush(self, collections: Iterable[OpenCollection]) -> None:
        """Nothing is put off here."""

    def close(self) -> None:
        """Let go of the memory, as far as this process is concerned."""
        self._memory.close()
        os.close(self._locks)

    def _change(self, collection: OpenCollection, change: Callable[[_Record], bool]) -> None:
        """Run a function on a collection's record, its expired members left out; what it changes is written.

        A record that is new to the table has `_CREATED` 0 until it is written.
        """
        name = _name(collection.key)
        digest = hashlib.blake2b(name, digest_size=8, key=self._seed).digest()
        number = int.from_bytes(digest, "little") % self._buckets
        with self._thread_lock:
            if not self._lock(number):
                self.busy += 1
                return
            try:
                now = self._clock()
                bucket = self._load(number)
                record = bucket.pop(name, None)
                if record is None or now >= record[_UPDATED] + record[_TIMEOUT]:
                    record = [0.0, 0.0, 0, collection.timeout, {}, {}]
                _drop_expired(record, now)
                if change(record):
                    if not record[_CREATED]:
                        record[_CREATED] = record[_UPDATED] = now
                    bucket[name] = record
                    self._save(number, bucket, name, now)
            finally:
                fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, number)

    def _lock(self, number: int) -> bool:
        deadline = 0.0
        while True:
            try:
                fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
            else:
                return True
            now = time.monotonic()
            deadline = deadline or now + MAX_WAIT
            if now > deadline:
                return False
            time.sleep(_PAUSE)

    def _load(self, number: int) -> _Bucket:
        start = number * BUCKET
        head = self._memory[start : start + HEAD]
        size = int.from_bytes(head[:4], "little")
        if not size:
            return {}
        data = self._memory[start + HEAD : start + HEAD + size]
        if size > BUCKET - HEAD or zlib.crc32(data) != int.from_bytes(head[4:], "little"):
            self.damaged += 1
            return {}
        bucket: _Bucket = msgpack.unpackb(data, strict_map_key=False)
        return bucket

    def _save(self, number: int, bucket: _Bucket, wanted: bytes, now: float) -> None:
        """Write a bucket; where it is full, what has expired and what was changed longest ago makes room."""
        data = msgpack.packb(bucket)
        if len(data) > BUCKET - HEAD:
            for name in [name for name, record in bucket.items() if now >= record[_UPDATED] + record[_TIMEOUT]]:
                del bucket[name]
            data = msgpack.packb(bucket)
        while len(data) > BUCKET - HEAD:
            oldest = next(iter(bucket))
            if oldest == wanted:  # alone, and too large
                self.refused += 1
                return
            del bucket[oldest]
            self.evicted += 1
            data = msgpack.packb(bucket)
        start = number * BUCKET
        head = len(data).to_bytes(4, "little") + zlib.crc32(data).to_bytes(4, "little")
        self._memory[start : start + HEAD + len(data)] = head + data


def _name(key: CollectionKey) -> bytes:
    """A collection's key as one text; only its last part may hold anything."""
    namespace = key.namespace.encode("utf-8", "surrogatepass")
    return b"%b:%d:%b%b" % (key.name.encode(), len(namespace), namespace, key.key)


def _touched(record: _Record, collection: OpenCollection, now: float) -> bool:
    record[_CREATED] = record[_CREATED] or now
    record[_UPDATED] = now
    if not collection.changed:
        collection.changed = True
        record[_UPDATES] += 1
    return True


def _drop_expired(record: _Record, now: float) -> None:
    for member in [member for member, end in record[_EXPIRY].items() if now >= end]:
        del record[_EXPIRY][member]
        record[_VALUES].pop(member, None)
