from __future__ import annotations

import re
from pathlib import Path

from adapters.troubles import MEANINGS, Reason, TroubleError, trouble_actions
from spop_proto import Scope, SetVar

DOCUMENT = Path(__file__).absolute().parent.parent.parent / "docs" / "variables.md"


def test_what_is_answered() -> None:
    assert trouble_actions(Reason.UNKNOWN_APPLICATION) == [
        SetVar(Scope.TRANSACTION, "error", 513),
        SetVar(Scope.TRANSACTION, "reason", "unknown-application"),
    ]


def test_the_numbers_are_none_of_haproxys() -> None:
    assert all(reason >= 512 for reason in Reason)


def test_every_reason_has_a_meaning_and_stands_in_the_document() -> None:
    rows = re.findall(r"^\| (\d+) \| `([a-z-]+)` \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)

    assert rows == [(str(int(reason)), reason.word, MEANINGS[reason]) for reason in Reason]


def test_the_error_keeps_both() -> None:
    error = TroubleError(Reason.MISSING_ID, "no id")

    assert (error.reason, error.detail, str(error)) == (Reason.MISSING_ID, "no id", "no id")
