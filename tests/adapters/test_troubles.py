from __future__ import annotations

import re
from pathlib import Path

from adapters.troubles import LONG, MEANINGS, Reason, TroubleError, reason_of, shortened, trouble_actions
from spop_proto import Scope, SetVar, UnsetVar

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


def test_what_nobody_expected() -> None:
    assert reason_of(MemoryError()) is Reason.OUT_OF_MEMORY
    assert reason_of(RecursionError()) is Reason.INTERNAL_ERROR
    assert reason_of(ValueError()) is Reason.INTERNAL_ERROR


def test_long_texts_are_left_out() -> None:
    kept = [SetVar(Scope.TRANSACTION, "a", 1), SetVar(Scope.TRANSACTION, "b", "x" * LONG)]
    long = [SetVar(Scope.TRANSACTION, "c", "x" * (LONG + 1)), SetVar(Scope.TRANSACTION, "d", b"x" * (LONG + 1))]

    assert shortened([*kept, *long, UnsetVar(Scope.TRANSACTION, "e")]) == (*kept, UnsetVar(Scope.TRANSACTION, "e"))
