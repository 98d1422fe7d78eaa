"""Where ordinary requests stop: rules that stand alone in the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.waf_engine.twins import Exchange, Twins
from waf_engine.compiler import program
from waf_engine.compiler.ordinary import REQUESTS, stops
from waf_engine.runtime.planned import PlannedExecutor

if TYPE_CHECKING:
    import pytest

RULES = r"""
SecAction "id:1,phase:1,pass,nolog,setvar:tx.a=1"
SecRule REQUEST_HEADERS:X-Seldom "@rx a" "id:2,phase:1,pass,t:lowercase"
SecRule &REQUEST_HEADERS:Host "@eq 1" "id:3,phase:1,pass,nolog,setvar:tx.host=1"
SecAction "id:4,phase:1,pass,nolog,setvar:tx.b=1"
SecRule &REQUEST_HEADERS:X-Seldom "@eq 1" "id:5,phase:1,pass"
SecRule REQUEST_METHOD "@rx ^(?:GET|POST)$" "id:6,phase:2,pass,nolog"
"""


def executor_of(twins: Twins) -> PlannedExecutor:
    executor = twins.planned._executor
    assert isinstance(executor, PlannedExecutor)
    return executor


def test_rules_that_ordinary_requests_match_are_found():
    twins = Twins(RULES)
    found = stops(executor_of(twins), twins.planned._blank)
    phases = twins.reference.plan.phases
    assert {phases[history[-1]][i].id for history, positions in found.items() for i in positions} == {3, 6}


def test_they_stand_alone_and_the_others_do_not():
    twins = Twins(RULES)
    phase = executor_of(twins).programs[1,]
    alone = [[phase.rules[i].id for i in s.positions] for s in phase.stretches if s.checks is None]
    assert alone == [[3]]
    assert any(len(s.positions) > 1 for s in phase.stretches)


def test_it_changes_no_outcome():
    twins = Twins(RULES)
    for method, target, headers in REQUESTS:
        twins.compare(Exchange(target, method, headers))
        twins.compare(Exchange(target, method, (*headers, (b"X-Seldom", b"A"))))


def test_no_request_is_run_on_rules_that_ask_the_world(monkeypatch: pytest.MonkeyPatch):
    ran: list[object] = []
    monkeypatch.setattr(program, "stops", lambda executor, _blank: ran.append(executor) or {})
    Twins(RULES)
    assert len(ran) == 1
    Twins(RULES + 'SecRule REMOTE_ADDR "@rbl example.org" "id:7,phase:1,pass,nolog"')
    assert len(ran) == 1
