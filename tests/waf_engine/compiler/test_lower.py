"""From tree to plan: every fault is reported, each where it stands; defaults, chains and markers are resolved."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import exchange, faults, load, matched, warnings
from waf_engine import WAF, SecLangError
from waf_engine.compiler.lower import MAX_CHAIN

MANY_FAULTS = """SecRuleEngin On
SecRule ARGS|REQUEST_HEADER:x "@rx a" "id:1,phase:1,deny"
SecRule ARGS "@rxx a" "id:2,phase:1,deny"
SecRule ARGS "@rx (a" "id:3,phase:1,deny"
SecRule REQUEST_URI:x "@rx a" "id:4,phase:9,denied,t:lowercas,status:1000"
SecRule ARGS "@rx a" "phase:1,deny"
SecRule ARGS "@rx a" "id:1,phase:1,msg:'%{no.such}'"
SecRule ARGS "@rx a" "id:5,phase:1,deny:403,severity"
SecRequestBodyLimit many
"""


def test_all_faults_of_a_text_are_reported_each_at_its_place():
    assert faults(MANY_FAULTS) == [
        ("unknown-directive", 1, 1),
        ("unknown-variable", 2, 14),
        ("unknown-operator", 3, 15),
        ("bad-pattern", 4, 21),
        ("no-members", 5, 21),
        ("bad-argument", 5, 43),
        ("unknown-action", 5, 45),
        ("unknown-transformation", 5, 54),
        ("bad-argument", 5, 70),
        ("missing-id", 6, 1),
        ("duplicate-id", 7, 1),
        ("unknown-variable", 7, 43),
        ("extra-value", 8, 41),
        ("missing-value", 8, 45),
        ("bad-argument", 9, 21),
    ]


def test_the_report_is_for_people():
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives('SecRule REQUEST_HEADER:x "@rx a" "id:1,phase:1,deny"')

    assert str(caught.value) == (
        "1 error in the rules\n\n"
        "<directives>:1:9: error: unknown variable 'REQUEST_HEADER' [unknown-variable]\n"
        '    SecRule REQUEST_HEADER:x "@rx a" "id:1,phase:1,deny"\n'
        "            ^\n"
        "  hint: did you mean 'REQUEST_HEADERS'?"
    )


def test_errors_come_before_warnings_and_warnings_alone_do_not_refuse():
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives("SecConnEngine On\nSecNoSuch")

    assert [str(d.severity) for d in caught.value.diagnostics] == ["error", "warning"]
    assert [d.code for d in load("SecConnEngine On").plan.diagnostics] == ["no-effect"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ('SecRule ARG "@rx a" "id:1"', "did you mean 'ARGS'?"),
        ('SecRule ARGS "@contain a" "id:1"', "did you mean 'contains'?"),
        ('SecRule ARGS "@rx a" "id:1,setva:tx.a=1"', "did you mean 'setvar'?"),
        ("SecRequestBodyAcess On", "did you mean 'SecRequestBodyAccess'?"),
        ('SecRule ARGS "@rx a" "phase:1"', "add id:NUMBER, unique in the rule set"),
    ],
)
def test_hints(name: str, hint: str):
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives(name)

    assert [d.hint for d in caught.value.errors] == [hint]


# -- SecDefaultAction -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('SecDefaultAction "phase:1,log"', ("bad-default", 1, 1)),
        ('SecDefaultAction "deny"', ("bad-default", 1, 1)),
        ('SecDefaultAction "phase:1,block"', ("bad-default", 1, 1)),
        ('SecDefaultAction "phase:1,pass"\nSecDefaultAction "phase:1,deny"', ("second-default", 2, 1)),
        ('SecDefaultAction "phase:1,pass,id:5"', ("bad-default", 1, 32)),
        ('SecDefaultAction "phase:1,pass,tag:x"', ("bad-default", 1, 32)),
        ('SecDefaultAction "phase:1,pass,msg:x"', ("bad-default", 1, 32)),
        ('SecDefaultAction "phase:1,nope,pass"', ("unknown-action", 1, 27)),
    ],
)
def test_a_default_action_that_is_refused(text: str, fault: tuple[str, int, int]):
    assert faults(text) == [fault]


def test_defaults_come_before_the_rules_own_actions():
    rules = load(
        """
        SecDefaultAction "phase:1,log,noauditlog,deny,status:410,t:lowercase,setvar:tx.a=1"
        SecAction "id:1,phase:1"
        SecAction "id:2,phase:1,t:none,t:trim,nolog,status:411"
        SecAction "id:3,phase:2"
        """
    ).plan.rules

    assert [[name for name, _ in rule.transformations] for rule in rules] == [["lowercase"], ["trim"], []]
    assert [(rule.log, rule.auditlog) for rule in rules] == [(True, False), (False, False), (True, True)]
    assert [rule.disruption and (rule.disruption.action, rule.disruption.status) for rule in rules] == [
        ("deny", 410), ("deny", 411), ("pass", 0)
    ]  # fmt: skip
    assert [len(rule.effects) for rule in rules] == [1, 1, 0]


def test_members_of_a_chain_take_no_defaults():
    rules = (
        'SecDefaultAction "phase:1,deny,t:lowercase"\nSecRule ARGS "@rx a" "id:1,phase:1,chain"\nSecRule ARGS "@rx b"'
    )
    member = load(rules).plan.rules[0].chain

    assert member is not None
    assert (member.transformations, member.disruption) == ((), None)


# -- chains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('SecAction "id:1,phase:1,chain"', ("open-chain", 1, 1)),
        ('SecAction "id:1,phase:1,chain"\nSecMarker M', ("open-chain", 2, 1)),
        ('SecAction "id:1,phase:1,chain"\nSecDefaultAction "phase:1,pass"', ("open-chain", 2, 1)),
        ('SecAction "id:1,phase:1,chain"\nSecAction "chain"', ("open-chain", 1, 1)),
        ('SecAction "id:1,phase:1,chain"\nSecAction "id:2"', ("bad-chain", 2, 12)),
        ('SecAction "id:1,phase:1,chain"\nSecAction "phase:1"', ("bad-chain", 2, 12)),
        ('SecAction "id:1,phase:1,chain"\nSecAction "nope"', ("unknown-action", 2, 12)),
        ('SecAction "id:1,phase:1,chain"\nSecAction "t:none,deny"', ("bad-chain", 2, 19)),
        ('SecAction "id:1,phase:1,chain"\nSecAction "skip:1"', ("bad-chain", 2, 12)),
        ('SecAction "id:1,phase:1,chain"\nSecAction "skipAfter:X"', ("bad-chain", 2, 12)),
    ],
)
def test_chains_that_are_refused(text: str, fault: tuple[str, int, int]):
    assert faults(text) == [fault]


def test_a_directive_between_the_members_does_not_break_a_chain():
    rules = 'SecRule ARGS "@rx a" "id:1,phase:1,chain"\nSecSensorId x\nSecRule ARGS "@rx b" "t:none"'

    assert matched(exchange(rules, "/?x=ab")) == [1]


def test_a_chain_is_bounded():
    member = 'SecAction "chain"\n'
    good = 'SecAction "id:1,phase:1,chain"\n' + member * (MAX_CHAIN - 2) + 'SecAction "t:none"'

    assert load(good).plan.rule_count == 1
    assert [code for code, _, _ in faults(good.replace('"t:none"', '"chain"\nSecAction "t:none"'))] == ["long-chain"]


def test_members_of_a_chain_run_in_the_phase_of_its_start_and_have_no_id():
    rule = load(
        'SecRule ARGS "@rx a" "id:1,phase:4,chain"\nSecRule ARGS "@rx b" "chain"\nSecRule ARGS "@rx c"'
    ).plan.rules[0]

    assert rule.chain is not None
    assert rule.chain.chain is not None
    assert [(r.id, r.phase, r.operator and r.operator.argument) for r in (rule, rule.chain, rule.chain.chain)] == [
        (1, 4, "a"), (0, 4, "b"), (0, 4, "c")
    ]  # fmt: skip


# -- markers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('SecAction "id:1,phase:1,skipAfter:END"\nSecMarker END', []),
        ('SecAction "id:1,phase:1,skipAfter:NONE"\nSecMarker END', [("no-marker", 1, 1)]),
        ('SecMarker END\nSecAction "id:1,phase:1,skipAfter:END"', [("no-marker", 2, 1)]),
        ("SecMarker A\nSecMarker B\nSecMarker A", []),
        ("SecMarker A\nSecMarker A", [("second-marker", 2, 1)]),
    ],
)
def test_markers_that_do_not_fit_are_warned_of(text: str, found: list[tuple[str, int, int]]):
    assert warnings(text) == found


# -- settings, ids, targets -----------------------------------------------------------------------


def test_settings_of_the_program_hold_unless_a_directive_sets_them():
    waf = WAF.from_directives("SecRequestBodyLimit 7", settings={"request_body_limit": 5, "json_keys": "modsecurity"})

    assert (waf.plan.settings.request_body_limit, waf.plan.settings.json_keys) == (7, "modsecurity")


def test_a_rule_of_a_bad_id_is_reported_once():
    assert faults('SecAction "id:x,phase:1"') == [("bad-argument", 1, 15)]


def test_what_a_target_becomes():
    text = 'SecRule ARGS|&ARGS:X|ARGS:/^y/|REQUEST_URI|XML:/*|!ARGS:Z "@rx a" "id:1,phase:2"'
    targets = load(text).plan.rules[0].targets

    assert [
        (t.variable.name, t.key, t.pattern is not None, t.selector, t.count, len(t.exclusions)) for t in targets
    ] == [
        ("ARGS", None, False, "", False, 1),
        ("ARGS", b"x", False, "", True, 1),
        ("ARGS", None, True, "", False, 1),
        ("REQUEST_URI", None, False, "", False, 0),
        ("XML", None, False, "/*", False, 0),
    ]


def test_an_operator_keeps_what_was_written():
    operator = load('SecRule ARGS "!@CONTAINS a b" "id:1,phase:2"').plan.rules[0].operator

    assert operator is not None
    assert (operator.name, operator.argument, operator.negated) == ("contains", "a b", True)


def test_chain_is_no_default_action():
    """It would chain every rule of the phase to the next one."""
    assert faults('SecDefaultAction "phase:1,pass,chain"\nSecAction "id:1,phase:1"') == [("bad-default", 1, 32)]
