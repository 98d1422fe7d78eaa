"""The planned executor's evaluation of one rule, beside the reference's. Whole phases: test_planned.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import load
from waf_engine.runtime import evaluate, reference

if TYPE_CHECKING:
    from waf_engine import Transaction

RULES = {
    "a plain match": 'SecRule ARGS "@rx b+" "id:1,phase:1,pass,log,msg:\'%{MATCHED_VAR_NAME}\'"',
    "no match": 'SecRule ARGS "@rx zzz" "id:1,phase:1,pass,setvar:tx.n=+1"',
    "captures": 'SecRule ARGS "@rx (b)(x)?" "id:1,phase:1,pass,capture,setvar:\'tx.seen=%{tx.0}|%{tx.2}\'"',
    "captures of a negated operator": 'SecRule ARGS "!@rx (b)" "id:1,phase:1,pass,capture"',
    "effects for each value": 'SecRule ARGS "@rx ." "id:1,phase:1,pass,setvar:tx.n=+1,logdata:\'%{MATCHED_VAR}\'"',
    "multiMatch": 'SecRule ARGS "@rx B|b" "id:1,phase:1,pass,t:lowercase,t:removeWhitespace,multiMatch,setvar:tx.n=+1"',
    "transformations": 'SecRule ARGS "@streq abbb" "id:1,phase:1,pass,t:lowercase,t:removeWhitespace"',
    "a count": 'SecRule &ARGS:b "@eq 2" "id:1,phase:1,pass,setvar:tx.count=%{MATCHED_VAR}"',
    "a header": 'SecRule REQUEST_HEADERS:User-Agent "@contains x" "id:1,phase:1,pass,msg:\'%{MATCHED_VAR_NAME}\'"',
    "a pattern of names and an exclusion": 'SecRule ARGS:/^[ab]/|!ARGS:a "@rx ." "id:1,phase:1,pass,setvar:tx.n=+1"',
    "TX by key": 'SecRule TX:given "@eq 5" "id:1,phase:1,pass"',
    "a SecAction": "SecAction \"id:1,phase:1,pass,setvar:tx.n=1,msg:'%{tx.n}'\"",
    "a deny": 'SecRule ARGS:a "@rx ." "id:1,phase:1,deny,status:406"',
    "a chain that matches": (
        'SecRule ARGS:a "@rx (A)" "id:1,phase:1,deny,capture,msg:\'%{MATCHED_VAR}\',setvar:tx.first=1,chain"\n'
        'SecRule MATCHED_VARS|ARGS:b "@rx b" "setvar:tx.second=+1,logdata:\'%{MATCHED_VAR_NAME}\'"'
    ),
    "a chain that does not": (
        'SecRule ARGS:a "@rx A" "id:1,phase:1,deny,setvar:tx.first=1,chain"\n'
        'SecRule ARGS:b "@rx zzz" "setvar:tx.second=1"'
    ),
    "a target that ctl took away": (
        'SecAction "id:2,phase:1,pass,nolog,ctl:ruleRemoveTargetById=1;ARGS:a"\n'
        'SecRule ARGS "@rx ." "id:1,phase:1,pass,setvar:tx.n=+1"'
    ),
}


def _begin(rules: str) -> Transaction:
    tx = load(rules, executor="reference").transaction("T")
    tx.process_uri("/?a=A%20Bb+b&b=bb&b=%62&c=", "GET", "HTTP/1.1")
    tx.add_request_header("user-agent", "x")
    tx.tx[b"given"] = b"5"
    return tx


def _outcome(tx: Transaction) -> dict[str, object]:
    return {
        "records": [(r.rule.id, r.matches, r.disruptive) for r in tx.records],
        "tx": list(tx.tx.items()),
        "matched": tx.matched_var,
        "interruption": tx.interruption,
    }


@pytest.mark.parametrize("name", RULES)
def test_it_comes_to_the_same_as_the_reference(name: str):
    ours, judge = _begin(RULES[name]), _begin(RULES[name])
    for rule in ours.plan.phases[1]:
        reached = evaluate.evaluate(ours, rule)
        assert reached in {evaluate.ASKED, evaluate.BEGUN, evaluate.MATCHED}
    for rule in judge.plan.phases[1]:
        judge.matched_vars = []
        expected = reference.evaluate(judge, rule)

    assert (reached == evaluate.MATCHED) is expected
    assert _outcome(ours) == _outcome(judge)


def test_how_far_it_came():
    rules = (
        'SecRule ARGS:a "@rx A" "id:1,phase:1,pass,chain"\nSecRule ARGS:b "@rx {}"',
        'SecRule ARGS:a "@rx zzz" "id:1,phase:1,pass,chain"\nSecRule ARGS:b "@rx {}"',
        'SecAction "id:1,phase:1,pass,chain"\nSecRule ARGS:b "@rx {}"',
    )

    def reached(text: str) -> int:
        tx = _begin(text)
        return evaluate.evaluate(tx, tx.plan.rules[0])

    assert [reached(text.format("b")) for text in rules] == [evaluate.MATCHED, evaluate.ASKED, evaluate.MATCHED]
    assert [reached(text.format("zzz")) for text in rules] == [evaluate.BEGUN, evaluate.ASKED, evaluate.BEGUN]


def test_only_the_named_values_of_the_laned_member_are_looked_at():
    chain = 'SecRule ARGS:a "@rx A" "id:1,phase:1,pass,chain"\nSecRule ARGS:b "@rx b" "setvar:tx.n=+1"'
    for laned, named, expected in (
        (1, {"ARGS", b"bb"}, b"1"),
        (1, {"ARGS", b"bb", b"b"}, b"2"),
        (1, {"ARGS", b"none"}, None),
        (1, {"REQUEST_COOKIES", b"bb"}, None),
        (0, {"ARGS", b"none"}, None),
        (0, {"ARGS", b"A Bb b"}, b"2"),
        (-1, {"ARGS", b"none"}, b"2"),
        (1, None, b"2"),
    ):
        tx = _begin(chain)
        evaluate.evaluate(tx, tx.plan.rules[0], laned, named)
        assert tx.tx.get(b"n") == expected


def test_members_of_tx_by_pattern_come_in_the_order_in_which_they_were_made():
    rules = """
        SecRule ARGS "@rx ." "id:1,phase:1,pass,setvar:'tx.n_%{MATCHED_VAR}=%{MATCHED_VAR_NAME}',setvar:tx.other=1"
        SecRule ARGS:b "@streq bb" "id:2,phase:1,pass,setvar:'!tx.n_%{MATCHED_VAR}'"
        SecRule TX:/^n_/ "@rx ." "id:3,phase:1,pass,setvar:'tx.found=%{tx.found}%{MATCHED_VAR}'"
        SecRule TX:/^o/ "@rx ." "id:4,phase:1,pass"
    """
    ours, judge = _begin(rules), _begin(rules)
    for rule in ours.plan.rules:
        evaluate.evaluate(ours, rule)
        reference.evaluate(judge, rule)

    assert _outcome(ours) == _outcome(judge)
    assert len(ours.records) == 4


def test_the_table_has_matches_and_misses():
    def matches(rules: str) -> bool:
        tx = _begin(rules)
        return reference.evaluate(tx, tx.plan.rules[-1])

    assert {name for name, rules in RULES.items() if not matches(rules)} == {"no match", "a chain that does not"}
