"""What is masked where: by place, by text, and in whatever a rule made of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.waf_engine.support import begin, exchange
from waf_engine.audit import audit_formats
from waf_engine.audit.debug import debug_lines
from waf_engine.audit.entry import entry_of
from waf_engine.audit.sanitiser import Sanitiser, sanitiser_of

if TYPE_CHECKING:
    from waf_engine import Transaction

BASE = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\nSecAuditLogParts ABCEFHIJKZ\n"
HIDE = BASE + 'SecAction "id:900,phase:1,pass,nolog,sanitiseArg:password"\n'
SNOOPS = r"""
SecRule ARGS|REQUEST_BODY|REQUEST_URI|REQUEST_LINE|QUERY_STRING|REQUEST_HEADERS|REQUEST_COOKIES "@rx (?s)^.*$" \
    "id:1,phase:2,pass,capture,log,auditlog,t:none,t:urlDecodeUni,t:lowercase,\
    msg:'saw %{MATCHED_VAR} in %{MATCHED_VAR_NAME}',logdata:'%{TX.0} of %{REQUEST_LINE}',setvar:tx.copy=%{MATCHED_VAR}"
SecRule TX:copy "@unconditionalMatch" "id:2,phase:2,pass,log,auditlog,msg:'copied %{MATCHED_VAR}'"
SecRule ARGS:password "@rx (...)" "id:3,phase:2,pass,capture,log,auditlog,t:lowercase,msg:'part %{TX.1}',chain"
SecRule REQUEST_METHOD "@rx ." "t:none"
SecRule MATCHED_VARS|MATCHED_VAR|TX:0 "@rx ." "id:4,phase:2,pass,log,auditlog,msg:'again %{MATCHED_VAR}'"
"""


PARTS = (
    b"--B\r\nContent-Disposition: form-data; name=password\r\n\r\n%b\r\n--B\r\n"
    b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--B--\r\n'
)


def shown(tx: Transaction) -> bytes:
    """All that the logs show of a transaction, the rules' own text apart."""
    entry = entry_of(tx)
    pieces = []
    for name in audit_formats.canonical_names():
        kind = audit_formats.get(name)
        assert kind is not None
        pieces.append(kind.render(entry))
    pieces.append(debug_lines(tx, 9))
    for matched in tx.matched_rules:
        lines = (
            matched.coraza_line(),
            matched.modsecurity_line(),
            json.dumps(matched.to_dict()),
            matched.message,
            matched.data,
        )
        pieces += [line.encode("utf-8", "surrogateescape") for line in lines]
    return b"\n".join(pieces)


SECRETS = st.text("QXZJqxzj /+&=%'é;<>\"\\", min_size=6, max_size=24).map(lambda text: f"Zq{text}qZ")
"""Of letters that make no word of a log."""


def forms(secret: str) -> list[bytes]:
    """Ways in which a log could show a secret."""
    raw = secret.encode()
    written = {raw, raw.lower(), quote(secret).encode(), quote(secret, safe="").encode(), quote_plus(secret).encode()}
    written |= {json.dumps(secret)[1:-1].encode(), raw[2:-2].strip().lower(), raw[2:-2].strip()}
    return [form for form in written if len(form) >= 6]


@settings(max_examples=40)
@given(SECRETS)
def test_a_masked_argument_appears_nowhere(secret: str):
    tx = exchange(
        HIDE + SNOOPS,
        f"/login?a=1&password={quote(secret)}&b=2",
        headers=[("Referer", f"https://x/?password={quote_plus(secret)}"), ("Cookie", "c=d")],
        body=f"user=u&password={quote_plus(secret)}".encode(),
        response_body=f"<p>your password is {secret}</p>".encode(),
    )
    log = shown(tx)

    assert tx.matched_rules
    assert [form for form in forms(secret) if form in log] == []
    assert b"********" in log


@settings(max_examples=40)
@given(SECRETS)
def test_a_masked_json_leaf_appears_nowhere(secret: str):
    body = json.dumps({"user": "u", "list": [1, {"password": secret}], "n": 7}).encode()
    rules = (
        BASE + 'SecAction "id:900,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON,sanitiseArg:json.list.1.password"\n'
    )
    tx = exchange(rules + SNOOPS, headers=[("Content-Type", "application/json")], body=body)
    log = shown(tx)

    assert dict(tx.request.args_post)[b"json.list.1.password"] == secret.encode()
    assert [form for form in forms(secret) if form in log] == []
    assert json.loads(entry_of(tx).request_body)["user"] == "u"


@settings(max_examples=40)
@given(SECRETS)
def test_a_masked_field_of_a_multipart_body_appears_nowhere(secret: str):
    body = (
        '--B\r\nContent-Disposition: form-data; name="password"\r\n\r\n' + secret + "\r\n"
        '--B\r\nContent-Disposition: form-data; name="user"\r\n\r\nu\r\n--B--\r\n'
    ).encode()
    tx = exchange(HIDE + SNOOPS, headers=[("Content-Type", "multipart/form-data; boundary=B")], body=body)
    log = shown(tx)

    assert [form for form in forms(secret) if form in log] == []
    assert b'name="user"\r\n\r\nu\r\n' in entry_of(tx).request_body


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (b"/a?password=x", b"/a?password=*"),
        (b"/a?PassWord=xy&b=x", b"/a?PassWord=**&b=x"),
        (b"/a?p%61ssword=%41%42&b", b"/a?p%61ssword=******&b"),
        (b"/a?password&password=", b"/a?password&password="),
        (b"/a?password=x=y#z", b"/a?password=*****"),
        (b"/a?a=1#?password=xyz", b"/a?a=1#?password=xyz"),
        (b"/password=x", b"/password=x"),
        (b"", b""),
    ],
)
def test_short_arguments_are_masked_in_their_place(uri: bytes, expected: bytes):
    tx = exchange(HIDE, uri)

    assert entry_of(tx).uri == expected


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/x-www-form-urlencoded", b"a=1&password=1&b=1", b"a=1&password=*&b=1"),
        ("application/x-www-form-urlencoded", b"password=1", b"password=*"),
        (
            "multipart/form-data; boundary=B",
            PARTS % b"1",
            PARTS % b"*",
        ),
        ("text/plain", b"password=1", b"password=1"),  # no argument
    ],
)
def test_short_values_of_a_body(content_type: str, body: bytes, expected: bytes):
    assert entry_of(exchange(HIDE, headers=[("Content-Type", content_type)], body=body)).request_body == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"password":"1","a":"1","n":1}', b'{"password":"*","a":"*","n":*}'),
        (b'{"password":true,"a":[true,false]}', b'{"password":****,"a":[****,false]}'),
        (b'{"password":"a\\u0062\\"","x":"ab\\""}', b'{"password":"*********","x":"****"}'),
        (b'{"password":-1.5e3,"x":"15"}', b'{"password":******,"x":"15"}'),
    ],
)
def test_json_leaves(body: bytes, expected: bytes):
    rules = BASE + 'SecAction "id:900,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON,sanitiseArg:json.password"\n'

    assert entry_of(exchange(rules, headers=[("Content-Type", "a/json")], body=body)).request_body == expected


def test_a_body_that_is_cut_does_not_end_in_a_piece_of_the_secret():
    tx = exchange(HIDE.replace("password", "p"), "/?p=topsecret", headers=[("Content-Type", "x/y")], body=b"aaa topsec")

    assert sanitiser_of(tx).request_body(b"aaa topsec", cut=True) == b"a*********"
    assert sanitiser_of(tx).request_body(b"aaa topsec") == b"aaa topsec"


def test_headers_and_cookies():
    rules = BASE + (
        'SecAction "id:1,phase:1,pass,nolog,sanitiseRequestHeader:authorization,sanitiseResponseHeader:Set-Cookie"\n'
        'SecRule REQUEST_COOKIES:sid "@rx ." "id:2,phase:1,pass,log,auditlog,msg:\'%{MATCHED_VAR}\',sanitiseMatched"\n'
    )
    tx = exchange(
        rules,
        headers=[("Authorization", "Basic YTpi"), ("Cookie", "a=1; sid=abc; b=2"), ("X", "Basic YTpi and abc")],
        response_headers=[("Set-Cookie", "sid=new"), ("Y", "1")],
    )
    entry = entry_of(tx)

    assert entry.request_headers == (
        (b"Authorization", b"**********"),
        (b"Cookie", b"a=1; sid=***; b=2"),
        (b"X", b"********** and ***"),
    )
    assert entry.response_headers == ((b"Set-Cookie", b"*******"), (b"Y", b"1"))
    assert tx.matched_rules[1].message == "********"


def test_a_request_without_the_argument_is_shown_in_full():
    rules = HIDE + 'SecRule REQUEST_URI "@contains etc" "id:1,phase:1,pass,log,msg:\'%{MATCHED_VAR}\'"'
    tx = exchange(rules, "/?file=/etc/passwd")

    assert tx.matched_rules[-1].message == "/?file=/etc/passwd"


def test_a_score_is_shown_though_something_is_masked():
    rules = HIDE + 'SecRule TX:score "@ge 5" "id:1,phase:2,pass,log,msg:\'score %{TX.score}\'"'
    rules = rules.replace("pass,nolog,", "pass,nolog,setvar:tx.score=5,", 1)
    tx = exchange(rules, "/?password=hunter2")

    assert tx.matched_rules[-1].message == "score 5"


def test_names_of_variables_are_shown():
    rules = HIDE + 'SecRule ARGS "@rx ." "id:1,phase:1,pass,log,msg:\'%{MATCHED_VAR_NAME}: %{MATCHED_VAR}\'"'
    tx = exchange(rules, "/?password=hunter2")
    matched = tx.matched_rules[-1]

    assert matched.message == "ARGS:password: ********"
    assert matched.shown.matches[0].value == b"*******"
    assert matched.matches[0].value == b"hunter2"  # the program's own


def test_an_action_that_comes_late_masks_what_matched_before():
    rules = BASE + (
        'SecRule ARGS:p "@rx ." "id:1,phase:1,pass,log,msg:\'%{MATCHED_VAR}\'"\n'
        'SecAction "id:2,phase:5,pass,nolog,sanitiseArg:p"\n'
    )
    tx = begin(rules)
    tx.process_uri("/?p=hunter2", "GET", "HTTP/1.1")
    tx.process_request_headers()
    assert tx.matched_rules[0].message == "hunter2"
    tx.process_logging()

    assert tx.matched_rules[0].message == "********"


def test_transactions_without_masks_have_no_sanitiser():
    tx = exchange(BASE + 'SecAction "id:1,phase:1,pass,log"', "/?password=x")

    assert tx.sanitiser is None
    assert tx.matched_rules[0].shown is tx.matched_rules[0]


def test_what_a_processor_hides_hides_the_body():
    """A body whose processor writes values in a way that is not known is masked as a whole."""
    tx = exchange(HIDE, headers=[("Content-Type", "x/y")], body=b"zzz")
    tx.request.processor = "OWN"
    tx.request.args_post = [(b"password", b"decoded")]
    sanitiser = Sanitiser(tx)
    sanitiser.args.add(b"password")

    assert sanitiser.request_body(b"encoded") == b"*******"
    assert sanitiser.request_body(b"as decoded") == b"as *******"


def test_a_client_cannot_make_the_search_long():
    """Too many values to look for: everything that a client sent is masked, what the rules say is not."""
    rules = HIDE + "SecRule ARGS:x \"@rx .\" \"id:1,phase:2,pass,log,auditlog,msg:'seen',tag:'t'\""
    body = b"&".join(b"password=%06d" % n for n in range(999)) + b"&x=abc"
    few = exchange(rules, body=body)
    assert entry_of(few).request_body.endswith(b"&x=abc")
    many = exchange(rules, "/?" + "&".join(f"password={n:06}" for n in range(1000, 1400)), body=body)

    assert set(entry_of(many).request_body) == {ord("*")}
    assert '[id "1"]' in many.matched_rules[-1].coraza_line()


def test_a_long_json_body_in_tx_is_cut_and_masked():
    body = json.dumps({"a": "x" * 9000, "p": "topsecret"}).encode()
    rules = BASE + 'SecAction "id:900,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON,sanitiseArg:json.p"\n'
    tx = exchange(rules, headers=[("Content-Type", "a/json")], body=body)
    shown_tx = sanitiser_of(tx).member("TX", b"json_request_body", body)

    assert len(shown_tx) == 8192
    assert b"topsecret" not in debug_lines(tx, 9)
