"""What a rule is called, how grave it is, and its transformations."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import faults, load
from waf_engine.runtime.match import SEVERITIES

ROWS = {
    "id": ("ver:x", ("id:0", 0)),
    "phase": ("phase:request", ("phase:6", 0)),
    "msg": ("msg:text", ("msg:'a %{x'", 2)),
    "logdata": ("logdata:text", ("logdata:'%{no.such}'", 2)),
    "severity": ("severity:CRITICAL", ("severity:8", 0)),
    "tag": ("tag:'attack/sqli'", ("tag:", -4)),
    "rev": ("rev:2", ("rev:", -4)),
    "ver": ("ver:'OWASP_CRS/4'", ("ver:", -4)),
    "maturity": ("maturity:9", ("maturity:10", 0)),
    "accuracy": ("accuracy:1", ("accuracy:0", 0)),
    "xmlns": ("xmlns:soap='http://schemas.xmlsoap.org/soap/envelope/'", ("xmlns:soap", 0)),
    "t": ("t:urlDecode", ("t:urlDecod", 0)),
}
"""Action: what is accepted; what is refused, and the character of the value at fault."""


def rule(actions: str):
    return load(f'SecAction "id:1,phase:1,{actions}"').plan.rules[0]


def test_what_the_plan_holds():
    found = rule("msg:'m %{tx.a}',logdata:d,tag:a,tag:b,rev:r,ver:v,maturity:3,accuracy:4,severity:warning")

    assert (str(found.msg), str(found.logdata)) == ("m %{tx.a}", "d")
    assert (found.tags, found.rev, found.ver, found.maturity, found.accuracy) == (("a", "b"), "r", "v", 3, 4)
    assert found.severity == 4


def test_what_a_rule_without_metadata_has():
    found = rule("pass")

    assert (found.msg, found.logdata, found.tags, found.rev, found.ver) == (None, None, (), "", "")
    assert (found.maturity, found.accuracy, found.severity) == (0, 0, None)


@pytest.mark.parametrize(
    ("text", "number"),
    [(word, n) for n, word in enumerate(SEVERITIES)] + [(str(n), n) for n in range(8)] + [("'CRITICAL'", 2)],
)
def test_severity(text: str, number: int):
    assert rule(f"severity:{text}").severity == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 5), ("request", 2), ("Response", 4), ("LOGGING", 5)],
)
def test_phase(text: str, number: int):
    assert load(f'SecAction "id:1,phase:{text}"').plan.rules[0].phase == number


def test_the_phase_is_2_unless_a_rule_says_so():
    assert load('SecAction "id:1,pass"').plan.rules[0].phase == 2


@pytest.mark.parametrize("number", ["1", "942100", str(2**63 - 1)])
def test_id(number: str):
    assert load(f'SecAction "id:{number},phase:1"').plan.rules[0].id == int(number)


@pytest.mark.parametrize(
    "action",
    [
        "id:-1", "id:x", "id:1.0", f"id:{2**63}", "phase:0", "phase:6", "phase:x", "severity:-1", "severity:bad",
        "maturity:0", "maturity:x", "accuracy:10", "t:nope",
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_at_its_place(action: str):
    text = f'SecAction "id:1,phase:1,{action}"' if not action.startswith("id") else f'SecAction "phase:1,{action}"'

    assert {(line, at) for _, line, at in faults(text)} == {(1, text.index(action) + action.index(":") + 2)}


def test_transformations_are_kept_in_order_by_their_registered_names():
    found = rule("t:URLDECODE,t:lowercase,t:None,t:urldecodeuni,t:lowerCase")

    assert [name for name, _ in found.transformations] == ["urlDecodeUni", "lowercase"]


def test_an_unknown_transformation_comes_with_a_hint():
    from waf_engine import WAF, SecLangError  # noqa: PLC0415  only this test looks at hints

    with pytest.raises(SecLangError) as caught:
        WAF.from_directives('SecAction "id:1,phase:1,t:lowercas"')

    assert (caught.value.errors[0].code, caught.value.errors[0].hint) == (
        "unknown-transformation", "did you mean 'lowercase'?"
    )  # fmt: skip


HUGE = "9" * 5_000
"""Python itself refuses to make a number of so many digits."""


@pytest.mark.parametrize("action", ["id", "status", "skip", "maturity", "accuracy", "ctl:ruleRemoveById="])
def test_a_huge_number_is_refused_at_its_place(action: str):
    text = f'SecAction "id:1,phase:1,{action}'
    text += HUGE if action.endswith("=") else f":{HUGE}"

    assert faults(text + '"') == [("bad-argument", 1, text.index("999") + 1)]


@pytest.mark.parametrize("number", ["007", "0" * 5_000 + "7"])
def test_zeros_before_a_number_do_not_count(number: str):
    assert rule(f"maturity:{number}").maturity == 7
