"""The Native format: golden, escaped, and beside libmodsecurity's for the same request."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from waf_engine.audit.entry import AuditEntry, AuditFile
from waf_engine.audit.native import native

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = b"""--A--
[2026/09/22 12:00:00] TX-1 192.0.2.7 50000 198.51.100.1 443
--B--
POST /shop/find?q=UNION%20SELECT&x=1 HTTP/1.1
Host: shop.example:443
User-Agent: odd "agent"
Content-Type: application/x-www-form-urlencoded
X-Forwarded-For: 203.0.113.9
X-Forwarded-For: 203.0.113.10

--C--
token=t%20k&note=caf\xc3\xa9-\xff

--E--

--F--
HTTP/1.1 200 OK
Content-Type: text/html
Set-Cookie: a=1

--H--
[client "192.0.2.7"] Coraza: Warning. SQL in ARGS:q [file "<directives>"] [line "10"] [id "1"] [rev "2"] \
[msg "SQL in ARGS:q"] [data "union select"] [severity "critical"] [ver "1.0"] [maturity "0"] [accuracy "0"] \
[tag "sql"] [tag "own"] [hostname "198.51.100.1"] [uri "/shop/find?q=UNION%20SELECT&x=1"] [unique_id "TX-1"]
[client "192.0.2.7"] Coraza: Access denied (phase 3). no answer today [file "<directives>"] [line "13"] [id "3"] \
[rev ""] [msg "no answer today"] [data ""] [severity "emergency"] [ver ""] [maturity "0"] [accuracy "0"] \
[hostname "198.51.100.1"] [uri "/shop/find?q=UNION%20SELECT&x=1"] [unique_id "TX-1"]
Interruption: deny, status 403, rule 3

--I--

--J--

--K--
SecRule ARGS:q "@contains select" "id:1,phase:2,pass,log,auditlog,t:none,t:lowercase,msg:'SQL in \
%{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR}',severity:'CRITICAL',tag:'sql',tag:'own',ver:'1.0',rev:'2'"
SecRule RESPONSE_STATUS "@streq 200" "id:3,phase:3,deny,status:403,log,auditlog,msg:'no answer today'"

--Z--

"""


def without_boundary(data: bytes) -> bytes:
    """The entry with the random part of its boundaries taken out."""
    return re.sub(rb"(?m)^--[A-Za-z0-9]{10}-([A-Z])--$", rb"--\1--", data)


def test_golden(finished: AuditEntry):
    assert without_boundary(native(finished)) == GOLDEN


def test_each_entry_has_a_boundary_of_its_own(finished: AuditEntry):
    boundaries = {native(finished)[:15] for _ in range(5)}

    assert len(boundaries) == 5


def test_nothing_of_a_client_begins_a_line_outside_of_the_bodies():
    entry = AuditEntry(
        id="a\n--x-Z--",
        parts="ABFJZ",
        started=0.0,
        uri=b"/\r\n--x-Z--",
        request_headers=((b"a\nb", b"c\r\nd: e"),),
        response_protocol=b"HTTP/1.1\n",
        response_headers=((b"f", b"g\0h"),),
        files=(AuditFile(b'n"\n1.txt', 3, b"a/b\n"),),
    )
    lines = without_boundary(native(entry)).split(b"\n")

    assert lines[1] == rb"[1970/01/01 00:00:00] a\x0a--x-Z--  0  0"
    assert lines[3:5] == [rb" /\x0d\x0a--x-Z-- ", rb"a\x0ab: c\x0d\x0ad: e"]
    assert lines[7:9] == [rb"HTTP/1.1\x0a 0", rb"f: g\x00h"]
    assert lines[11:13] == [rb'1,3,"n\x22\x0a1.txt","a/b\x0a"', b"Total,1"]


def test_rules_that_were_left_out_are_counted(finished: AuditEntry):
    assert b"\n12 more rules matched\n" in native(replace(finished, left_out=12))


RULES = """SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/html
SecAuditEngine On
SecAuditLogParts ABCEFHJKZ
SecAuditLogType Serial
SecAuditLogFormat Native
SecAuditLog {file}
SecAction "id:1,phase:1,pass,nolog"
"""


def parts_of(data: bytes) -> dict[bytes, bytes]:
    """What each part holds."""
    pieces = re.split(rb"(?m)^-{2,3}[A-Za-z0-9]{8,10}-{1,3}([A-Z])--\n", data)
    return {name: content.strip(b"\n") for name, content in zip(pieces[1::2], pieces[2::2], strict=True)}


def test_bodies_and_headers_are_libmodsecuritys(tmp_path: Path):
    """The parts B, C and E are the same bytes; A has its fields, with another date; F lacks the reason there."""
    libmodsecurity = pytest.importorskip("libmodsecurity")
    from waf_engine import WAF  # noqa: PLC0415  beside its peer

    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    rules = libmodsecurity.RulesSet()
    assert rules.load(RULES.format(file=theirs)) > 0
    waf = WAF.from_directives(RULES.format(file=ours))
    engine = libmodsecurity.ModSecurity()
    for tx in (libmodsecurity.Transaction(engine, rules, "TX-1"), waf.transaction("TX-1")):
        version, add_body = ("HTTP/1.1", tx.write_request_body) if hasattr(tx, "write_request_body") else (None, None)
        tx.process_connection("192.0.2.7", 50000, "198.51.100.1", 80)
        tx.process_uri("/a?b=%41", "POST", version or "1.1")
        for name, value in (("Host", "a.example"), ("Content-Type", "text/plain"), ("X-Two", "a"), ("X-Two", "b")):
            tx.add_request_header(name, value)
        tx.process_request_headers()
        (add_body or tx.append_request_body)(b"a=1&b=\x80\xff\nc")
        tx.process_request_body()
        tx.add_response_header("Content-Type", "text/html")
        tx.process_response_headers(404, "HTTP/1.1")
        (tx.write_response_body if version else tx.append_response_body)(b"<p>x</p>")
        tx.process_response_body()
        tx.process_logging()
        del tx
    waf.close()

    expected, got = parts_of(theirs.read_bytes()), parts_of(ours.read_bytes())
    assert {name: got[name] for name in (b"B", b"C", b"E")} == {name: expected[name] for name in (b"B", b"C", b"E")}
    assert got[b"A"].partition(b"] ")[2] == expected[b"A"].partition(b"] ")[2]
    assert got[b"F"].replace(b" Not Found", b"") == expected[b"F"]
    assert set(expected) == set(got)
