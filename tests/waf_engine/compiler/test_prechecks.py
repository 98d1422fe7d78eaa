"""Prechecks: never False where the rule matches, and without an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from tests.waf_engine.exchanges import exchanges
from tests.waf_engine.twins import HARD_RULES, Exchange, outcome
from waf_engine import WAF
from waf_engine.compiler.plan import Exclusion
from waf_engine.compiler.prechecks import precheck_of, tx_reads
from waf_engine.runtime.reference import evaluate

if TYPE_CHECKING:
    from waf_engine.compiler.plan import CompiledRule
    from waf_engine.runtime.transaction import Transaction


def only_rule(text: str) -> tuple[WAF, CompiledRule]:
    waf = WAF.from_directives(text, executor="reference")
    return waf, waf.plan.rules[0]


def before_rules(waf: WAF, uri: bytes) -> Transaction:
    """A transaction that was fed and has run no rule; with so many headers as its path says."""
    number = int(uri[1:]) if uri[1:].isdigit() else 0
    headers = tuple((b"x-A", b"%d" % number) for _ in range(number))
    return Exchange(uri, headers=headers, phases=()).run(waf)


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
        ('REQUEST_HEADERS:X-A "@streq 1"', b"/1", b"/2"),
        ('REQUEST_HEADERS:X-A "!@streq 1"', b"/2", b"/1"),
        ('&REQUEST_HEADERS:x-a "@eq 2"', b"/2", b"/1"),
        ('&REQUEST_HEADERS:x-a "@ge %{tx.none}"', b"/1", None),
        ('&REQUEST_HEADERS:x-a "@gt 5"', b"/6", b"/2"),
        ('&REQUEST_HEADERS:x-b "@eq 0"', b"/", None),
        ('REQUEST_HEADERS|!REQUEST_HEADERS:X-A "@streq 1"', None, b"/1"),
        ('TX:/a/ "@streq a"', None, b"/"),
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
        'SecRule MATCHED_VARS "@rx a" "id:1,pass"',
        'SecRule ARGS "@streq %{RULE.id}" "id:1,pass"',
        'SecRule ARGS "@rx a" "id:1,pass,multiMatch,t:lowercase"',
        'SecRule ARGS "@rx ^%{tx.a}$" "id:1,pass"',
        'SecRule REQUEST_URI "@restpath /a/{b}" "id:1,pass"',
    ],
)
def test_rules_that_have_to_be_evaluated_have_none(rule: str):
    assert precheck_of(only_rule(rule)[1]) is None


@pytest.mark.parametrize("target", ["ARGS", "ARGS:a", "TX:a", "TX:/a/", "REQUEST_HEADERS:X-A", "REQUEST_HEADERS"])
def test_a_count_may_be_changed_by_an_exclusion_made_while_rules_run(target: str):
    waf, compiled = only_rule(f'SecRule &{target} "@eq 0" "id:1,phase:1,pass"')
    precheck, tx = precheck_of(compiled), before_rules(waf, b"/1")
    tx.request.args_get = [(b"a", b"1")]
    tx.tx[b"a"] = b"1"
    assert precheck is not None
    assert not precheck(tx)
    assert not evaluate(tx, compiled)

    tx.removed_targets = {1: (Exclusion(target.split(":", maxsplit=1)[0]),)}

    assert precheck(tx)
    assert evaluate(tx, compiled)


def test_a_negated_operator_that_captures_is_asked_whether_it_has_a_value():
    waf, compiled = only_rule('SecRule ARGS "!@rx (a)" "id:1,phase:1,pass,capture"')
    precheck = precheck_of(compiled)

    assert precheck is not None
    assert precheck(before_rules(waf, b"/?x=a"))
    assert not precheck(before_rules(waf, b"/"))


CHAIN = 'SecRule ARGS:a "@rx x" "id:1,phase:1,pass,chain{}"\nSecRule &ARGS:b "@eq 1" "chain"\nSecRule ARGS:c "@rx y"'


@pytest.mark.parametrize(
    ("uri", "all_of_it", "begins"),
    [
        (b"/?a=x&b=1&c=y", True, True),
        (b"/?a=x&b=1&c=z", False, True),
        (b"/?a=x&c=y", False, True),
        (b"/?b=1&c=y", False, False),
    ],
)
def test_members_of_a_chain_are_asked_behind_those_that_only_ask(uri: bytes, all_of_it: bool, begins: bool):
    waf, compiled = only_rule(CHAIN.format(""))
    whole, first = precheck_of(compiled, by_chain=True), precheck_of(compiled)
    acting = precheck_of(only_rule(CHAIN.format(",setvar:tx.a=1"))[1], by_chain=True)
    assert whole is not None
    assert first is not None
    assert acting is not None
    tx = before_rules(waf, uri)

    assert (whole(tx), first(tx), acting(tx)) == (all_of_it, begins, begins)
    assert evaluate(tx, compiled) is all_of_it


@pytest.mark.parametrize("second", ["MATCHED_VAR", "MATCHED_VARS", "MATCHED_VAR_NAME"])
def test_a_member_that_looks_at_the_match_before_it_is_not_asked(second: str):
    waf, compiled = only_rule(f'SecRule ARGS:a "@rx x" "id:1,phase:1,pass,chain"\nSecRule {second} "@rx x"')
    precheck = precheck_of(compiled, by_chain=True)

    assert precheck is not None
    assert precheck(before_rules(waf, b"/?a=x"))


@pytest.mark.parametrize(
    ("rule", "reads"),
    [
        ('ARGS "@rx a"', set()),
        ('TX:A|ARGS "@rx a"', {b"a"}),
        ('ARGS "@streq %{tx.B}"', {b"b"}),
        ('TX:a "@streq %{tx.b}-%{TX:c}"', {b"a", b"b", b"c"}),
        ('TX:/a/ "@rx a"', None),
        ('TX "@rx a"', None),
        ('HIGHEST_SEVERITY "@eq 1"', None),
        ('ARGS "@streq %{MATCHED_VAR}"', None),
        ('REQBODY_PROCESSOR "@streq XML"', set()),
    ],
)
def test_what_a_precheck_may_read_of_tx(rule: str, reads: set[bytes] | None):
    assert tx_reads(only_rule(f'SecRule {rule} "id:1,pass"')[1]) == reads
    chained = f'SecRule ARGS "@rx a" "id:1,pass,chain"\nSecRule {rule}'
    assert tx_reads(only_rule(chained)[1]) == reads


HARD = WAF.from_directives(HARD_RULES.read_text("utf-8"), executor="reference")
PRECHECKS = [
    (rule, check)
    for rule in HARD.plan.rules
    for by_chain in (False, True)
    if not rule.marker and (check := precheck_of(rule, by_chain=by_chain)) is not None
]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(exchange=exchanges())
def test_a_precheck_is_never_false_where_the_rule_matches_and_changes_nothing(exchange: Exchange):
    assert len(PRECHECKS) > 160
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
