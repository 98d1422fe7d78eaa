"""The decorator that makes actions."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tests.waf_engine.support import exchange, faults, load
from waf_engine.actions import actions
from waf_engine.actions.registry import ActionKind, Value, action
from waf_engine.waf import default_registries


def test_a_plug_in_adds_an_action_to_a_copy(monkeypatch: pytest.MonkeyPatch):
    mine = actions.copy()
    monkeypatch.setattr(sys.modules["waf_engine.actions.registry"], "actions", mine)

    @action("shout", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
    def shout(draft, value, _context):  # noqa: ANN001  its types are those of any action
        draft.effects.append(lambda tx, _rule: tx.set_tx(b"said", value.upper().encode()))

    registries = replace(default_registries(), actions=mine)
    text = 'SecAction "id:1,phase:1,pass,SHOUT:hello"'

    assert exchange(load(text, registries=registries)).tx == {b"said": b"HELLO"}
    assert [code for code, _, _ in faults(text)] == ["unknown-action"]  # the package's own stayed as it was
    found = mine.get("shout")
    assert found is not None
    assert (found.name, found.kind, found.value, found.apply) == (
        "shout", ActionKind.NON_DISRUPTIVE, Value.REQUIRED, shout
    )  # fmt: skip


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="registered twice"):
        action("DENY", ActionKind.DISRUPTIVE)(lambda _draft, _value, _context: None)
