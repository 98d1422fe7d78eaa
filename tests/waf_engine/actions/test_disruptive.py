"""Disruptive actions: alone, with SecDefaultAction, with a status; the last one written counts."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import exchange, faults, load
from waf_engine import Interruption

pytestmark = pytest.mark.usefixtures("each_executor")

ROWS = {
    "deny": ("deny", None),
    "drop": ("drop", None),
    "pass": ("pass", None),
    "block": ("block", None),
    "allow": ("allow:request", ("allow:everything", 0)),
    "redirect": ("redirect:https://example.com/", ("redirect:%{x", 0)),
    "status": ("status:500", ("status:99", 0)),
}
"""Action: what is accepted; what is refused, and the character of the value at fault (None: no value is taken)."""


def interruption(actions: str, directives: str = "", phase: int = 1) -> Interruption | None:
    return exchange(f'{directives}\nSecAction "id:1,phase:{phase},{actions}"', "/p?a=1").interruption


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ("deny", Interruption("deny", 403, "", 1)),
        ("deny,status:406", Interruption("deny", 406, "", 1)),
        ("status:406,deny", Interruption("deny", 406, "", 1)),
        ("drop", Interruption("drop", 0, "", 1)),
        ("drop,status:406", Interruption("drop", 406, "", 1)),
        ("redirect:https://e.com/", Interruption("redirect", 302, "https://e.com/", 1)),
        ("redirect:'https://e.com/?u=%{REQUEST_URI}'", Interruption("redirect", 302, "https://e.com/?u=/p?a=1", 1)),
        ("redirect:/x,status:301", Interruption("redirect", 301, "/x", 1)),
        ("redirect:/x,status:303", Interruption("redirect", 303, "/x", 1)),
        ("redirect:/x,status:307", Interruption("redirect", 307, "/x", 1)),
        ("redirect:/x,status:403", Interruption("redirect", 302, "/x", 1)),  # no status of a redirect (Coraza)
        ("pass", None),
        ("pass,status:403", None),
        ("allow", None),
        ("block", None),  # no SecDefaultAction says what it means
        ("nolog", None),
        ("deny,pass", None),
        ("pass,deny", Interruption("deny", 403, "", 1)),
        ("redirect:/x,deny", Interruption("deny", 403, "", 1)),
    ],
)
def test_without_a_default_action(actions: str, expected: Interruption | None):
    assert interruption(actions) == expected


@pytest.mark.parametrize(
    ("default", "actions", "expected"),
    [
        ("deny,status:418", "block", Interruption("deny", 418, "", 1)),
        ("deny,status:418", "t:none", Interruption("deny", 418, "", 1)),
        ("deny,status:418", "block,status:419", Interruption("deny", 419, "", 1)),
        ("deny,status:418", "pass", None),
        ("deny,status:418", "drop", Interruption("drop", 418, "", 1)),
        ("deny,status:418", "pass,block", Interruption("deny", 418, "", 1)),
        ("redirect:'/b?%{REQUEST_METHOD}'", "block", Interruption("redirect", 302, "/b?GET", 1)),
        ("drop", "block", Interruption("drop", 0, "", 1)),
        ("pass", "block", None),
        ("pass", "deny", Interruption("deny", 403, "", 1)),
    ],
)
def test_with_a_default_action(default: str, actions: str, expected: Interruption | None):
    assert interruption(actions, f'SecDefaultAction "phase:1,log,{default}"') == expected


def test_a_default_action_is_that_of_its_phase():
    default = 'SecDefaultAction "phase:1,deny"'

    assert interruption("block", default, phase=2) is None
    assert interruption("block", default, phase=1) == Interruption("deny", 403, "", 1)


def test_a_default_action_acts_on_the_rules_after_it():
    rules = 'SecAction "id:1,phase:1,block"\nSecDefaultAction "phase:1,deny"\nSecAction "id:2,phase:1,block"'

    assert exchange(rules).interruption == Interruption("deny", 403, "", 2)


def test_block_keeps_allow_and_its_reach():
    rules = """
        SecDefaultAction "phase:1,allow:phase"
        SecAction "id:1,phase:1,block"
        SecAction "id:2,phase:1,deny"
        SecAction "id:3,phase:2,deny"
    """

    assert exchange(rules).interruption == Interruption("deny", 403, "", 3)


@pytest.mark.parametrize(
    ("actions", "column"),
    [("status:99", 8), ("status:600", 8), ("status:4x3", 8), ("allow:later", 7), ("redirect:'a%{b'", 12)],
)
def test_a_bad_value_is_refused_at_its_place(actions: str, column: int):
    text = f'SecAction "id:1,phase:1,{actions}"'

    assert [(line, at) for _, line, at in faults(text)] == [(1, text.index(actions) + column)]


def test_the_plan_holds_the_action_resolved():
    plan = load('SecDefaultAction "phase:1,deny,status:418"\nSecAction "id:1,phase:1,block"').plan
    disruption = plan.rules[0].disruption

    assert disruption is not None
    assert (disruption.action, disruption.status) == ("deny", 418)
