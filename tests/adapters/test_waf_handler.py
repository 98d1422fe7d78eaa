from __future__ import annotations

import logging
import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.background import Background
from adapters.block_page import parse_block_page
from adapters.client_address import TrustedProxies
from adapters.evaluation import FIXED_BYTES, PER_BYTE
from adapters.logs import Occasional
from adapters.metrics.observer import Observer
from adapters.skipping import SkipList
from adapters.transactions import Gone, TransactionStore
from adapters.troubles import Reason
from adapters.waf_handler import Application, WafHandler, random_id
from spop_proto import Message, Notify, Scope, SetVar
from waf_engine import WAF, Transaction
from waf_engine.bodies import body_processors
from waf_engine.runtime.budget import Budget
from waf_engine.types import BodyResult
from waf_engine.waf import default_registries

if TYPE_CHECKING:
    from collections.abc import Callable

RULES = """\
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecRule ARGS "@contains attack" "id:920100,phase:2,deny,log,msg:'an attack',severity:CRITICAL"
SecRule ARGS "@contains note" "id:942100,phase:1,pass,log,msg:'noted',severity:NOTICE,\
setvar:tx.blocking_inbound_anomaly_score=5"
SecRule ARGS "@contains quiet" "id:942101,phase:1,pass,nolog,msg:'not logged'"
SecRule ARGS "@contains silent" "id:942102,phase:1,pass,log"
SecRule ARGS "@contains local" "id:190001,phase:1,pass,log,msg:'local'"
SecRule ARGS "@contains own" "id:100001,phase:1,pass,log,msg:'own'"
SecRule ARGS "@contains away" "id:3,phase:1,redirect:https://example.com/,log"
SecRule ARGS "@contains begone" "id:4,phase:1,drop,log"
SecRule ARGS "@contains status" "id:5,phase:1,deny,status:418"
SecRule REQUEST_HEADERS:X-Raw "@rx ^ two $" "id:6,phase:1,deny,status:400,t:none"
SecRule REMOTE_ADDR "@ipMatch 2001:db8::/32" "id:7,phase:1,deny,status:451"
SecRule REQUEST_PROTOCOL "@streq HTTP/2.0" "id:8,phase:1,deny,status:505"
SecRule RESPONSE_STATUS "@streq 500" "id:9,phase:3,deny,status:502"
SecRule RESPONSE_HEADERS:X-Leak "@streq secret" "id:10,phase:3,deny"
SecRule RESPONSE_BODY "@contains root:" "id:11,phase:4,deny"
SecRule ARGS "@contains late" "id:12,phase:5,pass,log,msg:'in phase 5'"
"""
_WAF: list[WAF] = []


def _waf() -> WAF:
    if not _WAF:
        _WAF.append(WAF.from_directives(RULES))
    return _WAF[0]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Stand:
    """A handler with applications `a` (responses checked) and `b` (not), and its log."""

    def __init__(self, default: str | None = "a", *, names: str = "ab", waf: Any = None, limit: int = 10) -> None:
        self.clock, self.lines = Clock(), []
        self.always: dict[str, Any] = {}
        logger = logging.Logger("test", 5)  # noqa: LOG001  of this test alone
        handler = logging.Handler()
        handler.emit = self._emit  # type: ignore[method-assign]  # the shortest list of lines
        logger.addHandler(handler)
        self.applications = {
            name: Application(name, waf or _waf(), name == "a", TransactionStore(limit, 60, self.clock), logger)
            for name in names
        }
        self.handler = WafHandler(
            self.applications, default, logger, new_id=lambda: "NEW", occasional=Occasional(self.clock)
        )

    def _emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, record.getMessage(), dict(getattr(record, "fields", {}))))

    def ask(self, name: str = "coraza-req", /, **arguments: Any) -> dict[str, Any]:
        """The variables that answer one message, less those that are `always` set; `_` in a name stands for `-`."""
        if name == "coraza-req" and not arguments.keys() & {"method", "path", "headers", "hdrs"}:
            arguments["path"] = "/"
        pairs = tuple((key.replace("_", "-"), value) for key, value in arguments.items())
        return self.send(Message(name, pairs))

    def send(self, *messages: Message) -> dict[str, Any]:
        actions = self.handler(Notify(1, 1, messages))
        assert all(isinstance(action, SetVar) and action.scope is Scope.TRANSACTION for action in actions)
        answer = {action.name: action.value for action in actions}  # type: ignore[union-attr]  # all are SetVar
        self.always = {name: answer.pop(name) for name in ("app", "mode", "time_us") if name in answer}
        return answer

    def matched(self) -> list[str]:
        """The ids of the matched rules in the log."""
        return [found[1] for _, text, _ in self.lines if (found := re.search(r'\[id "(\d+)"\]', text))]

    def said(self, text: str) -> list[dict[str, Any]]:
        return [fields for _, line, fields in self.lines if text in line]


CLEAN = {"fail": 0, "rules_hit": 0, "anomaly_score": 0}


def test_a_clean_request() -> None:
    stand = Stand()

    assert stand.ask(id="x", method="GET", path="/a", query="b=c", version="1.1") == CLEAN | {"id": "x"}
    assert len(stand.applications["a"].store) == 1
    assert stand.lines == []


def test_a_blocked_request() -> None:
    stand = Stand()

    assert stand.ask(id="x", method="GET", path="/", query="b=attack") == {
        "fail": 1,
        "action": "deny",
        "data": "",
        "status": 403,
        "ruleid": 920100,
        "id": "x",
        "rules_hit": 1,
        "anomaly_score": 0,
    }
    assert stand.matched() == ["920100"]
    assert len(stand.applications["a"].store) == 0


@pytest.mark.parametrize(
    ("query", "action", "status", "data", "rule"),
    [
        ("x=away", "redirect", 302, "https://example.com/", 3),
        ("x=begone", "drop", 0, "", 4),
        ("x=status", "deny", 418, "", 5),
    ],
)
def test_other_verdicts(query: str, action: str, status: int, data: str, rule: int) -> None:
    answer = Stand().ask(query=query)

    assert (answer["action"], answer["data"], answer["ruleid"]) == (action, data, rule)
    assert answer["status"] == status


def test_scores_and_hits() -> None:
    answer = Stand().ask(query="x=note+quiet+silent+local+own", exportRuleIDs=True)

    assert answer == {"fail": 0, "id": "NEW", "rules_hit": 3, "anomaly_score": 5, "rule_ids": "942100,942101,190001"}


def test_rule_ids_only_when_asked_for() -> None:
    assert "rule_ids" not in Stand().ask(query="x=note", exportRuleIDs=False)


def test_matches_are_logged_once_at_their_level_without_nolog() -> None:
    stand = Stand()
    stand.ask(id="x", query="x=note+quiet+late")
    assert stand.matched() == ["942100"]

    stand.ask("coraza-res", id="x", status=200)

    assert stand.matched() == ["942100", "12"]
    assert stand.lines[0][0] == logging.INFO


@pytest.mark.parametrize("kind", [str, bytes])
def test_types_either_way(kind: type) -> None:
    def typed(text: str) -> Any:
        return text if kind is str else text.encode()

    stand = Stand()
    answer = stand.ask(
        app=typed("a"),
        id=typed("x"),
        src_ip=typed("192.0.2.1"),
        src_port=typed("5000"),
        dst_ip=typed("192.0.2.2"),
        dst_port=80,
        method=typed("POST"),
        path=typed("/"),
        query=None,
        version=typed("1.1"),
        headers=typed("host: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\n"),
        body=typed("q=attack"),
    )

    assert (answer["ruleid"], answer["id"]) == (920100, "x")
    assert '[client "192.0.2.1"]' in stand.lines[0][1]


@pytest.mark.parametrize(
    "arguments",
    [
        {"headers": "x-raw:  two \r\n\r\n"},
        {"hdrs": b"x-raw:  two \r\n\r\n"},
        {"headers_bin": b"\x05x-raw\x05 two \0\0"},
        {"headers": b"\x05x-raw\x05 two \0\0"},
        {"headers": "\x05x-raw\x05 two \0\0"},
    ],
)
def test_headers_in_all_forms_keep_their_blanks(arguments: dict[str, object]) -> None:
    stand = Stand()
    pairs = tuple(arguments.items())

    assert stand.send(Message("coraza-req", pairs))["fail"] == 1


def test_the_colon_less_line_is_seen_by_the_rules() -> None:
    stand = Stand(
        waf=WAF.from_directives('SecRuleEngine On\nSecRule REQUEST_HEADERS_NAMES "@streq odd line" "id:1,deny,phase:1"')
    )

    assert stand.ask(headers="host: a\r\nodd line\r\n\r\n")["fail"] == 1


def test_addresses() -> None:
    assert Stand().ask(src_ip=IPv6Address("2001:db8::1"))["status"] == 451
    assert Stand().ask(src_ip=IPv4Address("192.0.2.1"))["fail"] == 0
    assert Stand().ask(src_ip=None)["fail"] == 0


def test_the_version_becomes_the_protocol() -> None:
    assert Stand().ask(version="2.0")["status"] == 505


def test_applications_by_name_and_by_default() -> None:
    stand = Stand(default="b")

    for arguments in ({"app": "a", "id": "1"}, {"app": "b", "id": "2"}, {"app": "none", "id": "3"}, {"id": "4"}):
        assert stand.ask(**arguments)["fail"] == 0
    assert len(stand.applications["a"].store) == 1


@pytest.mark.parametrize("arguments", [{"app": "none"}, {}, {"app": None}])
def test_no_application(arguments: dict[str, object]) -> None:
    stand = Stand(default=None)

    assert stand.ask(**arguments) == {"error": 513, "reason": "unknown-application"}
    assert stand.said("no verdict: unknown-application")[0]["stream"] == 1


def test_the_only_application_needs_no_name() -> None:
    assert Stand(default=None, names="a").ask()["fail"] == 0
    assert Stand(default=None, names="a").ask(app="b")["reason"] == "unknown-application"


@pytest.mark.parametrize("arguments", [(), (("id", "x"),), (("app", "a"), ("body", b"x"))])
def test_a_message_without_a_request(arguments: tuple[tuple[str, object], ...]) -> None:
    answer = Stand().send(Message("coraza-req", arguments))  # type: ignore[arg-type]  # each is a value

    assert answer == {"error": 514, "reason": "bad-message"}


def test_headers_that_are_cut() -> None:
    stand = Stand()

    assert stand.send(Message("coraza-req", (("headers_bin", b"\x09x"),)))["reason"] == "bad-message"
    assert "headers:" in stand.said("no verdict")[0]["detail"]


def test_repeated_troubles_are_logged_now_and_then() -> None:
    stand = Stand(default=None)
    for _ in range(50):
        stand.ask(app="none")
    stand.clock.now += 11
    stand.ask(app="none")

    assert [fields.get("repeated") for fields in stand.said("no verdict")] == [None, 49]


def test_other_messages_are_ignored() -> None:
    assert Stand().send(Message("something-else", (("path", "/?attack"),))) == {}
    assert Stand().send() == {}


def test_two_messages_in_one_notify() -> None:
    stand = Stand()
    answer = stand.send(
        Message("something-else"), Message("coraza-req", (("path", "/"), ("query", "x=attack"), ("id", "x")))
    )

    assert answer["fail"] == 1


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"status": 500}, 9),
        ({"status": "500"}, 9),
        ({"status": 200, "headers": "x-leak: secret\r\n\r\n"}, 10),
        ({"status": 200, "headers": "content-type: text/html\r\n\r\n", "body": b"root:x:0"}, 11),
    ],
)
def test_a_blocked_response(arguments: dict[str, object], rule: int) -> None:
    stand = Stand()
    stand.ask(id="x")
    answer = stand.ask("coraza-res", id="x", version="1.1", **arguments)

    assert (answer["fail"], answer["action"], answer["ruleid"], answer["id"]) == (1, "deny", rule, "x")
    assert len(stand.applications["a"].store) == 0


def test_a_clean_response_carries_the_requests_score() -> None:
    stand = Stand()
    stand.ask(id="x", query="x=note")

    assert stand.ask("coraza-res", id="x", status=200) == {
        "fail": 0,
        "id": "x",
        "rules_hit": 1,
        "anomaly_score": 5,
        "score_out": 0,
    }


def test_a_response_is_checked_once() -> None:
    stand = Stand()
    stand.ask(id="x")
    stand.ask("coraza-res", id="x", status=200)

    assert stand.ask("coraza-res", id="x", status=200) == {"error": 516, "reason": "transaction-not-found"}
    assert stand.said("no verdict")[0]["detail"] == "id x: answered"


@pytest.mark.parametrize("identity", [None, "", b""])
def test_a_response_without_id(identity: object) -> None:
    assert Stand().ask("coraza-res", id=identity, status=200) == {"error": 515, "reason": "missing-id"}


def test_a_response_whose_request_was_never_seen() -> None:
    stand = Stand()

    assert stand.ask("coraza-res", id="x", status=200)["error"] == Reason.TRANSACTION_NOT_FOUND
    assert stand.said("no verdict")[0]["detail"] == "id x: unknown"


def test_a_response_whose_request_was_blocked_but_passed_on() -> None:
    """coraza-spoa calls this an error; the verdict of the request is still set in HAProxy, so nothing is missing."""
    stand = Stand()
    stand.ask(id="x", query="x=attack")

    assert stand.ask("coraza-res", id="x", status=200) == {}
    assert stand.said("HAProxy passed it on")


def test_responses_of_an_application_that_checks_none() -> None:
    stand = Stand()
    stand.ask(app="b", id="x")

    assert stand.ask("coraza-res", app="b", id="x", status=500) == {}


def test_evicted_and_expired_transactions_are_finished_and_named() -> None:
    stand = Stand(limit=1)
    stand.ask(id="x", query="x=late")
    stand.ask(id="y", query="x=late")
    assert stand.matched() == ["12"]
    assert stand.said("transaction_active_limit (or _bytes) reached")
    stand.clock.now += 60

    assert stand.handler.expire() == 1
    assert stand.handler.expire() == 0
    assert stand.matched() == ["12", "12"]
    details = []
    for identity in "xy":
        stand.clock.now += 11
        stand.ask("coraza-res", id=identity, status=200)
        details.append(stand.said("no verdict")[-1]["detail"])
    assert details == ["id x: evicted", "id y: expired"]


def test_a_repeated_id_finishes_the_older_transaction() -> None:
    stand = Stand()
    stand.ask(id="x", query="x=late")
    stand.ask(id="x")

    assert stand.matched() == ["12"]
    assert stand.said("two requests had the same id")
    assert stand.ask("coraza-res", id="x", status=200)["fail"] == 0


def test_a_long_id_is_shortened_the_same_way_for_request_and_response() -> None:
    stand = Stand()
    answer = stand.ask(id="x" * 5000)

    assert len(answer["id"]) == 256
    assert stand.ask("coraza-res", id="x" * 5000, status=200)["id"] == answer["id"]
    stand.ask(id="x" * 5000)
    assert stand.ask("coraza-res", id=answer["id"], status=200)["fail"] == 0
    assert stand.ask(id="x" * 4999 + "y")["id"] != answer["id"]


def test_stop_finishes_everything() -> None:
    stand = Stand()
    stand.ask(id="x", query="x=late")
    stand.handler.stop([])
    assert stand.matched() == []
    stand.handler.stop()

    assert stand.matched() == ["12"]
    assert len(stand.applications["a"].store) == 0


def test_detect_only_gives_no_verdict() -> None:
    stand = Stand()
    answer = stand.ask(query="x=attack", detect_only=True)

    assert (answer, stand.always["mode"]) == ({"id": "NEW"}, "detect")
    assert stand.matched() == ["920100"]


def test_modsecuritys_message_has_no_names() -> None:
    def check(query: str, body: bytes = b"") -> dict[str, Any]:
        values = ("x", "GET", "/", query, "1.1", b"\x04host\x01a\0\0", len(body), body)
        return Stand().send(Message("check-request", tuple(("", value) for value in values)))

    assert check("x=attack")["code"] == 403
    assert check("x=begone")["code"] == 403
    assert check("x=status")["code"] == 418
    assert "code" not in check("x=fine")


class BrokenTransaction:
    """A transaction that fails at a given method; in all else a real one."""

    def __init__(self, transaction: Transaction, method: str) -> None:
        self._transaction, self._method = transaction, method

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._method else getattr(self._transaction, name)

    def _fail(self, *_: object) -> None:
        raise RuntimeError("broken engine")


class Broken:
    """A rule set of such transactions."""

    def __init__(self, method: str) -> None:
        self.method = method

    def transaction(self, identity: str, **_: object) -> BrokenTransaction:
        return BrokenTransaction(_waf().transaction(identity), self.method)


@pytest.mark.parametrize("method", ["process_connection", "process_request_headers", "process_request_body"])
def test_an_engine_that_fails_is_an_error_at_once(method: str) -> None:
    stand = Stand(waf=Broken(method))

    assert stand.ask(id="x", query="x=late") == {"error": 512, "reason": "internal-error"}
    assert stand.said("a message could not be evaluated") == [{"message": "coraza-req", "stream": 1}]
    assert stand.matched() == ([] if method == "process_connection" else ["12"])
    assert stand.ask("coraza-res", id="x", status=200)["reason"] == "transaction-not-found"
    assert stand.said("no verdict")[0]["detail"] == "id x: failed"


def test_one_failure_does_not_fill_the_log() -> None:
    """Who finds a request that makes us fail can send it as often as he likes."""
    stand = Stand(waf=Broken("process_request_body"))
    for _ in range(20):
        assert stand.ask()["error"] == 512
    stand.clock.now += 11
    stand.ask()

    assert [fields.get("repeated") for fields in stand.said("a message could not be evaluated")] == [None, 19]


def test_an_engine_that_fails_at_the_response() -> None:
    stand = Stand(waf=Broken("process_response_headers"))
    stand.ask(id="x")

    assert stand.ask("coraza-res", id="x", status=200)["reason"] == "internal-error"


@pytest.mark.parametrize("method", ["process_logging", "close"])
def test_an_engine_that_fails_at_the_end_does_not_cost_the_verdict(method: str) -> None:
    stand = Stand(waf=Broken(method))

    assert stand.ask(id="x", query="x=attack")["fail"] == 1
    assert stand.said("a transaction could not be finished") == [{"id": "x"}]


def test_random_ids() -> None:
    ids = {random_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch("[A-Z]{16}", each) for each in ids)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=20), st.binary(max_size=20),
    st.ip_addresses(),
)  # fmt: skip
NAMES = st.sampled_from(
    ["app", "id", "src-ip", "src-port", "method", "path", "query", "version", "headers", "headers_bin", "body",
     "status", "exportRuleIDs", "detect-only", ""]
)  # fmt: skip


def _never_raises(answer: Callable[[], dict[str, Any]]) -> None:
    variables = answer()
    assert variables.keys() & {"fail", "error", "id"} or variables == {}


@settings(max_examples=300)
@given(st.sampled_from(["coraza-req", "coraza-res", "check-request"]), st.lists(st.tuples(NAMES, VALUES), max_size=9))
def test_any_arguments_get_an_answer(name: str, arguments: list[tuple[str, Any]]) -> None:
    stand = Stand()
    _never_raises(lambda: stand.send(Message(name, tuple(arguments))))

    assert not stand.said("could not be evaluated")
    assert not stand.said("could not be finished")


# -- applications with settings of their own ---------------------------------------------------------


def _set(stand: Stand, name: str = "a", **changes: Any) -> None:
    """Change an application, as a reload would."""
    stand.applications[name] = replace(stand.applications[name], **changes)
    stand.handler = WafHandler(
        stand.applications,
        stand.handler.default_application,
        stand.handler._logger,
        new_id=lambda: "NEW",
        occasional=Occasional(stand.clock),
        background=stand.handler.background,
    )


def test_what_every_answer_has() -> None:
    stand = Stand()
    stand.ask(id="x")

    assert (stand.always["app"], stand.always["mode"]) == ("a", "block")
    assert stand.always["time_us"] >= 0
    stand.send(Message("coraza-req", (("path", "/"), ("headers_bin", b"\x09x"))))
    assert stand.always.keys() == {"time_us"}


def test_an_application_by_host_and_its_response_by_id() -> None:
    stand = Stand(default="b")
    _set(stand, "a", hosts=("shop.example.com", "*.cdn.example.com"))
    for host in ("SHOP.example.com:80", "x.cdn.example.com"):
        stand.ask(id=host, headers=f"host: {host}\r\n\r\n")
        assert stand.always["app"] == "a"
        assert stand.ask("coraza-res", id=host, status=200)["fail"] == 0
        assert stand.always["app"] == "a"
    stand.ask(headers="host: cdn.example.com\r\n\r\n")
    assert stand.always["app"] == "b"


@pytest.mark.parametrize(
    "header", ["x-forwarded-for: 2001:db8::5, 10.0.0.7", "x-forwarded-for: 192.0.2.1, 2001:db8::5"]
)
def test_rules_and_logs_see_the_client_behind_the_proxy(header: str) -> None:
    stand = Stand()
    _set(stand, proxies=TrustedProxies([ip_network("10.0.0.0/8")]))

    assert stand.ask(src_ip=IPv4Address("10.0.0.1"), headers=f"{header}\r\n\r\n")["status"] == 451
    assert stand.ask(src_ip=IPv4Address("192.0.2.9"), headers=f"{header}\r\n\r\n")["fail"] == 0
    stand.ask(src_ip="10.0.0.1", headers=f"{header}\r\n\r\n", query="x=note")
    assert '[client "2001:db8::5"]' in stand.lines[-1][1]


def test_a_skipped_request_and_its_response() -> None:
    stand = Stand()
    _set(stand, skip=SkipList(["/static/*"]))
    seen = stand.handler.observer = Observed()

    assert stand.ask(id="x", path="/static/app.js", query="x=attack") == {"fail": 0, "id": "x"}
    assert stand.always["mode"] == "skipped"
    assert len(stand.applications["a"].store) == 0
    assert stand.ask("coraza-res", id="x", status=500) == {}
    assert stand.always["mode"] == "skipped"
    assert seen.told == [("skipped", "a", "path")]
    assert stand.lines == []
    assert stand.ask(id="y", path="/static/../app.js", query="x=attack")["fail"] == 1
    assert stand.ask(path="/static/a", query="x=attack", headers="x-original-url: /\r\n\r\n")["fail"] == 1


def test_a_type_on_the_skip_list_spares_responses_and_the_bodies_of_requests() -> None:
    stand = Stand()
    _set(stand, skip=SkipList([], ["image/*", "application/x-www-form-urlencoded"]))
    form = "content-type: application/x-www-form-urlencoded\r\n\r\n"

    assert stand.ask(id="x", method="POST", headers=form, body=b"q=attack")["fail"] == 0
    assert stand.ask(id="w", method="POST", headers=form, body=b"", query="q=attack")["fail"] == 1
    two = f"content-type: text/plain\r\n{form}"
    assert stand.ask(id="z", method="POST", headers=two, body=b"q=attack")["fail"] == 1
    stand.ask(id="y", query="x=late")
    picture = "content-type: image/png\r\nx-leak: secret\r\n\r\n"
    assert stand.ask("coraza-res", id="y", status=500, headers=picture) == {"fail": 0, "id": "y"}
    assert stand.always["mode"] == "skipped"
    assert stand.matched()[-1] == "12"  # phase 5 ran
    assert len(stand.applications["a"].store) == 1  # x


def test_the_block_page_of_a_denied_request() -> None:
    stand = Stand()
    _set(stand, block_page=parse_block_page("<p>%{UNIQUE_ID}</p>"))

    assert stand.ask(id="<x>", query="q=attack")["block_page"] == "<p>&lt;x&gt;</p>"
    assert "block_page" not in stand.ask(id="y")
    assert "block_page" not in stand.ask(id="z", query="x=away")


# -- detection only ----------------------------------------------------------------------------------


class Detecting(Stand):
    """A stand whose handler evaluates later what is for detection only; `work` does it."""

    def __init__(self, **limits: int) -> None:
        super().__init__()
        self.background = self.handler.background = Background(**limits)

    def work(self) -> None:
        while self.background.run_one():
            pass


def test_the_answer_comes_before_the_evaluation() -> None:
    stand = Detecting()

    assert stand.ask(id="x", query="q=attack", detect_only=True) == {"id": "x"}
    assert (stand.always["mode"], stand.matched()) == ("detect", [])
    stand.work()
    assert stand.matched() == ["920100"]
    assert "Warning" in stand.lines[0][1]  # as with SecRuleEngine DetectionOnly


def test_an_application_for_detection_only_never_blocks() -> None:
    stand = Detecting()
    _set(stand, detect_only=True)

    assert stand.ask(id="x", query="q=attack") == {"fail": 0, "id": "x"}
    assert stand.ask("coraza-res", id="x", status=500) == {"fail": 0, "id": "x"}
    assert len(stand.background._jobs) == 2
    stand.work()
    assert stand.matched() == ["920100"]
    assert not stand.said("no verdict")  # the response after its request
    assert len(stand.applications["a"].store) == 0


def test_a_response_that_is_judged_waits_for_the_evaluation_of_its_request() -> None:
    stand = Detecting()
    stand.ask(id="w", query="x=note", detect_only=True)
    stand.ask(id="x", query="x=note", detect_only=True)

    assert stand.ask("coraza-res", id="x", status=500)["ruleid"] == 9
    assert stand.matched() == ["942100"]
    stand.work()
    assert stand.matched() == ["942100"] * 2


def test_what_does_not_fit_is_no_error() -> None:
    stand = Detecting(jobs=1)
    seen = stand.handler.observer = Observed()
    stand.ask(id="x", detect_only=True)

    assert stand.ask(id="y", query="q=attack", detect_only=True) == {"id": "y", "reason": "queue-full"}
    assert ("trouble", Reason.QUEUE_FULL) in seen.told
    assert stand.said("too much waits to be evaluated")
    assert stand.background.counters.dropped == 1


def test_what_waits_is_evaluated_at_the_end() -> None:
    stand = Detecting()
    for number in range(3):
        stand.ask(id=str(number), query="q=attack", detect_only=True)
    stand.handler.stop()

    assert stand.matched() == ["920100"] * 3


def test_what_is_left_at_the_end_is_counted() -> None:
    stand = Detecting()
    stand.ask(id="x", detect_only=True)
    times = iter([0.0, 10.0, 20.0])
    stand.handler._clock = lambda: next(times)
    stand.handler.stop()

    assert stand.said("not evaluated any more") == [{"messages": 1}]


def test_a_failure_after_the_answer_is_logged() -> None:
    stand = Detecting()
    _set(stand, waf=Broken("process_request_body"))
    stand.ask(id="x", detect_only=True)
    stand.ask("coraza-res", id="unknown", detect_only=True)
    stand.work()

    assert stand.said("a message could not be evaluated") == [{"message": "coraza-req", "stream": 0}]
    assert stand.said("no verdict: transaction-not-found")


# -- always an answer --------------------------------------------------------------------------------


class Observed(Observer):
    """Remembers what it is told, but for times and transactions."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def trouble(self, reason: Reason) -> None:
        self.told.append(("trouble", reason))

    def skipped(self, application: str, what: str) -> None:
        self.told.append(("skipped", application, what))

    def truncated(self, application: str, *, response: bool = False) -> None:
        self.told.append(("truncated", application, response))

    def over_budget(self, application: str, action: str) -> None:
        self.told.append(("over budget", application, action))

    def dropped(self, application: str, gone: Gone) -> None:
        self.told.append(("dropped", application, gone))

    def missed(self, application: str, gone: Gone) -> None:
        self.told.append(("missed", application, gone))

    def failed(self, application: str, *, response: bool = False) -> None:
        self.told.append(("failed", application, response))


def _deep() -> int:
    return 1 + _deep()


def _no_memory() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (_deep, {"error": 512, "reason": "internal-error"}),
        (_no_memory, {"error": 519, "reason": "out-of-memory"}),
        (lambda: 1 // 0, {"error": 512, "reason": "internal-error"}),
    ],
)
def test_a_body_parser_that_fails(fault: Callable[[], object], answer: dict[str, object]) -> None:
    """Whatever happens within, HAProxy is told at once, and nothing of the transaction is left."""

    def process(body: bytes, _: object) -> Any:
        return fault() if body == b"bad" else BodyResult()  # plans are made by the help of other bodies

    registry = body_processors.copy()
    registry.add(process, "FAULTY")
    rules = 'SecRequestBodyAccess On\nSecAction "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=FAULTY"\n'
    registries = replace(default_registries(), body_processors=registry)
    stand = Stand(waf=WAF.from_directives(rules, registries=registries))
    seen = stand.handler.observer = Observed()

    assert stand.ask(id="x", method="POST", body=b"bad") == answer
    assert len(stand.applications["a"].store) == 0
    assert seen.told == [("failed", "a", False), ("trouble", Reason(answer["error"]))]  # type: ignore[arg-type]  # an int
    assert stand.ask("coraza-res", id="x", status=200)["reason"] == "transaction-not-found"
    assert seen.told[2:] == [("missed", "a", Gone.FAILED), ("trouble", Reason.TRANSACTION_NOT_FOUND)]


SLOW = "SecRuleEngine On\n" + "".join(
    f'SecRule ARGS "@rx x{number}" "id:{number},phase:1,pass,nolog,t:lowercase"\n' for number in range(1, 400)
)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("error", {"error": 517, "reason": "budget-exceeded"}),
        ("deny", {"fail": 1, "status": 503, "ruleid": 0}),
        ("pass", {"fail": 0}),
    ],
)
def test_a_transaction_over_its_budget(action: str, expected: dict[str, object]) -> None:
    stand = Stand(waf=WAF.from_directives(SLOW, executor="reference"))
    _set(stand, budget=Budget(0.01, action))
    seen = stand.handler.observer = Observed()
    answer = stand.ask(id="x", query="&".join(f"a{number}=x{number}" for number in range(100)))

    assert expected.items() <= answer.items()
    assert ("over budget", "a", action) in seen.told
    assert stand.said("a transaction took too much processor time")
    if action == "error":
        assert stand.ask("coraza-res", id="x", status=200)["reason"] == "transaction-not-found"


def test_a_budget_never_makes_detection_only_an_error() -> None:
    stand = Detecting()
    _set(stand, waf=WAF.from_directives(SLOW, executor="reference"), budget=Budget(0.01, "error"), detect_only=True)
    answer = stand.ask(id="x", query="&".join(f"a{number}=x{number}" for number in range(100)))
    stand.work()

    assert answer == {"fail": 0, "id": "x"}
    assert not stand.said("no verdict")
    assert stand.said("a transaction took too much processor time")


# -- bodies of which only a part came ----------------------------------------------------------------


def test_a_cut_body_is_told_of_once_for_each_path_and_judged_by_the_limits_action() -> None:
    stand = Stand()  # Reject is the default
    seen = stand.handler.observer = Observed()
    cut = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 99000\r\n\r\n"
    for _ in range(3):
        answer = stand.ask(method="POST", path="/upload", headers=cut, body=b"a=b")
        assert (answer["fail"], answer["status"], answer["ruleid"], answer["body_truncated"]) == (1, 413, 0, 1)
    stand.ask(method="POST", path="/other", headers=cut, body=b"a=b")

    assert [(each["path"], each["received"], each["announced"]) for each in stand.said("was cut")] == [
        ("/upload", 3, 99_000),
        ("/other", 3, 99_000),
    ]
    assert seen.told == [("truncated", "a", False)] * 4


def test_a_cut_response() -> None:
    stand = Stand()
    stand.ask(id="x")
    page = "content-type: text/html\r\ncontent-length: 99\r\n\r\n"
    answer = stand.ask("coraza-res", id="x", status=200, headers=page, body=b"<html>")

    assert (answer["fail"], answer["body_truncated"]) == (0, 1)
    assert stand.said("the body of a response was cut")


# -- faults of coraza-spoa that are none here (compatibility.md 3.5) ---------------------------------


def test_a_header_line_of_64_kib_is_read_as_are_those_after_it() -> None:
    """There the reading ends, without a word, at a line that long."""
    stand = Stand()
    text = b"x-long: " + b"a" * 70_000 + b"\r\nx-raw:  two \r\n\r\n"

    assert stand.ask(headers=text)["status"] == 400


def test_blanks_around_a_value_are_rule_material() -> None:
    """There they are cut off, so that rules see another value than the server."""
    rules = 'SecRuleEngine On\nSecRule REQUEST_HEADERS:X-A "@rx ^\\x09v\\x0b\\x20$" "id:1,deny,phase:1,t:none"'
    stand = Stand(waf=WAF.from_directives(rules))

    assert stand.ask(headers=b"x-a: \tv\x0b \r\n\r\n")["fail"] == 1
    assert stand.ask(headers=b"x-a: v\r\n\r\n")["fail"] == 0


def test_the_outbound_score_is_answered_too() -> None:
    rules = 'SecRuleEngine On\nSecAction "id:1,phase:3,pass,nolog,setvar:tx.blocking_outbound_anomaly_score=4"'
    stand = Stand(waf=WAF.from_directives(rules))
    stand.ask(id="x")

    assert stand.ask("coraza-res", id="x", status=200)["score_out"] == 4


def test_bytes_bound_what_waits() -> None:
    stand = Stand()
    stand.applications["a"].store.limit_bytes = 3 * FIXED_BYTES
    seen = stand.handler.observer = Observed()
    for identity in "xyz":
        stand.ask(id=identity, path="/" + "p" * 1000)

    store = stand.applications["a"].store
    assert (len(store), store.counters.bytes) == (2, 2 * (FIXED_BYTES + 1001 * PER_BYTE))
    assert seen.told == [("dropped", "a", Gone.EVICTED)]


@pytest.mark.parametrize(
    ("rules", "body", "line"),
    [
        ('SecRule ARGS "@streq bad" "id:7,phase:2,deny,nolog"', b"q=bad", "blocked by rule 7, which does not log"),
        ("SecRequestBodyLimit 5\nSecRequestBodyLimitAction Reject", b"q=123456", "blocked by a limit on bodies"),
        ('SecRule ARGS "@streq bad" "id:7,phase:2,deny,log"', b"q=bad", ""),
    ],
)
def test_whoever_looks_for_the_reason_of_a_block_finds_it(rules: str, body: bytes, line: str) -> None:
    """Interrupted, and nothing in any log: coraza-caddy#206, #246, #315."""
    waf = WAF.from_directives(f"SecRuleEngine On\nSecRequestBodyAccess On\n{rules}\n", executor="reference")
    stand = Stand(waf=waf)

    answer = stand.ask(id="x", path="/", headers=b"content-type: application/x-www-form-urlencoded\r\n", body=body)
    assert answer["action"] == "deny"
    assert stand.said("blocked by") == ([{"app": "a", "detail": "id x"}] if line else [])
    assert bool(stand.said(line)) or not line
    assert stand.matched() == ([] if line else ["7"])


HEADER_LINES = st.sampled_from(
    [
        b"host: a.example",
        b"host: \xff",
        b"x-forwarded-for: 10.0.0.2, x",
        b"content-length: 99",
        b"content-length: -1",
        b"content-type: image/png",
        b"content-type: multipart/form-data",
        b"transfer-encoding: chunked",
        b"x-original-url: /",
        b"odd",
    ]
)
HEADERS = st.lists(HEADER_LINES).map(lambda lines: b"".join(line + b"\r\n" for line in lines) + b"\r\n")
PATHS = st.sampled_from([b"/static/a", b"/static/../a", b"/%", b"", "/ä"])
ARGUMENTS = st.one_of(
    st.tuples(NAMES, VALUES),
    st.tuples(st.just("headers"), HEADERS),
    st.tuples(st.just("path"), PATHS),
    st.tuples(st.just("src-ip"), st.sampled_from([IPv4Address("10.0.0.1"), "10.0.0.1"])),
    st.tuples(st.just("id"), st.sampled_from(["x", "y"])),
)
MESSAGES = st.tuples(st.sampled_from(["coraza-req", "coraza-res"]), st.lists(ARGUMENTS, max_size=9))


@settings(max_examples=300, deadline=None)
@given(st.lists(MESSAGES, max_size=5), st.booleans())
def test_any_arguments_get_an_answer_whatever_is_set(
    messages: list[tuple[str, list[tuple[str, Any]]]], detect_only: bool
) -> None:
    stand = Detecting(jobs=2)
    for name in "ab":
        _set(
            stand,
            name,
            hosts=(f"{name}.example",),
            proxies=TrustedProxies([ip_network("10.0.0.0/8")], "Forwarded" if name == "b" else ""),
            skip=SkipList(["/static/*"], ["image/*"]),
            block_page=parse_block_page("%{UNIQUE_ID} %{REMOTE_ADDR}"),
            detect_only=detect_only and name == "a",
        )
    for name, arguments in messages:
        variables = stand.send(Message(name, tuple(arguments)))
        assert variables.keys() & {"fail", "error", "id"} or "mode" in stand.always or not variables
    stand.handler.stop()

    assert not stand.said("could not be evaluated")
    assert not stand.said("could not be finished")
    assert stand.background.counters.waiting == 0
