"""Which worker knows which transaction: a table in shared memory, without locks.

A response may come to any worker; the one that kept its request is looked up here. Here: the table. Not here: asking
that worker (forwarding.py).

Each slot has a page of its own, which only its worker writes, so there is nothing to lock and no entry is lost to a
race; whoever looks for an id looks through the pages. A page is a hash table of rows, each with a cursor and seven
entries of four bytes: 24 bits of the id's hash, and the incarnation of the worker that wrote it, by which what a dead
worker left is told from what its successor knows. Python's own hash of a text is the same in all processes forked from
one, and is keyed, so no client can choose ids that fall into one row. A full row loses its oldest entry: an entry is
not removed when its transaction expires or a rule blocked the request, for its worker can say why it is gone.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.workers.status import Slot

ROWS = 65_536
"""Rows of a page: 458,000 entries in 2 MiB, of which only what was written to takes memory. At 1,000 requests a second
and worker, all blocked, an id is found for seven minutes; no response takes so long."""
ENTRIES = 7
_ROW = ENTRIES + 1
_HASH = 0xFFFF_FF00
_INCARNATION = 0xFF


class Known(NamedTuple):
    """Who knows an id.

    Attributes:
        slot: the worker's place.
        alive: whether it still is the same worker.
    """

    slot: int
    alive: bool


class Page:
    """What one worker knows; only that worker writes here."""

    __slots__ = ("_cells", "_mark", "_mask")

    def __init__(self, cells: memoryview, rows: int, incarnation: int) -> None:
        self._cells, self._mask, self._mark = cells, rows - 1, incarnation

    def add(self, key: str) -> None:
        """This worker knows the id."""
        number = hash(key)
        cells, mark = self._cells, self._mark
        start = (number & self._mask) * _ROW
        cursor = cells[start]
        place = start + 1 + cursor % ENTRIES
        if cells[place] & _INCARNATION == mark:  # not empty, and not of a predecessor
            for other in range(start + 1, start + _ROW):
                if cells[other] & _INCARNATION != mark:
                    place = other
                    break
        cells[place] = number >> 24 & _HASH | mark
        cells[start] = (cursor + 1) % ENTRIES

    def remove(self, key: str) -> None:
        """There is nothing more to be asked about the id."""
        number = hash(key)
        cells = self._cells
        start = (number & self._mask) * _ROW + 1
        entry = number >> 24 & _HASH | self._mark
        row = cells[start : start + ENTRIES].tolist()
        if entry in row:
            cells[start + row.index(entry)] = 0


class Directory:
    """The pages of all slots. Make it before any process is forked.

    Args:
        slots: the slots of the agent, see `Status.slots`.
        rows: rows of a page; a power of two.
    """

    def __init__(self, slots: Sequence[Slot], rows: int = ROWS) -> None:
        self._slots, self._rows = slots, rows
        size = rows * _ROW
        cells = memoryview(mmap.mmap(-1, 4 * size * len(slots))).cast("I")
        self._pages = tuple(cells[index * size : (index + 1) * size] for index in range(len(slots)))

    def page(self, slot: int) -> Page:
        """The page of a slot, for the worker that is in it now."""
        return Page(self._pages[slot], self._rows, self._slots[slot].incarnation)

    def find(self, key: str, besides: int = -1) -> list[Known]:
        """Who knows an id, those who live first.

        Args:
            key: the id.
            besides: a slot that is not looked at.
        """
        number = hash(key)
        start = (number & self._rows - 1) * _ROW + 1
        wanted = number >> 24 & _HASH
        alive: list[Known] = []
        dead: list[Known] = []
        for slot in self._slots:
            incarnation = slot.incarnation
            if not incarnation or slot.index == besides:
                continue
            for entry in self._pages[slot.index][start : start + ENTRIES].tolist():
                if entry & _HASH == wanted and entry:
                    same = entry & _INCARNATION == incarnation and slot.pid != 0
                    (alive if same else dead).append(Known(slot.index, same))
                    break
        return alive + dead
