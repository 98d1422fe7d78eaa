from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.workers.balance import BUSY, EVERY, UNEVEN, Balance, Move, Work


def looks(*tables: dict[int, tuple[float, int]]) -> list[Move | None]:
    """What follows from looks, one each second, at workers: what they have done since the last one, connections."""
    balance = Balance()
    done = dict.fromkeys(tables[0], 0.0)
    found = [balance.look(100.0, {slot: Work(1000 + slot, 0.0, 1) for slot in done})]
    for number, table in enumerate(tables, 1):
        for slot, (seconds, _) in table.items():
            done[slot] += seconds
        work = {slot: Work(1000 + slot, done[slot], connections) for slot, (_, connections) in table.items()}
        found.append(balance.look(100.0 + number * EVERY, work))
    assert found[0] is None, "there is nothing to compare with"
    return found[1:]


def test_who_has_twice_as_much_to_do_at_two_looks_gives():
    uneven = {0: (0.1, 2), 1: (0.8, 3), 2: (0.4, 2)}

    assert looks(uneven, uneven, uneven, uneven) == [None, Move(1, 0, 0.4375), None, Move(1, 0, 0.4375)]
    assert looks(uneven, {0: (0.8, 2), 1: (0.1, 2), 2: (0.4, 2)}) == [None, None], "it is not the same one"


def test_what_cannot_or_need_not_be_helped():
    for table in (
        {0: (0.5, 3), 1: (0.3, 3)},  # even enough
        {0: (0.09, 3), 1: (0.0, 3)},  # too little
        {0: (0.9, 1), 1: (0.1, 3)},  # one connection is one worker's
        {0: (0.9, 3)},  # nobody is there to take it
    ):
        assert looks(table, table, table) == [None] * 3


def test_a_worker_that_has_just_begun_is_waited_for():
    balance = Balance()
    for second, pid in ((1.0, 7), (2.0, 7), (3.0, 8)):
        assert balance.look(second, {0: Work(7, second, 4), 1: Work(pid, 0.0, 4)}) is None

    assert balance.look(4.0, {0: Work(7, 4.0, 4), 1: Work(8, 0.0, 4)}) is None
    assert balance.look(5.0, {0: Work(7, 5.0, 4), 1: Work(8, 0.0, 4)}) == Move(0, 1, 0.5)
    assert not balance.due(5.5)
    assert balance.due(6.0)


@given(
    st.lists(
        st.dictionaries(st.integers(0, 5), st.tuples(st.floats(0, 2), st.integers(0, 4)), min_size=1),
        min_size=1,
        max_size=6,
    )
)
def test_what_moves_makes_it_more_even(tables: list[dict[int, tuple[float, int]]]):
    slots = set[int]().union(*tables)
    full = [{slot: table.get(slot, (0.0, 0)) for slot in slots} for table in tables]
    for table, move in zip(full, looks(*full), strict=True):
        if move is not None:
            most, least = table[move.giver][0], table[move.taker][0]
            assert most > BUSY * 0.99
            assert most > UNEVEN * least * 0.99
            assert table[move.giver][1] > 1
            assert 0.24 < move.share <= 0.51
            assert move.giver != move.taker
