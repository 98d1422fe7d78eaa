from __future__ import annotations

import os

from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.workers.directory import ENTRIES, Directory, Known
from adapters.workers.status import Status


def directory(slots: int = 3, rows: int = 1024) -> tuple[Status, Directory]:
    status = Status(slots)
    for slot in status.slots:
        slot.begin(1)
        slot.born(1000 + slot.index)
    return status, Directory(status.slots, rows)


def test_what_a_forked_worker_adds_the_others_find():
    _, table = directory()
    child = os.fork()
    if not child:
        page = table.page(1)
        page.add("a")
        page.add("b")
        page.remove("b")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

    assert table.find("a") == [Known(1, alive=True)]
    assert table.find("a", besides=1) == []
    assert table.find("b") == []


def test_entries_of_a_dead_worker_are_known_as_such_until_they_are_overwritten():
    status, table = directory(rows=1)
    table.page(0).add("a")
    status.slots[0].begin(1)  # its successor
    status.slots[0].born(2000)
    table.page(2).add("a")

    assert table.find("a") == [Known(2, alive=True), Known(0, alive=False)]
    page = table.page(0)
    for number in range(ENTRIES):
        page.add(str(number))
    assert table.find("a") == [Known(2, alive=True)]


def test_a_worker_that_is_gone_without_a_successor_is_dead():
    status, table = directory()
    table.page(0).add("a")
    status.slots[0].gone(status.slots[0].state)

    assert table.find("a") == [Known(0, alive=False)]


def test_a_full_row_loses_its_oldest_entry():
    _, table = directory(rows=1)
    page = table.page(0)
    for number in range(ENTRIES + 2):
        page.add(str(number))
    found = [number for number in range(ENTRIES + 2) if table.find(str(number))]

    assert found == list(range(2, ENTRIES + 2))


def test_an_empty_place_is_taken_before_an_entry_is_lost():
    _, table = directory(rows=1)
    page = table.page(0)
    for number in range(ENTRIES):
        page.add(str(number))
    page.remove("3")
    page.add("new")

    assert [name for name in ("0", "1", "2", "3", "4", "5", "6", "new") if table.find(name)] == [
        *("0", "1", "2", "4", "5", "6", "new")
    ]


@given(st.lists(st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 2), st.text(max_size=4)), max_size=60))
def test_it_is_a_multiset_while_rows_have_room(steps: list[tuple[str, int, str]]):
    rows = 4096
    keys = {key for _, _, key in steps}
    assume(len({hash(key) % rows for key in keys}) == len(keys))  # else seven of one row may be too few, by chance
    _, table = directory(rows=rows)
    pages = [table.page(index) for index in range(3)]
    wanted: dict[tuple[int, str], int] = {}
    for what, slot, key in steps:
        getattr(pages[slot], what)(key)
        count = wanted.get((slot, key), 0)
        wanted[slot, key] = min(ENTRIES, count + 1) if what == "add" else max(0, count - 1)
    for _, _, key in steps:
        assert {known.slot for known in table.find(key)} == {slot for slot in range(3) if wanted.get((slot, key))}


def test_thousands_of_waiting_transactions_are_all_found():
    _, table = directory(1, 4096)
    page = table.page(0)
    keys = [f"id-{number}" for number in range(8_000)]  # two to a row
    for key in keys:
        page.add(key)
    missing = [key for key in keys if not table.find(key)]

    assert len(missing) <= 20
