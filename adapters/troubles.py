"""What the agent answers when it has no verdict: `error` and `reason`, and what each means.

Here: the closed list of reasons, their numbers, and the actions of such an answer. docs/variables.md shows this table
(a test compares the two). Not here: logging, and HAProxy's own codes, which it writes into the same variable
(`option set-on-error`): below 256 for its SPOE filter, 256 + n for SPOP status n. Ours begin at 512.
"""

from __future__ import annotations

from enum import IntEnum

from spop_proto import Scope, SetVar


class Reason(IntEnum):
    """Why there is no verdict. The name, in lower case and with hyphens, is the value of `reason`."""

    INTERNAL_ERROR = 512
    UNKNOWN_APPLICATION = 513
    BAD_MESSAGE = 514
    MISSING_ID = 515
    TRANSACTION_NOT_FOUND = 516

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


def trouble_actions(reason: Reason) -> list[SetVar]:
    """The actions that tell HAProxy that there is no verdict."""
    return [
        SetVar(Scope.TRANSACTION, "error", int(reason)),
        SetVar(Scope.TRANSACTION, "reason", reason.word),
    ]
