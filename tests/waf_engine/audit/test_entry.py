"""The record of a transaction: what it holds for which parts, its bounds, its immutability."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.audit.support import BODY, RULES, run
from tests.waf_engine.support import begin, exchange
from waf_engine import WAF
from waf_engine.audit import entry as entry_module
from waf_engine.audit.entry import MAX_BODY, MAX_HEADER_BYTES, MAX_RULES, MAX_URI, AuditEntry, entry_of, wanted_parts

if TYPE_CHECKING:
    from waf_engine import Transaction

MULTIPART = (
    b'--B\r\nContent-Disposition: form-data; name="a b"\r\n\r\n1&2\r\n'
    b'--B\r\nContent-Disposition: form-data; name="up"; filename="x.png"\r\nContent-Type: image/x\r\n\r\nPNG!\r\n'
    b"--B--\r\n"
)


def entry_with(parts: str, **options: object) -> AuditEntry:
    waf = WAF.from_directives(RULES.replace("ABCEFHIJKZ", parts))
    return entry_of(run(waf, **options))  # type: ignore[arg-type]  # options of one kind each


def upload(parts: str) -> Transaction:
    rules = f"SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditLogParts {parts}"
    return exchange(rules, headers=[("Content-Type", "multipart/form-data; boundary=B")], body=MULTIPART)


@pytest.mark.parametrize(
    ("text", "parts"),
    [("", "AZ"), ("ZKA", "AKZ"), ("abcfhz", "ABCFHZ"), ("BB?Q", "ABZ"), ("ABCDEFGHIJKZ", "ABCDEFGHIJKZ")],
)
def test_parts_are_sorted_and_known(text: str, parts: str):
    assert wanted_parts(text) == parts


def test_everything_is_there_with_all_parts(finished: AuditEntry):
    assert finished.id == "TX-1"
    assert (finished.client_ip, finished.client_port) == ("192.0.2.7", 50000)
    assert finished.request_body == BODY
    assert [m.rule_id for m in finished.matched] == [1, 3]
    assert finished.interruption is not None


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ("B", "request_headers"),
        ("C", "request_body"),
        ("I", "request_body"),
        ("F", "response_headers"),
        ("H", "matched"),
        ("K", "matched"),
    ],
)
def test_a_part_brings_its_field(part: str, field: str):
    assert getattr(entry_with(f"A{part}Z"), field)
    assert not getattr(entry_with("AZ"), field)


def test_the_response_body_comes_with_part_e():
    rules = "SecRuleEngine On\nSecResponseBodyAccess On\nSecAuditLogParts A{}Z"

    assert entry_of(exchange(rules.format("E"), response_body=b"<p>")).response_body == b"<p>"
    assert entry_of(exchange(rules.format("F"), response_body=b"<p>")).response_body == b""


def test_part_i_is_a_form_without_the_files():
    assert entry_of(upload("AIZ")).request_body == b"a%20b=1%262"
    assert entry_of(upload("ACIZ")).request_body == MULTIPART


@pytest.mark.parametrize(("parts", "count"), [("AJZ", 1), ("ACZ", 1), ("ABZ", 0)])
def test_files(parts: str, count: int):
    files = entry_of(upload(parts)).files

    assert [(f.name, f.size, f.content_type) for f in files] == [(b"x.png", 4, b"image/x")] * count


def test_the_status_is_the_verdicts_where_no_response_came():
    assert entry_with("AZ", answered=False).status == 0
    rules = 'SecRuleEngine On\nSecAction "id:1,phase:1,deny,status:429"'
    tx = begin(rules)
    tx.process_uri("/", "GET", "HTTP/1.1")
    tx.process_request_headers()
    tx.process_logging()

    assert entry_of(tx).status == 429


def test_large_requests_make_bounded_entries():
    rules = (
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\nSecAuditLogParts ABCEFHKZ\n"
        'SecRule REQUEST_BODY|ARGS "@rx ." "id:1,phase:2,pass,log,auditlog,msg:\'%{MATCHED_VAR}\'"'
    )
    tx = exchange(
        rules,
        b"/?" + b"u" * 100_000,
        headers=[("x" * 5000, "y" * 200_000), ("z", "z")],
        body=b"&".join(b"a%d=%b" % (n, b"v" * 5000) for n in range(100)),
        response_body=b"r" * 400_000,
    )
    entry = entry_of(tx)

    assert len(entry.uri) == MAX_URI
    assert len(entry.request_body) == len(entry.response_body) == MAX_BODY
    assert sum(len(n) + len(v) for n, v in entry.request_headers) <= MAX_HEADER_BYTES
    assert sum(len(m.value) + len(m.message) + len(m.data) for r in entry.matched for m in r.matches) < 200_000
    assert entry.size < 1_000_000
    assert entry.request_length > 800_000


def test_matched_rules_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(entry_module, "MAX_RULES", 3)
    rules = "SecRuleEngine On\n" + "\n".join(f'SecAction "id:{n},phase:1,pass,auditlog"' for n in range(1, 11))
    entry = entry_of(exchange(rules))

    assert MAX_RULES >= 130
    assert ([m.rule_id for m in entry.matched], entry.left_out) == ([1, 2, 3], 7)


def test_an_entry_does_not_change_with_its_transaction():
    waf = WAF.from_directives(RULES)
    tx = run(waf)
    entry = entry_of(tx)
    before = dataclasses.astuple(dataclasses.replace(entry, matched=()))
    tx.request.body[:] = b"changed"
    tx.request.headers.clear()
    tx.close()

    assert dataclasses.astuple(dataclasses.replace(entry, matched=())) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.id = "other"  # type: ignore[misc]  # the point of the test
