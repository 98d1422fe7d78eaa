"""What matched last, what the running rule matched, and the rule itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import exchange, matched, values
from tests.waf_engine.variables.samples import sample

if TYPE_CHECKING:
    from tests.waf_engine.variables.samples import Row

ROWS: dict[str, list[Row]] = {
    "MATCHED_VAR": [("rules", [(b"", b"y")]), ("bare", [(b"", b"")])],
    "MATCHED_VAR_NAME": [("rules", [(b"", b"ARGS:q")]), ("bare", [(b"", b"")])],
    "MATCHED_VARS": [("matches", [(b"ARGS:p", b"x"), (b"ARGS:q", b"y")])],
    "MATCHED_VARS_NAMES": [("matches", [(b"ARGS:p", b"ARGS:p"), (b"ARGS:q", b"ARGS:q")])],
    "RULE": [("none", [])],
    "HIGHEST_SEVERITY": [("rules", [(b"", b"3")]), ("bare", [(b"", b"255")])],
    "MSC_PCRE_LIMITS_EXCEEDED": [("limit", [(b"", b"1")]), ("bare", [(b"", b"0")])],
    "MSC_PCRE_ERROR": [("limit", [(b"", b"1")]), ("bare", [(b"", b"0")])],
}


@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    exchanges = ROWS[name]

    assert {sample_name: values(sample(sample_name), name) for sample_name, _ in exchanges} == dict(exchanges)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "9"),
        ("msg", "m %{tx.0}"),
        ("rev", "5"),
        ("severity", "error"),
        ("logdata", "d %{tx.0}"),
        ("tag", "rule.tag"),
    ],
)
def test_rule_shows_what_the_running_rule_says_of_itself(key: str, value: str):
    rules = (
        "SecAction \"id:9,phase:1,pass,severity:ERROR,rev:5,msg:'m %{tx.0}',logdata:'d %{tx.0}',"
        f"setvar:'tx.seen=%{{rule.{key}}}'\""
    )

    assert exchange(rules).tx == {b"seen": value.encode()}


@pytest.mark.usefixtures("each_executor")
@pytest.mark.parametrize(
    ("rules", "ids"),
    [
        ('SecRule RULE:id "@streq 1" "id:1,phase:1,pass"', [1]),
        ('SecRule ARGS:a "@streq %{rule.id}" "id:1,phase:1,pass"', [1]),
        ('SecRule ARGS "@rx ." "id:1,phase:1,pass"\nSecRule &MATCHED_VARS "@eq 0" "id:2,phase:1,pass"', [1, 2]),
        ('SecRule ARGS "@rx ." "id:1,phase:1,pass"\nSecRule MATCHED_VARS "@rx ." "id:2,phase:1,pass"', [1]),
    ],
)
def test_what_belongs_to_the_running_rule_is_not_that_of_the_rule_before(rules: str, ids: list[int]):
    assert matched(exchange(rules, "/?a=1")) == ids


@pytest.mark.usefixtures("each_executor")
def test_a_rule_without_texts_has_empty_ones():
    rules = 'SecRule RULE "@rx ^$" "id:1,phase:1,pass"'

    assert [m.name for m in exchange(rules).matched_rules[0].matches] == [
        "RULE:msg", "RULE:rev", "RULE:severity", "RULE:logdata"
    ]  # fmt: skip
