"""The exchanges whose variables the tables of this folder show, by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.waf_engine.support import begin, exchange
from waf_engine.bodies.multipart import FLAGS
from waf_engine.types import UploadedFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine import Transaction
    from waf_engine.types import Entry

    Row = tuple[str, list[Entry]]
    """An exchange, and the members of the variable in it."""

NOW = 1_700_000_000.25

SETUP = """
    SecRequestBodyAccess On
    SecResponseBodyAccess On
    SecWebAppId shop
    SecRule REQUEST_HEADERS:Content-Type "@contains xml" "id:1,phase:1,pass,ctl:requestBodyProcessor=XML"
    SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:2,phase:1,pass,ctl:requestBodyProcessor=JSON"
    SecRule RESPONSE_HEADERS:Content-Type "@contains json" "id:3,phase:3,pass,ctl:responseBodyProcessor=JSON"
    SecResponseBodyMimeType text/html application/json
"""
MULTIPART = b"""--x\r
Content-Disposition: form-data; name="field"\r
\r
value\r
--x\r
Content-Disposition: form-data; name="doc"; filename="a.txt"\r
Content-Type: text/plain\r
\r
content\r
--x--\r
"""
XML = b"<r a='1'><b>two</b><c d='3'>four</c></r>"


HTML = [("Content-Type", "text/html; charset=utf-8"), ("X-A", "1"), ("x-a", "2")]
JSON = [("Content-Type", "application/json")]
GET_HEADERS = [
    ("Host", "example.com:8080"), ("X-A", "1"), ("x-a", b"\xff"), ("Cookie", 'c=1; d="q"; e'), ("Cookie", "c=2"),
    ("Authorization", "Basic dXNlcjpwYXNz"),
]  # fmt: skip
XML_RESPONSE = 'SecResponseBodyMimeType text/xml\nSecAction "id:9,phase:3,pass,ctl:responseBodyProcessor=XML"'
LIMITS = "SecRequestBodyLimit 5\nSecRequestBodyLimitAction ProcessPartial\nSecResponseBodyLimit 5\n"
RULES = """
    SecRule ARGS "@rx (.)" "id:9,phase:2,pass,capture,severity:ERROR,rev:5,msg:'m %{tx.0}',logdata:d,\\
        setvar:tx.Key=v,setenv:Name=w"
"""
MATCHES = """
    SecRule ARGS "@rx ." "id:9,phase:1,pass,chain"
        SecRule MATCHED_VARS|MATCHED_VARS_NAMES "@streq none of them" "t:none"
"""
COLLECTIONS = """
    SecAction "id:9,phase:1,pass,initcol:ip=%{REMOTE_ADDR},initcol:global=g,setsid:sid,setuid:uid,setrsc:rsc,\\
        setvar:ip.a=1,setvar:session.b=2,setvar:user.c=3,setvar:global.d=4,setvar:resource.e=5"
"""
UPLOADS = [
    UploadedFile(field=b"doc", filename=b"a", content=b"", path=Path("/tmp/saved")),
]


def touched(touch: Callable[[Transaction], object]) -> Transaction:
    """An exchange in which something was set that a rule or a body would have to set."""
    tx = exchange(SETUP, "/?q=1")
    touch(tx)
    return tx


SAMPLES: dict[str, Callable[[], Transaction]] = {
    "none": lambda: begin(SETUP),
    "bare": lambda: exchange(SETUP, "/", response_headers=[]),
    "get": lambda: exchange(
        SETUP, "/dir/a%20b.php?B=1%25&a=%zz&B=2#top", headers=GET_HEADERS, response_headers=HTML, status=404,
        response_body=b"<html>",
    ),
    "form": lambda: exchange(SETUP, "/?get=0", headers=[("X", "y")], body=b"a=1&b=2%2B&a=3"),
    "multipart": lambda: exchange(
        SETUP, headers=[("Content-Type", "multipart/form-data; boundary=x")], body=MULTIPART
    ),
    "xml": lambda: exchange(SETUP, headers=[("Content-Type", "text/xml")], body=XML),
    "bad json": lambda: exchange(SETUP, headers=JSON, body=b'{"a":'),
    "json response": lambda: exchange(SETUP, response_headers=JSON, response_body=b'{"a":[true]}'),
    "bad response": lambda: exchange(SETUP, response_headers=JSON, response_body=b'{"a":'),
    "xml response": lambda: exchange(
        SETUP + XML_RESPONSE, response_headers=[("Content-Type", "text/xml")], response_body=XML
    ),
    "rules": lambda: exchange(SETUP + RULES, "/?p=x&q=y"),
    "matches": lambda: exchange(SETUP + MATCHES, "/?p=x&q=y"),
    "persistent": lambda: exchange(SETUP + COLLECTIONS, clock=lambda: NOW),
    "long": lambda: exchange(SETUP + LIMITS, body=b"a=12345", response_body=b"123456"),
    "path": lambda: touched(lambda tx: tx.set_collection("ARGS_PATH", [(b"id", b"7")])),
    "geo": lambda: touched(lambda tx: tx.set_collection("GEO", [(b"COUNTRY_CODE", b"DE")])),
    "limit": lambda: touched(lambda tx: tx.note_limit("pcre")),
    "flags": lambda: touched(lambda tx: tx.request.flags.update(dict.fromkeys(FLAGS, b"1"))),
    "saved": lambda: touched(lambda tx: tx.request.files.extend(UPLOADS)),
}  # fmt: skip


@cache
def sample(name: str) -> Transaction:
    """The exchange of that name, gone through once."""
    return SAMPLES[name]()
