"""Profiles: times that add up, the same verdicts as without, and nothing left behind."""

from __future__ import annotations

import gc
import itertools
import time
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.twins import HARD_RULES, Exchange, outcome
from waf_engine import WAF
from waf_engine.profiling import BODY, CHAIN, DATABASE, KINDS, OPERATOR, PHASE, REST, RULE, Meter, ProfiledWAF

if TYPE_CHECKING:
    from collections.abc import Callable

EXECUTORS = ("plan", "reference")
ATTACK = Exchange(b"/?id=1 union select&a=<script>alert(1)</script>&b=%2e%2e/ETC/passwd&q=hello there")


class Ticks:
    """A clock that goes on only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now)

    def work(self, nanoseconds: int, *inner: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            self.now += nanoseconds
            for each in inner:
                each()

        return run


def test_the_time_of_a_part_is_without_that_of_the_parts_it_calls(monkeypatch: pytest.MonkeyPatch):
    ticks, meter = Ticks(monkeypatch), Meter()
    leaf = meter.timed("a", "leaf", ticks.work(5))
    middle = meter.timed("a", "middle", ticks.work(30, leaf, leaf))
    meter.timed("b", "top", ticks.work(100, middle, leaf, middle))()

    assert [(row.name, round(row.seconds * 1e9), row.calls) for row in meter.rows()] == [
        ("top", 100, 1),
        ("middle", 60, 2),
        ("leaf", 25, 5),
    ]
    meter.reset()
    assert meter.rows() == []


def test_a_part_that_raises_is_timed(monkeypatch: pytest.MonkeyPatch):
    ticks, meter = Ticks(monkeypatch), Meter()

    def fail() -> None:
        ticks.now += 7
        raise KeyError

    failing = meter.timed("a", "fails", fail)

    def around() -> None:
        ticks.now += 2
        with pytest.raises(KeyError):
            failing()

    meter.timed("a", "around", around)()

    assert {row.name: round(row.seconds * 1e9) for row in meter.rows()} == {"fails": 7, "around": 2}


def test_a_part_may_be_named_by_what_it_is_given(monkeypatch: pytest.MonkeyPatch):
    ticks, meter = Ticks(monkeypatch), Meter()

    def wait(nanoseconds: int) -> None:
        ticks.now += nanoseconds

    timed = meter.timed_by("a", str, wait)
    for each in (3, 4, 3):
        timed(each)

    assert [(row.name, round(row.seconds * 1e9), row.calls) for row in meter.rows()] == [("3", 6, 2), ("4", 4, 1)]


def profiled(executor: str) -> ProfiledWAF:
    return ProfiledWAF.from_directives(  # type: ignore[return-value]  # of the class that it is called on
        HARD_RULES.read_text("utf-8"), executor=executor, scan_memory=0, clock=lambda: 1_000_000.0
    )


@pytest.mark.parametrize("executor", EXECUTORS)
def test_each_kind_of_part_has_its_time_and_all_of_it_adds_up(executor: str, monkeypatch: pytest.MonkeyPatch):
    ticks = itertools.count(step=1000)  # whoever looks at the clock moves it on: no other process can
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
    waf = profiled(executor)
    body = Exchange(
        method=b"POST", headers=((b"Content-Type", b"application/x-www-form-urlencoded"),), body=b"id=1+union+select"
    )
    with waf.measuring():
        began = time.perf_counter_ns()
        for _ in range(3):
            waf.exchange(lambda: ATTACK.run(waf))
            waf.exchange(lambda: body.run(waf))
        took = (time.perf_counter_ns() - began) / 1e9
    rows = waf.meter.rows()

    assert {row.kind for row in rows} == set(KINDS) - ({DATABASE} if executor == "reference" else set())
    assert sum(row.seconds for row in rows) == pytest.approx(took, rel=0.01)
    assert rows == sorted(rows, key=lambda row: -row.seconds)
    calls = {(row.kind, row.name): row.calls for row in rows}
    assert calls[REST, ""] == 6
    assert calls[PHASE, "1"] == calls[PHASE, "2"] == 6
    assert calls[BODY, "URLENCODED"] == 3
    ids = {str(rule.id) for rule in waf.plan.rules}
    assert {name for kind, name in calls if kind == RULE} <= ids
    assert {name.split()[0] for kind, name in calls if kind == OPERATOR} <= ids
    assert all(name.startswith("t:") for kind, name in calls if kind == CHAIN)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_profile_changes_no_verdict(executor: str):
    plain = WAF.from_directives(HARD_RULES.read_text("utf-8"), executor=executor, clock=lambda: 1_000_000.0)
    waf = profiled(executor)
    for exchange in (ATTACK, Exchange(b"/?level=3&end=deny1"), Exchange(b"/a.php?off=here&skip=both")):
        with waf.measuring():
            found = outcome(exchange.run(waf))
        expected = outcome(exchange.run(plain))
        ids = [(record[0], record[2], record[3]) for record in expected["records"]]
        assert [(record[0], record[2], record[3]) for record in found["records"]] == ids
        assert {key: found[key] for key in ("tx", "interruption", "lines", "severity")} == {
            key: expected[key] for key in ("tx", "interruption", "lines", "severity")
        }


def test_nothing_is_left_behind():
    waf, plain = profiled("plan"), WAF.from_directives("SecRuleEngine On")

    def fail() -> None:
        with waf.measuring():
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert gc.get_freeze_count() == 0
    assert plain.databases is not waf.databases
    ATTACK.run(plain)
    assert waf.meter.rows() == [], "what others evaluate is not timed"


def test_what_rules_share_stays_shared():
    text = "\n".join(
        f'SecRule ARGS "@rx evil{number}" "id:{number},phase:1,pass,t:lowercase,t:urlDecodeUni"'
        for number in range(1, 9)
    )
    waf = ProfiledWAF.from_directives(text, scan_memory=0)
    assert isinstance(waf, ProfiledWAF)
    functions = {rule.transformations[1][1] for rule in waf.plan.rules}
    with waf.measuring():
        Exchange(b"/?a=EVIL%2541").run(waf)
    calls = {row.name: row.calls for row in waf.meter.rows() if row.kind == CHAIN}

    assert len(functions) == 1
    assert calls == {"t:lowercase": 1, "t:lowercase t:urlDecodeUni": 1}
