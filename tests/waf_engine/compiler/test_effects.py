"""Descriptions of effects."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from waf_engine import WAF
from waf_engine.compiler.effects import EffectNote, note_of, noted

if TYPE_CHECKING:
    from waf_engine.compiler.plan import CompiledRule, Effect
    from waf_engine.runtime.transaction import Transaction


def make() -> Effect:
    def effect(_tx: Transaction, _rule: CompiledRule) -> None:
        pass

    return effect


def test_an_effect_without_a_description_has_none():
    assert note_of(make()) is None


def test_a_description_belongs_to_one_effect():
    first, second = make(), make()

    assert noted(first) is first
    assert note_of(first) == EffectNote(None, ())
    assert note_of(second) is None


def test_a_description_goes_with_its_effect():
    effect = noted(make())
    del effect
    gc.collect()

    assert note_of(make()) is None


def test_the_actions_describe_what_they_write_and_read():
    rules = 'SecAction "id:1,pass,setvar:tx.a=%{tx.b},setvar:!tx.c,setvar:ip.x=1,setenv:y=1,ctl:ruleRemoveById=2"'
    notes = [note_of(e) for e in WAF.from_directives(rules, executor="reference").plan.rules[0].effects]
    described = [(str(n.writes) if n.writes else None, [str(r) for r in n.reads]) for n in notes if n is not None]

    assert described == [("a", ["%{tx.b}"]), ("c", []), (None, ["x", "1"]), (None, ["y", "1"]), (None, [])]
