"""Which rules can be replayed."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import exchange
from waf_engine import WAF
from waf_engine.compiler.replays import replay_of

LIST = "SecAction \"id:1,phase:1,pass,nolog,setvar:'tx.list=/x-bad/'\"\n"
FIRST = (
    'SecRule REQUEST_HEADERS_NAMES "@rx ^.*$" '
    "\"id:2,phase:1,deny,capture,t:lowercase,setvar:'tx.name_%{tx.0}=/%{tx.0}/',chain\"\n"
)
SECOND = 'SecRule TX:/^name_/ "@within %{tx.list}" ""\n'


def replay(rules: str) -> object:
    plan = WAF.from_directives(rules, executor="reference").plan
    return replay_of(plan, next(rule for rule in plan.rules if rule.id == 2))


def test_a_rule_that_notes_names_and_compares_them():
    found = replay(LIST + FIRST + SECOND)
    assert found is not None
    assert (found.members, found.captures) == ((b"list",), (b"0",))


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(FIRST.replace("^.*$", "^.+$") + SECOND, id="not every name"),
        pytest.param(FIRST.replace("capture,", "") + SECOND, id="nothing captured"),
        pytest.param(FIRST.replace("REQUEST_HEADERS_NAMES", "&REQUEST_HEADERS_NAMES") + SECOND, id="a count"),
        pytest.param(FIRST.replace("REQUEST_HEADERS_NAMES", "ENV") + SECOND, id="values that change meanwhile"),
        pytest.param(FIRST.replace("=/%{tx.0}/", "=/%{request_uri}/") + SECOND, id="another value noted"),
        pytest.param(FIRST.replace("=/%{tx.0}/", "=+1") + SECOND, id="a sum"),
        pytest.param(FIRST.replace("setvar:", "setvar:tx.fixed=1,setvar:") + SECOND, id="a fixed name"),
        pytest.param(FIRST + SECOND.replace("%{tx.list}", "%{request_method}"), id="compared with the request"),
        pytest.param(FIRST + SECOND.replace("TX:/^name_/", "ARGS"), id="another collection compared"),
        pytest.param(FIRST + SECOND.replace("/^name_/", "/list/"), id="members with fixed names compared"),
        pytest.param(FIRST + SECOND.replace('""', '"chain"') + SECOND, id="a longer chain"),
        pytest.param(FIRST.replace(",chain", ""), id="no chain"),
    ],
)
def test_what_depends_on_more_is_not_replayed(rules: str):
    assert replay(LIST + rules) is None


def test_a_pattern_with_a_byte_that_is_no_utf_8_is_no_obstacle():
    waf = WAF.from_directives('SecRule ARGS "@rx \udcff" "id:1,phase:2,pass"')

    assert [rule.rule_id for rule in exchange(waf, "/?a=%ff").matched_rules] == [1]
