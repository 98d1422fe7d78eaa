"""Directives that change the rules before them: remove, other targets, other actions."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import exchange, faults, load, matched, warnings
from waf_engine import Interruption

pytestmark = pytest.mark.usefixtures("each_executor")

ROWS = {
    "SecRuleRemoveById": ('10 "20-29"', "ten"),
    "SecRuleRemoveByTag": ("sqli", ""),
    "SecRuleRemoveByMsg": ('"one"', "a b"),
    "SecRuleUpdateTargetById": ('10 "!ARGS:x"', "10"),
    "SecRuleUpdateTargetByTag": ('sqli "!ARGS:x"', 'sqli "!NO_SUCH:x" more'),
    "SecRuleUpdateTargetByMsg": ('"one" "!ARGS:x"', '"one"'),
    "SecRuleUpdateActionById": ('10 "pass"', '10 "id:5"'),
}
"""Directive: arguments that are accepted, and some that are refused."""

RULES = """
SecRule ARGS "@streq hit" "id:10,phase:2,deny,status:410,tag:sqli,tag:all,msg:'one %{tx.a}'"
SecRule ARGS "@streq hit" "id:11,phase:2,pass,tag:all,msg:'two'"
SecRule ARGS:a "@streq hit" "id:20,phase:2,pass,tag:sqli,chain"
    SecRule ARGS:b "@streq hit" "t:none"
SecMarker END
"""
LINES = RULES.count("\n") + 1


def hits(directives: str, uri: str = "/?a=hit&b=hit") -> list[int]:
    return matched(exchange(f"SecRuleEngine DetectionOnly\n{RULES}{directives}", uri))


@pytest.mark.parametrize(
    ("directive", "left"),
    [
        ("SecRuleRemoveById 10", [11, 20]),
        ("SecRuleRemoveById 10 20", [11]),
        ('SecRuleRemoveById "10,20"', [11]),
        ('SecRuleRemoveById "10 20"', [11]),
        ("SecRuleRemoveById 10-19", [20]),
        ('SecRuleRemoveById 1-10 "15-99"', [11]),
        ("SecRuleRemoveByTag sqli", [11]),
        ("SecRuleRemoveByTag all", [20]),
        ('SecRuleRemoveByMsg "two"', [10, 20]),
        ('SecRuleRemoveByMsg "one %{tx.a}"', [11, 20]),
    ],
)
def test_remove(directive: str, left: list[int]):
    assert hits(directive) == left


@pytest.mark.parametrize(
    ("directive", "column"),
    [
        ("SecRuleRemoveById 99", 19), ("SecRuleRemoveById 12-19", 19), ("SecRuleRemoveByTag sql", 20),
        ("SecRuleRemoveByMsg one", 20), ('SecRuleUpdateTargetById 99 "!ARGS:a"', 25),
        ('SecRuleUpdateTargetByTag no "!ARGS:a"', 26), ('SecRuleUpdateTargetByMsg no "!ARGS:a"', 26),
        ('SecRuleUpdateActionById 99 "pass"', 25),
    ],
)  # fmt: skip
def test_what_fits_no_rule_so_far_is_warned_of(directive: str, column: int):
    assert warnings(RULES + directive) == [("no-rule", LINES, column)]
    assert hits(directive) == [10, 11, 20]


def test_only_rules_before_are_changed():
    assert matched(exchange(f"SecRuleRemoveById 10-99\n{RULES}", "/?a=hit")) == [10]
    assert matched(exchange(f'SecRuleUpdateTargetById 10 "!ARGS:a"\n{RULES}', "/?a=hit")) == [10]


def test_the_id_of_a_removed_rule_is_free_again():
    assert load(RULES + 'SecRuleRemoveById 10\nSecAction "id:10,phase:1,pass"').plan.ids == (10, 11, 20)


def test_markers_are_never_removed():
    plan = load(RULES + "SecRuleRemoveById 0-99999").plan

    assert [rule.marker for rule in plan.rules] == ["END"]


@pytest.mark.parametrize(
    ("directive", "names"),
    [
        ('SecRuleUpdateTargetById 10 "!ARGS:a"', ["ARGS:b"]),
        ('SecRuleUpdateTargetById 10 "!ARGS:/^[A]$/"', ["ARGS:b"]),
        ('SecRuleUpdateTargetById 10 "!ARGS"', []),
        ('SecRuleUpdateTargetById 10 "REQUEST_HEADERS:X"', ["ARGS:a", "ARGS:b", "REQUEST_HEADERS:X"]),
        ('SecRuleUpdateTargetById 10 "REQUEST_HEADERS:X|!ARGS:b"', ["ARGS:a", "REQUEST_HEADERS:X"]),
        ('SecRuleUpdateTargetById 1-10 "!ARGS:a"', ["ARGS:b"]),
        ('SecRuleUpdateTargetById 11 10 "!ARGS:a"', ["ARGS:b"]),  # Coraza: the first id alone
        ('SecRuleUpdateTargetByTag sqli "!ARGS:a"', ["ARGS:b"]),
        ('SecRuleUpdateTargetByMsg "one %{tx.a}" "!ARGS:a"', ["ARGS:b"]),
        ('SecRuleUpdateTargetById 11 "!ARGS:a"', ["ARGS:a", "ARGS:b"]),
    ],
)
def test_update_targets(directive: str, names: list[str]):
    tx = exchange(f"SecRuleEngine DetectionOnly\n{RULES}{directive}", "/?a=hit&b=hit", headers=[("x", "hit")])

    assert [m.name for rule in tx.matched_rules if rule.rule_id == 10 for m in rule.matches] == names


@pytest.mark.parametrize(
    ("directive", "code", "column"),
    [
        ('SecRuleUpdateTargetById 10 "!NO_SUCH"', "unknown-variable", 29),
        ('SecRuleUpdateTargetById 10 11 "ARGS|NO_SUCH:x"', "unknown-variable", 37),
        ('SecRuleUpdateTargetById 10 11 "ARGS:"', "empty-selector", 37),
        ('SecRuleUpdateTargetById 10 "!ARGS:/(/"', "bad-pattern", 36),
    ],
)
def test_a_fault_in_the_targets_is_reported_where_it_stands(directive: str, code: str, column: int):
    assert faults(RULES + directive) == [(code, LINES, column)]


@pytest.mark.parametrize(
    ("actions", "interruption"),
    [
        ("log,msg:'other'", Interruption("deny", 410, "", 10)),  # without a disruptive action the rule's stays
        ("pass", None),
        ("drop", Interruption("drop", 410, "", 10)),
        ("status:411", Interruption("deny", 411, "", 10)),
        ("redirect:/x,status:301", Interruption("redirect", 301, "/x", 10)),
        ("block", Interruption("deny", 410, "", 10)),  # no SecDefaultAction says more
    ],
)
def test_update_actions(actions: str, interruption: Interruption | None):
    tx = exchange(f'{RULES}SecRuleUpdateActionById 10 "{actions}"', "/?a=hit")

    assert tx.interruption == interruption


def test_block_in_an_update_is_what_the_default_action_says():
    rules = f'SecDefaultAction "phase:2,drop"\n{RULES}SecRuleUpdateActionById 10 "block"'

    assert exchange(rules, "/?a=hit").interruption == Interruption("drop", 410, "", 10)


def test_update_adds_to_lists_and_replaces_single_values():
    rule = load(
        f'{RULES}SecRuleUpdateActionById 10 "msg:new,tag:more,severity:2,t:none,t:lowercase,setvar:tx.a=1"'
    ).plan.rules[0]

    assert (str(rule.msg), rule.tags, rule.severity) == ("new", ("sqli", "all", "more"), 2)
    assert [name for name, _ in rule.transformations] == ["lowercase"]
    assert len(rule.effects) == 1


def test_a_range_updates_every_rule_in_it():
    plan = load(f'{RULES}SecRuleUpdateActionById 10-20 "tag:seen"').plan

    assert [rule.id for rule in plan.rules if "seen" in rule.tags] == [10, 11, 20]


@pytest.mark.parametrize("action", ["id:5", "phase:1", "chain"])
def test_some_actions_cannot_be_updated(action: str):
    assert faults(f'{RULES}SecRuleUpdateActionById 10 "log,{action}"') == [("bad-update", LINES, 33)]


def test_transformations_that_are_added_are_warned_of():
    added = f'{RULES}SecRuleUpdateActionById 10 "t:lowercase"'

    assert warnings(added) == [("added-transformations", LINES, 29)]


@pytest.mark.parametrize(
    ("directive", "code", "column"),
    [
        ("SecRuleRemoveById", "bad-argument", 1),
        ("SecRuleRemoveById 10 x-9", "bad-id", 22),
        ("SecRuleRemoveById 10 9-", "bad-id", 22),
        ("SecRuleRemoveByTag a b", "argument-count", 20),
        ("SecRuleUpdateTargetById 10", "argument-count", 25),
        ("SecRuleUpdateTargetByTag a b c", "argument-count", 26),
        ("SecRuleUpdateActionById 10", "argument-count", 25),
        ('SecRuleUpdateActionById 10 "nope"', "unknown-action", 29),
    ],
)
def test_what_is_refused(directive: str, code: str, column: int):
    assert faults(RULES + directive) == [(code, LINES, column)]


def test_the_plan_tells_which_rules_were_changed_and_how():
    plan = load(
        RULES + 'SecRuleRemoveById 11\nSecRuleUpdateTargetByTag sqli "!ARGS:x"\nSecRuleUpdateActionById 10-19 "pass"\n'
    ).plan

    assert plan.overrides == (
        (11, "disabled"),
        (10, "targets_changed"),
        (20, "targets_changed"),
        (10, "action_changed"),
    )


@pytest.mark.parametrize(
    "ids", ["9" * 5_000, "1-" + "9" * 5_000, "\N{SUPERSCRIPT TWO}", "1-\N{ARABIC-INDIC DIGIT TWO}"]
)
def test_what_looks_like_an_id_and_is_none(ids: str):
    assert faults(f"SecRuleRemoveById {ids}") == [("bad-id", 1, 19)]
