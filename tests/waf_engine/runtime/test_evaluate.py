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
        "matched": (tx.matched_var, tx.matched_vars),
        "interruption": tx.interruption,
    }


@pytest.mark.parametrize("name", RULES)
def test_it_comes_to_the_same_as_the_reference(name: str):
    ours, judge = _begin(RULES[name]), _begin(RULES[name])
    results = []
    for tx, run in ((ours, evaluate.evaluate), (judge, reference.evaluate)):
        for rule in tx.plan.phases[1]:
            tx.matched_vars = []
            results.append(run(tx, rule))
    half = len(results) // 2

    assert results[:half] == results[half:]
    assert _outcome(ours) == _outcome(judge)


def test_the_table_has_matches_and_misses():
    def matches(rules: str) -> bool:
        tx = _begin(rules)
        return reference.evaluate(tx, tx.plan.rules[-1])

    assert {name for name, rules in RULES.items() if not matches(rules)} == {"no match", "a chain that does not"}
