"""Lanes: what is transformed, scanned, asked and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waf_engine.twins import Exchange
from waf_engine import WAF
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.lanes import (
    MAX_REMEMBERED,
    MAX_SHAPES,
    OVERHEAD,
    Chain,
    DirectTest,
    HeaderSource,
    Lane,
    Memory,
    Source,
)
from waf_engine.runtime.scan_patterns import ScanPattern
from waf_engine.runtime.scanner import Scanner

if TYPE_CHECKING:
    from waf_engine import Transaction
    from waf_engine.runtime.lanes import Named
    from waf_engine.types import Captures, TransactionView

UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
PLAIN_CHAIN = Chain((), (), every_step=False, scanner=None)
ANY_BUT_AB = frozenset(range(256)) - frozenset(b"ab")


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
    return Scanner(DatabaseCache(None).database([(slot, ScanPattern(e)) for slot, e in enumerate(expressions)]))


def lane(number: int = 1, *chains: Chain, always: tuple[int, ...] = (), direct: tuple[DirectTest, ...] = ()) -> Lane:
    """A lane that scans nothing and remembers nothing."""
    return Lane(number, chains or (PLAIN_CHAIN,), None, {}, always, direct, None)


def test_a_value_is_transformed_once_for_chains_that_begin_alike(tx: Transaction):
    lower, strip = Counted(bytes.lower), Counted(bytes.strip)
    space = frozenset(b" ")
    scans = scanner(b"^x$", b"^X")
    chains = [
        Chain((lower,), (UPPER,), every_step=False, scanner=scans),
        Chain((lower, strip), (UPPER, space), every_step=False, scanner=scans),
        PLAIN_CHAIN,
    ]
    made = Lane(1, chains, scans, {0: (7,), 1: (8,)}, (), (), None)

    assert set(made.candidates(b" X ", tx)) == {7}
    assert (lower.calls, strip.calls) == (1, 1)
    assert set(made.candidates(b"x", tx)) == {7}
    assert (lower.calls, strip.calls) == (1, 1)  # nothing in it that they could change
    assert set(made.candidates(b"X", tx)) == {7, 8}
    assert (lower.calls, strip.calls) == (2, 2)  # of this step it is not said what it makes


def test_only_what_can_change_a_value_is_done(tx: Transaction):
    lower, strip, any_value = Counted(bytes.lower), Counted(bytes.strip), Counted(bytes.swapcase)
    made = lane(
        1,
        Chain((lower, strip), (UPPER, frozenset(b" ")), every_step=False, scanner=None),
        Chain((any_value,), (None,), every_step=False, scanner=None),
    )

    assert made.candidates(b" x", tx) == ()
    assert (lower.calls, strip.calls, any_value.calls) == (0, 1, 1)


def test_what_an_earlier_step_cannot_have_made_is_not_looked_for(tx: Transaction):
    """Neither by the step behind it, nor by a test of what it made."""
    lower, strip = Counted(bytes.lower), Counted(bytes.strip)
    asked: list[bytes] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        asked.append(value)
        return ()

    letters = frozenset(b"abcdefghijklmnopqrstuvwxyz")
    chain = Chain((lower, strip), (UPPER, frozenset(b" ")), False, None, makes=(letters, frozenset()))
    made = lane(1, chain, direct=(DirectTest(5, 0, test, frozenset(b"<")),))

    assert made.candidates(b"Ab", tx) == ()
    assert (lower.calls, strip.calls, asked) == (1, 0, [])
    assert made.candidates(b" Ab<", tx) == (5,)
    assert (lower.calls, strip.calls, asked) == (2, 1, [b"ab<"])


def test_what_is_shorter_than_any_pattern_is_not_scanned(tx: Transaction):
    scanned: list[bytes] = []

    class Recorded:
        refused = frozenset[int]()

        def scan(self, value: bytes) -> list[int]:
            scanned.append(value)
            return []

    scans = Scanner(Recorded())
    strip, lower = (bytes.strip,), (bytes.lower, bytes.strip)
    chains = [Chain(strip, (None,), False, scans, width=4), Chain(lower, (None, None), False, scans, width=3)]
    made = Lane(1, chains, scans, {0: (1,)}, (), (), None)

    made.candidates(b" ABC ", tx)
    assert scanned == [b" ABC ", b"abc"], "by the least width of those whose result it is"
    scanned.clear()
    made.candidates(b" AB", tx)
    assert scanned == [b" AB"]
    scanned.clear()
    made.candidates(b" abc", tx)
    assert scanned == [b" abc", b"abc"], "the same result of two chains, by the lesser of their widths"


def test_what_transformations_make_is_scanned_by_their_own_scanner(tx: Transaction):
    values, made_values = scanner(b"a"), scanner(b"zzz", b"b")
    chain = Chain((bytes.upper, bytes.lower, bytes.lower), (None, None, None), every_step=True, scanner=made_values)
    made = Lane(1, [chain], values, {0: (1,), 1: (2,)}, (), (), None)

    assert made.candidates(b"a", tx) == (1,)
    assert made.candidates(b"b", tx) == ()  # the value itself is scanned by the lane's alone
    assert made.candidates(b"B", tx) == (2,)


def test_rules_with_multimatch_see_every_step(tx: Transaction):
    steps = (bytes.lower, bytes.strip)
    seen: list[bytes] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        seen.append(value)
        return None

    chains = [Chain(steps, (None, None), every_step=every, scanner=None) for every in (True, False)]
    lane(1, *chains, direct=(DirectTest(1, 0, test), DirectTest(2, 1, test))).candidates(b" A", tx)

    assert seen == [b" A", b" a", b"a", b"a"]


def test_a_direct_test_is_not_asked_about_values_without_what_it_needs_nor_for_a_rule_that_is_named(tx: Transaction):
    asked: list[bytes] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        asked.append(value)
        return ()

    made = lane(always=(9,), direct=(DirectTest(5, 0, test, ANY_BUT_AB), DirectTest(9, 0, test)))

    assert set(made.candidates(b"ab", tx)) == {9}
    assert set(made.candidates(b"", tx)) == {9}
    assert set(made.candidates(b"<", tx)) == {5, 9}
    assert asked == [b"<"]


def test_a_direct_test_is_asked_about_what_was_made_where_that_has_what_it_needs(tx: Transaction):
    asked: list[bytes] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        asked.append(value)
        return ()

    unquote = Chain((lambda value: value.replace(b"%3c", b"<"),), (frozenset(b"%"),), every_step=False, scanner=None)
    made = lane(1, unquote, direct=(DirectTest(5, 0, test, frozenset(b"<")),))

    assert made.candidates(b"%41", tx) == ()
    assert made.candidates(b"a", tx) == ()
    assert made.candidates(b"%3c", tx) == (5,)
    assert made.candidates(b"<", tx) == (5,)
    assert asked == [b"<", b"<"]


def test_a_negated_test_names_what_it_does_not_find_whatever_it_needs(tx: Transaction):
    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return () if b"<" in value else None

    made = lane(direct=(DirectTest(5, 0, test, frozenset(b"<"), negated=True),))

    assert made.candidates(b"a", tx) == (5,)
    assert made.candidates(b"", tx) == (5,)
    assert made.candidates(b"<", tx) == ()


def test_short_values_are_remembered_long_ones_are_not(tx: Transaction):
    asked: list[int] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        asked.append(len(value))
        return ()

    made = Lane(1, [PLAIN_CHAIN], None, {}, (), [DirectTest(5, 0, test)], Memory(1 << 16))
    for size in (MAX_REMEMBERED, MAX_REMEMBERED, MAX_REMEMBERED + 1, MAX_REMEMBERED + 1):
        assert made.candidates(b"x" * size, tx) == (5,)

    assert asked == [MAX_REMEMBERED, MAX_REMEMBERED + 1, MAX_REMEMBERED + 1]


def test_lanes_share_a_memory_and_not_its_answers(tx: Transaction):
    memory = Memory(1 << 16)
    one = Lane(1, [PLAIN_CHAIN], None, {}, (1,), (), memory)
    two = Lane(2, [PLAIN_CHAIN], None, {}, (2,), (), memory)

    assert [each.candidates(b"x", tx) for each in (one, two, one, two)] == [(1,), (2,), (1,), (2,)]


def test_the_shapes_of_values_are_bounded(tx: Transaction):
    chains = [Chain((bytes.lower,), (frozenset((byte,)),), every_step=False, scanner=None) for byte in range(16)]
    made = lane(1, *chains, always=(1,))
    for number in range(MAX_SHAPES + 10):
        value = bytes(byte for byte in range(16) if number >> byte & 1)
        assert made.candidates(value, tx) == (1,)

    assert 0 < len(made._shapes) <= MAX_SHAPES


def test_a_memory_stays_in_its_budget_and_keeps_what_is_asked_for():
    budget = 100 * (OVERHEAD + 10)
    memory = Memory(budget)
    memory.put((1, b"", b"kept......"), (1,))
    for number in range(10_000):
        memory.put((2, b"name", b"%06d" % number), (2,))
        assert memory.get((1, b"", b"kept......")) == (1,)
        held = len(memory.young) + len(memory._old)
        assert held * (OVERHEAD + 10) <= budget + 2 * (OVERHEAD + 10)

    assert memory.get((2, b"name", b"%06d" % 0)) is None
    assert memory.get((2, b"name", b"%06d" % 9_999)) == (2,)


@given(st.lists(st.tuples(st.integers(1, 3), st.binary(max_size=2)), max_size=200), st.integers(0, 2000))
def test_a_memory_never_gives_a_wrong_answer(asked: list[tuple[int, bytes]], budget: int):
    memory = Memory(budget)
    for number, value in asked:
        for key in ((number, b"", value), (number, value, b""), (number, value[:1], value[1:])):
            answer = memory.get(key)
            assert answer in {None, (key[0], *key[1], 999, *key[2])}
            memory.put(key, (key[0], *key[1], 999, *key[2]))


def test_a_source_gives_each_member_to_its_lane(tx: Transaction):
    tx.request.args_get = [(b"a", b"1"), (b"B", b"2"), (b"c", b"3")]
    one, two = lane(1, always=(1,)), lane(2, always=(2,))
    variable = tx.plan.variables["ARGS_GET"]

    def collected(**how: object) -> Named:
        found: Named = {}
        Source(variable, variable.read, **how).collect(tx, found)  # type: ignore[arg-type]  # by_key and other
        return found

    assert collected(by_key={b"b": one}, other=two) == {1: {"ARGS_GET", b"2"}, 2: {"ARGS_GET", b"1", b"3"}}
    assert collected(by_key={b"b": one}, other=None) == {1: {"ARGS_GET", b"2"}}
    assert collected(by_key={b"a": None, b"b": None, b"c": None}, other=one) == {}
    assert collected(by_key={}, other=two) == {2: {"ARGS_GET", b"1", b"2", b"3"}}


@pytest.mark.parametrize("budget", [0, 1 << 16])
def test_a_header_line_goes_to_the_lanes_of_its_value_and_of_its_name(tx: Transaction, budget: int):
    memory = Memory(budget) if budget else None
    variables = tx.plan.variables
    values = Source(variables["REQUEST_HEADERS"], variables["REQUEST_HEADERS"].read, {b"a": lane(1, always=(1,))}, None)
    names = Source(
        variables["REQUEST_HEADERS_NAMES"],
        variables["REQUEST_HEADERS_NAMES"].read,
        {b"b": None},
        Lane(2, [PLAIN_CHAIN], scanner(b"A"), {0: (2,)}, (), (), memory),
    )
    long = b"x" * (MAX_REMEMBERED + 1)
    tx.request.headers = [(b"a", b"1"), (b"A", b"2"), (b"b", b"3"), (b"A", long)]

    for source in (HeaderSource(3, values, names, memory), HeaderSource(4, values, None, memory)):
        for _ in range(2):
            found: Named = {}
            source.collect(tx, found)
            assert found.keys() == ({1, 2} if source.names else {1})
            assert {b"1", b"2", long} <= found[1]
            assert b"3" not in found[1]
            if source.names:
                assert b"A" in found[2]
                assert b"a" not in found[2]


def test_a_header_line_that_is_known_is_not_asked_about_again(tx: Transaction):
    asked: list[bytes] = []

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        asked.append(value)
        return None

    memory = Memory(1 << 16)
    variable = tx.plan.variables["REQUEST_HEADERS"]
    source = HeaderSource(9, Source(variable, variable.read, {}, lane(direct=(DirectTest(1, 0, test),))), None, memory)
    long = b"x" * (MAX_REMEMBERED + 1)
    tx.request.headers = [(b"a", b"1"), (b"b", b"1"), (b"a", b"1"), (b"c", long), (b"c", long)]
    source.collect(tx, {})

    assert asked == [b"1", b"1", long, long]  # a, b, and twice what is too long to be remembered
