"""One request through real rules: what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.ftw.exchange import Place, run_request
from adapters.ftw.model import Reply
from waf_engine import WAF, MemoryStore

GET = b"GET /?q=%s HTTP/1.1\r\nHost: h\r\n\r\n"


def _run(rules: str, raw: bytes = GET % b"x", **options: Any):
    return run_request(WAF.from_directives(rules), raw, options.pop("place", Place()), **options)


@pytest.mark.parametrize(
    ("action", "status", "blocked"),
    [
        ("deny,status:418", 418, "deny by rule 1"),
        ("drop", 0, "connection dropped by rule 1"),
        ("redirect:/away", 302, "redirected to /away by rule 1"),
        ("pass", 200, ""),
    ],
)
@pytest.mark.parametrize("phase", [1, 2, 3, 4])
def test_what_a_client_gets(action: str, status: int, blocked: str, phase: int):
    outcome = _run(f'SecAction "id:1,phase:{phase},{action},log"')

    assert (outcome.status, outcome.blocked, outcome.refused) == (status, blocked, "")
    assert [match.rule_id for match in outcome.logged] == [1]


def test_a_redirect_has_its_location():
    assert _run('SecAction "id:1,phase:1,redirect:/away"').header("location") == "/away"


def test_silent_rules_and_detection_only():
    outcome = _run(
        'SecRuleEngine DetectionOnly\nSecAction "id:1,phase:1,pass,nolog"\nSecAction "id:2,phase:1,deny,log,msg:m"'
    )

    assert (outcome.status, outcome.would_block) == (200, 2)
    assert [(match.rule_id, bool(match.line), match.place) for match in outcome.matches] == [
        (1, False, "<directives>:2"),
        (2, True, "<directives>:3"),
    ]
    assert outcome.matches[1].message == "m"
    assert '[id "2"]' in outcome.matches[1].line


def test_a_refused_request_reaches_no_rule():
    outcome = _run('SecAction "id:1,phase:1,deny"', b"GET / \0 HTTP/1.1\r\n\r\n")

    assert (outcome.status, outcome.matches) == (400, ())
    assert outcome.refused


def test_the_body_of_the_request_and_the_response_are_looked_at():
    rules = """SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecRule ARGS_POST:a "@streq b" "id:1,phase:2,pass,log"
SecRule RESPONSE_BODY "@contains secret" "id:2,phase:4,pass,log"
SecRule RESPONSE_STATUS "@streq 500" "id:3,phase:3,pass,log"
"""
    raw = b"POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b"
    outcome = _run(rules, raw, reply=Reply(status=500, body=b"a secret"))

    assert [match.rule_id for match in outcome.logged] == [1, 3, 2]
    assert outcome.raw_response == b"HTTP/1.1 500\r\nContent-Type: text/plain; charset=utf-8\r\n\r\na secret"


@pytest.mark.parametrize(
    ("server", "address"), [("192.0.2.7", "192.0.2.7"), ("[::1]", "::1"), ("localhost", "127.0.0.1")]
)
def test_addresses(server: str, address: str):
    rules = 'SecRule REMOTE_ADDR|SERVER_ADDR|SERVER_PORT "@rx ." "id:1,phase:1,pass,log,logdata:%{MATCHED_VAR}"'
    line = _run(rules, place=Place("198.51.100.1", server, 8080)).logged[0].line

    assert all(f'"{text}"' in line for text in ("198.51.100.1", address, "8080"))


def test_a_store_keeps_collections_between_requests():
    rules = """SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}"
SecAction "id:2,phase:1,pass,nolog,setvar:ip.n=+1"
SecRule IP:n "@ge 2" "id:3,phase:1,deny,status:429"
"""
    waf, store = WAF.from_directives(rules), MemoryStore()
    statuses = [run_request(waf, GET % b"x", Place(), store=store).status for _ in range(3)]

    assert statuses == [200, 429, 429]
    assert run_request(waf, GET % b"x", Place(), store=MemoryStore()).status == 200
