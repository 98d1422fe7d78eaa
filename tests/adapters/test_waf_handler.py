from __future__ import annotations

import logging
import re
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.logs import Occasional
from adapters.transactions import TransactionStore
from adapters.troubles import Reason
from adapters.waf_handler import Application, WafHandler, random_id
from spop_proto import Message, Notify, Scope, SetVar
from waf_engine import WAF, Transaction

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


class Broken:
    """A rule set whose transactions fail at a given method."""

    def __init__(self, method: str) -> None:
        self.method = method

    def transaction(self, identity: str, **_: object) -> Transaction:
        transaction = _waf().transaction(identity)

        def fail(*_: object) -> None:
            raise RuntimeError("broken engine")

        setattr(transaction, self.method, fail)
        return transaction


@pytest.mark.parametrize(
    "method", ["process_connection", "process_request_headers", "process_request_body"]
)
def test_an_engine_that_fails_is_an_error_at_once(method: str) -> None:
    stand = Stand(waf=Broken(method))

    assert stand.ask(id="x", query="x=late") == {"error": 512, "reason": "internal-error"}
    assert stand.said("a message could not be evaluated") == [{"message": "coraza-req", "stream": 1}]
    assert stand.matched() == ([] if method == "process_connection" else ["12"])
    assert stand.ask("coraza-res", id="x", status=200)["reason"] == "transaction-not-found"
    assert stand.said("no verdict")[0]["detail"] == "id x: failed"


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
