"""What the agent answers when it has no verdict: `error` and `reason`, and what each means.

Here: the closed list of reasons, their numbers, the actions of such an answer, and what is left out of an answer that
is too large. docs/variables.md shows this table (a test compares the two). Not here: logging, and HAProxy's own codes,
which it writes into the same variable (`option set-on-error`): below 256 for its SPOE filter, 256 + n for SPOP status
n. Ours begin at 512.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

from spop_proto import Scope, SetVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spop_proto import UnsetVar

    Action: TypeAlias = SetVar | UnsetVar


class Reason(IntEnum):
    """Why there is no verdict. The name, in lower case and with hyphens, is the value of `reason`."""

    INTERNAL_ERROR = 512
    UNKNOWN_APPLICATION = 513
    BAD_MESSAGE = 514
    MISSING_ID = 515
    TRANSACTION_NOT_FOUND = 516
    BUDGET_EXCEEDED = 517
    QUEUE_FULL = 518
    OUT_OF_MEMORY = 519

    @property
    def word(self) -> str:
        """The value of `reason`."""
        return self.name.lower().replace("_", "-")


MEANINGS = {
    Reason.INTERNAL_ERROR: "the agent failed; its log has the traceback",
    Reason.UNKNOWN_APPLICATION: "`app` names no application and there is no default_application",
    Reason.BAD_MESSAGE: "the arguments cannot be a request or response: see the agent's log for which",
    Reason.MISSING_ID: "a response came without `id`, so its request cannot be found",
    Reason.TRANSACTION_NOT_FOUND: "the request of this response is not waiting here: see the agent's log for why",
    Reason.BUDGET_EXCEEDED: "the rules took more than `budget_ms`, and `budget_action` is `error`",
    Reason.QUEUE_FULL: "detection only: too much waits to be evaluated; `reason` alone is set, without `error`",
    Reason.OUT_OF_MEMORY: "the agent had no memory left for this message",
}


class TroubleError(Exception):
    """A message that cannot get a verdict, for a reason that its sender can mend.

    Attributes:
        reason: what is answered.
        detail: what is logged.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def reason_of(error: Exception) -> Reason:
    """The reason that stands for an exception which nobody expected."""
    return Reason.OUT_OF_MEMORY if isinstance(error, MemoryError) else Reason.INTERNAL_ERROR


def trouble_actions(reason: Reason) -> list[SetVar]:
    """The actions that tell HAProxy that there is no verdict."""
    return [
        SetVar(Scope.TRANSACTION, "error", int(reason)),
        SetVar(Scope.TRANSACTION, "reason", reason.word),
    ]


LONG = 64
"""Bytes of a text that every frame has room for: HAProxy's frames have 256 bytes at least (SPOE.txt 3.2.4)."""


def shortened(actions: Iterable[Action]) -> tuple[Action, ...]:
    """An answer without its long texts, for the verdict must arrive also where a page or a list does not fit."""
    return tuple(
        action
        for action in actions
        if not (isinstance(action, SetVar) and isinstance(action.value, (str, bytes)) and len(action.value) > LONG)
    )
