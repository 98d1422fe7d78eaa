"""Lanes: what is transformed, scanned, asked and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waf_engine.twins import Exchange
from waf_engine import WAF
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.lanes import MAX_REMEMBERED, MAX_SHAPES, OVERHEAD, DirectTest, Lane, Memory, Source
from waf_engine.runtime.scan_patterns import ScanPattern
from waf_engine.runtime.scanner import Scanner

if TYPE_CHECKING:
    from waf_engine import Transaction
    from waf_engine.types import Captures, TransactionView


class Counted:
    """A transformation that counts its calls."""

    def __init__(self, function: object) -> None:
        self.function, self.calls = function, 0

    def __call__(self, value: bytes) -> bytes:
        self.calls += 1
        return self.function(value)  # type: ignore[operator,no-any-return]


@pytest.fixture
def tx() -> Transaction:
    return Exchange(phases=()).run(WAF.from_directives("", executor="reference"))


def scanner(*expressions: bytes) -> Scanner:
    return Scanner([ScanPattern(e) for e in expressions], DatabaseCache(None))


def test_a_value_is_transformed_once_for_chains_that_begin_alike(tx: Transaction):
    lower, strip = Counted(bytes.lower), Counted(bytes.strip)
    upper = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    lane = Lane(
        1,
        [(lower,), (lower, strip), ()],
        [upper, upper | {32}, frozenset()],
        [False] * 3,
        scanner(b"^x$", b"^X"),
        {0: (7,), 1: (8,)},
        (),
        (),
        None,
    )

    assert set(lane.candidates(b" X ", tx)) == {7}
    assert (lower.calls, strip.calls) == (1, 1)
    assert set(lane.candidates(b"x", tx)) == {7}
    assert (lower.calls, strip.calls) == (1, 1)  # nothing in it that they could change
    assert set(lane.candidates(b"X", tx)) == {7, 8}


def test_rules_with_multimatch_see_every_step(tx: Transaction):
    chain = (bytes.lower, bytes.strip)
    seen: list[bytes] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        seen.append(value)
        return None

    lane = Lane(
        1,
        [chain, chain],
        [None, None],
        [True, False],
        None,
        {},
        (),
        [DirectTest(1, 0, test), DirectTest(2, 1, test)],
        None,
    )
    lane.candidates(b" A", tx)

    assert seen == [b" A", b" a", b"a", b"a"]


def test_a_direct_test_is_not_asked_about_idle_values_nor_for_a_rule_that_is_named(tx: Transaction):
    asked: list[bytes] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        asked.append(value)
        return ()

    lane = Lane(
        1, [()], [frozenset()], [False], None, {}, (9,), [DirectTest(5, 0, test, b"ab"), DirectTest(9, 0, test)], None
    )

    assert set(lane.candidates(b"ab", tx)) == {9}
    assert set(lane.candidates(b"<", tx)) == {5, 9}
    assert asked == [b"<"]


def test_short_values_are_remembered_long_ones_are_not(tx: Transaction):
    asked: list[int] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        asked.append(len(value))
        return ()

    lane = Lane(1, [()], [frozenset()], [False], None, {}, (), [DirectTest(5, 0, test)], Memory(1 << 16))
    for size in (MAX_REMEMBERED, MAX_REMEMBERED, MAX_REMEMBERED + 1, MAX_REMEMBERED + 1):
        assert lane.candidates(b"x" * size, tx) == (5,)

    assert asked == [MAX_REMEMBERED, MAX_REMEMBERED + 1, MAX_REMEMBERED + 1]


def test_lanes_share_a_memory_and_not_its_answers(tx: Transaction):
    memory = Memory(1 << 16)
    one = Lane(1, [()], [frozenset()], [False], None, {}, (1,), (), memory)
    two = Lane(2, [()], [frozenset()], [False], None, {}, (2,), (), memory)

    assert [lane.candidates(b"x", tx) for lane in (one, two, one, two)] == [(1,), (2,), (1,), (2,)]


def test_the_shapes_of_values_are_bounded(tx: Transaction):
    lane = Lane(1, [(bytes.lower,)], [frozenset(range(256))], [False], None, {}, (1,), (), None)
    for number in range(MAX_SHAPES + 10):
        value = bytes(byte for byte in range(16) if number >> byte & 1)
        assert lane.candidates(value, tx) == (1,)

    assert len(lane._shapes) <= MAX_SHAPES


def test_a_memory_stays_in_its_budget_and_keeps_what_is_asked_for():
    budget = 100 * (OVERHEAD + 10)
    memory = Memory(budget)
    memory.put(1, b"kept......", (1,))
    for number in range(10_000):
        memory.put(2, b"%010d" % number, (2,))
        assert memory.get(1, b"kept......") == (1,)
        held = len(memory.young) + len(memory._old)
        assert held * (OVERHEAD + 10) <= budget + 2 * (OVERHEAD + 10)

    assert memory.get(2, b"%010d" % 0) is None
    assert memory.get(2, b"%010d" % 9_999) == (2,)


@given(st.lists(st.tuples(st.integers(1, 3), st.binary(max_size=2)), max_size=200), st.integers(0, 2000))
def test_a_memory_never_gives_a_wrong_answer(asked: list[tuple[int, bytes]], budget: int):
    memory = Memory(budget)
    for lane, value in asked:
        answer = memory.get(lane, value)
        assert answer in {None, (lane, *value)}
        memory.put(lane, value, (lane, *value))


def test_a_source_gives_each_member_to_its_lane(tx: Transaction):
    tx.request.args_get = [(b"a", b"1"), (b"B", b"2"), (b"c", b"3")]
    one = Lane(1, [()], [frozenset()], [False], None, {}, (1,), (), None)
    two = Lane(2, [()], [frozenset()], [False], None, {}, (2,), (), None)
    variable = tx.plan.variables["ARGS_GET"]

    def collected(**how: object) -> set[int]:
        found: set[int] = set()
        Source(variable, variable.read, **how).collect(tx, found)  # type: ignore[arg-type]  # by_key and other
        return found

    assert collected(by_key={b"b": one}, other=two) == {1, 2}
    assert collected(by_key={b"b": one}, other=None) == {1}
    assert collected(by_key={b"a": None, b"b": None, b"c": None}, other=one) == set()
    assert collected(by_key={}, other=two) == {2}
