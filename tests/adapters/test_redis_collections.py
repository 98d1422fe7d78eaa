"""Persistent collections on a real redis-server: what machines share, what happens when it is gone."""

from __future__ import annotations

import logging
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from adapters import redis_collections
from adapters.config_model import SharedConfig
from adapters.redis_collections import MAX_MEMBERS, MAX_TEXT, RedisCollections
from tests.adapters.redis_server import PASSWORD, RedisServer, Told
from tests.adapters.workers.stand import until
from tests.waf_engine.test_persistence import IP, Clock, StoreMachine
from tests.waf_engine.test_shared_collections import in_processes
from waf_engine import WAF, MemoryStore
from waf_engine.diagnostics import Span
from waf_engine.persistence import CollectionKey, OpenCollection, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

COUNTING = 'SecRuleEngine On\nSecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=+1"'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    yield made
    made.end()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(server: RedisServer, clock: Clock) -> Callable[..., RedisCollections]:
    server.client().flushall()

    def store(url: str = "", timeout: float = 30.0, **options: Any) -> RedisCollections:
        config = SharedConfig(url or server.url, timeout, "t:", Span("", 1))
        return RedisCollections(config, MemoryStore(clock=clock), clock=clock, **options)

    return store


def members(store: RedisCollections, key: CollectionKey = IP) -> dict[bytes, bytes]:
    return dict(store.read(store.open(key, 3600)).members)


def change(store: RedisCollections, *changes: tuple[Any, ...], key: CollectionKey = IP) -> OpenCollection:
    """What one transaction does to a collection."""
    collection = store.open(key, 3600)
    for what, *arguments in changes:
        getattr(store, what)(collection, *arguments)
    store.flush([collection])
    return collection


def test_another_machine_sees_what_was_done(make: Callable[..., RedisCollections], clock: Clock):
    here, there = make(), make()
    change(here, ("set", b"a", b"x"), ("add", b"n", 5), ("expire", b"a", 60), ("add", b"n", -2))

    assert members(there) == {b"a": b"x", b"n": b"3"}
    assert not there.open(IP, 3600).is_new
    clock.now += 60
    assert members(there) == {b"n": b"3"}


def test_no_step_is_lost_between_processes(make: Callable[..., RedisCollections]):
    store = make()

    def count() -> None:
        for _ in range(500):
            change(store, ("add", b"count", 1))

    in_processes(4, count)

    assert members(store) == {b"count": b"2000"}
    assert store.read(store.open(IP, 3600)).updates == 2000


def test_one_question_loads_and_one_stores(make: Callable[..., RedisCollections], server: RedisServer):
    store = make()
    change(store, ("add", b"n", 1))  # from now on the server has the script
    before = int(server.client().info("stats")["total_commands_processed"])
    reads = int(server.client().info("stats")["total_net_input_bytes"])
    ip, session = store.open(IP, 60), store.open(IP._replace(name="SESSION"), 60)
    for collection in (ip, session):
        store.add(collection, b"n", 1)
        store.expire(collection, b"n", 60)
        assert store.read(collection).members
    store.flush([ip, session])

    assert (store.counters.loaded, store.counters.stored) == (3, 2)
    assert int(server.client().info("stats")["total_commands_processed"]) > before
    assert int(server.client().info("stats")["total_net_input_bytes"]) - reads < 2_000  # not the script again


def test_it_expires_on_the_server_too(make: Callable[..., RedisCollections], server: RedisServer):
    change(make(), ("set", b"timeout", b"1000"))

    (key,) = server.client().keys("*")
    assert key == b"t:col:IP:3:app192.0.2.7"
    assert 900_000 < server.client().pttl(key) <= 1_001_000


def test_what_does_not_fit_is_refused_and_counted(make: Callable[..., RedisCollections]):
    store = make()
    change(store, ("set", b"big", b"x" * MAX_TEXT))
    change(store, *(("set", b"%d" % number, b"1") for number in range(MAX_MEMBERS + 50)))

    assert store.counters.refused > 50
    assert MAX_MEMBERS - 10 < len(members(store)) <= MAX_MEMBERS


@pytest.mark.parametrize("value", [b"", b"5", b"-3", b"+4", b"007", b"-0", b"text", b"1.5", b"9" * 18, b"9" * 19])
def test_the_server_reckons_as_the_memory_does(make: Callable[..., RedisCollections], value: bytes):
    store, memory = make(), MemoryStore()
    change(store, ("set", b"n", value), ("add", b"n", 7))
    expected = memory.open(IP, 60)
    memory.set(expected, b"n", value)
    memory.add(expected, b"n", 7)

    assert members(store) == dict(memory.read(expected).members)


def test_a_view_is_loaded_anew_after_a_while(make: Callable[..., RedisCollections], monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr(
        redis_collections, "time", SimpleNamespace(monotonic=lambda: now[0], perf_counter=time.perf_counter)
    )
    here, there = make(), make()
    collection = change(here, ("add", b"n", 1))
    change(there, ("add", b"n", 1))
    now[0] += redis_collections.FRESH_SECONDS
    assert dict(here.read(collection).members) == {b"n": b"1"}
    now[0] += 0.1

    assert dict(here.read(collection).members) == {b"n": b"2"}


def test_a_collection_of_a_transaction_that_moved_is_loaded(make: Callable[..., RedisCollections]):
    store = make()
    opened = change(store, ("add", b"n", 1))
    moved = OpenCollection(opened.key, opened.timeout, opened.is_new, opened.changed)
    store.add(moved, b"n", 1)
    store.flush([moved])

    assert members(store) == {b"n": b"2"}
    assert store.read(moved).updates == 1  # it is the same transaction


def test_rules_count_over_machines(make: Callable[..., RedisCollections]):
    wafs = [WAF.from_directives(COUNTING, executor="reference", store=make()) for _ in range(2)]
    for waf in wafs * 5:
        tx = waf.transaction()
        tx.process_connection("192.0.2.7", 1, "192.0.2.1", 80)
        tx.process_request_headers()
        tx.process_logging()

    assert members(make(), IP._replace(namespace="default")) == {b"n": b"10"}


# -- the server is gone ------------------------------------------------------------------------------------------------


TIMEOUT = 2.0
"""Of the tests in which it is waited for: what a busy machine does to a server that works takes less."""


def test_a_hung_server_costs_one_time_out(
    make: Callable[..., RedisCollections], server: RedisServer, caplog: pytest.LogCaptureFixture
):
    store = make(timeout=TIMEOUT, logger=logging.getLogger("test"))
    change(store, ("add", b"n", 1))
    store.observer = told = Told()
    with caplog.at_level(logging.INFO, "test"):
        server.hang()
        for _ in range(100):
            change(store, ("add", b"n", 1))
        mine = members(store)
        server.go_on()
        until(lambda: len(caplog.records) == 2)  # it is reachable, and that has been said

    assert told.results[0] == "timeout"
    assert set(told.results[1:]) == {"refused"}  # which asks nobody
    assert mine == {b"n": b"100"}  # this machine's own
    assert store.reachable
    assert members(store) == {b"n": b"1"}
    assert store.counters.opened == 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_changes_that_were_not_stored_are_counted(make: Callable[..., RedisCollections], server: RedisServer):
    store = make(timeout=TIMEOUT)
    collection = store.open(IP, 60)
    store.add(collection, b"n", 1)
    server.hang()
    store.flush([collection])
    server.go_on()

    assert store.counters.lost == 3  # it was opened, added to, and changed for the first time
    until(lambda: store.reachable)


def test_a_server_that_was_started_again_knows_no_script(make: Callable[..., RedisCollections], server: RedisServer):
    store = make()
    change(store, ("add", b"n", 1))
    server.end()
    server.start()
    change(store, ("add", b"n", 1))  # the client sees that its connection has ended, and makes another
    change(store, ("add", b"n", 1))

    assert (members(store), store.counters.lost) == ({b"n": b"2"}, 0)


def test_no_server_at_all(make: Callable[..., RedisCollections]):
    store = make("redis://127.0.0.1:1/0")
    change(store, ("add", b"n", 1))
    change(store, ("add", b"n", 1))

    assert members(store) == {b"n": b"2"}


def test_a_password_is_never_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    server = RedisServer(tmp_path, "--requirepass", "another")
    from urllib.parse import quote  # noqa: PLC0415

    url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/0"
    store = RedisCollections(SharedConfig(url, 30.0, "t:", Span("", 1)), MemoryStore(), logging.getLogger("test"))
    store.open(IP, 60)
    server.end()

    assert "does not answer" in caplog.text
    assert not any(
        text in caplog.text + str([r.__dict__ for r in caplog.records]) for text in (PASSWORD, quote(PASSWORD))
    )


def test_what_another_program_left_under_the_name_is_no_collection(
    make: Callable[..., RedisCollections], server: RedisServer
):
    server.client().hset("t:col:IP:3:app192.0.2.7", mapping={"c": "x", "m:a": "1"})

    assert members(make()) == {}


# -- as the store in memory --------------------------------------------------------------------------------------------


class RedisMachine(StoreMachine):
    """The same store as in test_persistence; each change is a transaction of its own."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.server.client().flushall()
        config = SharedConfig(self.server.url, 30.0, f"{os.getpid()}:", Span("", 1))
        self.store = _Flushing(RedisCollections(config, MemoryStore(), clock=self.clock))

    @invariant()
    def agrees(self) -> None:
        for key in list(self.model):
            assert dict(self.store.read(self._open(key)).members) == self.model[key]


class _Flushing:
    """A store whose every change is stored at once."""

    def __init__(self, store: RedisCollections) -> None:
        self._store = store

    def open(self, key: CollectionKey, timeout: int) -> OpenCollection:
        collection = self._store.open(key, timeout)
        self._store.flush([collection])
        return collection

    def read(self, collection: OpenCollection) -> Snapshot:
        return self._store.read(collection)

    def __getattr__(self, name: str) -> Callable[..., None]:
        def change(collection: OpenCollection, *arguments: Any) -> None:
            getattr(self._store, name)(collection, *arguments)
            self._store.flush([collection])

        return change


def test_it_does_what_the_store_in_memory_does(server: RedisServer):
    RedisMachine.server = server
    run_state_machine_as_test(
        RedisMachine,
        settings=settings(
            max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
