"""The planner: every combination of its passes comes to what the reference interpreter comes to."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.waf_engine.exchanges import ENDS, FRAGMENTS, OFFS, exchanges
from tests.waf_engine.twins import HARD_RULES, Exchange, Twins
from waf_engine.compiler.program import HISTORIES, Passes

EXAMPLES = int(os.environ.get("SPOA_WAF_EXAMPLES", "250"))
"""Exchanges that hypothesis builds; thousands in a run of their own."""

COMBINATIONS = [Passes(*flags) for flags in itertools.product((True, False), repeat=3)]
MEMORY = 1 << 20


@pytest.fixture(scope="module")
def hard() -> Twins:
    return Twins(HARD_RULES.read_text("utf-8"))


@pytest.fixture(scope="module")
def forgetful() -> Twins:
    return Twins(HARD_RULES.read_text("utf-8"), memory=0)


def compare(rules: str, *uris: bytes, **how: object) -> list[dict[str, object]]:
    """The outcomes of some requests under each combination of passes, which all are the same."""
    twins = Twins(rules)
    found = []
    for passes in COMBINATIONS:
        twins.set_passes(passes)
        found = [twins.compare(Exchange(uri, **how)) for uri in uris]  # type: ignore[arg-type]  # fields of Exchange
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(exchange=exchanges())
def test_any_exchange_comes_to_the_same(hard: Twins, forgetful: Twins, exchange: Exchange):
    for twins in (hard, forgetful):
        twins.forget()
        twins.compare(exchange)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("passes", COMBINATIONS, ids=str)
def test_every_combination_of_passes_comes_to_the_same(passes: Passes):
    twins = Twins(HARD_RULES.read_text("utf-8"), passes=passes)
    rules = set()
    for name, values in ((b"end", ENDS), (b"off", OFFS), (b"skip", (b"one", b"three", b"both", b"nowhere"))):
        for value, fragment in itertools.product(values, (b"1%20union%20select", b"x")):
            found = twins.compare(Exchange(b"/?" + name + b"=" + value + b"&a=x&b=x&id=" + fragment))
            rules.update(record[0] for record in found["records"])
    for fragment in FRAGMENTS:
        found = twins.compare(Exchange(b"/", b"POST", ((b"Cookie", b"a=" + fragment),), b"", None))
        rules.update(record[0] for record in found["records"])

    assert len(rules) > 60


def test_every_rule_of_the_hard_set_has_been_seen_to_match(hard: Twins):
    """What no request can reach shows nothing: a request for each of a few rules that lie far off."""
    wanted = {
        106: b"/?a=%20", 107: b"/?a=a%20b", 108: b"/?a=axb", 110: b"/?a=axx", 113: b"/?a=", 117: b"/?a=%3Cscript%3E1",
        118: b"/?a=%0aX%0a", 119: b"/?a=%ff", 120: b"/?a=6162", 121: b"/?a=aa", 207: b"/?a=a&z=a", 506: b"/?skip=both",
    }  # fmt: skip
    for rule, uri in wanted.items():
        assert rule in {record[0] for record in hard.compare(Exchange(uri))["records"]}, rule


def test_a_chain_behind_a_secaction_has_begun_without_a_match():
    rules = """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=0"
        SecAction "id:2,phase:1,nolog,pass,chain,setvar:tx.a=%{REQUEST_METHOD}"
        SecRule ARGS:never "@streq 1" "t:none"
        SecRule TX:a "@streq GET" "id:3,phase:1,nolog,pass"
    """
    (found,) = compare(rules, b"/?b=1")

    assert [record[0] for record in found["records"]] == [1, 3]  # type: ignore[attr-defined]


def test_what_a_negated_operator_captures_taints_without_a_match():
    rules = """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.b=1"
        SecRule ARGS:a "!@rx (x)" "id:2,phase:1,nolog,pass,capture"
        SecRule TX:1 "@streq x" "id:3,phase:1,nolog,pass"
    """
    first, second = compare(rules, b"/?a=x", b"/?a=y")

    assert [record[0] for record in first["records"]] == [1, 3]  # type: ignore[attr-defined]
    assert [record[0] for record in second["records"]] == [1, 2]  # type: ignore[attr-defined]


@pytest.mark.parametrize("ctl", ["ruleRemoveById=3", "ruleRemoveTargetById=3;TX:a", "ruleRemoveByTag=t"])
def test_a_rule_on_tx_alone_can_be_removed_in_an_earlier_phase(ctl: str):
    rules = f"""
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=1"
        SecRule ARGS:off "@streq 1" "id:2,phase:1,nolog,pass,ctl:{ctl}"
        SecRule TX:a "@eq 1" "id:3,phase:2,nolog,pass,tag:t,setvar:tx.b=1"
        SecRule ARGS "@streq z" "id:4,phase:2,nolog,pass"
    """
    with_, without = compare(rules, b"/?off=0", b"/?off=1")

    assert [record[0] for record in with_["records"]] == [1, 3]  # type: ignore[attr-defined]
    assert [record[0] for record in without["records"]] == [1, 2]  # type: ignore[attr-defined]


def test_skip_goes_on_behind_the_marker_of_skip_after():
    rules = """
        SecAction "id:1,phase:1,nolog,pass,skipAfter:M,skip:1"
        SecAction "id:2,phase:1,nolog,pass"
        SecMarker M
        SecAction "id:3,phase:1,nolog,pass"
        SecAction "id:4,phase:1,nolog,pass"
    """
    dynamic = rules.replace('SecAction "id:1', 'SecRule REQUEST_METHOD "@streq GET" "id:1')

    for text in (rules, dynamic):
        (found,) = compare(text, b"/")
        assert [record[0] for record in found["records"]] == [1, 4]  # type: ignore[attr-defined]


def test_members_that_are_set_anew_stand_behind_those_that_stayed():
    rules = """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=1,setvar:tx.b=1"
        SecRule ARGS "@rx z" "id:2,phase:1,nolog,pass"
        SecAction "id:3,phase:1,nolog,pass,setvar:!tx.a"
        SecAction "id:4,phase:1,nolog,pass,setvar:tx.a=1"
        SecRule TX:/./ "@streq 1" "id:5,phase:1,nolog,pass"
    """
    (found,) = compare(rules, b"/?a=1")

    assert found["tx"] == [(b"b", b"1"), (b"a", b"1")]


def test_what_a_body_writes_to_tx_is_seen_by_rules_on_tx_alone():
    rules = """
        SecRequestBodyAccess On
        SecAction "id:1,phase:1,nolog,pass,ctl:requestBodyProcessor=JSON"
        SecRule TX:json_request_body "@rx ." "id:2,phase:2,nolog,pass,setvar:tx.seen=1"
        SecRule TX:no_such "@rx ." "id:3,phase:2,nolog,pass"
    """
    (found,) = compare(rules, b"/", body=b'{"a": 1}', headers=((b"Content-Type", b"application/json"),))

    assert [record[0] for record in found["records"]] == [1, 2]  # type: ignore[attr-defined]


def test_a_body_processor_chosen_by_a_rule_is_seen_by_the_next():
    rules = """
        SecRule ARGS:a "@streq 1" "id:1,phase:1,nolog,pass,ctl:requestBodyProcessor=XML"
        SecRule REQBODY_PROCESSOR "@streq XML" "id:2,phase:1,nolog,pass"
    """
    found, other = compare(rules, b"/?a=1", b"/?a=2")

    assert [record[0] for record in found["records"]] == [1, 2]  # type: ignore[attr-defined]
    assert other["records"] == []


def test_histories_begin_with_the_first_phase_and_grow_one_by_one():
    assert all(history[0] == 1 and list(history) == sorted(set(history)) for history in HISTORIES)
    assert all(len(history) == 1 or history[:-1] in HISTORIES for history in HISTORIES)
