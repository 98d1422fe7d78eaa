"""The numbers of one process, in memory that its supervisor reads while they change.

Here: which number stands in which cell, and shared memory without a file for the cells. Not here: who writes
(recorder.py), how the sheets of several processes are added up (board.py).

Why not prometheus_client's own counters: in its mode for several processes an increment costs one microsecond and an
observation two, about 25 for a request with its response; a cell here costs a tenth. There are no files either: nothing
to clean, no disk that can be full (a full one ends a process that writes to a mapped file), and what a killed process
counted last is there. It works since every series is known before a fork: labels are bounded (table.py).
"""

from __future__ import annotations

import mmap
import os
from itertools import product
from typing import TYPE_CHECKING, cast

from adapters.metrics.table import HIT_OUTCOMES, METRICS, RULE_SLOTS, SEVERITIES, Kind, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CELL = 8
"""Bytes of a cell, a double: a write of that size is never seen by half."""

SLOT = 2 + len(HIT_OUTCOMES)
"""Cells of a rule: its id, the number of its severity, its matches by outcome. No id: not in use."""


def width(metric: Metric) -> int:
    """The cells of one series: a number; of a histogram its buckets, the last without a bound, and the sum."""
    return len(metric.buckets) + 2 if metric.kind is Kind.HISTOGRAM else 1


def series(metric: Metric) -> list[tuple[str, ...]]:
    """The values of the labels (but for the application) of each series, in the order of the cells."""
    return list(product(*(values for _, values in metric.labels)))


def _place(metrics: Iterable[Metric]) -> tuple[dict[str, int], int]:
    found, size = {}, 0
    for metric in metrics:
        found[metric.name] = size
        size += len(series(metric)) * width(metric)
    return found, size


_OF_AGENT, _AGENT_SIZE = _place(metric for metric in METRICS if not metric.made and not metric.application)
_OF_APPLICATION, _RULES_AT = _place(metric for metric in METRICS if not metric.made and metric.application)
_OTHERS_AT = _RULES_AT + RULE_SLOTS * SLOT
_APPLICATION_SIZE = _OTHERS_AT + len(SEVERITIES) * len(HIT_OUTCOMES)


def cell(metric: Metric, *labels: str) -> int:
    """The first cell of a series, counted from the beginning of its block.

    Raises:
        KeyError: nobody writes this metric (`Metric.made`).
        ValueError: there is no such series.
    """
    return places(metric)[series(metric).index(labels)]


def places(metric: Metric) -> range:
    """The first cell of each series of a metric; see `cell`."""
    first = (_OF_APPLICATION if metric.application else _OF_AGENT)[metric.name]
    return range(first, first + len(series(metric)) * width(metric), width(metric))


class Sheet:
    """Cells for the agent as a whole and for each of some applications.

    Args:
        applications: their names.
        descriptor: that of a sheet of another process for the same applications; None for a new sheet.

    Attributes:
        applications: the names, in the order of their blocks.
        descriptor: by which another process can have this sheet.
        cells: all cells.
    """

    def __init__(self, applications: Iterable[str], descriptor: int | None = None) -> None:
        self.applications = tuple(dict.fromkeys(applications))
        size = _AGENT_SIZE + len(self.applications) * _APPLICATION_SIZE
        if descriptor is None:
            descriptor = os.memfd_create("metrics")
            os.posix_fallocate(descriptor, 0, size * CELL)  # or a first write without memory would end the process
        self.descriptor = descriptor
        self.cells: memoryview[float] = memoryview(mmap.mmap(descriptor, size * CELL)).cast("d")
        self._blocks = {
            name: _AGENT_SIZE + position * _APPLICATION_SIZE for position, name in enumerate(self.applications)
        }

    def close(self) -> None:
        """Give back the descriptor; the cells stay."""
        os.close(self.descriptor)

    def block(self, application: str) -> int | None:
        """Where the cells of an application begin; None for one that is not on this sheet. Those of the agent at 0."""
        return self._blocks.get(application)

    def values(self, metric: Metric) -> Iterator[tuple[str, int, list[float]]]:
        """The cells of each series: application (or empty), number of the series, cells."""
        if metric.application:
            base, blocks = _OF_APPLICATION[metric.name], list(self._blocks.items())
        else:
            base, blocks = _OF_AGENT[metric.name], [("", 0)]
        wide, count = width(metric), len(series(metric))
        for name, block in blocks:
            cells = self._read(block + base, count * wide)
            for number in range(count):
                yield name, number, cells[number * wide : (number + 1) * wide]

    def clear(self, metric: Metric) -> None:
        """Set a metric to 0."""
        for block in self._blocks.values() if metric.application else [0]:
            for place in places(metric):
                for number in range(width(metric)):
                    self.cells[block + place + number] = 0.0

    def slots(self, application: str) -> range:
        """The first cells of an application's rules."""
        start = self._blocks[application] + _RULES_AT
        return range(start, start + RULE_SLOTS * SLOT, SLOT)

    def others(self, application: str) -> int:
        """The first of the cells for rules without a slot: for each severity, one for each outcome."""
        return self._blocks[application] + _OTHERS_AT

    def hits(self, application: str) -> Iterator[tuple[int, int, list[float]]]:
        """Matches of rules: the rule's id (0 for all without a slot), the number of its severity, by outcome."""
        for slot in self.slots(application):
            rule_id, severity, *counts = self._read(slot, SLOT)
            if not rule_id:
                break
            yield int(rule_id), int(severity), counts
        start, wide = self.others(application), len(HIT_OUTCOMES)
        for severity in range(len(SEVERITIES)):
            counts = self._read(start + severity * wide, wide)
            if any(counts):
                yield 0, severity, counts

    def _read(self, start: int, count: int) -> list[float]:
        return cast("list[float]", self.cells[start : start + count].tolist())
