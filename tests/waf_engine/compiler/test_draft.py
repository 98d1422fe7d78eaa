"""A draft holds what a compiled rule will; the compiler freezes each field of it."""

from __future__ import annotations

import dataclasses

from tests.waf_engine.support import load
from waf_engine.compiler.draft import RuleDraft
from waf_engine.compiler.plan import CompiledRule
from waf_engine.diagnostics import Span

OWN = {
    "explicit_phase", "variables", "disruptive", "status", "redirect", "allow", "chained", "members", "in_chain",
    "namespaces",
}  # fmt: skip
"""Fields of a draft that a rule has in another form: as targets, as a disruption, as a chain."""


def names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind) if field.init}


def test_a_draft_has_all_that_a_rule_has():
    assert names(CompiledRule) - names(RuleDraft) == {"targets", "disruption", "chain"}
    assert names(RuleDraft) - names(CompiledRule) == OWN


def test_two_drafts_share_no_list():
    one, other = RuleDraft(span=Span("f", 1)), RuleDraft(span=Span("f", 1))
    one.tags.append("x")
    one.namespaces["a"] = "b"

    assert (other.tags, other.namespaces) == ([], {})


def test_an_empty_draft_becomes_an_empty_rule():
    rule = load('SecAction "id:1,phase:1"').plan.rules[0]
    expected = CompiledRule(id=1, phase=1, span=rule.span, raw=rule.raw)

    assert {name: getattr(rule, name) for name in names(CompiledRule)} == {
        name: getattr(expected, name) for name in names(CompiledRule)
    }
