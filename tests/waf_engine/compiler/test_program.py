"""The planner: every combination of its passes comes to what the reference interpreter comes to."""

from __future__ import annotations

import itertools
import os
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waf_engine.exchanges import ENDS, FRAGMENTS, OFFS, exchanges
from tests.waf_engine.random_rules import Script, rule_set, script
from tests.waf_engine.twins import HARD_RULES, Exchange, Twins
from waf_engine.compiler.lane_maker import reads_stale_match
from waf_engine.compiler.program import HISTORIES, Passes
from waf_engine.runtime import scanner

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
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(exchange=exchanges())
def test_any_exchange_comes_to_the_same(hard: Twins, forgetful: Twins, exchange: Exchange):
    for twins in (hard, forgetful):
        twins.forget()
        twins.compare(exchange)


@pytest.mark.slow
@pytest.mark.parametrize("few", [0, scanner.FEW])
@pytest.mark.parametrize("stale", [False, True])
@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), passes=st.sampled_from(COMBINATIONS), memory=st.sampled_from((0, MEMORY)))
def test_random_rules_come_to_the_same(  # noqa: PLR0917  what varies
    stale: bool, few: int, seed: int, passes: Passes, memory: int, monkeypatch: pytest.MonkeyPatch
):
    """Each set twice: as it is, and with databases for each alphabet, which so few patterns would not have."""
    monkeypatch.setattr(scanner, "FEW", few)
    random = Random(seed)
    twins = Twins(rule_set(random, stale=stale, size=random.choice((8, 15, 25))), passes=passes, memory=memory)
    for _ in range(12):
        if random.random() < 0.5:
            twins.forget()
        twins.compare(script(random))


def test_random_rules_do_all_that_they_should():
    """What never matches shows nothing; some sets look at what others matched, some do not."""
    random = Random(1)
    records, chains, interrupted, stale = 0, 0, 0, set()
    for number in range(12):
        twins = Twins(rule_set(random, stale=number % 2 == 0))
        stale.add(reads_stale_match(twins.reference.plan.rules))
        for _ in range(5):
            found = twins.compare(script(random))
            records += len(found["records"])
            chains += any(match.chain_level for record in found["records"] for match in record[2])
            interrupted += found["interruption"] is not None

    assert records > 100
    assert chains > 2
    assert interrupted > 2
    assert stale == {True, False}


@pytest.mark.slow
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


DIRTY = {
    "an exclusion changes the count of a member of TX": """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=1"
        SecRule ARGS:x "@rx ." "id:2,phase:1,nolog,pass,ctl:ruleRemoveTargetById=3;TX:a"
        SecRule &TX:a "@eq 0" "id:3,phase:1,log,pass,setvar:tx.b=1"
    """,
    "a SecAction tells what a rule before it matched": """
        SecRule ARGS:x "@rx ." "id:1,phase:1,nolog,pass"
        SecAction "id:2,phase:1,nolog,pass,msg:'%{MATCHED_VAR} %{MATCHED_VAR_NAME}'"
    """,
    "behind a SecAction a chain reads what the rule before it matched": """
        SecRule ARGS:x "@rx ." "id:1,phase:1,nolog,pass,chain"
        SecRule ARGS:none "@rx ." "t:none"
        SecAction "id:2,phase:1,nolog,pass,chain"
        SecRule MATCHED_VAR "@rx 1" "setvar:tx.a=%{MATCHED_VAR}"
    """,
    "settings write to a name that a request may have written to": """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=foo,setvar:tx.foo=1"
        SecRule ARGS:x "@rx ." "id:2,phase:1,nolog,pass,setvar:tx.foo=7"
        SecAction "id:3,phase:1,nolog,pass,setvar:tx.%{tx.a}=1"
        SecAction "id:4,phase:1,nolog,pass,setvar:tx.%{tx.a}=+1"
    """,
    "settings capture what others captured meanwhile": """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=foo"
        SecRule TX:a "@rx (f)" "id:2,phase:1,nolog,pass,capture"
        SecRule ARGS:x "@rx ." "id:3,phase:1,nolog,pass,capture"
        SecRule TX:a "@rx (f)" "id:4,phase:1,nolog,pass,capture"
    """,
    "a block that is done anew skips what it wrote": """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=0"
        SecRule ARGS:x "@rx ." "id:2,phase:1,nolog,pass,setvar:tx.a=1"
        SecRule TX:a "@eq 1" "id:3,phase:1,nolog,pass,skipAfter:M"
        SecAction "id:4,phase:1,nolog,pass,setvar:tx.b=2"
        SecMarker M
        SecAction "id:5,phase:1,nolog,pass,setvar:tx.c=2"
        SecRule ARGS:none "@rx ." "id:6,phase:1,nolog,pass"
        SecRule TX:b "@eq 2" "id:7,phase:1,nolog,pass,setvar:tx.d=1"
    """,
    "a skip leads beyond the end of the phase": """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=0"
        SecRule ARGS:x "@rx ." "id:2,phase:1,nolog,pass,setvar:tx.a=1"
        SecRule TX:a "@ge 0" "id:3,phase:1,nolog,pass,skip:3"
        SecAction "id:4,phase:1,nolog,pass"
    """,
    "what interrupts writes what the logging phase reads": """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=0"
        SecRule ARGS:x "@rx ." "id:2,phase:2,nolog,deny,chain"
        SecRule ARGS:x "@rx ." "setvar:tx.a=1"
        SecRule TX:a "@eq 1" "id:3,phase:5,nolog,pass,setvar:tx.b=1"
        SecRule TX:a "@eq 0" "id:4,phase:5,nolog,pass,setvar:tx.b=2"
    """,
    "what interrupts keeps blocks from writing what the logging phase reads": """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=0"
        SecRule ARGS:x "@rx ." "id:2,phase:2,nolog,deny"
        SecAction "id:3,phase:2,nolog,pass,setvar:tx.a=1"
        SecRule TX:a "@eq 1" "id:4,phase:5,nolog,pass,setvar:tx.b=1"
    """,
    "what interrupts removes a rule of the logging phase": """
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=0"
        SecRule ARGS:x "@rx ." "id:2,phase:2,nolog,deny,ctl:ruleRemoveById=3"
        SecRule TX:a "@eq 0" "id:3,phase:5,nolog,pass,setvar:tx.b=1"
    """,
    "names made at run time are removed and made again": """
        SecRule ARGS "@rx ." "id:1,phase:2,nolog,pass,setvar:tx.N_%{MATCHED_VAR}=1"
        SecRule ARGS:x "@rx ." "id:2,phase:2,nolog,pass,setvar:!tx.n_%{MATCHED_VAR}"
        SecRule ARGS:y "@rx ." "id:3,phase:2,nolog,pass,setvar:tx.n_%{MATCHED_VAR}=2"
        SecRule TX:/^n_/ "@rx ." "id:4,phase:2,nolog,pass,setvar:tx.c=%{MATCHED_VAR_NAME}%{MATCHED_VAR}"
    """,
    "directives add readers of what matched": """
        SecDefaultAction "phase:2,log,auditlog,pass,setvar:'tx.v=%{MATCHED_VAR}',setvar:'tx.n_%{MATCHED_VAR}=1'"
        SecRule ARGS "@rx ." "id:1,phase:2,nolog,pass"
        SecRule ARGS "@rx ." "id:2,phase:2,nolog,pass"
        SecRuleUpdateActionById 2 "setvar:'tx.w_%{MATCHED_VAR_NAME}=1'"
        SecRuleUpdateTargetById 2 "MATCHED_VARS"
        SecRule ARGS "@rx ." "id:3,phase:2,nolog,pass,setvar:'tx.x=%{tx.x}%{MATCHED_VAR}'"
        SecRuleUpdateTargetById 3 "MATCHED_VAR"
    """,
    "sanitiseMatched looks at each match": """
        SecRule ARGS "@rx ." "id:1,phase:2,log,pass,sanitiseMatched"
        SecRule ARGS "@rx ." "id:2,phase:2,log,pass,msg:'%{MATCHED_VAR}'"
    """,
    "the response's processor is chosen while its rules run": """
        SecRule RES_BODY_PROCESSOR "@streq JSON" "id:1,phase:3,nolog,pass"
        SecRule ARGS:x "@rx ." "id:2,phase:3,nolog,pass,ctl:responseBodyProcessor=JSON"
        SecRule RES_BODY_PROCESSOR "@streq JSON" "id:3,phase:3,nolog,pass"
        SecRule RES_BODY_PROCESSOR "@streq JSON" "id:4,phase:4,nolog,pass,ctl:responseBodyProcessor=XML"
        SecRule RES_BODY_PROCESSOR "@streq JSON" "id:5,phase:4,nolog,pass"
    """,
}
"""Rule sets in which a request changes what was computed before, or what a shortcut counts on."""


@pytest.mark.parametrize("name", DIRTY)
def test_what_a_request_changes_of_what_was_computed(name: str):
    with_, without = compare("SecRuleEngine On\n" + DIRTY[name], b"/?x=1&z=3&y=1", b"/?w=1")

    assert with_["records"] != without["records"]


def test_headers_that_come_between_the_phases_are_looked_at():
    twins = Twins("""
        SecRule REQUEST_HEADERS:X-A "@rx a" "id:1,phase:2,nolog,pass"
        SecRule REQUEST_COOKIES:c "@rx a" "id:2,phase:2,nolog,pass"
        SecRule RESPONSE_HEADERS:X-A "@rx a" "id:3,phase:4,nolog,pass"
        SecRule &REQUEST_HEADERS:X-A "@eq 1" "id:4,phase:2,nolog,pass"
    """)
    late: tuple[tuple[bytes, bytes], ...] = ((b"x-a", b"a"), (b"Cookie", b"c=a"))
    found = twins.compare(Script(headers=((), late, (), late)))

    assert [record[0] for record in found["records"]] == [1, 2, 4, 3]


def test_histories_begin_with_the_first_phase_and_grow_one_by_one():
    assert all(history[0] == 1 and list(history) == sorted(set(history)) for history in HISTORIES)
    assert all(len(history) == 1 or history[:-1] in HISTORIES for history in HISTORIES)
