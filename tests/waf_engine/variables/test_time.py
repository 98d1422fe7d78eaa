"""Times: local time from the WAF's clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import begin, values
from tests.waf_engine.variables.samples import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = {
    "TIME": b"00:13:20",
    "TIME_DAY": b"15",
    "TIME_HOUR": b"00",
    "TIME_MIN": b"13",
    "TIME_MON": b"11",  # 1 to 12, as in Coraza
    "TIME_SEC": b"20",
    "TIME_WDAY": b"3",  # a Wednesday; Sunday is 0
    "TIME_YEAR": b"2023",
    "TIME_EPOCH": b"1700000000",
    "DURATION": b"1500000",  # microseconds
}


@pytest.fixture
def two_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "EAST-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("two_hours_east")
@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    now = [NOW - 1.5]
    tx = begin("SecRuleEngine On", clock=lambda: now[0])
    now[0] = NOW

    assert values(tx, name) == [(b"", ROWS[name])]
