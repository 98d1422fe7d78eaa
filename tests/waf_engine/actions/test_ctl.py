"""ctl: every option, what it changes and up to when, and what it refuses."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import FORM, exchange, faults, load, matched, values, warnings
from waf_engine import Interruption
from waf_engine.actions.ctl import OPTIONS

pytestmark = pytest.mark.usefixtures("each_executor")

ROWS = {"ctl": ("ctl:ruleEngine=Off", ("ctl:ruleEngin=Off", 0))}
"""Action: what is accepted; what is refused, and the character of the value at fault."""

OPTION_ROWS = {
    "ruleRemoveById": ("900,910-920", "9x"),
    "ruleRemoveByTag": ("attack-sqli", None),
    "ruleRemoveByMsg": ("a message", None),
    "ruleRemoveTargetById": ("942100;ARGS:x", "942100"),
    "ruleRemoveTargetByTag": ("attack-sqli;ARGS:/^x/", "attack-sqli;NO_SUCH"),
    "ruleRemoveTargetByMsg": ("a message;ARGS", ";"),
    "ruleEngine": ("detectiononly", "Maybe"),
    "auditEngine": ("RelevantOnly", "Sometimes"),
    "auditLogParts": ("+E", "+1"),
    "requestBodyAccess": ("off", "1"),
    "requestBodyLimit": ("1024", "-1"),
    "requestBodyProcessor": ("JSON", None),
    "forceRequestBodyVariable": ("On", "Yes"),
    "responseBodyAccess": ("On", ""),
    "responseBodyLimit": ("0", "1k"),
    "responseBodyProcessor": ("JSON", None),
    "forceResponseBodyVariable": ("Off", "x"),
    "debugLogLevel": ("3", "10"),
    "hashEngine": ("Off", None),
    "hashEnforcement": ("On", None),
}
"""Option: a value that is accepted, and one that is refused (None: any text is taken)."""


def test_no_option_lacks_a_row():
    assert set(OPTION_ROWS) == set(OPTIONS)


@pytest.mark.parametrize("option", OPTION_ROWS)
def test_each_option_accepts_and_refuses(option: str):
    good, bad = OPTION_ROWS[option]
    text = "SecAction \"id:1,phase:1,pass,ctl:'{}={}'\""

    assert load(text.format(option, good)).plan.rule_count == 1
    assert load(text.format(option.upper(), good)).plan.rule_count == 1  # names without regard to case
    if bad is not None:
        written = text.format(option, bad)
        place = written.index(f"{option}={bad}") + len(option) + 2
        assert [(line, column >= place) for _, line, column in faults(written)] == [(1, True)]


@pytest.mark.parametrize("value", ["ruleEngine", "=Off", "noSuch=On", "ruleRemoveById=", "ruleRemoveById=,"])
def test_what_is_no_option_is_refused(value: str):
    assert [code for code, _, _ in faults(f"SecAction \"id:1,phase:1,ctl:'{value}'\"")] == ["bad-argument"]


@pytest.mark.parametrize("option", ["hashEngine", "hashEnforcement"])
def test_options_without_an_effect_are_warned_of(option: str):
    assert [code for code, _, _ in warnings(f'SecAction "id:1,phase:1,ctl:{option}=On"')] == ["suspicious"]


# -- rules and targets ----------------------------------------------------------------------------

RULES = """
    SecRule ARGS "@streq hit" "id:10,phase:2,pass,tag:sqli,tag:all,msg:'one %{tx.a}'"
    SecRule ARGS|REQUEST_URI "@contains hit" "id:11,phase:2,pass,tag:xss,tag:all,msg:two"
    SecRule ARGS:a "@streq hit" "id:20,phase:2,pass,tag:sqli,chain"
        SecRule ARGS:b "@streq hit" "t:none"
"""


def hits(ctl: str, phase: int = 1, uri: str = "/?a=hit&b=hit") -> list[int]:
    tx = exchange(f"SecAction \"id:1,phase:{phase},pass,nolog,ctl:'{ctl}'\"\n{RULES}", uri)
    return matched(tx)[1:]


@pytest.mark.parametrize(
    ("ctl", "ids"),
    [
        ("ruleRemoveById=10", [11, 20]),
        ("ruleRemoveById=10,20", [11]),
        ("ruleRemoveById=10 20", [11]),
        ("ruleRemoveById=1-15", [20]),
        ("ruleRemoveById=12-19", [10, 11, 20]),
        ("ruleRemoveById=99", [10, 11, 20]),
        ("ruleRemoveByTag=sqli", [11]),
        ("ruleRemoveByTag=all", [20]),
        ("ruleRemoveByTag=sql", [10, 11, 20]),  # the exact tag
        ("ruleRemoveByMsg=two", [10, 20]),
        ("ruleRemoveByMsg=one %{tx.a}", [11, 20]),  # the message as it is written
        ("ruleRemoveByMsg=one", [10, 11, 20]),
    ],
)
def test_rules_are_removed_for_the_rest_of_the_transaction(ctl: str, ids: list[int]):
    assert hits(ctl) == ids
    assert hits(ctl, phase=2) == ids


def test_it_acts_from_the_next_rule_on_and_for_one_transaction():
    waf = load(
        """
        SecRule ARGS "@streq hit" "id:10,phase:2,pass"
        SecRule ARGS:off "@rx ." "id:30,phase:2,pass,ctl:ruleRemoveById=10-40"
        SecRule ARGS "@streq hit" "id:40,phase:2,pass"
        """
    )

    assert matched(exchange(waf, "/?a=hit&off=1")) == [10, 30]
    assert matched(exchange(waf, "/?a=hit")) == [10, 40]


@pytest.mark.parametrize(
    ("ctl", "found"),
    [
        ("ruleRemoveTargetById=11;ARGS:a", {10: ["ARGS:a", "ARGS:b"], 11: ["ARGS:b", "REQUEST_URI"]}),
        ("ruleRemoveTargetById=10-11;ARGS:A", {10: ["ARGS:b"], 11: ["ARGS:b", "REQUEST_URI"]}),
        ("ruleRemoveTargetById=11;REQUEST_URI", {10: ["ARGS:a", "ARGS:b"], 11: ["ARGS:a", "ARGS:b"]}),
        ("ruleRemoveTargetById=11;ARGS", {10: ["ARGS:a", "ARGS:b"], 11: ["REQUEST_URI"]}),
        ("ruleRemoveTargetById=11;ARGS|REQUEST_URI", {10: ["ARGS:a", "ARGS:b"]}),
        ("ruleRemoveTargetByTag=sqli;ARGS:/^[ab]$/", {11: ["ARGS:a", "ARGS:b", "REQUEST_URI"]}),
        ("ruleRemoveTargetByTag=all;ARGS:a", {10: ["ARGS:b"], 11: ["ARGS:b", "REQUEST_URI"]}),
        ("ruleRemoveTargetByMsg=two;ARGS", {10: ["ARGS:a", "ARGS:b"], 11: ["REQUEST_URI"]}),
    ],
)
def test_targets_are_left_out_for_the_rest_of_the_transaction(ctl: str, found: dict[int, list[str]]):
    tx = exchange(f"SecAction \"id:1,phase:1,pass,nolog,ctl:'{ctl}'\"\n{RULES}", "/?a=hit&b=hit")
    seen = {rule.rule_id: [m.name for m in rule.matches] for rule in tx.matched_rules}

    assert {id_: names for id_, names in seen.items() if id_ in (10, 11)} == found


def test_a_target_is_left_out_of_the_members_of_a_chain_too():
    assert hits("ruleRemoveTargetById=20;ARGS:b") == [10, 11]
    assert hits("ruleRemoveTargetById=20;ARGS:c") == [10, 11, 20]


# -- the engine -----------------------------------------------------------------------------------


def test_rule_engine():
    rules = """
        SecRule ARGS:mode "@streq off" "id:1,phase:1,pass,ctl:ruleEngine=Off"
        SecRule ARGS:mode "@streq detect" "id:2,phase:1,pass,ctl:ruleEngine=DetectionOnly"
        SecAction "id:3,phase:2,deny"
        SecAction "id:4,phase:5,pass"
    """
    off, detect, on = (exchange(rules, f"/?mode={mode}") for mode in ("off", "detect", "on"))

    assert (matched(off), off.interruption) == ([1], None)
    assert (matched(detect), detect.interruption) == ([2, 3, 4], None)
    assert (matched(on), on.interruption) == ([3, 4], Interruption("deny", 403, "", 3))


def test_audit_engine_and_parts():
    start = exchange("SecRuleEngine On").audit_log_parts or ""

    def parts(value: str) -> str | None:
        return exchange(f'SecAction "id:1,phase:1,pass,ctl:auditLogParts={value}"').audit_log_parts

    assert exchange('SecAction "id:1,phase:1,pass,ctl:auditEngine=relevantonly"').audit_engine == "RelevantOnly"
    assert parts("ABIZ") == "ABIZ"
    assert parts("+EG") == start + "".join(part for part in "EG" if part not in start)
    assert parts("-A") == start.replace("A", "")


# -- bodies ---------------------------------------------------------------------------------------

BODY_ON = "SecRequestBodyAccess On\nSecResponseBodyAccess On\n"


def test_request_body_access():
    off = exchange(BODY_ON + 'SecAction "id:1,phase:1,pass,ctl:requestBodyAccess=Off"', body=b"a=1")
    on = exchange('SecAction "id:1,phase:1,pass,ctl:requestBodyAccess=On"', body=b"a=1")

    assert (values(off, "ARGS"), values(on, "ARGS")) == ([], [(b"a", b"1")])


def test_request_body_limit():
    tx = exchange(BODY_ON + 'SecAction "id:1,phase:1,pass,ctl:requestBodyLimit=3"', body=b"a=1")

    assert tx.interruption == Interruption("deny", 413)


def test_request_body_processor():
    rules = BODY_ON + 'SecAction "id:1,phase:1,pass,ctl:requestBodyProcessor=json"'

    assert values(exchange(rules, headers=[FORM], body=b'{"a":1}'), "ARGS") == [(b"json.a", b"1")]


def test_force_request_body_variable():
    rules = BODY_ON + 'SecAction "id:1,phase:1,pass,ctl:forceRequestBodyVariable=On"'

    assert values(exchange(rules, headers=[("Content-Type", "x/y")], body=b"b"), "REQUEST_BODY") == [(b"", b"b")]


@pytest.mark.parametrize("option", ["requestBodyAccess=Off", "requestBodyProcessor=JSON"])
def test_what_concerns_the_request_comes_too_late_in_phase_2(option: str):
    tx = exchange(BODY_ON + f'SecAction "id:1,phase:2,pass,ctl:{option}"', body=b"a=1")

    assert (tx.request_body_access, tx.request.processor) == (True, "URLENCODED")


def test_response_options():
    def response(option: str, directives: str = BODY_ON, phase: int = 3) -> bytes:
        rules = f'{directives}SecAction "id:1,phase:{phase},pass,ctl:{option}"'
        tx = exchange(rules, response_headers=[("Content-Type", "x/y")], response_body=b'{"a":1}')
        return bytes(tx.response.body)

    assert response("forceResponseBodyVariable=On") == b'{"a":1}'
    assert response("forceResponseBodyVariable=Off") == b""
    assert response("forceResponseBodyVariable=On", phase=4) == b""  # too late
    both = "SecResponseBodyMimeType x/y\n"
    assert response("responseBodyAccess=On", both) == b'{"a":1}'
    assert response("responseBodyAccess=Off", BODY_ON + both) == b""
    assert response("responseBodyLimit=4", BODY_ON + both) == b'{"a"'


def test_response_body_processor():
    rules = BODY_ON + 'SecAction "id:1,phase:3,pass,ctl:responseBodyProcessor=Json"'

    assert values(exchange(rules, response_body=b'{"a":1}'), "RESPONSE_ARGS") == [(b"json.a", b"1")]
