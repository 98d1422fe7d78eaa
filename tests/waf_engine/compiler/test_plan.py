"""The plan: frozen, with look-ups by id, tag and message."""

from __future__ import annotations

import dataclasses

import pytest

from tests.waf_engine.support import load
from waf_engine.compiler.plan import PHASES, Exclusion, Phase, Plan, id_range
from waf_engine.diagnostics import Span

RULES = """
    SecAction "id:30,phase:1,pass,tag:a,tag:b,msg:'one %{tx.x}'"
    SecAction "id:10,phase:2,pass,tag:a,msg:'two'"
    SecMarker M
    SecAction "id:20,phase:5,pass,msg:'two',chain"
        SecRule ARGS "@rx a" "tag:c"
"""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load(RULES).plan


def test_phases_hold_their_rules_and_every_marker(plan: Plan):
    found = [[rule.id for rule in rules] for rules in plan.phases]

    assert found == [[], [30, 0], [10, 0], [0], [0], [0, 20]]
    assert [int(phase) for phase in Phase] == list(PHASES)


def test_look_ups(plan: Plan):
    assert plan.rule_count == 3
    assert plan.ids == (10, 20, 30)
    assert [plan.ids_between(*pair) for pair in ((10, 20), (11, 29), (0, 9), (30, 10))] == [(10, 20), (20,), (), ()]
    assert plan.ids_by_tag == {"a": {30, 10}, "b": {30}}
    assert plan.ids_by_msg == {"one %{tx.x}": {30}, "two": {10, 20}}


def test_a_plan_and_its_rules_cannot_be_written_to(plan: Plan):
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.rules = ()  # type: ignore[misc]  # that is the point
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.rules[0].id = 7  # type: ignore[misc]  # that is the point


def test_rules_know_their_place_and_text(plan: Plan):
    assert [(rule.span.line, rule.span.column) for rule in plan.rules] == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert plan.rules[1].raw == "SecAction \"id:10,phase:2,pass,tag:a,msg:'two'\""
    assert plan.rules[3].chain.span == Span("<directives>", 6, 9)


@pytest.mark.parametrize(
    ("exclusion", "covered"),
    [
        (Exclusion("ARGS"), [b"", b"a", b"ab", b"B", b"b"]),
        (Exclusion("ARGS", b"b"), [b"B", b"b"]),
        (Exclusion("ARGS", pattern=lambda key: key.startswith(b"a")), [b"a", b"ab"]),
    ],
)
def test_what_an_exclusion_covers(exclusion: Exclusion, covered: list[bytes]):
    assert [key for key in (b"", b"a", b"ab", b"B", b"b") if exclusion.covers(key)] == covered


@pytest.mark.parametrize(
    ("text", "found"),
    [("7", (7, 7)), ("7-9", (7, 9)), ("", None), ("-9", None), ("7-", None), ("7-x", None), ("7 9", None)],
)
def test_a_range_of_ids(text: str, found: tuple[int, int] | None):
    assert id_range(text) == found
