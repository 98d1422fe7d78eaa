"""The matched-rule line in libmodsecurity's form, beside libmodsecurity's own."""

from __future__ import annotations

import re

import pytest

from waf_engine import WAF

RULES = r"""SecRuleEngine On
SecRequestBodyAccess On
SecAction "id:1,phase:1,pass,log,msg:'act'"
SecRule ARGS:a "@contains evil" "id:2,phase:1,log,pass,msg:'saw %{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR}',\
    severity:'CRITICAL',tag:'t1',tag:'t/2',ver:'v1',rev:'2',maturity:'3',accuracy:'4'"
SecRule ARGS "@rx b.d" "id:3,phase:1,log,pass,msg:'last of %{MATCHED_VAR_NAME}'"
SecRule ARGS:l "@pm llll" "id:4,phase:1,log,pass,logdata:'%{MATCHED_VAR}'"
SecRule ARGS:b "@streq bad" "id:5,phase:1,log,pass,msg:'chained',chain"
SecRule ARGS:c "!@streq y" "t:none"
SecRule REQUEST_HEADERS:User-Agent "@beginsWith curl" "id:6,phase:1,deny,status:406,log,msg:'no robots'"
"""
URI = "/p%41th/x?a=is%20evil%0a%ff&b=bad&c=bed&l=" + "l" * 300


def lines_of_libmodsecurity() -> list[str]:
    libmodsecurity = pytest.importorskip("libmodsecurity")
    engine, rules = libmodsecurity.ModSecurity(), libmodsecurity.RulesSet()
    assert rules.load(RULES) > 0, rules.get_parser_error()
    lines: list[str] = []
    engine.set_log_callback(lines.append)
    tx = libmodsecurity.Transaction(engine, rules, "TX-1")
    tx.process_connection("192.0.2.7", 50000, "198.51.100.1", 80)
    tx.process_uri(URI, "GET", "1.1")
    tx.add_request_header("User-Agent", "curl/8")
    tx.process_request_headers()
    lines.append(tx.intervention().log)
    engine.set_log_callback(None)
    return lines


def lines_of_ours() -> list[str]:
    tx = WAF.from_directives(RULES).transaction("TX-1")
    tx.process_connection("192.0.2.7", 50000, "198.51.100.1", 80)
    tx.process_uri(URI, "GET", "HTTP/1.1")
    tx.add_request_header("User-Agent", "curl/8")
    tx.process_request_headers()
    return [matched.modsecurity_line() for matched in tx.matched_rules]


def comparable(line: str) -> str:
    """A line without what differs for a reason: the file's name, where it begins to count lines, positions."""
    line = re.sub(r'\[file "[^"]*"\] \[line "\d+"\]', "[file]", line)
    return re.sub(r'\[ref "[^"]*"\]', '[ref ""]', line)


def test_lines_are_libmodsecuritys():
    expected, got = lines_of_libmodsecurity(), lines_of_ours()

    assert len(got) == 6
    assert [comparable(line) for line in got] == [comparable(line) for line in expected]


def test_no_client_can_close_a_field():
    tx = WAF.from_directives(
        'SecRuleEngine On\nSecRule ARGS "@rx ." "id:1,phase:1,log,pass,msg:\'%{MATCHED_VAR}\'"'
    ).transaction()
    tx.process_uri('/"]?a=x"] [id "2"]%0a', "GET", "HTTP/1.1")
    tx.process_request_headers()
    line = tx.matched_rules[0].modsecurity_line()

    assert re.findall(r'\[id "\d+"\]', line) == ['[id "1"]']
    assert "\n" not in line
    assert r"(Value: `x\x22] [id \x222\x22]\x0a' )" in line
