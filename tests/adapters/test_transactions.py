from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.transactions import Gone, TransactionStore


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _store(limit: int = 10, ttl: float = 60, **options: int) -> tuple[TransactionStore[str], Clock]:
    clock = Clock()
    return TransactionStore(limit, ttl, clock, **options), clock


def test_put_and_take() -> None:
    store, _ = _store()

    assert store.put("a", "A") == []
    assert len(store) == 1
    assert store.take("a") == ("A", Gone.ANSWERED)
    assert store.take("a") == (None, Gone.ANSWERED)
    assert store.take("b") == (None, Gone.UNKNOWN)
    assert (store.counters.added, store.counters.taken, store.counters.missed) == (1, 1, 2)


def test_beyond_the_limit_the_oldest_leaves() -> None:
    store, _ = _store(limit=2)
    store.put("a", "A")
    store.put("b", "B")

    assert store.put("c", "C") == [("A", Gone.EVICTED)]
    assert store.take("a") == (None, Gone.EVICTED)
    assert store.take("b")[0] == "B"
    assert store.counters.evicted == 1


def test_after_the_time_to_live_it_leaves() -> None:
    store, clock = _store(ttl=60)
    store.put("a", "A")
    clock.now += 30
    store.put("b", "B")
    clock.now += 30

    assert store.expire() == [("A", Gone.EXPIRED)]
    assert store.expire() == []
    assert store.take("a") == (None, Gone.EXPIRED)
    assert store.take("b")[0] == "B"
    assert store.counters.expired == 1


def test_putting_drops_what_has_expired_first() -> None:
    store, clock = _store(limit=2, ttl=60)
    store.put("a", "A")
    clock.now += 60

    assert store.put("b", "B") == [("A", Gone.EXPIRED)]


def test_a_late_response_is_still_served_while_nothing_has_dropped_its_request() -> None:
    store, clock = _store(ttl=60)
    store.put("a", "A")
    clock.now += 61

    assert store.take("a") == ("A", Gone.ANSWERED)


def test_the_same_id_replaces() -> None:
    store, _ = _store(limit=1)
    store.put("a", "A")

    assert store.put("a", "B") == [("A", Gone.REPLACED)]
    assert store.take("a")[0] == "B"


def test_drain() -> None:
    store, _ = _store()
    store.put("a", "A")
    store.put("b", "B")

    assert store.drain() == [("A", Gone.STOPPED), ("B", Gone.STOPPED)]
    assert len(store) == 0


def test_what_is_remembered_is_bounded() -> None:
    store, _ = _store(remembered=2)
    store.remember("a", Gone.INTERRUPTED)
    store.remember("b", Gone.FAILED)
    store.remember("a", Gone.FAILED)
    store.remember("c", Gone.INTERRUPTED)

    assert [store.take(key)[1] for key in "abc"] == [Gone.UNKNOWN, Gone.FAILED, Gone.INTERRUPTED]


@pytest.mark.parametrize(("limit", "ttl"), [(0, 1), (1, 0), (-1, 1), (1, -1)])
def test_bounds_must_be_above_zero(limit: int, ttl: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        TransactionStore(limit, ttl, Clock())


@given(
    st.integers(1, 4),
    st.lists(st.one_of(st.tuples(st.just("put"), st.integers(0, 6)), st.tuples(st.just("take"), st.integers(0, 6)),
                       st.tuples(st.just("wait"), st.integers(1, 20))), max_size=40),
)  # fmt: skip
def test_nothing_is_lost_and_the_limit_holds(limit: int, steps: list[tuple[str, int]]) -> None:
    """Every transaction that was put comes out exactly once: taken, or dropped with a reason."""
    clock = Clock()
    store: TransactionStore[int] = TransactionStore(limit, 30, clock)
    serial, out = 0, []
    for what, number in steps:
        if what == "put":
            out += [each for each, _ in store.put(str(number), serial)]
            serial += 1
        elif what == "take":
            found, _ = store.take(str(number))
            out += [] if found is None else [found]
        else:
            clock.now += number
        assert len(store) <= limit
    out += [each for each, _ in store.drain()]

    assert sorted(out) == list(range(serial))


class Told:
    def __init__(self) -> None:
        self.what: list[tuple[str, str]] = []

    def add(self, key: str) -> None:
        self.what.append(("add", key))

    def remove(self, key: str) -> None:
        self.what.append(("remove", key))


def test_a_register_is_told_what_is_known_here():
    store: TransactionStore[str] = TransactionStore(10, 1, lambda: 0.0)
    store.register = told = Told()
    store.put("a", "A")
    store.remember("b", Gone.INTERRUPTED)
    store.take("a")
    store.take("c")

    assert told.what == [("add", "a"), ("add", "b"), ("remove", "a")]


def test_beyond_the_bytes_the_oldest_leave() -> None:
    store, _ = _store(limit=10, limit_bytes=100)
    store.put("a", "A", 40)
    store.put("b", "B", 40)

    assert store.put("c", "C", 90) == [("A", Gone.EVICTED), ("B", Gone.EVICTED)]
    assert store.counters.bytes == 90
    assert store.take("a") == (None, Gone.EVICTED)
    assert store.put("d", "D", 1000) == [("C", Gone.EVICTED)]  # the newest always may wait
    assert store.take("d") == ("D", Gone.ANSWERED)
    assert store.counters.bytes == 0


def test_bytes_are_given_back_however_a_transaction_leaves() -> None:
    store, clock = _store()
    for key in "abc":
        store.put(key, key, 10)
    store.put("a", "A", 7)
    assert store.counters.bytes == 27
    clock.now += 100
    store.expire()
    assert store.counters.bytes == 0
    store.put("d", "D", 5)
    store.drain()

    assert store.counters.bytes == 0


def test_skipped_ids_are_remembered_apart_and_are_no_misses() -> None:
    store, _ = _store(remembered=2, skipped=100)
    for number in range(100):
        store.remember(f"s{number}", Gone.SKIPPED)
    store.remember("f", Gone.FAILED)

    assert {store.take(f"s{number}") for number in range(100)} == {(None, Gone.SKIPPED)}
    assert store.take("f") == (None, Gone.FAILED)
    assert store.counters.missed == 1
    assert store.knows("s5")
    assert not store.knows("s100")
    for number in range(1000):
        store.remember(f"t{number}", Gone.SKIPPED)
    assert store.take("s5") == (None, Gone.UNKNOWN)
    assert store.take("t999") == (None, Gone.SKIPPED)
