"""The order in which the engine is fed, and bodies of which only a part came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adapters.applications import Application
from adapters.evaluation import Cut, Endpoints, Exchange, feed_request, feed_response
from adapters.http_objects import HttpRequest, HttpResponse
from adapters.transactions import TransactionStore
from tests.adapters.conformance import recording_logger
from waf_engine import WAF, Interruption

if TYPE_CHECKING:
    import logging

RULES = """\
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecRequestBodyLimitAction ProcessPartial
SecResponseBodyMimeType text/plain
SecRule REMOTE_ADDR "@streq 192.0.2.1" "id:1,phase:1,pass,nolog"
SecRule REMOTE_PORT "@eq 99" "id:2,phase:1,pass,nolog"
SecRule SERVER_ADDR "@streq 192.0.2.2" "id:3,phase:1,pass,nolog"
SecRule SERVER_PORT "@eq 443" "id:4,phase:1,pass,nolog"
SecRule REQUEST_LINE "@streq POST /p?q=1 HTTP/1.1" "id:5,phase:1,pass,nolog"
SecRule REQUEST_HEADERS:X-Stop "@eq 1" "id:6,phase:1,deny"
SecRule ARGS_POST:a "@streq evil" "id:7,phase:2,deny"
SecRule INBOUND_DATA_ERROR "@eq 1" "id:8,phase:2,pass,nolog"
SecRule REQBODY_ERROR "@eq 1" "id:9,phase:2,deny"
SecRule RESPONSE_STATUS "@eq 500" "id:10,phase:3,deny"
SecRule RESPONSE_BODY "@contains root:" "id:11,phase:4,deny"
SecRule OUTBOUND_DATA_ERROR "@eq 1" "id:12,phase:4,pass,nolog"
SecAction "id:13,phase:2,pass,log,msg:'logged'"
SecAction "id:14,phase:4,pass,nolog"
"""
FORM = (b"content-type", b"application/x-www-form-urlencoded")
ENDPOINTS = Endpoints("192.0.2.1", 99, "192.0.2.2", 443)
WAFS: dict[str, WAF] = {}


def begin(rules: str = RULES) -> tuple[Exchange, list[logging.LogRecord]]:
    waf = WAFS.setdefault(rules, WAF.from_directives(rules) if rules not in WAFS else WAFS[rules])
    logger, lines = recording_logger()
    store: TransactionStore[Any] = TransactionStore(10, 60, lambda: 0.0)
    application = Application("a", waf, response_check=True, store=store, logger=logger)
    return Exchange("x", application, waf.transaction("x")), lines


def request(exchange: Exchange, body: bytes = b"", *headers: tuple[bytes, bytes], **how: bool) -> Interruption | None:
    asked = HttpRequest(b"POST", b"/p?q=1", b"1.1", headers, body)
    return feed_request(exchange, asked, ENDPOINTS, **{"body_sent": True, "body_spared": False} | how)


def response(exchange: Exchange, body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> Interruption | None:
    plain = (b"content-type", b"text/plain")
    return feed_response(exchange, HttpResponse(status, b"1.1", (plain, *headers), body), body_sent=True)


def ids(exchange: Exchange) -> list[int]:
    return [rule.rule_id for rule in exchange.transaction.matched_rules]


def length(number: int) -> tuple[bytes, bytes]:
    return (b"content-length", str(number).encode())


def test_all_of_a_request_reaches_the_rules() -> None:
    exchange, _ = begin()

    assert request(exchange, b"a=b", FORM, length(3)) is None
    assert ids(exchange) == [1, 2, 3, 4, 5, 13]
    assert exchange.cut is None


def test_an_interruption_in_phase_1_ends_it() -> None:
    exchange, _ = begin()
    interruption = request(exchange, b"a=evil", FORM, (b"x-stop", b"1"))

    assert interruption is not None
    assert interruption.rule_id == 6


def test_a_cut_body_is_inspected_as_far_as_it_came() -> None:
    exchange, _ = begin()
    interruption = request(exchange, b"a=evil&b=%", FORM, length(100_000))

    assert interruption is not None
    assert interruption.rule_id == 7
    assert exchange.cut == Cut(10, 100_000, late=False)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'--B\r\nContent-Disposition: form-data; name="f"\r\n\r\nvalue\r\n--', b"multipart/form-data; boundary=B"),
        (b"a=b&c=%4", b"application/x-www-form-urlencoded"),
    ],
)
@pytest.mark.parametrize("announced", [length(100_000), length(1000), (b"transfer-encoding", b"chunked")])
def test_a_cut_body_is_not_malformed(body: bytes, kind: bytes, announced: tuple[bytes, bytes]) -> None:
    exchange, _ = begin()

    assert request(exchange, body, (b"content-type", kind), announced) is None
    assert (8 in ids(exchange)) is (announced == length(100_000))


def test_the_limits_action_judges_a_cut_body() -> None:
    exchange, _ = begin(RULES.replace("ProcessPartial", "Reject"))
    assert request(exchange, b"a=b", FORM, length(100_000)) == Interruption("deny", 413)
    exchange, _ = begin(RULES.replace("ProcessPartial", "Reject"))
    assert request(exchange, b"a=b", FORM, (b"transfer-encoding", b"chunked")) is None
    assert exchange.cut is None


def test_a_late_body_is_not_refused_but_told_of() -> None:
    """coraza-spoa's examples of HAProxy's side do not wait: most forms come in a second packet."""
    exchange, _ = begin(RULES.replace("ProcessPartial", "Reject"))

    assert request(exchange, b"", FORM, length(100)) is None
    assert exchange.cut == Cut(0, 100, late=True)


def test_a_body_that_haproxy_is_not_asked_to_send_is_not_cut() -> None:
    exchange, _ = begin()

    assert request(exchange, b"", FORM, length(100), body_sent=False) is None
    assert exchange.cut is None


def test_a_body_that_the_rules_do_not_read_is_not_cut() -> None:
    exchange, _ = begin(RULES.replace("SecRequestBodyAccess On", "SecRequestBodyAccess Off"))

    assert request(exchange, b"", FORM, length(100)) is None
    assert exchange.cut is None


def test_a_spared_body_is_not_inspected() -> None:
    exchange, _ = begin()

    assert request(exchange, b"a=evil", FORM, length(100), body_spared=True) is None
    assert (exchange.cut, 13 in ids(exchange)) == (None, True)


def test_responses() -> None:
    exchange, _ = begin()
    request(exchange)
    interruption = response(exchange, b"root:x", length(100_000))

    assert interruption is not None
    assert interruption.rule_id == 11
    assert exchange.cut == Cut(6, 100_000, late=False)
    exchange, _ = begin()
    request(exchange)
    interruption = response(exchange, b"", status=500)
    assert interruption is not None
    assert interruption.rule_id == 10


@pytest.mark.parametrize("status", [204, 304, 101])
def test_a_response_that_never_has_a_body_is_not_cut(status: int) -> None:
    exchange, _ = begin()
    request(exchange, b"a=b", FORM, length(9))

    assert response(exchange, b"", length(100), status=status) is None
    assert exchange.cut is None


def test_a_cut_response_is_judged_by_its_own_limits_action() -> None:
    exchange, _ = begin(RULES + "SecResponseBodyLimitAction Reject\n")
    request(exchange)

    assert response(exchange, b"x", length(100_000)) == Interruption("deny", 500)


def test_matches_are_told_of_once() -> None:
    exchange, lines = begin()
    request(exchange)

    assert [rule.rule_id for rule in exchange.log_matches()] == [1, 2, 3, 4, 5, 13]
    assert exchange.log_matches() == []
    response(exchange, b"x")
    assert exchange.log_matches() == []  # only rules with nolog matched
    assert len(lines) == 1
