"""What a transaction reports: the log line to the byte, and the fields by name."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waf_engine.support import exchange
from waf_engine import MatchedRule, MatchedValue
from waf_engine.compiler.plan import CompiledRule
from waf_engine.diagnostics import Span
from waf_engine.runtime.match import (
    MAX_LOGGED,
    MAX_MATCHES_LOGGED,
    cut,
    escape_controls,
    go_quote,
    printable,
)
from waf_engine.types import to_text


def rule_match(*matches: MatchedValue, disruptive: bool = False, action: str = "", **fields: object) -> MatchedRule:
    rule = CompiledRule(span=Span("x.conf", 10), id=1000, phase=2, **fields)  # type: ignore[arg-type]  # any field
    return MatchedRule(
        rule=rule,
        matches=matches or (MatchedValue("ARGS", b"q", b"v"),),
        disruptive=disruptive,
        action=action,
        client="127.0.0.1",
        server="127.0.0.2",
        uri="/a?x=1",
        unique_id="id-1",
    )


def test_the_line_of_a_rule_with_everything():
    tx = exchange(
        'SecRule ARGS:a|ARGS:b "@contains curl" "id:1000,phase:1,pass,log,rev:2,ver:\'v/1\',maturity:3,accuracy:4,'
        "severity:WARNING,tag:t1,tag:'t/2',msg:'curl in %{MATCHED_VAR_NAME}',logdata:'<%{MATCHED_VAR}>'\"",
        "/p?a=curl&b=xcurl",
    )

    assert tx.matched_rules[0].coraza_line() == (
        '[client "192.0.2.7"] Coraza: Warning. curl in ARGS:a [file "<directives>"] [line "1"] [id "1000"] [rev "2"] '
        '[msg "curl in ARGS:a"] [data "<curl>"] [severity "warning"] [ver "v/1"] [maturity "3"] [accuracy "4"] '
        '[tag "t1"] [tag "t/2"] [hostname "198.51.100.1"] [uri "/p?a=curl&b=xcurl"] [unique_id "T1"]'
        '[msg_match_1 "curl in ARGS:b"] [data_match_1 "<xcurl>"]'
    )


def test_the_line_of_a_rule_with_nothing():
    assert rule_match().coraza_line() == (
        '[client "127.0.0.1"] Coraza: Warning.  [file "x.conf"] [line "10"] [id "1000"] [rev ""] [msg ""] [data ""] '
        '[severity "emergency"] [ver ""] [maturity "0"] [accuracy "0"] [hostname "127.0.0.2"] [uri "/a?x=1"] '
        '[unique_id "id-1"]'
    )


@pytest.mark.parametrize(
    ("action", "verdict"),
    [("deny", "denied"), ("allow", "allowed"), ("drop", "dropped"), ("redirect", "redirected"), ("plug-in", "denied")],
)
def test_the_verdict_of_a_disruptive_rule(action: str, verdict: str):
    line = rule_match(disruptive=True, action=action).coraza_line()

    assert line.startswith(f'[client "127.0.0.1"] Coraza: Access {verdict} (phase 2).  [file')


def test_msg_and_data_are_cut_at_280_bytes():
    long = "é" * 300  # two bytes each: the cut is after 140
    line = rule_match(
        MatchedValue("ARGS", b"", b"", long, "d" * 300), MatchedValue("ARGS", b"", b"", "m" * 281, "x" + long)
    ).coraza_line()

    assert f" Warning. {'é' * 140} [file" in line
    assert f'[msg "{"é" * 140}"] [data "{"d" * 280}"]' in line
    assert line.endswith(f'[msg_match_1 "{"m" * 280}"] [data_match_1 "x{"é" * 139}\\xc3"]')


def test_the_number_of_further_matches_is_bounded():
    line = rule_match(*(MatchedValue("ARGS", b"", b"", f"m{n}") for n in range(1_000))).coraza_line()

    assert re.findall(r"\[msg_match_(\d+) ", line) == [str(n) for n in range(1, MAX_MATCHES_LOGGED + 1)]


def test_a_further_match_without_texts_is_left_out_and_keeps_its_number():
    matches = MatchedValue("ARGS", b"", b"", "a"), MatchedValue("ARGS", b"", b""), MatchedValue("ARGS", b"", b"", "c")

    assert rule_match(*matches).coraza_line().endswith('[unique_id "id-1"][msg_match_2 "c"] [data_match_2 ""]')


def test_the_message_is_the_first_there_is():
    match = rule_match(MatchedValue("ARGS", b"", b""), MatchedValue("ARGS", b"", b"", "second", "data"))

    assert (match.message, match.data) == ("second", "data")
    assert 'Warning. second [file "x.conf"] [line "10"] [id "1000"] [rev ""] [msg ""] [data ""]' in match.coraza_line()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("plain /text?", '"plain /text?"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x1b\x7f", r'"\x00\x1b\x7f"'),
        ("\x85\u200b\u2028", r'"\u0085\u200b\u2028"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("é€😀", '"é€😀"'),
        (to_text(b"a\xff\xc3("), r'"a\xff\xc3("'),
    ],
)
def test_go_quote(text: str, quoted: str):
    assert go_quote(text) == quoted


@given(st.binary())
def test_a_line_can_be_written_and_is_one_line_whatever_is_in_it(value: bytes):
    text = to_text(value)
    line = rule_match(MatchedValue("ARGS", value, value, text, text)).coraza_line()

    assert line.encode("utf-8").splitlines() == [line.encode("utf-8")]
    assert not any(unicodedata.category(c) == "Cc" for c in line)


@given(st.binary(max_size=600))
def test_cut_is_of_bytes(value: bytes):
    assert cut(to_text(value)) == to_text(value[:MAX_LOGGED])


def test_escape_controls_leaves_what_can_be_printed():
    assert escape_controls("a\nb \x1b[31m 'é' \"q\"") == "a\\nb \\x1b[31m 'é' \"q\""
    assert escape_controls("plain") == "plain"


def test_printable_shows_bytes_that_are_no_text():
    assert printable(to_text("é".encode() + b"\xff")) == "é\\xff"


@pytest.mark.parametrize(
    ("key", "name"), [(b"", "REQUEST_URI"), (b"id", "REQUEST_URI:id"), (b"\xff", "REQUEST_URI:\udcff")]
)
def test_the_full_name_of_a_match(key: bytes, name: str):
    assert MatchedValue("REQUEST_URI", key, b"v").name == name


def test_the_fields_by_name():
    match = rule_match(
        MatchedValue("ARGS", b"q", b"\xff" + b"v" * 300, "found", "it"), severity=2, tags=("t",), ver="1", rev="2",
        log=True, auditlog=True, disruptive=True, action="deny",
    )  # fmt: skip

    assert match.to_dict() == {
        "client": "127.0.0.1", "file": "x.conf", "line": 10, "rule_id": 1000, "revision": "2", "msg": "found",
        "data": "it", "severity": "critical", "severity_id": 2, "version": "1", "maturity": 0, "accuracy": 0,
        "tags": ["t"], "server": "127.0.0.2", "uri": "/a?x=1", "unique_id": "id-1", "disruptive": True, "phase_id": 2,
        "phase": "request-body", "matches": [{"variable": "ARGS:q", "value": "\\xff" + "v" * 279}],
    }  # fmt: skip
    assert (match.log, match.audit, match.severity, match.severity_name) == (True, True, 2, "critical")
    assert (match.rule_id, match.phase, match.file, match.line, match.tags) == (1000, 2, "x.conf", 10, ("t",))


def test_without_a_severity_the_fields_say_emergency_as_coraza_does():
    match = rule_match()

    assert (match.severity, match.severity_name) == (None, "")
    assert (match.to_dict()["severity"], match.to_dict()["severity_id"]) == ("emergency", 0)
