"""Memory stays flat over many transactions: what is remembered across them is bounded, and nothing else is kept.

By default some hundreds on rules of our own, counted by tracemalloc, and thousands on the CRS; with SPOA_WAF_FULL=1
100,000 on the CRS, by what the system says that the process holds.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from benchmarks.engine.engines import Ours, find_rules, resident
from benchmarks.engine.requests import KINDS, SLOW_KINDS, request
from tests.conftest import absent
from tests.waf_engine.twins import HARD_RULES
from waf_engine.runtime.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.engine.requests import Request

FULL = os.environ.get("SPOA_WAF_FULL") == "1"
QUICK_KINDS = [kind for kind in KINDS if kind not in SLOW_KINDS]


def requests_from(start: int, count: int) -> Iterator[Request]:
    """Requests that differ from all others."""
    for number in range(start, start + count):
        yield request(QUICK_KINDS[number % len(QUICK_KINDS)], number)


@pytest.mark.parametrize("executor", ["plan", "reference"])
@pytest.mark.slow
def test_some_hundred_transactions_leave_nothing_behind(executor: str):
    # As little is remembered as fits into the first of them.
    engine = Ours(HARD_RULES.read_text("utf-8"), executor=executor, scan_memory=64 * 1024)
    store = engine.waf._store
    held = []
    tracemalloc.start()
    try:
        for batch in range(5):
            for each in requests_from(batch * 120, 120):
                engine.run(each, response=True)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()

    assert store is engine.waf._store
    assert held[4] - held[1] < 30_000, held


@pytest.mark.slow
def test_transactions_with_a_spent_budget_leave_nothing_behind():
    engine = Ours(HARD_RULES.read_text("utf-8"))
    make = engine.waf.transaction
    engine.waf.transaction = lambda id=None, *, budget=None: make(id, budget=Budget(0.001, "deny"))  # type: ignore[method-assign]  # noqa: A006, ARG005
    held = []
    tracemalloc.start()
    try:
        for batch in range(4):
            for each in requests_from(batch * 60, 60):
                engine.run(each, response=True)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()

    assert engine.waf.budgets_exceeded == 240
    assert held[3] - held[1] < 20_000, held


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 900)
def test_the_crs_over_many_transactions():
    try:
        directives, _ = find_rules(None)
    except SystemExit as error:
        absent(str(error))
        raise
    count = 100_000 if FULL else 3_000
    engine = Ours(directives, scan_memory=2 * 1024 * 1024)
    held = []
    for part in range(4):
        for each in requests_from(part * count // 4, count // 4):
            engine.run(each)
        gc.collect()
        held.append(resident())

    assert held[3] - held[0] < (8 if FULL else 4), held  # MiB, once the first quarter has filled what is remembered
