"""A transaction's methods: in order, late, twice, never; engine modes; limits; interruptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.waf_engine.support import FORM, begin, exchange, load, matched, values
from waf_engine import Interruption, MatchedRule, Transaction
from waf_engine.settings import EngineMode
from waf_engine.types import UploadedFile

if TYPE_CHECKING:
    from pathlib import Path

    from waf_engine import WAF

ONE_A_PHASE = "".join(f'SecAction "id:{phase},phase:{phase},pass,nolog"\n' for phase in range(1, 6))
each_executor = pytest.mark.usefixtures("each_executor")


# -- phases ---------------------------------------------------------------------------------------


@each_executor
def test_each_phase_runs_once_however_often_it_is_called():
    tx = begin(ONE_A_PHASE)
    for _ in range(2):
        tx.process_request_headers()
        tx.process_request_body()
        tx.process_response_headers(200, "HTTP/1.1")
        tx.process_response_body()
        tx.process_logging()

    assert matched(tx) == [1, 2, 3, 4, 5]


@each_executor
def test_a_phase_that_was_left_out_stays_left_out():
    tx = begin(ONE_A_PHASE)
    tx.process_request_headers()
    tx.process_response_headers(200, "HTTP/1.1")
    tx.process_request_body()  # late
    tx.process_logging()
    tx.process_response_body()  # later still

    assert matched(tx) == [1, 3, 5]


@each_executor
def test_logging_alone_is_enough():
    tx = begin(ONE_A_PHASE)
    tx.process_logging()

    assert matched(tx) == [5]


@pytest.mark.parametrize(
    "late",
    [
        lambda tx: tx.write_request_body(b"a=<script"),
        lambda tx: tx.write_response_body(b"a=<script"),
    ],
)
def test_a_body_that_comes_after_its_phase_is_not_kept(late: object):
    tx = begin('SecRequestBodyAccess On\nSecResponseBodyAccess On\nSecAction "id:1,phase:4,pass"')
    tx.add_response_header("Content-Type", "text/html")
    tx.process_request_headers()
    tx.process_request_body()
    tx.process_response_headers(200, "HTTP/1.1")
    tx.process_response_body()
    late(tx)  # type: ignore[operator]  # a lambda

    assert (bytes(tx.request.body), bytes(tx.response.body)) == (b"", b"")


@each_executor
def test_every_later_call_gives_the_same_interruption():
    tx = begin('SecAction "id:1,phase:1,deny,status:406"\nSecAction "id:2,phase:2,drop"')
    tx.process_uri("/", "GET", "HTTP/1.1")
    expected = Interruption("deny", 406, "", 1)

    assert tx.process_request_headers() == expected
    assert tx.write_request_body(b"x") == expected
    assert tx.process_request_body() == expected
    assert tx.process_response_headers(200, "HTTP/1.1") == expected
    assert tx.write_response_body(b"x") == expected
    assert tx.process_response_body() == expected
    assert tx.process_uri("/", "GET", "HTTP/1.1") == expected
    assert tx.process_connection("", 0, "", 0) == expected


def test_an_id_is_made_when_none_is_given():
    waf = load("SecRuleEngine On")
    made = {waf.transaction().id for _ in range(50)}

    assert len(made) == 50
    assert all(len(text) == 20 and text.isalnum() for text in made)
    assert waf.transaction("mine").id == "mine"


def test_close_removes_the_files_of_uploads_and_may_be_called_twice(tmp_path: Path):
    path = tmp_path / "upload"
    path.write_bytes(b"x")
    tx = begin("SecRuleEngine On")
    tx.request.files = [
        UploadedFile(field=b"f", filename=b"n", content=b"x", path=path),
        UploadedFile(field=b"g", filename=b"n", content=b"x"),
    ]
    tx.close()
    tx.close()

    assert not path.exists()


@each_executor
def test_on_match_hears_of_each_match_that_is_to_be_logged():
    heard: list[tuple[str, int]] = []

    def listen(tx: Transaction, rule: MatchedRule) -> None:
        heard.append((tx.id, rule.rule_id))

    logged = "".join(f'SecAction "id:{phase}0,phase:{phase},pass,log"\n' for phase in range(1, 6))
    exchange(ONE_A_PHASE + logged, on_match=listen)

    assert heard == [("T1", phase * 10) for phase in range(1, 6)]


# -- the engine's mode ----------------------------------------------------------------------------

DENY = ONE_A_PHASE + 'SecAction "id:12,phase:2,deny"\nSecAction "id:13,phase:2,drop"\nSecAction "id:15,phase:5,pass"\n'


@each_executor
@pytest.mark.parametrize(
    ("mode", "ids", "interruption", "detected"),
    [
        ("On", [1, 2, 12, 5, 15], Interruption("deny", 403, "", 12), None),
        ("Off", [], None, None),
        ("DetectionOnly", [1, 2, 12, 13, 3, 4, 5, 15], None, Interruption("deny", 403, "", 12)),
    ],
)
def test_the_engines_mode(mode: str, ids: list[int], interruption: Interruption | None, detected: Interruption | None):
    tx = exchange(f"SecRuleEngine {mode}\n{DENY}")

    assert matched(tx) == ids
    assert tx.interruption == interruption
    assert tx.detected_interruption == detected


@each_executor
def test_detection_only_runs_every_action_and_lets_nothing_off():
    tx = exchange('SecRuleEngine DetectionOnly\nSecAction "id:11,phase:1,allow,setvar:tx.a=1"\n' + DENY)

    assert matched(tx) == [11, 1, 2, 12, 13, 3, 4, 5, 15]
    assert tx.tx == {b"a": b"1"}


@pytest.mark.parametrize(
    ("mode", "action", "disruptive"),
    [
        ("On", "deny", True), ("On", "pass", False), ("On", "allow", True), ("On", "drop", True),
        ("DetectionOnly", "deny", False), ("DetectionOnly", "allow", False),
    ],
)  # fmt: skip
def test_a_match_says_whether_it_disrupted(mode: str, action: str, disruptive: bool):
    rule = exchange(f'SecRuleEngine {mode}\nSecAction "id:1,phase:1,{action}"').matched_rules[0]

    assert (rule.disruptive, rule.action) == (disruptive, action)


def test_a_rule_without_a_disruptive_action_disrupts_nothing():
    rule = exchange('SecAction "id:1,phase:1"').matched_rules[0]

    assert (rule.disruptive, rule.action) == (False, "")


# -- the request's body ---------------------------------------------------------------------------

LIMIT = 20
SEES_BODY = """
    SecRequestBodyAccess On
    SecRequestBodyLimit {limit}
    SecRequestBodyLimitAction {action}
    SecRuleEngine {mode}
    SecAction "id:2,phase:2,pass"
    SecAction "id:3,phase:3,pass"
    SecAction "id:5,phase:5,pass"
"""


@each_executor
@pytest.mark.parametrize(
    ("action", "mode", "length", "ids", "kept", "over"),
    [
        ("Reject", "On", LIMIT - 1, [2, 3, 5], LIMIT - 1, False),
        ("Reject", "On", LIMIT, [5], 0, True),  # a body of the limit is over it (Coraza)
        ("Reject", "On", LIMIT + 1, [5], 0, True),
        ("ProcessPartial", "On", LIMIT - 1, [2, 3, 5], LIMIT - 1, False),
        ("ProcessPartial", "On", LIMIT, [2, 3, 5], LIMIT, True),
        ("ProcessPartial", "On", LIMIT + 1, [2, 3, 5], LIMIT, True),
        ("Reject", "DetectionOnly", LIMIT - 1, [2, 3, 5], LIMIT - 1, False),
        ("Reject", "DetectionOnly", LIMIT, [2, 3, 5], LIMIT, True),
        ("Reject", "DetectionOnly", LIMIT + 1, [2, 3, 5], LIMIT, True),
    ],
)
@pytest.mark.parametrize("pieces", [1, 4])
def test_the_limit_of_the_requests_body(  # noqa: PLR0917  pytest gives them by name
    action: str, mode: str, length: int, ids: list[int], kept: int, over: bool, pieces: int
):
    tx = begin(SEES_BODY.format(limit=LIMIT, action=action, mode=mode))
    tx.process_uri("/", "POST", "HTTP/1.1")
    tx.add_request_header(*FORM)
    tx.process_request_headers()
    body = b"a=" + b"x" * (length - 2)
    size = -(-length // pieces)
    results = [tx.write_request_body(body[at : at + size]) for at in range(0, length, size)]
    tx.process_request_body()
    tx.process_response_headers(200, "HTTP/1.1")
    tx.process_logging()
    rejected = Interruption("deny", 413) if ids == [5] else None

    assert matched(tx) == ids
    assert (tx.interruption, results[-1]) == (rejected, rejected)
    assert values(tx, "INBOUND_DATA_ERROR") == [(b"", b"1" if over else b"0")]
    if rejected is None:
        assert bytes(tx.request.body) == body[:kept]
        assert values(tx, "ARGS_POST") == [(b"a", b"x" * (kept - 2))]


@each_executor
def test_phase_2_runs_as_soon_as_a_body_was_cut():
    tx = begin(SEES_BODY.format(limit=5, action="ProcessPartial", mode="On") + 'SecAction "id:9,phase:2,deny"')
    tx.process_request_headers()

    assert tx.write_request_body(b"a=123456") == Interruption("deny", 403, "", 9)
    assert tx.write_request_body(b"more") == Interruption("deny", 403, "", 9)
    assert bytes(tx.request.body) == b"a=123"


def test_without_body_access_phase_2_runs_without_a_body():
    tx = exchange('SecAction "id:2,phase:2,pass"', body=b"a=1")

    assert matched(tx) == [2]
    assert (values(tx, "ARGS"), values(tx, "REQUEST_BODY_LENGTH")) == ([], [(b"", b"0")])


@pytest.mark.parametrize("piece", [bytes, bytearray, memoryview])
def test_a_body_may_come_in_any_bytes_like_object(piece: type):
    tx = begin("SecRequestBodyAccess On\nSecResponseBodyAccess On")
    tx.add_response_header("Content-Type", "text/html")
    tx.write_request_body(piece(b"a=1"))
    tx.write_response_body(piece(b"html"))

    assert (bytes(tx.request.body), bytes(tx.response.body)) == (b"a=1", b"html")


def test_a_body_beyond_no_files_limit_is_an_error_and_still_seen():
    rules = 'SecRequestBodyAccess On\nSecRequestBodyNoFilesLimit 5\nSecRule REQBODY_ERROR "@eq 1" "id:1,phase:2,pass"'

    assert matched(exchange(rules, body=b"a=123")) == []
    tx = exchange(rules, body=b"a=1234")
    assert matched(tx) == [1]
    assert values(tx, "ARGS_POST") == [(b"a", b"1234")]
    assert b"SecRequestBodyNoFilesLimit" in values(tx, "REQBODY_ERROR_MSG")[0][1]


# -- the response's body --------------------------------------------------------------------------

SEES_RESPONSE = """
    SecResponseBodyAccess On
    SecResponseBodyLimit {limit}
    SecResponseBodyLimitAction {action}
    SecRuleEngine {mode}
    SecAction "id:4,phase:4,pass"
    SecAction "id:5,phase:5,pass"
"""


@each_executor
@pytest.mark.parametrize(
    ("action", "mode", "length", "ids", "kept"),
    [
        ("Reject", "On", LIMIT - 1, [4, 5], LIMIT - 1),
        ("Reject", "On", LIMIT, [5], 0),
        ("Reject", "On", LIMIT + 1, [5], 0),
        ("ProcessPartial", "On", LIMIT - 1, [4, 5], LIMIT - 1),
        ("ProcessPartial", "On", LIMIT, [4, 5], LIMIT),
        ("ProcessPartial", "On", LIMIT + 1, [4, 5], LIMIT),
        ("Reject", "DetectionOnly", LIMIT + 1, [4, 5], LIMIT),
    ],
)
def test_the_limit_of_the_responses_body(action: str, mode: str, length: int, ids: list[int], kept: int):
    tx = exchange(SEES_RESPONSE.format(limit=LIMIT, action=action, mode=mode), response_body=b"x" * length)
    rejected = ids == [5]

    assert matched(tx) == ids
    assert tx.interruption == (Interruption("deny", 500) if rejected else None)
    assert values(tx, "OUTBOUND_DATA_ERROR") == [(b"", b"1" if length >= LIMIT else b"0")]
    assert len(tx.response.body) == kept


@pytest.mark.parametrize(
    ("directives", "content_type", "kept"),
    [
        ("", "text/html", True),
        ("", "Text/HTML ; charset=utf-8", True),
        ("", "text/plain", True),
        ("", "application/json", False),
        ("", "", False),
        ("SecResponseBodyMimeType application/json text/xml", "text/xml", True),
        ("SecResponseBodyMimeType application/json text/xml", "text/html", False),  # it replaces the list (Coraza)
        ("SecResponseBodyMimeTypesClear", "text/html", False),
        ("SecResponseBodyAccess Off", "text/html", False),
        ('SecAction "id:1,phase:1,pass,ctl:forceResponseBodyVariable=On"', "image/png", True),
    ],
)
def test_bodies_are_kept_for_the_types_of_the_list(directives: str, content_type: str, kept: bool):
    headers = [("Content-Type", content_type)] if content_type else []
    tx = exchange(f"SecResponseBodyAccess On\n{directives}", response_headers=headers, response_body=b"body")

    assert values(tx, "RESPONSE_BODY") == [(b"", b"body" if kept else b"")]


# -- what the request line and the headers set ----------------------------------------------------


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"example.com", b"example.com"), (b"example.com:8080", b"example.com"), (b"", b""),
        (b"[2001:db8::1]:80", b"[2001:db8::1]"), (b"[2001:db8::1]", b"[2001:db8::1]"),
        (b"[broken", b"[broken"), (b"a:b", b"a:b"), (b":80", b""),
    ],
)  # fmt: skip
def test_the_servers_name_is_the_host_without_its_port(host: bytes, name: bytes):
    assert values(exchange("SecRuleEngine On", headers=[("Host", host)]), "SERVER_NAME") == [(b"", name)]


@pytest.mark.parametrize(
    ("content_type", "processor"),
    [
        ("application/x-www-form-urlencoded", b"URLENCODED"),
        ("Application/X-WWW-Form-Urlencoded ; charset=utf-8", b"URLENCODED"),  # Coraza: none
        ("multipart/form-data; boundary=x", b"MULTIPART"),
        ("multipart/form-data boundary=x", b"MULTIPART"),  # its processor flags the missing semicolon
        ("application/json", b""),
        ("", b""),
    ],
)
def test_the_body_processor_follows_the_content_type(content_type: str, processor: bytes):
    tx = exchange("SecRequestBodyAccess On", headers=[("Content-Type", content_type)])

    assert values(tx, "REQBODY_PROCESSOR") == [(b"", processor)]


def test_text_may_be_str_or_bytes():
    as_text = exchange("SecRuleEngine On", "/é?a=\udcff", headers=[("X", "é")])
    as_bytes = exchange("SecRuleEngine On", "/é?a=".encode() + b"\xff", headers=[(b"X", "é".encode())])

    for name in ("REQUEST_URI_RAW", "ARGS", "REQUEST_HEADERS"):
        assert values(as_text, name) == values(as_bytes, name)
    assert values(exchange("SecRuleEngine On", "/\ud800"), "REQUEST_URI_RAW") == [(b"", b"/\xed\xa0\x80")]


# -- severity -------------------------------------------------------------------------------------


def test_highest_severity_is_the_smallest_number_of_what_matched():
    rules = """
        SecRule HIGHEST_SEVERITY "@eq 255" "id:1,phase:1,pass"
        SecAction "id:2,phase:1,pass,severity:WARNING"
        SecRule HIGHEST_SEVERITY "@eq 4" "id:3,phase:1,pass"
        SecRule ARGS:x "@rx ." "id:4,phase:1,pass,severity:0"
        SecAction "id:5,phase:1,pass,severity:CRITICAL"
        SecAction "id:6,phase:1,pass,severity:INFO"
        SecRule HIGHEST_SEVERITY "@eq 2" "id:7,phase:1,pass"
    """

    assert matched(exchange(rules)) == [1, 2, 3, 5, 6, 7]


# -- what operators may ask -----------------------------------------------------------------------


def test_the_view_that_operators_have():
    tx = exchange("SecRuleEngine On", "/?A=1&a=2")
    tx.set_tx(b"KEY", b"v")
    tx.set_collection("ARGS_PATH", [(b"id", b"7")])
    tx.set_collection("GEO", [(b"COUNTRY_CODE", b"DE")])
    tx.note_limit("pcre")
    tx.note_limit("pcre")

    assert tx.variable("REMOTE_ADDR") == b"192.0.2.7"
    assert tx.variable("args", b"A") == b"1"
    assert tx.variable("ARGS", b"none") is None
    assert tx.variable("NO_SUCH") is None
    assert (tx.variable("TX", b"Key"), tx.variable("TX", b"9"), tx.variable("TX", b"10")) == (b"v", b"", None)
    assert (tx.variable("ARGS_PATH", b"id"), tx.variable("GEO", b"country_code")) == (b"7", b"DE")
    assert tx.limits == {"pcre": 2}


# -- no bytes raise -------------------------------------------------------------------------------

SETUP = """
    SecRequestBodyAccess On
    SecResponseBodyAccess On
    SecRequestBodyLimit 60
    SecRequestBodyLimitAction ProcessPartial
    SecResponseBodyLimit 60
    SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
    SecRule REQUEST_HEADERS:Content-Type "@contains xml" "id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"
"""
EACH_PHASE = """
    SecRule REQUEST_LINE|REQUEST_HEADERS|REQUEST_COOKIES|ARGS|REQUEST_BODY|FILES|MULTIPART_PART_HEADERS|XML:/*|\\
        XML://@*|REQBODY_ERROR_MSG|RESPONSE_HEADERS|RESPONSE_STATUS|RESPONSE_BODY|RESPONSE_ARGS "@rx (.)" \\
        "id:{phase}0,phase:{phase},pass,capture,log,msg:'%{{MATCHED_VAR}} %{{TX.1}}',\\
        t:urlDecodeUni,t:utf8toUnicode,t:lowercase,setvar:'tx.%{{MATCHED_VAR_NAME}}=+%{{MATCHED_VAR}}',\\
        initcol:ip=%{{MATCHED_VAR}},setvar:'ip.%{{MATCHED_VAR}}=+1'"
    SecRule ARGS_NAMES|REQUEST_COOKIES_NAMES "@detectSQLi" "id:{phase}1,phase:{phase},pass,t:htmlEntityDecode"
    SecRule ARGS|XML:/* "@detectXSS" "id:{phase}2,phase:{phase},deny,t:jsDecode,t:cssDecode"
"""
FUZZ_RULES = SETUP + "".join(EACH_PHASE.format(phase=phase) for phase in range(1, 6))


@pytest.fixture(scope="module", params=["plan", "reference"])
def fuzz_waf(request: pytest.FixtureRequest) -> WAF:
    return load(FUZZ_RULES, executor=request.param)


texts = st.binary(max_size=40) | st.sampled_from(
    [
        b"/a?b=%zz&c=<script>#x", b"Content-Type", b"application/json", b"text/xml", b"multipart/form-data; boundary=x",
        b"Cookie", b"a=1; b", b"Host", b"application/x-www-form-urlencoded", b'{"a":[1,{"b":"c"}', b"<a b='c'>d",
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="g"\r\n\r\nv\r\n--x--', b"1' or '1'='1",
    ]
)  # fmt: skip
calls = st.one_of(
    st.tuples(st.just("process_connection"), texts, st.integers(0, 65535), texts, st.integers(0, 65535)),
    st.tuples(st.just("process_uri"), texts, texts, texts),
    st.tuples(st.sampled_from(["add_request_header", "add_response_header"]), texts, texts),
    st.tuples(st.sampled_from(["write_request_body", "write_response_body"]), texts),
    st.tuples(
        st.sampled_from(
            ["process_request_headers", "process_request_body", "process_response_body", "process_logging", "close"]
        )
    ),
    st.tuples(st.just("process_response_headers"), st.integers(0, 999) | texts, texts),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(calls, max_size=16))
def test_no_order_of_calls_with_any_bytes_raises(fuzz_waf: WAF, sequence: list[tuple[object, ...]]):
    tx = fuzz_waf.transaction()
    for name, *arguments in sequence:
        getattr(tx, str(name))(*arguments)
    tx.process_logging()
    tx.close()

    order = {rule.id: place for place, rule in enumerate(fuzz_waf.plan.rules)}
    places = [(rule.phase, order[rule.rule_id]) for rule in tx.matched_rules]
    assert places == sorted(places)  # matched rules follow phases and files
    assert len(set(places)) == len(places)
    for rule in tx.matched_rules:
        assert rule.coraza_line().isprintable()
        assert rule.matches


PARTIAL = """
    SecRequestBodyAccess On
    SecResponseBodyAccess On
    SecResponseBodyMimeType text/plain
    SecRequestBodyLimitAction {action}
    SecResponseBodyLimitAction {action}
    SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
    SecRule REQBODY_ERROR "@eq 1" "id:2,phase:2,deny"
    SecRule INBOUND_DATA_ERROR "@eq 1" "id:3,phase:2,pass,nolog"
    SecRule ARGS "@streq evil" "id:4,phase:2,deny"
    SecRule OUTBOUND_DATA_ERROR "@eq 1" "id:5,phase:4,pass,nolog"
"""


def partial(waf: WAF, body: bytes, *, certain: bool = True, engine: EngineMode = EngineMode.ON) -> Transaction:
    """A transaction with a JSON body of which more was announced, up to phase 2."""
    tx = waf.transaction()
    tx.engine = engine
    tx.process_uri("/", "POST", "HTTP/1.1")
    tx.add_request_header("Content-Type", "application/json")
    tx.process_request_headers()
    tx.write_request_body(body)
    tx.request_body_is_partial(certain=certain)
    tx.process_request_body()
    return tx


def test_a_partial_request_body_is_refused_as_one_beyond_the_limit():
    tx = partial(load(PARTIAL.format(action="Reject")), b'{"a":"b')

    assert tx.interruption == Interruption("deny", 413)


@pytest.mark.parametrize(("engine", "certain"), [(EngineMode.DETECTION_ONLY, True), (EngineMode.ON, False)])
def test_a_partial_request_body_is_not_refused(engine: EngineMode, certain: bool):
    tx = partial(load(PARTIAL.format(action="Reject")), b'{"a":"b', certain=certain, engine=engine)

    assert tx.interruption is None
    assert [rule.rule_id for rule in tx.matched_rules] == [1, 3][: 1 + certain]


def test_a_partial_request_body_is_inspected_and_not_called_malformed():
    waf = load(PARTIAL.format(action="ProcessPartial"))

    assert partial(waf, b'{"a":"b').interruption is None
    assert partial(waf, b'{"a":"evil","b":').interruption == Interruption("deny", 403, "", 4)
    assert partial(waf, b'{"a":}').interruption == Interruption("deny", 403, "", 2)


@pytest.mark.parametrize(("action", "status"), [("Reject", 500), ("ProcessPartial", None)])
def test_a_partial_response_body(action: str, status: int | None):
    waf = load(PARTIAL.format(action=action))
    tx = waf.transaction()
    tx.add_response_header("Content-Type", "text/plain")
    tx.process_response_headers(200, "HTTP/1.1")
    tx.write_response_body(b"x")
    tx.response_body_is_partial()
    tx.process_response_body()

    assert (tx.interruption and tx.interruption.status) == status
    assert ([rule.rule_id for rule in tx.matched_rules] == [5]) is (status is None)


def test_a_body_that_nobody_reads_is_not_judged():
    tx = load("SecRequestBodyLimitAction Reject").transaction()

    assert tx.request_body_is_partial() is None
    assert tx.response_body_is_partial() is None
    assert not tx.request_may_be_cut
