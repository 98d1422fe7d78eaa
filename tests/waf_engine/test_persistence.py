"""Persistent collections: expiry, bounds, and counters that lose nothing between threads."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from waf_engine import MemoryStore
from waf_engine.counters import reckon
from waf_engine.persistence import MAX_KEY, CollectionKey, bounded_key

IP = CollectionKey("IP", "app", b"192.0.2.7")


class Clock:
    """A clock in the test's hand."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def members(store: MemoryStore, key: CollectionKey = IP) -> dict[bytes, bytes]:
    return dict(store.read(store.open(key, 3600)).members)


def test_a_collection_outlives_the_one_who_opened_it():
    store = MemoryStore()
    first = store.open(IP, 3600)
    store.set(first, b"blocked", b"1")
    second = store.open(IP, 3600)

    assert (first.is_new, second.is_new) == (True, False)
    assert members(store) == {b"blocked": b"1"}


@pytest.mark.parametrize(
    "other",
    [IP._replace(name="SESSION"), IP._replace(namespace="other"), IP._replace(key=b"192.0.2.8")],
    ids=["name", "namespace", "key"],
)
def test_collections_are_apart_by_name_namespace_and_key(other: CollectionKey):
    store = MemoryStore()
    store.set(store.open(IP, 3600), b"a", b"1")

    assert members(store, other) == {}


def test_a_member_is_gone_when_its_seconds_have_passed():
    clock = Clock()
    store = MemoryStore(clock=clock)
    ip = store.open(IP, 3600)
    store.set(ip, b"flag", b"1")
    store.set(ip, b"stays", b"1")
    store.expire(ip, b"flag", 60)
    clock.now += 59.9

    assert members(store) == {b"flag": b"1", b"stays": b"1"}
    clock.now += 0.1
    assert members(store) == {b"stays": b"1"}


def test_a_step_does_not_move_the_expiry():
    clock = Clock()
    store = MemoryStore(clock=clock)
    ip = store.open(IP, 3600)
    store.add(ip, b"count", 1)
    store.expire(ip, b"count", 60)
    clock.now += 59
    store.add(ip, b"count", 1)

    assert members(store) == {b"count": b"2"}
    clock.now += 1
    assert members(store) == {}


def test_expirevar_may_come_before_setvar():
    clock = Clock()
    store = MemoryStore(clock=clock)
    ip = store.open(IP, 3600)
    store.expire(ip, b"flag", 60)
    store.set(ip, b"flag", b"1")

    assert members(store) == {b"flag": b"1"}
    clock.now += 60
    assert members(store) == {}


def test_a_removed_member_loses_its_expiry_too():
    clock = Clock()
    store = MemoryStore(clock=clock)
    ip = store.open(IP, 3600)
    store.set(ip, b"flag", b"1")
    store.expire(ip, b"flag", 60)
    store.remove(ip, b"flag")
    store.remove(ip, b"never was")
    store.set(ip, b"flag", b"2")
    clock.now += 61

    assert members(store) == {b"flag": b"2"}


def test_a_collection_expires_after_its_last_change_not_its_last_use():
    clock = Clock()
    store = MemoryStore(clock=clock)
    store.set(store.open(IP, 100), b"a", b"1")
    clock.now += 60
    store.add(store.open(IP, 100), b"a", 1)
    clock.now += 99
    assert members(store) == {b"a": b"2"}
    clock.now += 1

    assert store.open(IP, 100).is_new
    assert members(store) == {}


def test_the_member_timeout_is_the_collections_own_timeout():
    clock = Clock()
    store = MemoryStore(clock=clock)
    ip = store.open(IP, 3600)
    store.set(ip, b"timeout", b"10")
    assert store.read(ip).timeout == 10
    store.set(ip, b"timeout", b"soon")  # no number: it stays at 10
    clock.now += 10

    assert store.open(IP, 3600).is_new


def test_what_expired_while_it_was_open_is_made_again():
    clock = Clock()
    store = MemoryStore(clock=clock)
    ip = store.open(IP, 10)
    store.set(ip, b"a", b"1")
    clock.now += 11
    store.add(ip, b"b", 1)

    assert members(store) == {b"b": b"1"}


def test_updates_counts_transactions_not_changes():
    store = MemoryStore()
    first, second = store.open(IP, 3600), store.open(IP, 3600)
    store.set(first, b"a", b"1")
    store.add(first, b"a", 1)
    store.expire(first, b"a", 9)
    store.add(second, b"a", 1)

    assert store.read(first).updates == 2


def test_beyond_the_number_of_collections_the_least_recently_used_goes():
    store = MemoryStore(max_collections=2)
    one, two, three = (IP._replace(key=key) for key in (b"1", b"2", b"3"))
    for key in (one, two):
        store.set(store.open(key, 3600), b"a", b"1")
    store.read(store.open(one, 3600))
    store.open(three, 3600)

    assert (len(store), store.evicted) == (2, 1)
    assert not store.open(one, 3600).is_new
    assert store.open(two, 3600).is_new


def test_beyond_the_bytes_the_least_recently_used_go():
    store = MemoryStore(max_bytes=20_000, max_collection_bytes=15_000)
    for number in range(5):
        store.set(store.open(IP._replace(key=b"%d" % number), 3600), b"a", b"x" * 5_000)

    assert store.size <= 20_000
    assert (len(store), store.evicted) == (3, 2)


def test_the_collection_in_use_stays_even_where_it_alone_is_too_much():
    store = MemoryStore(max_bytes=100)
    store.set(store.open(IP, 3600), b"a", b"1")

    assert members(store) == {b"a": b"1"}


def test_a_change_that_does_not_fit_its_collection_is_refused_and_counted():
    store = MemoryStore(max_collection_bytes=2_000)
    ip = store.open(IP, 3600)
    for number in range(100):
        store.set(ip, b"member-%d" % number, b"1")
    kept = len(members(store))
    store.expire(ip, b"another", 60)
    store.set(ip, b"member-0", b"22")  # grows by one byte: that fits

    assert 0 < kept < 100
    assert store.refused == 100 - kept + 1
    assert members(store)[b"member-0"] == b"22"


def test_expired_collections_make_room_without_being_asked_for():
    clock = Clock()
    store = MemoryStore(clock=clock)
    for number in range(100):
        store.open(IP._replace(key=b"%d" % number), 10)
    clock.now += 10
    for number in range(60):
        store.open(IP._replace(key=b"new %d" % number), 10)

    assert (len(store), store.evicted) == (60, 0)


def test_a_long_key_is_replaced_by_its_digest():
    long = b"s" * (MAX_KEY + 1)

    assert bounded_key(b"s" * MAX_KEY) == b"s" * MAX_KEY
    assert bounded_key(long) == hashlib.sha256(long).hexdigest().encode()
    assert MemoryStore().open(IP._replace(key=long), 1).key.key == bounded_key(long)


@pytest.mark.parametrize("bound", ["max_collections", "max_bytes", "max_collection_bytes"])
def test_bounds_are_positive(bound: str):
    with pytest.raises(ValueError, match="positive"):
        MemoryStore(**{bound: 0})


def test_no_step_is_lost_between_threads():
    store = MemoryStore()

    def count(_: int) -> None:
        ip = store.open(IP, 3600)
        for _ in range(200):
            store.add(ip, b"count", 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))

    assert members(store) == {b"count": b"1600"}
    assert store.read(store.open(IP, 3600)).updates == 8


class StoreMachine(RuleBasedStateMachine):
    """A store beside a plain dictionary of (value, end), with time going on."""

    TIMEOUT = 50
    keys = st.sampled_from([IP._replace(key=key) for key in (b"a", b"b")])
    names = st.sampled_from([b"x", b"y"])

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = MemoryStore(clock=self.clock)
        self.model: dict[CollectionKey, dict[bytes, bytes]] = {}
        self.ends: dict[tuple[CollectionKey, bytes], float] = {}
        self.changed: dict[CollectionKey, float] = {}

    def _tidy(self) -> None:
        for key in [k for k, at in self.changed.items() if self.clock.now >= at + self.TIMEOUT]:
            del self.model[key], self.changed[key]
            self.ends = {place: end for place, end in self.ends.items() if place[0] != key}
        for place in [place for place, end in self.ends.items() if self.clock.now >= end]:
            del self.ends[place]
            self.model[place[0]].pop(place[1], None)

    def _open(self, key: CollectionKey):
        self.changed.setdefault(key, self.clock.now)
        self.model.setdefault(key, {})
        return self.store.open(key, self.TIMEOUT)

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds
        self._tidy()

    @rule(key=keys, name=names, value=st.binary(max_size=3))
    def set(self, key: CollectionKey, name: bytes, value: bytes) -> None:
        self.store.set(self._open(key), name, value)
        self.model[key][name], self.changed[key] = value, self.clock.now

    @rule(key=keys, name=names, step=st.integers(-9, 9))
    def add(self, key: CollectionKey, name: bytes, step: int) -> None:
        self.store.add(self._open(key), name, step)
        values = self.model[key]
        values[name], self.changed[key] = reckon(values.get(name, b""), step), self.clock.now

    @rule(key=keys, name=names)
    def remove(self, key: CollectionKey, name: bytes) -> None:
        self.store.remove(self._open(key), name)
        if self.model[key].pop(name, None) is not None or (key, name) in self.ends:
            self.changed[key] = self.clock.now
        self.ends.pop((key, name), None)

    @rule(key=keys, name=names, seconds=st.integers(1, 60))
    def expire(self, key: CollectionKey, name: bytes, seconds: int) -> None:
        self.store.expire(self._open(key), name, seconds)
        self.ends[key, name], self.changed[key] = self.clock.now + seconds, self.clock.now

    @invariant()
    def agrees(self) -> None:
        for key in list(self.model):
            assert dict(self.store.read(self._open(key)).members) == self.model[key]
        assert self.store.size == sum(record.cost for record in self.store._records.values())


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestStore = StoreMachine.TestCase
