"""Which rules depend on TX alone, and what rules read and write of it."""

from __future__ import annotations

import pytest

from waf_engine import WAF
from waf_engine.compiler.static import CAPTURES, Footprint, Reach, all_keys, footprint, is_silent


def of(rule: str, reach: Reach = Reach.MATCHED) -> Footprint:
    """The footprint of the only rule of a text."""
    plan = WAF.from_directives(rule, executor="reference").plan
    return footprint(plan, plan.rules[0], reach)


@pytest.mark.parametrize(
    ("rule", "reads", "writes"),
    [
        ('SecAction "id:1,pass,setvar:tx.A=1"', {b"a"}, {b"a"}),
        ('SecAction "id:1,pass,setvar:tx.a=%{tx.B}"', {b"a", b"b"}, {b"a"}),
        ('SecAction "id:1,pass,setvar:!tx.a"', {b"a"}, {b"a"}),
        ('SecRule TX:a "@eq 1" "id:1,pass"', {b"a"}, set()),
        ('SecRule &TX:a "@eq 0" "id:1,pass"', {b"a"}, set()),
        ('SecRule TX:a "@ge %{tx.b}" "id:1,pass,msg:\'%{tx.c} of %{MATCHED_VAR}\'"', {b"a", b"b", b"c"}, set()),
        ('SecRule TX:a "@rx (x)" "id:1,pass,capture"', {b"a", *CAPTURES}, set(CAPTURES)),
        ('SecRule TX:a "@eq 1" "id:1,pass,msg:\'%{MATCHED_VAR}\'"', {b"a"}, set()),
        ('SecRule TX:a "@eq 1" "id:1,pass,chain"\nSecRule TX:b "@eq 1" "setvar:tx.c=2"', {b"a", b"b", b"c"}, {b"c"}),
    ],
)
def test_rules_on_tx_alone(rule: str, reads: set[bytes], writes: set[bytes]):
    found = of(rule)

    assert found.only_tx
    assert (found.reads, found.writes, found.opaque) == (frozenset(reads), frozenset(writes), False)


@pytest.mark.parametrize(
    "rule",
    [
        'SecRule ARGS "@eq 1" "id:1,pass"',
        'SecRule TX "@eq 1" "id:1,pass"',
        'SecRule TX:/a/ "@eq 1" "id:1,pass"',
        'SecRule TX:a "@eq %{ARGS.a}" "id:1,pass"',
        'SecRule TX:a "@detectSQLi" "id:1,pass"',
        'SecRule TX:a "@eq 1" "id:1,deny"',
        'SecRule TX:a "@eq 1" "id:1,allow"',
        'SecRule TX:a "@eq 1" "id:1,pass,msg:\'%{REMOTE_ADDR}\'"',
        'SecRule TX:a "@eq 1" "id:1,pass,setvar:tx.b=%{ARGS.a}"',
        'SecRule TX:a "@eq 1" "id:1,pass,setvar:tx.b=%{tx}"',
        'SecRule TX:a "@eq 1" "id:1,pass,setvar:tx.%{tx.b}=1"',
        'SecRule TX:a "@eq 1" "id:1,pass,setvar:!tx.%{tx.b}"',
        "SecAction \"id:1,pass,msg:'%{MATCHED_VAR}'\"",
        "SecAction \"id:1,pass,logdata:'%{MATCHED_VAR_NAME}'\"",
        'SecRule TX:a "@eq 1" "id:1,pass,setenv:a=1"',
        'SecRule TX:a "@eq 1" "id:1,pass,initcol:ip=%{REMOTE_ADDR}"',
        'SecRule TX:a "@eq 1" "id:1,pass,ctl:ruleRemoveById=2"',
        'SecRule TX:a "@eq 1" "id:1,pass,chain"\nSecRule ARGS:a "@eq 1"',
    ],
)
def test_rules_on_more_than_tx(rule: str):
    assert not of(rule).only_tx


def test_a_name_made_at_run_time_touches_all_with_its_beginning():
    found = of('SecRule ARGS "@rx ." "id:1,pass,setvar:\'tx.Seen_%{MATCHED_VAR}=1\',setvar:tx.b=1"')
    anything = of('SecRule ARGS "@rx ." "id:1,pass,setvar:\'tx.%{MATCHED_VAR}=1\'"')

    assert found.prefixes == (b"seen_",)
    assert found.touched(frozenset({b"a", b"seen_b", b"see", b"b"})) == {b"seen_b", b"b"}
    assert anything.touched(frozenset({b"a", b"b"})) == {b"a", b"b"}


def test_an_operator_or_an_effect_of_which_nothing_is_known_is_opaque():
    assert of('SecRule REQUEST_URI "@restpath /a/{b}" "id:1,pass"').opaque
    assert of('SecRule REQUEST_URI "@restpath /a/{b}" "id:1,pass"', Reach.ASKED).opaque
    assert not of('SecRule REQUEST_URI "@rx a" "id:1,pass,ctl:ruleRemoveById=2,setenv:a=1"').opaque


def test_what_is_written_depends_on_how_far_the_evaluation_came():
    chain = (
        'SecRule ARGS:a "@rx x" "id:1,pass,chain,setvar:tx.first=1"\n'
        'SecRule ARGS:b "@rx x" "chain,setvar:tx.second=1"\nSecRule ARGS:c "@rx x" "setvar:tx.third=1"'
    )

    assert of(chain, Reach.ASKED).writes == frozenset()
    assert of(chain, Reach.BEGUN).writes == {b"first", b"second"}
    assert of(chain).writes == {b"first", b"second", b"third"}


def test_a_negated_operator_captures_where_it_does_not_match():
    assert of('SecRule ARGS "!@rx (x)" "id:1,pass,capture"', Reach.ASKED).writes == set(CAPTURES)
    assert of('SecRule ARGS "@rx (x)" "id:1,pass,capture"', Reach.ASKED).writes == frozenset()
    last = 'SecRule ARGS "@rx x" "id:1,pass,chain"\nSecRule ARGS "!@rx (x)" "capture"'
    assert of(last, Reach.BEGUN).writes == set(CAPTURES)


@pytest.mark.parametrize(
    ("rule", "silent"),
    [
        ('SecRule ARGS "@rx a" "id:1,pass"', True),
        ('SecRule ARGS "!@pm a" "id:1,pass,msg:a"', True),
        ('SecRule ARGS "@rx a" "id:1,pass,capture"', False),
        ('SecRule ARGS "@rx a" "id:1,pass,setvar:tx.a=1"', False),
        ('SecRule REQUEST_URI "@restpath /a/{b}" "id:1,pass"', False),
        ('SecAction "id:1,pass"', False),
    ],
)
def test_a_member_is_silent_when_it_only_asks(rule: str, silent: bool):
    assert is_silent(WAF.from_directives(rule, executor="reference").plan.rules[0]) is silent


def test_all_keys_are_those_of_rules_on_tx_alone():
    footprints = [of('SecRule TX:a "@eq 1" "id:1,pass"'), of('SecRule TX:b "@eq 1" "id:1,deny"')]

    assert all_keys(footprints) == {b"a"}
