from __future__ import annotations

import os

import pytest

from adapters.metrics.sheet import Sheet, cell, places, series, width
from adapters.metrics.table import BY_NAME, METRICS, RULE_SLOTS

WRITTEN = [metric for metric in METRICS if not metric.made]


def _all_cells(sheet: Sheet) -> list[int]:
    """The cells of everything that is on a sheet."""
    found: list[int] = []
    for metric in WRITTEN:
        for block in [sheet.block(name) for name in sheet.applications] if metric.application else [0]:
            assert block is not None
            found += [block + first + more for first in places(metric) for more in range(width(metric))]
    for name in sheet.applications:
        found += [slot + more for slot in sheet.slots(name) for more in range(5)]
        found += range(sheet.others(name), sheet.others(name) + 27)
    return found


def test_no_cell_has_two_meanings_and_none_is_left_over():
    sheet = Sheet(["a", "b"])
    cells = _all_cells(sheet)

    assert len(cells) == len(set(cells))
    assert set(cells) == set(range(cells[-1] + 1))
    assert len(sheet.cells) >= len(cells)
    assert len(list(sheet.slots("a"))) == RULE_SLOTS


def test_values_are_those_of_the_cells():
    sheet = Sheet(["a", "b"])
    metric = BY_NAME["coraza_waf_requests_total"]
    block = sheet.block("b")
    assert block is not None
    sheet.cells[block + cell(metric, "detect")] = 7

    found = {(name, series(metric)[number]): values for name, number, values in sheet.values(metric)}

    assert found["b", ("detect",)] == [7.0]
    assert sum(sum(values) for values in found.values()) == 7
    assert len(found) == 10


def test_names_that_occur_twice_have_one_block():
    assert Sheet(["a", "b", "a"]).applications == ("a", "b")
    assert Sheet(["a"]).block("b") is None


def test_a_series_that_does_not_exist():
    with pytest.raises(ValueError, match="not in list"):
        cell(BY_NAME["coraza_waf_requests_total"], "maybe")
    with pytest.raises(KeyError):
        cell(BY_NAME["spoa_waf_build_info"])


def test_another_process_writes_and_this_one_reads():
    sheet = Sheet(["a"])
    place = cell(BY_NAME["spoa_waf_open_connections"])
    child = os.fork()
    if child == 0:
        sheet.cells[place] += 3
        os._exit(0)
    os.waitpid(child, 0)

    assert sheet.cells[place] == 3
