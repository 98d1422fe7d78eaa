"""The tables of both roles: complete, leading to an end, drawn in the documentation; and a walk through all of them."""

from typing import Any

import pytest

from spop_proto import StatusCode
from spop_proto._state import (
    AGENT_RECEIVES,
    AGENT_SENDS,
    HAPROXY_RECEIVES,
    HAPROXY_SENDS,
    AgentInput,
    AgentState,
    Effect,
    HAProxyInput,
    HAProxyState,
)
from tests.spop_proto import states_page

ROLES = [
    pytest.param(AgentState, AgentInput, AGENT_RECEIVES, AGENT_SENDS, id="agent"),
    pytest.param(HAProxyState, HAProxyInput, HAPROXY_RECEIVES, HAPROXY_SENDS, id="haproxy"),
]


@pytest.mark.parametrize(("states", "inputs", "receives", "sends"), ROLES)
def test_the_tables_are_complete(states: Any, inputs: Any, receives: Any, sends: Any):
    assert set(receives) == set(sends) == set(states)
    for state in states:
        assert set(receives[state]) == set(inputs)
        for step in receives[state].values():
            assert states(step.next) in states


@pytest.mark.parametrize(("states", "inputs", "receives", "sends"), ROLES)
def test_a_failure_has_a_status_and_ends_it_and_nothing_else_does(states: Any, inputs: Any, receives: Any, sends: Any):
    del inputs, sends
    for cells in receives.values():
        for step in cells.values():
            assert (step.effect is Effect.FAIL) == (step.status is not StatusCode.NORMAL)
            if step.effect is Effect.FAIL:
                assert step.next == states["FAILED"]


def reachable(start: Any, receives: Any, sends: Any):
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        targets = {step.next for step in receives[state].values()} | set(sends[state].values())
        todo += targets - found
        found |= targets
    return found


@pytest.mark.parametrize(("states", "inputs", "receives", "sends"), ROLES)
def test_each_state_can_be_reached_and_each_leads_to_the_end(states: Any, inputs: Any, receives: Any, sends: Any):
    del inputs
    assert reachable(states(0), receives, sends) == set(states)
    for state in states:
        assert reachable(state, receives, sends) & {states["CLOSED"], states["FAILED"]}


@pytest.mark.parametrize(("states", "inputs", "receives", "sends"), ROLES)
def test_the_end_is_the_end(states: Any, inputs: Any, receives: Any, sends: Any):
    del inputs
    for end in (states["CLOSED"], states["FAILED"]):
        assert reachable(end, receives, sends) == {end}
        assert not sends[end]


def test_the_page_is_drawn_from_these_tables():
    assert states_page.PAGE.read_text() == states_page.render(), (
        "stale: python tests/spop_proto/states_page.py > docs/spop-states.md"
    )


def test_each_state_and_input_is_explained_on_the_page():
    page = states_page.render()
    for enum in (AgentState, AgentInput, HAProxyState, HAProxyInput):
        for member in enum:
            assert f"| {member.name} | {states_page.meanings(enum)[member.name]} |" in page
