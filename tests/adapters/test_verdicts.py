"""The variables of an answer, beside the table that users read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.block_page import parse_block_page
from adapters.evaluation import Cut, Exchange
from adapters.verdicts import DEFAULT_STATUS, VARIABLES, modsecurity_code, score_of, status_of, verdict
from spop_proto import Scope, SetVar
from tests.adapters.test_evaluation import begin, request
from waf_engine import Interruption
from waf_engine.settings import EngineMode

DOCUMENT = Path(__file__).absolute().parent.parent.parent / "docs" / "variables.md"


def answer(exchange: Exchange, interruption: Interruption | None = None, **how: bool) -> dict[str, object]:
    actions = verdict(exchange, interruption, **{"is_response": False, "export_ids": False} | how)
    assert all(isinstance(action, SetVar) and action.scope is Scope.TRANSACTION for action in actions)
    names = [action.name for action in actions]
    assert len(set(names)) == len(names)
    assert set(names) <= set(VARIABLES)
    return {action.name: action.value for action in actions}  # type: ignore[union-attr]  # each is a SetVar


def evaluated() -> Exchange:
    exchange, _ = begin()
    request(exchange)
    return exchange


CLEAN = {"fail": 0, "id": "x", "rules_hit": 0, "anomaly_score": 0, "app": "a", "mode": "block"}


def test_clean() -> None:
    assert answer(evaluated()) == CLEAN
    assert answer(evaluated(), is_response=True) == CLEAN | {"score_out": 0}
    assert answer(evaluated(), export_ids=True) == CLEAN | {"rule_ids": ""}


def test_the_older_allow() -> None:
    exchange = evaluated()
    object.__setattr__(exchange.application, "says_allow", True)

    assert answer(exchange) == CLEAN | {"action": "allow"}
    assert answer(exchange, is_response=True)["action"] == "allow"
    assert answer(exchange, Interruption("drop", 0, "", 7))["action"] == "drop"


def test_interrupted() -> None:
    assert answer(evaluated(), Interruption("redirect", 0, "https://x", 7)) == CLEAN | {
        "fail": 1, "action": "redirect", "data": "https://x", "status": 302, "ruleid": 7,
    }  # fmt: skip


def test_scores_hits_and_cut_bodies() -> None:
    exchange, _ = begin(
        "SecAction \"id:942100,phase:1,pass,log,msg:'m',setvar:tx.blocking_inbound_anomaly_score=5,"
        'setvar:tx.blocking_outbound_anomaly_score=-4"\nSecAction "id:942101,phase:1,pass"\n'
        "SecAction \"id:100001,phase:1,pass,msg:'own'\""
    )
    request(exchange)
    exchange.cut = Cut(1, 2, late=True)

    assert answer(exchange, is_response=True, export_ids=True) == CLEAN | {
        "rules_hit": 1, "anomaly_score": 5, "score_out": -4, "rule_ids": "942100", "body_truncated": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "mode"), [(EngineMode.ON, "block"), (EngineMode.DETECTION_ONLY, "detect"), (EngineMode.OFF, "off")]
)
def test_the_mode(engine: EngineMode, mode: str) -> None:
    exchange = evaluated()
    exchange.transaction.engine = engine

    assert answer(exchange)["mode"] == mode


@pytest.mark.parametrize("action", ["deny", "drop", "redirect"])
def test_the_block_page_is_for_denied_requests(action: str) -> None:
    exchange = evaluated()
    page = parse_block_page("%{RULE_ID} %{UNIQUE_ID} %{STATUS} %{REMOTE_ADDR} %{APPLICATION}")
    object.__setattr__(exchange.application, "block_page", page)

    assert answer(exchange, Interruption(action, 0, "", 7)).get("block_page") == (
        "7 x 403 192.0.2.1 a" if action == "deny" else None
    )
    assert "block_page" not in answer(exchange)


@pytest.mark.parametrize("value", [b"", b"x", b"9" * 40, b"1.5"])
def test_a_score_that_is_none_is_0(value: bytes) -> None:
    transaction = evaluated().transaction
    transaction.set_tx(b"blocking_inbound_anomaly_score", value)

    assert score_of(transaction, b"blocking_inbound_anomaly_score") == 0


def test_statuses() -> None:
    assert {action: status_of(Interruption(action, 0)) for action in DEFAULT_STATUS} == DEFAULT_STATUS
    assert status_of(Interruption("redirect", 303)) == 303
    assert status_of(Interruption("redirect", 403)) == 302
    assert status_of(Interruption("deny", 418)) == 418
    assert status_of(Interruption("of a plug-in", 0)) == 403


def test_modsecuritys_code() -> None:
    exchange = evaluated()

    def code(interruption: Interruption | None) -> list[object]:
        actions = verdict(exchange, interruption, is_response=False, export_ids=False)
        return [action.value for action in modsecurity_code(actions)]  # type: ignore[union-attr]  # each is a SetVar

    assert code(None) == []
    assert code(Interruption("deny", 418)) == [418]
    assert code(Interruption("drop", 0)) == [403]


def test_every_variable_stands_in_the_document_and_in_its_line_to_register_them() -> None:
    text = DOCUMENT.read_text()
    table = text[text.index("## Variables") : text.index("## When there is no verdict")]
    rows = re.findall(r"^\| `([a-z_]+)` \| (?:int|str) \|", table, re.MULTILINE)
    registered = re.search(r"register-var-names (.+)", text)

    assert rows == list(VARIABLES)
    assert registered is not None
    assert set(registered[1].split()) <= set(VARIABLES)
    assert {"reason", "app", "mode", "time_us", "score_out", "body_truncated"} <= set(registered[1].split())
