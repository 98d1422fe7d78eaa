"""The variables of an answer: what the rules said, as HAProxy is told.

Here: each variable, when it is set, its type (docs/variables.md is for users; a test compares the two). Not here: how
the verdict was found, and the answers without one (troubles.py).

Source: compatibility.md 3.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from spop_proto import Scope, SetVar
from waf_engine.settings import EngineMode

if TYPE_CHECKING:
    from adapters.evaluation import Exchange
    from spop_proto import UnsetVar
    from waf_engine import Interruption, Transaction

    Action: TypeAlias = SetVar | UnsetVar

VARIABLES = (
    "fail", "action", "data", "status", "ruleid", "id", "rules_hit", "anomaly_score", "rule_ids", "code", "error",
    "reason", "app", "mode", "time_us", "score_out", "body_truncated", "block_page",
)  # fmt: skip
"""All of them, in the order of docs/variables.md."""

RULES_HIT_RANGES = ((910_000, 959_999), (190_000, 199_999))
"""Ids that `rules_hit` and `rule_ids` count: CRS's detection rules and, as CRS's README reserves them, local ones."""

DEFAULT_STATUS = {"deny": 403, "redirect": 302, "drop": 0}
REDIRECT_STATUSES = (301, 302, 303, 307)

TXN = Scope.TRANSACTION
# What nearly every answer has is made once: it cannot be changed.
CLEAN, FAILED = SetVar(TXN, "fail", 0), SetVar(TXN, "fail", 1)
ALLOW = SetVar(TXN, "action", "allow")
_NO_HITS, _NO_SCORE, _CUT = (
    SetVar(TXN, "rules_hit", 0),
    SetVar(TXN, "anomaly_score", 0),
    SetVar(TXN, "body_truncated", 1),
)
DETECT, SKIPPED = SetVar(TXN, "mode", "detect"), SetVar(TXN, "mode", "skipped")
_MODES = {
    EngineMode.ON: SetVar(TXN, "mode", "block"),
    EngineMode.DETECTION_ONLY: DETECT,
    EngineMode.OFF: SetVar(TXN, "mode", "off"),
}


def verdict(
    exchange: Exchange, interruption: Interruption | None, *, is_response: bool, export_ids: bool
) -> list[Action]:
    """The answer to a message that was evaluated, all but `time_us`.

    Args:
        exchange: the exchange.
        interruption: the verdict; None: nothing is against it.
        is_response: whether it was a response.
        export_ids: whether `rule_ids` is asked for.
    """
    transaction, application = exchange.transaction, exchange.application
    hits = [
        record.rule.id
        for record in transaction.records
        if _counted(record.rule.id) and any(match.message for match in record.matches)
    ]
    actions: list[Action] = [CLEAN]
    if interruption is not None:
        status = status_of(interruption)
        actions = [
            FAILED,
            SetVar(TXN, "action", interruption.action),
            SetVar(TXN, "data", interruption.data),
            SetVar(TXN, "status", status),
            SetVar(TXN, "ruleid", interruption.rule_id),
        ]
        if application.block_page is not None and interruption.action == "deny":
            page = application.block_page.fill(
                {
                    "UNIQUE_ID": exchange.key,
                    "RULE_ID": str(interruption.rule_id),
                    "STATUS": str(status),
                    "REMOTE_ADDR": transaction.connection.client_ip.decode("latin-1"),
                    "APPLICATION": application.name,
                }
            )
            if page:
                actions.append(SetVar(TXN, "block_page", page))
    elif application.says_allow:
        actions.append(ALLOW)
    score = score_of(transaction, b"blocking_inbound_anomaly_score")
    actions += [
        SetVar(TXN, "id", exchange.key),
        SetVar(TXN, "rules_hit", len(hits)) if hits else _NO_HITS,
        SetVar(TXN, "anomaly_score", score) if score else _NO_SCORE,
        application.app,
        _MODES[transaction.engine],
    ]
    if is_response:
        actions.append(SetVar(TXN, "score_out", score_of(transaction, b"blocking_outbound_anomaly_score")))
    if exchange.cut is not None:
        actions.append(_CUT)
    if export_ids:
        actions.append(SetVar(TXN, "rule_ids", ",".join(map(str, hits))))
    return actions


def score_of(transaction: Transaction, name: bytes) -> int:
    """A score of CRS, by its name in TX; 0 when it is not set."""
    value = transaction.tx.get(name, b"")
    return int(value) if value.removeprefix(b"-").isdigit() and len(value) < 20 else 0


def status_of(interruption: Interruption) -> int:
    """The status to answer with: the rule's, or what its action usually has."""
    default = DEFAULT_STATUS.get(interruption.action, 403)
    if interruption.action == "redirect" and interruption.status not in REDIRECT_STATUSES:
        return default
    return interruption.status or default


def modsecurity_code(answer: list[Action]) -> list[Action]:
    """`code`, on which configurations of spoa-modsecurity deny when it is above 0; unset for a clean request."""
    values = {action.name: action.value for action in answer if isinstance(action, SetVar)}
    if not values.get("fail"):
        return []
    return [SetVar(TXN, "code", values["status"] or DEFAULT_STATUS["deny"])]


def _counted(rule_id: int) -> bool:
    return any(low <= rule_id <= high for low, high in RULES_HIT_RANGES)
