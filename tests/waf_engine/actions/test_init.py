"""Every action has a row in a table of this folder: accepted, and refused with the position of the fault."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.waf_engine.support import faults, load
from waf_engine.actions import FAMILIES, actions
from waf_engine.actions.registry import Value

SANITISE = {
    "sanitiseArg": ("sanitiseArg:password", ("sanitiseArg:", -12)),
    "sanitiseRequestHeader": ("sanitiseRequestHeader:Cookie", ("sanitiseRequestHeader:", -22)),
    "sanitiseResponseHeader": ("sanitiseResponseHeader:Set-Cookie", ("sanitiseResponseHeader:", -23)),
    "sanitiseMatched": ("sanitiseMatched", None),
    "sanitiseMatchedBytes": ("sanitiseMatchedBytes:0/4", ("sanitiseMatchedBytes:x", 0)),
}
"""The actions whose work is seen in the logs, and tested there."""
TABLES = SANITISE | {
    name: row
    for family in (module.__name__.rpartition(".")[2] for module in FAMILIES)
    if family != "sanitise"
    for name, row in importlib.import_module(f"tests.waf_engine.actions.test_{family}").ROWS.items()
}
CHAIN_END = '\nSecRule ARGS "@rx a"\nSecMarker END'


def test_no_action_lacks_a_row_and_no_row_its_action():
    assert set(TABLES) == set(actions.canonical_names())


@pytest.mark.parametrize("name", TABLES)
def test_each_accepts(name: str):
    good = TABLES[name][0]
    if good is None:
        return  # an action that is always refused, with a reason
    rules = f'SecAction "id:1,phase:2,{good}"{CHAIN_END if name == "chain" else ""}'

    assert load(rules).plan.rules[0].id == 1


@pytest.mark.parametrize("name", TABLES)
def test_each_refuses_at_its_place(name: str):
    bad = TABLES[name][1]
    if bad is None:  # it takes no value
        bad = f"{name}:value", 0
    action, at = bad
    text = f'SecAction "id:1,phase:1,{action}"{CHAIN_END}' if name != "id" else f'SecAction "phase:1,{action}"'
    if name == "phase":
        text = f'SecAction "id:1,{action}"'
    value = text.index(action) + action.index(":") + 1 + action.partition(":")[2].startswith("'")

    assert (1, value + at + 1) in [(line, column) for _, line, column in faults(text)]


@pytest.mark.parametrize("name", actions.canonical_names())
def test_each_says_what_it_takes_and_has_a_manual(name: str):
    action = actions.get(name)
    assert action is not None

    assert f"``{action.name}" in (action.apply.__doc__ or "")
    if action.value is Value.REQUIRED:
        text = f'SecAction "id:1,phase:1,{name}"' if name not in {"id", "phase"} else f'SecAction "{name}"'
        assert any(code == "missing-value" for code, _, _ in faults(text))


def test_the_families_are_the_folders_files():
    folder = Path(FAMILIES[0].__file__ or "").parent
    files = {path.stem for path in folder.glob("[!_]*.py")} - {"registry"}

    assert {module.__name__.rpartition(".")[2] for module in FAMILIES} == files
