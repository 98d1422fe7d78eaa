"""The sanitise actions: both spellings, arguments, what they match on, pieces of values."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import exchange, faults
from waf_engine.actions import actions
from waf_engine.audit.entry import entry_of

BASE = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\nSecAuditLogParts ABCEFHZ\n"


def rule(variable: str, operator: str, action: str, phase: int = 2) -> str:
    actions_ = f"id:1,phase:{phase},pass,log,auditlog,msg:'%{{MATCHED_VAR}}',{action}"
    return f'{BASE}SecRule {variable} "{operator}" "{actions_}"'


@pytest.mark.parametrize("name", ["Arg", "Matched", "MatchedBytes", "RequestHeader", "ResponseHeader"])
def test_both_spellings_are_one_action(name: str):
    assert actions.get(f"sanitise{name}") is actions.get(f"sanitize{name}") is not None
    assert actions.canonical(f"SANITIZE{name}") == f"sanitise{name}"


@pytest.mark.parametrize(
    ("variable", "uri", "expected"),
    [
        ("ARGS:p", "/x?p=12&q=12", "/x?p=**&q=12"),
        ("ARGS_GET", "/x?p=12&q=12", "/x?p=**&q=**"),
        ("ARGS_NAMES", "/x?secret=1", "/x?******=1"),
        ("QUERY_STRING", "/x?p=12", "**?****"),
        ("REQUEST_FILENAME", "/x?p=12", "**?****"),
    ],
)
def test_matched_in_the_uri(variable: str, uri: str, expected: str):
    tx = exchange(rule(variable, "@rx .", "sanitiseMatched"), uri)

    assert entry_of(tx).uri.decode() == expected
    assert tx.matched_rules[0].shown.uri == expected


@pytest.mark.parametrize(
    ("variable", "body"), [("REQUEST_BODY", b"***"), ("ARGS_POST", b"p=*"), ("ARGS_POST_NAMES", b"p=1")]
)
def test_matched_in_the_body(variable: str, body: bytes):
    assert entry_of(exchange(rule(variable, "@rx .", "sanitiseMatched"), body=b"p=1")).request_body == body


def test_matched_in_the_response():
    tx = exchange(rule("RESPONSE_BODY", "@rx .", "sanitiseMatched", 4), response_body=b"<p>x</p>")
    header = exchange(
        rule("RESPONSE_HEADERS:X", "@rx .", "sanitiseMatched", 3), response_headers=[("X", "ab"), ("Y", "ab")]
    )

    assert entry_of(tx).response_body == b"********"
    assert entry_of(header).response_headers == ((b"X", b"**"), (b"Y", b"ab"))


def test_only_what_matched_is_masked():
    tx = exchange(rule("ARGS", "@streq hidden", "sanitiseMatched"), "/?a=hidden&b=shown")

    assert entry_of(tx).uri == b"/?a=******&b=shown"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("", "card **************** and **************** end"),
        (":0/4", "card ************0001 and ************0002 end"),
        (":4/0", "card 4000************ and 4111************ end"),
        (":9/9", "card 4000000000000001 and 4111000000000002 end"),
    ],
)
def test_matched_bytes(argument: str, expected: str):
    text = "card 4000000000000001 and 4111000000000002 end"
    tx = exchange(rule("ARGS:t", r"@rx \d{16}", f"sanitiseMatchedBytes{argument}"), f"/?t={text.replace(' ', '%20')}")
    entry = entry_of(tx)

    assert tx.matched_rules[0].message == expected
    assert entry.uri.decode() == f"/?t={expected.replace(' ', '%20')}"
    assert entry.arguments == ((b"t", expected.encode()),)


def test_matched_bytes_of_an_operator_that_does_not_say_where():
    tx = exchange(rule("ARGS:t", "!@rx nothing", "sanitiseMatchedBytes"), "/?t=abcd")

    assert entry_of(tx).uri == b"/?t=****"


def test_an_action_without_a_variable_masks_nothing():
    for action in ("sanitiseMatched", "sanitiseMatchedBytes"):
        tx = exchange(f'{BASE}SecAction "id:1,phase:1,pass,nolog,{action}"', "/?a=b")
        assert entry_of(tx).uri == b"/?a=b"


@pytest.mark.parametrize("action", ["sanitiseArg", "sanitiseRequestHeader", "sanitizeResponseHeader"])
def test_these_need_a_name(action: str):
    assert faults(f'SecAction "id:1,phase:1,pass,{action}"') == [("missing-value", 1, 30)]


@pytest.mark.parametrize("value", ["4", "a/b", "1/-2", "99999/1", "/"])
def test_bytes_to_keep_are_two_numbers(value: str):
    assert faults(f'SecAction "id:1,phase:1,pass,sanitiseMatchedBytes:{value}"') == [("bad-argument", 1, 51)]


def test_matched_takes_no_value():
    assert faults('SecAction "id:1,phase:1,pass,sanitiseMatched:x"') == [("extra-value", 1, 46)]
