"""Persistent collections in memory that processes share: no step is lost, no process can spoil it for the others."""

from __future__ import annotations

import fcntl
import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from tests.waf_engine.test_persistence import IP, Clock, StoreMachine, members
from waf_engine import WAF, shared_collections
from waf_engine.persistence import MAX_KEY, Partition, bounded_key
from waf_engine.shared_collections import BUCKET, MAX_WAIT, SharedMemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE_BUCKET = BUCKET


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[SharedMemoryStore]:
    made = SharedMemoryStore(max_bytes=ONE_BUCKET, clock=clock)
    yield made
    made.close()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for however long a busy machine lets their holder wait for a processor."""
    monkeypatch.setattr(shared_collections, "MAX_WAIT", 60.0)


def in_processes(count: int, work: Callable[[], None]) -> None:
    """Run a function in so many forked processes."""
    children = []
    for _ in range(count):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * count


@pytest.mark.usefixtures("patience")
def test_no_step_is_lost_between_processes(store: SharedMemoryStore):
    def count() -> None:
        ip = store.open(IP, 3600)
        for _ in range(500):
            store.add(ip, b"count", 1)

    in_processes(4, count)

    assert members(store) == {b"count": b"2000"}
    assert store.read(store.open(IP, 3600)).updates == 4


@pytest.mark.usefixtures("patience")
def test_rules_count_together_in_all_processes():
    rules = 'SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=+1"'
    store = SharedMemoryStore()
    waf = WAF.from_directives("SecRuleEngine On\n" + rules, executor="reference", store=Partition(store, "shop"))

    def ask() -> None:
        for _ in range(50):
            tx = waf.transaction()
            tx.process_connection("192.0.2.7", 1, "192.0.2.1", 80)
            tx.process_request_headers()

    in_processes(4, ask)

    assert members(store, IP._replace(namespace="shop/default")) == {b"n": b"200"}
    store.close()


def test_parts_do_not_see_each_other(store: SharedMemoryStore):
    shop, api = Partition(store, "shop"), Partition(store, "api")
    shop.set(shop.open(IP, 60), b"a", b"1")

    assert api.read(api.open(IP, 60)).members == ()
    assert shop.read(shop.open(IP, 60)).members == ((b"a", b"1"),)


def test_collections_are_apart_by_name_namespace_and_key(store: SharedMemoryStore):
    store.set(store.open(IP, 3600), b"a", b"1")
    for other in (IP._replace(name="SESSION"), IP._replace(namespace="x"), IP._replace(key=b"192.0.2.8")):
        assert members(store, other) == {}


def test_a_long_key_is_replaced_by_its_digest(store: SharedMemoryStore):
    long = b"s" * (MAX_KEY + 1)

    assert store.open(IP._replace(key=long), 1).key.key == bounded_key(long)


def test_the_one_changed_longest_ago_makes_room(store: SharedMemoryStore):
    keys = [IP._replace(key=b"%d" % number) for number in range(5)]
    for key in keys[:4]:
        store.set(store.open(key, 3600), b"a", b"x" * 1900)
    store.set(store.open(keys[0], 3600), b"b", b"1")
    store.set(store.open(keys[4], 3600), b"a", b"x" * 1900)

    assert store.evicted == 1
    assert [bool(members(store, key)) for key in keys] == [True, False, True, True, True]


def test_what_has_expired_makes_room_first(store: SharedMemoryStore, clock: Clock):
    keys = [IP._replace(key=b"%d" % number) for number in range(4)]
    store.set(store.open(keys[0], 3600), b"a", b"x" * 2500)
    store.set(store.open(keys[1], 10), b"a", b"x" * 2500)
    clock.now += 10
    for key in keys[2:]:
        store.set(store.open(key, 3600), b"a", b"x" * 2500)

    assert store.evicted == 0
    assert [bool(members(store, key)) for key in keys] == [True, False, True, True]


def test_a_change_that_does_not_fit_is_refused_and_counted(store: SharedMemoryStore):
    ip = store.open(IP, 3600)
    store.set(ip, b"a", b"1")
    store.set(ip, b"b", b"x" * BUCKET)

    assert store.refused == 1
    assert members(store) == {b"a": b"1"}


def test_a_process_that_died_while_it_wrote_costs_its_bucket_alone():
    store = SharedMemoryStore(max_bytes=64 * BUCKET)
    keys = [IP._replace(key=b"%d" % number) for number in range(200)]
    for key in keys:
        store.set(store.open(key, 3600), b"a", b"1")
    used = next(start for start in range(0, 64 * BUCKET, BUCKET) if any(store._memory[start : start + BUCKET]))
    store._memory[used + 20] ^= 1

    left = [key for key in keys if members(store, key)]
    assert store.damaged == 1
    assert 150 < len(left) < 200
    store.close()


def test_a_lock_ends_with_its_process(store: SharedMemoryStore):
    def die_with_the_lock() -> None:
        assert store._lock(0)

    in_processes(1, die_with_the_lock)
    store.set(store.open(IP, 3600), b"a", b"1")

    assert (members(store), store.busy) == ({b"a": b"1"}, 0)


def test_a_stopped_process_holds_nobody_up_for_long(store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch):
    slept = [0.0]  # the clock of those who wait; that of a busy machine says nothing
    clock = SimpleNamespace(monotonic=lambda: 1_000.0 + sum(slept), sleep=slept.append)
    monkeypatch.setattr(shared_collections, "time", clock)
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        fcntl.lockf(store._locks, fcntl.LOCK_EX, 1, 0)
        os.write(writable, b"x")
        signal.pause()
    os.read(readable, 1)
    try:
        assert members(store) == {}
        assert store.busy == 2  # open and read
        assert 2 * MAX_WAIT <= sum(slept) < 2.1 * MAX_WAIT
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(readable)
        os.close(writable)
    store.set(store.open(IP, 3600), b"a", b"1")
    assert members(store) == {b"a": b"1"}


def test_pages_nobody_wrote_take_no_memory():
    def resident() -> int:
        with open("/proc/self/statm") as file:  # noqa: PTH123  a file of the kernel's
            return int(file.read().split()[1]) * 4096

    before = resident()
    store = SharedMemoryStore()
    store.set(store.open(IP, 3600), b"a", b"1")

    assert resident() - before < 4_000_000
    store.close()


def test_there_is_room_for_a_bucket_at_least():
    with pytest.raises(ValueError, match="8192 bytes at least"):
        SharedMemoryStore(max_bytes=BUCKET - 1)


class SharedMachine(StoreMachine):
    """The same store as in test_persistence, by another class."""

    def __init__(self) -> None:
        super().__init__()
        self.store = SharedMemoryStore(max_bytes=ONE_BUCKET, clock=self.clock)

    def teardown(self) -> None:
        self.store.close()

    @invariant()
    def agrees(self) -> None:
        for key in list(self.model):
            assert dict(self.store.read(self._open(key)).members) == self.model[key]


SharedMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestShared = SharedMachine.TestCase
