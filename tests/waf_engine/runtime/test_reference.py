"""How rules run: order, chains, matches, flow. Every test runs on each executor; the reference is the definition."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import begin, exchange, load, matched
from waf_engine import Interruption

pytestmark = pytest.mark.usefixtures("each_executor")


def tx_of(rules: str, uri: str = "/", **how: object) -> dict[str, str]:
    """TX after an exchange, as text."""
    tx = exchange(rules, uri, **how)  # type: ignore[arg-type]  # the keywords of exchange
    return {key.decode(): value.decode() for key, value in tx.tx.items()}


# -- order ----------------------------------------------------------------------------------------


def test_rules_run_by_phase_and_in_it_in_the_order_of_the_file():
    rules = "".join(
        f'SecAction "id:{phase}{n},phase:{phase},pass,nolog"\n' for n in (1, 2) for phase in (5, 3, 1, 4, 2)
    )

    assert matched(exchange(rules)) == [11, 12, 21, 22, 31, 32, 41, 42, 51, 52]


def test_an_interruption_ends_its_phase_and_skips_all_but_logging():
    tx = exchange(
        'SecAction "id:1,phase:1,pass"\nSecAction "id:2,phase:2,deny"\nSecAction "id:3,phase:2,pass"\n'
        'SecAction "id:4,phase:3,pass"\nSecAction "id:5,phase:4,pass"\nSecAction "id:6,phase:5,pass"\n'
        'SecAction "id:7,phase:5,deny,status:500"\nSecAction "id:8,phase:5,pass"'
    )

    assert matched(tx) == [1, 2, 6, 7, 8]
    assert tx.interruption == Interruption("deny", 403, "", 2)  # the first one stays


def test_values_are_taken_in_the_order_of_targets_and_of_the_request():
    tx = exchange('SecRule REQUEST_METHOD|ARGS|REQUEST_URI "@unconditionalMatch" "id:1,phase:2"', "/p?b=2&a=1&b=3")

    found = [(m.name, m.value) for m in tx.matched_rules[0].matches]
    uri = b"/p?b=2&a=1&b=3"
    assert found == [
        ("REQUEST_METHOD", b"GET"), ("ARGS:b", b"2"), ("ARGS:a", b"1"), ("ARGS:b", b"3"), ("REQUEST_URI", uri)
    ]  # fmt: skip


# -- values, negation, counts ---------------------------------------------------------------------


def test_a_negated_operator_is_negated_for_each_value():
    tx = exchange('SecRule ARGS "!@streq a" "id:1,phase:1"', "/?x=a&y=b&z=c")

    assert [m.name for m in tx.matched_rules[0].matches] == ["ARGS:y", "ARGS:z"]


@pytest.mark.parametrize("operator", ["@streq x", "!@streq x", "@unconditionalMatch"])
def test_a_member_that_is_missing_is_no_value_even_for_a_negation(operator: str):
    assert matched(exchange(f'SecRule ARGS:missing "{operator}" "id:1,phase:1"', "/?a=1")) == []


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("&ARGS", 4), ("&ARGS:a", 2), ("&ARGS:A", 2), ("&ARGS:missing", 0), ("&ARGS:/^a/", 3), ("&REQUEST_URI", 1),
        ("&ARGS|!ARGS:b", 3), ("&ARGS:/a/|!ARGS:ab", 2), ("&ARGS_POST", 0),
    ],
)  # fmt: skip
def test_a_count_is_always_one_value(target: str, count: int):
    tx = exchange(f'SecRule {target} "@eq {count}" "id:1,phase:2"', "/?a=1&A=2&ab=3&b=4")

    assert [m.value for m in tx.matched_rules[0].matches] == [str(count).encode()]


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ("ARGS:a", ["a", "A"]),
        ("ARGS:/^A/", ["a", "A", "ab"]),
        ("ARGS:/b$/", ["ab", "b"]),
        ("ARGS|!ARGS:a", ["ab", "b"]),
        ("ARGS|!ARGS:/^a/", ["b"]),
        ("ARGS|!ARGS", []),
        ("!ARGS:a|ARGS", ["a", "A", "ab", "b"]),  # an exclusion acts on the mentions before it
        ("ARGS:a|!ARGS:a|ARGS:b|ARGS:a", ["b", "a", "A"]),
        ("ARGS|!ARGS_GET:a", ["a", "A", "ab", "b"]),  # and on its own variable only
        ("ARGS|!args:B", ["a", "A", "ab"]),
    ],
)
def test_selectors_and_exclusions(targets: str, names: list[str]):
    tx = exchange(f'SecRule {targets} "@unconditionalMatch" "id:1,phase:2"', "/?a=1&A=2&ab=3&b=4")
    found = [m.key.decode() for rule in tx.matched_rules for m in rule.matches]

    assert found == names


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("REQUEST_HEADERS:User-Agent", "REQUEST_HEADERS:User-Agent"),  # as the rule has it: HTTP/2 has small letters
        ("REQUEST_HEADERS", "REQUEST_HEADERS:user-agent"),
        ("REQUEST_HEADERS:/^USER/", "REQUEST_HEADERS:user-agent"),
        ("ARGS:ID", "ARGS:id"),  # as the request has it
    ],
)
def test_the_name_of_what_matched(target: str, name: str):
    rules = f'SecRule {target} "@rx ." "id:1,phase:1,setvar:\'tx.name=%{{MATCHED_VAR_NAME}}\'"'
    tx = exchange(rules, "/?id=1", headers=[("user-agent", "x")])

    assert [m.name for m in tx.matched_rules[0].matches] == [name]
    assert tx.tx == {b"name": name.encode()}


# -- transformations ------------------------------------------------------------------------------


def test_transformations_run_in_order_and_none_forgets_those_before():
    rules = 'SecRule ARGS:a "@streq {}" "id:1,phase:1,{}"'

    assert matched(exchange(rules.format("ab", "t:urlDecode,t:lowercase"), "/?a=%2541B")) == [1]
    assert matched(exchange(rules.format("41b", "t:lowercase,t:none,t:removeWhitespace"), "/?a=4%201b")) == [1]
    assert matched(exchange(rules.format("AB", "t:lowercase,t:none"), "/?a=AB")) == [1]


def test_multimatch_sees_the_value_before_and_after_each_change():
    tx = exchange(
        'SecRule ARGS:a "@rx ." "id:1,phase:1,multiMatch,t:lowercase,t:trim,t:lowercase,t:removeWhitespace,'
        'setvar:tx.n=+1"',
        "/?a=%20A%20B",
    )  # fmt: skip

    assert [m.value for m in tx.matched_rules[0].matches] == [b" A B", b" a b", b"a b", b"ab"]
    assert tx.tx == {b"n": b"4"}


def test_without_multimatch_only_the_last_value_is_tested():
    assert matched(exchange('SecRule ARGS:a "@contains A" "id:1,phase:1,t:lowercase"', "/?a=A")) == []


# -- captures -------------------------------------------------------------------------------------


def test_captures_go_to_tx_0_to_9():
    groups = "".join(f"({c})" for c in "abcdefghijkl")
    found = tx_of(f'SecRule ARGS:a "@rx {groups}" "id:1,phase:1,capture"', "/?a=abcdefghijkl")

    assert found == {"0": "abcdefghijkl", **{str(n + 1): c for n, c in enumerate("abcdefghi")}}


def test_without_capture_there_is_none():
    assert tx_of('SecRule ARGS:a "@rx (a)" "id:1,phase:1"', "/?a=a") == {}


def test_old_captures_stay_until_they_are_overwritten():
    rules = 'SecRule ARGS:a "@rx (.)(.)" "id:1,phase:1,capture"\nSecRule ARGS:b "@rx ." "id:2,phase:1,capture"'

    assert tx_of(rules, "/?a=xy&b=z") == {"0": "z", "1": "x", "2": "y"}


def test_a_negated_operator_that_finds_something_captures_it_though_the_rule_does_not_match():
    tx = exchange('SecRule ARGS:a "!@rx (a)" "id:1,phase:1,capture"', "/?a=a")

    assert (matched(tx), tx.tx) == ([], {b"0": b"a", b"1": b"a"})


# -- chains ---------------------------------------------------------------------------------------

CHAIN = """
    SecRule ARGS:a "@rx ." "id:1,phase:1,deny,chain,setvar:tx.starter=+1"
        SecRule ARGS:b "@rx ." "chain,setvar:tx.middle=+1"
            SecRule ARGS:c "@rx ." "setvar:tx.last=+1"
"""


@pytest.mark.parametrize(
    ("uri", "hit", "tx"),
    [
        ("/?a=1&b=1&c=1", [1], {"starter": "1", "middle": "1", "last": "1"}),
        ("/?a=1&b=1", [], {"starter": "1", "middle": "1"}),  # effects of members stay though the chain fails
        ("/?a=1&c=1", [], {"starter": "1"}),
        ("/?b=1&c=1", [], {}),
        ("/?a=1&a=2&b=1&b=2&b=3&c=1", [1], {"starter": "2", "middle": "3", "last": "1"}),  # for each value
    ],
)
def test_a_chain_matches_when_all_its_members_do(uri: str, hit: list[int], tx: dict[str, str]):
    result = exchange(CHAIN, uri)

    assert matched(result) == hit
    assert (result.interruption is not None) is bool(hit)
    assert {k.decode(): v.decode() for k, v in result.tx.items()} == tx


def test_matched_vars_accumulate_through_a_chain_and_begin_anew_with_each_rule():
    rules = """
        SecRule ARGS:a "@rx ." "id:1,phase:1,pass,chain"
            SecRule ARGS:b "@rx ." "chain"
                SecRule MATCHED_VARS_NAMES "@rx ." "setvar:'tx.names=%{tx.names}[%{MATCHED_VAR}]'"
        SecRule ARGS:c "@rx ." "id:2,phase:1,pass,chain"
            SecRule MATCHED_VARS "@rx ." "setvar:'tx.after=%{tx.after}[%{MATCHED_VAR_NAME}=%{MATCHED_VAR}]'"
    """
    found = tx_of(rules, "/?a=1&b=2&b=3&c=4")

    assert found["names"] == "tx.names[ARGS:a][ARGS:b][ARGS:b]"
    assert found["after"] == "tx.after[MATCHED_VARS:ARGS:c=4]"


def test_the_matches_of_a_chain_are_all_reported_with_their_level():
    tx = exchange(CHAIN, "/?a=1&b=2&b=3&c=4")

    assert [(m.name, m.value, m.chain_level) for m in tx.matched_rules[0].matches] == [
        ("ARGS:a", b"1", 0), ("ARGS:b", b"2", 1), ("ARGS:b", b"3", 1), ("ARGS:c", b"4", 2)
    ]  # fmt: skip


def test_the_starters_texts_are_expanded_when_the_whole_chain_has_matched():
    tx = exchange(
        """
        SecRule ARGS:a "@rx ." "id:1,phase:1,pass,log,chain,msg:'%{MATCHED_VAR_NAME} %{tx.n}',logdata:'%{MATCHED_VAR}'"
            SecRule ARGS:b "@rx ." "setvar:tx.n=+1,msg:'member %{MATCHED_VAR}'"
        """,
        "/?a=1&b=2&b=3",
    )
    rule = tx.matched_rules[0]

    assert (rule.message, rule.data) == ("ARGS:b 2", "3")
    assert [m.message for m in rule.matches] == ["ARGS:b 2", "member 2", "member 3"]


def test_without_a_chain_texts_are_expanded_for_each_match_after_its_effects():
    tx = exchange('SecRule ARGS "@rx ." "id:1,phase:1,msg:\'%{tx.n} %{MATCHED_VAR}\',setvar:tx.n=+1"', "/?a=x&b=y")

    assert [m.message for m in tx.matched_rules[0].matches] == ["1 x", "2 y"]


def test_a_secaction_may_be_a_member_and_start_a_chain():
    rules = """
        SecAction "id:1,phase:1,pass,chain,setvar:tx.a=1,msg:'%{tx.b}'"
            SecRule ARGS:a "@rx ." "chain"
                SecAction "setvar:tx.b=2"
    """

    assert matched(exchange(rules, "/?a=1")) == [1]
    assert exchange(rules, "/?a=1").matched_rules[0].message == "2"
    assert matched(exchange(rules, "/")) == []


def test_rule_is_the_one_that_starts_the_chain():
    """CRS 3.3 writes %{rule.msg} in the last member of a chain and means the message of the whole."""
    rules = """
        SecRule ARGS:a "@rx ." "id:1,phase:1,pass,chain,msg:'first',setvar:'tx.a=%{RULE.id}'"
            SecRule ARGS:a "@rx ." "setvar:'tx.b=%{RULE.id} %{rule.msg}'"
    """

    assert tx_of(rules, "/?a=1") == {"a": "1", "b": "1 first"}


# -- flow -----------------------------------------------------------------------------------------


def five(first: str, *, phase: int = 1, extra: str = "") -> str:
    """Rule 1 with an action, then rules and a marker: 2, 3, marker END, 4, and one of the next phase."""
    return f"""
        SecAction "id:1,phase:{phase},pass,nolog,{first}"
        SecAction "id:2,phase:{phase},pass,nolog"
        SecAction "id:3,phase:{phase},pass,nolog"
        SecMarker END
        SecAction "id:4,phase:{phase},pass,nolog"
        {extra}
        SecAction "id:5,phase:{phase + 1},pass,nolog"
    """


@pytest.mark.parametrize(
    ("action", "ids"),
    [
        ("skip:1", [1, 3, 4, 5]),
        ("skip:2", [1, 4, 5]),
        ("skip:3", [1, 4, 5]),  # a marker counts
        ("skip:4", [1, 5]),
        ("skip:99", [1, 5]),  # and the phase is the end of it
        ("skipAfter:END", [1, 4, 5]),
        ("skipAfter:NOWHERE", [1, 5]),
        ("skipAfter:end", [1, 5]),  # a label is compared as it is written
    ],
)
def test_skip_and_skipafter(action: str, ids: list[int]):
    assert matched(exchange(five(action))) == ids


def test_skipafter_into_and_out_of_nested_blocks():
    rules = """
        SecRule ARGS:jump "@streq inner" "id:1,phase:1,pass,nolog,skipAfter:END-INNER"
        SecRule ARGS:jump "@streq outer" "id:2,phase:1,pass,nolog,skipAfter:END-OUTER"
        SecAction "id:3,phase:1,pass,nolog"
        SecAction "id:4,phase:1,pass,nolog,skipAfter:END-INNER"
        SecAction "id:5,phase:1,pass,nolog"
        SecMarker END-INNER
        SecAction "id:6,phase:1,pass,nolog"
        SecMarker END-OUTER
        SecAction "id:7,phase:1,pass,nolog"
    """

    assert matched(exchange(rules, "/?jump=inner")) == [1, 6, 7]
    assert matched(exchange(rules, "/?jump=outer")) == [2, 7]
    assert matched(exchange(rules, "/")) == [3, 4, 6, 7]


def test_a_marker_behind_does_not_catch_a_skipafter():
    rules = 'SecMarker M\nSecAction "id:1,phase:1,pass,skipAfter:M"\nSecAction "id:2,phase:1,pass"'

    assert matched(exchange(rules)) == [1]


def test_of_two_markers_of_one_name_the_next_catches():
    rules = """
        SecAction "id:1,phase:1,pass,skipAfter:M"
        SecAction "id:2,phase:1,pass"
        SecMarker M
        SecAction "id:3,phase:1,pass"
        SecMarker M
        SecAction "id:4,phase:1,pass"
    """

    assert matched(exchange(rules)) == [1, 3, 4]


def test_a_rule_that_does_not_match_skips_nothing():
    assert matched(exchange(five("t:none").replace('SecAction "id:1', 'SecRule ARGS:x "@rx ." "skip:2,id:1'))) == [
        2, 3, 4, 5
    ]  # fmt: skip


def test_rules_of_other_phases_are_not_counted_by_skip():
    rules = """
        SecAction "id:1,phase:1,pass,skip:1"
        SecAction "id:2,phase:2,pass"
        SecAction "id:3,phase:1,pass"
        SecAction "id:4,phase:1,pass"
    """

    assert matched(exchange(rules)) == [1, 4, 2]


def test_a_removed_rule_is_not_counted_by_skip():
    rules = """
        SecAction "id:1,phase:1,pass,skip:1,ctl:ruleRemoveById=2"
        SecAction "id:2,phase:1,pass"
        SecAction "id:3,phase:1,pass"
        SecAction "id:4,phase:1,pass"
    """

    assert matched(exchange(rules)) == [1, 4]


def test_a_chain_is_one_rule_to_skip():
    rules = f"""
        SecAction "id:9,phase:1,pass,skip:1"
        {CHAIN}
        SecAction "id:10,phase:1,pass"
    """

    assert matched(exchange(rules, "/?a=1&b=1&c=1")) == [9, 10]


# -- allow ----------------------------------------------------------------------------------------

ALLOW = "".join(f'SecAction "id:{phase}2,phase:{phase},pass,nolog"\n' for phase in range(1, 6))


@pytest.mark.parametrize(
    ("phase", "action", "ids"),
    [
        (1, "allow", [11]),
        (1, "allow:phase", [11, 22, 32, 42, 52]),
        (1, "allow:request", [11, 32, 42, 52]),
        (2, "allow", [12, 21]),
        (2, "allow:request", [12, 21, 32, 42, 52]),
        (3, "allow:request", [12, 22, 31, 32, 42, 52]),
        (3, "allow:phase", [12, 22, 31, 42, 52]),
        (4, "allow", [12, 22, 32, 41]),
    ],
)
def test_allow_and_its_reach(phase: int, action: str, ids: list[int]):
    tx = exchange(f'SecAction "id:{phase}1,phase:{phase},{action}"\n{ALLOW}')

    assert matched(tx) == ids
    assert tx.interruption is None


def test_a_second_run_of_a_waf_knows_nothing_of_the_first():
    waf = load(five("skipAfter:NOWHERE,setvar:tx.a=+1"))

    assert [matched(exchange(waf)) for _ in range(2)] == [[1, 5]] * 2
    assert begin(waf).tx == {}
