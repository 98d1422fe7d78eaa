"""Prechecks: never False where the rule matches, and without an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from tests.waf_engine.exchanges import exchanges
from tests.waf_engine.twins import HARD_RULES, Exchange, outcome
from waf_engine import WAF
from waf_engine.compiler.plan import Exclusion
from waf_engine.compiler.prechecks import precheck_of
from waf_engine.runtime.reference import evaluate

if TYPE_CHECKING:
    from waf_engine.compiler.plan import CompiledRule
    from waf_engine.runtime.transaction import Transaction


def only_rule(text: str) -> tuple[WAF, CompiledRule]:
    waf = WAF.from_directives(text, executor="reference")
    return waf, waf.plan.rules[0]


def before_rules(waf: WAF, uri: bytes) -> Transaction:
    """A transaction that was fed and has run no rule."""
    return Exchange(uri, phases=()).run(waf)


@pytest.mark.parametrize(
    ("rule", "yes", "no"),
    [
        ('ARGS "@streq a"', b"/?x=a", b"/?x=b"),
        ('ARGS "!@streq a"', b"/?x=b", b"/?x=a"),
        ('ARGS:x "@streq a"', b"/?X=a", b"/?y=a"),
        ('ARGS:/^x/ "@streq a"', b"/?xx=a", b"/?yx=a"),
        ('ARGS|!ARGS:x "@streq a"', b"/?y=a", b"/?x=a"),
        ('&ARGS "@eq 2"', b"/?x=a&y=b", b"/?x=a"),
        ('&ARGS:x "@eq 0"', b"/?y=a", b"/?x=a"),
        ('TX:0 "@streq a"', None, b"/"),
        ('&TX:a "@eq 0"', b"/", None),
        ('ARGS|REQUEST_METHOD "@streq GET"', b"/", None),
    ],
)
def test_a_precheck_says_what_the_rule_would_say(rule: str, yes: bytes | None, no: bytes | None):
    waf, compiled = only_rule(f'SecRule {rule} "id:1,phase:1,pass"')
    precheck = precheck_of(compiled)

    assert precheck is not None
    for uri, answer in ((yes, True), (no, False)):
        if uri is not None:
            assert precheck(before_rules(waf, uri)) is answer
            assert evaluate(before_rules(waf, uri), compiled) is answer


def test_transformations_come_before_the_operator():
    waf, compiled = only_rule('SecRule ARGS "@streq ab" "id:1,phase:1,pass,t:lowercase,t:trim"')
    precheck = precheck_of(compiled)

    assert precheck is not None
    assert precheck(before_rules(waf, b"/?a=%20AB"))


@pytest.mark.parametrize(
    "rule",
    [
        'SecAction "id:1,pass"',
        'SecRule ARGS "!@rx (a)" "id:1,pass,capture"',
        'SecRule ARGS "@rx a" "id:1,pass,multiMatch,t:lowercase"',
        'SecRule ARGS "@rx ^%{tx.a}$" "id:1,pass"',
        'SecRule REQUEST_URI "@restpath /a/{b}" "id:1,pass"',
    ],
)
def test_rules_that_have_to_be_evaluated_have_none(rule: str):
    assert precheck_of(only_rule(rule)[1]) is None


def test_a_count_may_be_changed_by_an_exclusion_made_while_rules_run():
    waf, compiled = only_rule('SecRule &ARGS "@eq 0" "id:1,phase:1,pass"')
    precheck, tx = precheck_of(compiled), before_rules(waf, b"/?a=1")
    assert precheck is not None
    assert not precheck(tx)

    tx.removed_targets = {1: [Exclusion("ARGS", b"a")]}

    assert precheck(tx)
    assert evaluate(tx, compiled)


HARD = WAF.from_directives(HARD_RULES.read_text("utf-8"), executor="reference")
PRECHECKS = [(rule, check) for rule in HARD.plan.rules if not rule.marker and (check := precheck_of(rule)) is not None]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(exchange=exchanges())
def test_a_precheck_is_never_false_where_the_rule_matches_and_changes_nothing(exchange: Exchange):
    assert len(PRECHECKS) > 80
    tx = exchange.run(HARD)
    state = outcome(tx)
    said = [check(tx) for _, check in PRECHECKS]
    assert outcome(tx) == state

    for (rule, check), before in zip(PRECHECKS, said, strict=True):
        tx.matched_vars = []
        again = check(tx)
        if evaluate(tx, rule):
            assert again, rule.id
        assert before in {True, False}
