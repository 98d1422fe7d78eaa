"""An example of a plug-in: an operator, a transformation, a variable and an action.

Everything that a plug-in needs of spoa-waf is in `waf_engine.plugins`. Values are bytes, and come from strangers: what
runs for a request never raises, and takes time in proportion to the value's length.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections import Counter
from typing import TYPE_CHECKING

from waf_engine.plugins import MATCHED, Action, ActionKind, ArgumentError, Value, Variable

if TYPE_CHECKING:
    from waf_engine.plugins import (
        ActionContext,
        Captures,
        CompileContext,
        CompiledRule,
        Entry,
        RuleDraft,
        Test,
        Transaction,
        TransactionView,
    )

MAX_TOKEN = 8192
"""Bytes of a token that is looked into; longer ones are no tokens that a server would take."""


def entropy_above(argument: str, _context: CompileContext) -> Test:
    """``@entropyAbove 4.5``: the value has more bits of entropy per byte, as keys and passwords have.

    Called once for each rule, when rules are loaded; what it gives is called for each value.
    """
    try:
        limit = float(argument)
    except ValueError:
        raise ArgumentError(f"a number of bits, got {argument!r}", hint="such as @entropyAbove 4.5") from None
    if not 0 <= limit <= 8:
        raise ArgumentError(f"a number from 0 to 8, got {argument}")

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        counts = Counter(value).values()
        entropy = -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
        return MATCHED if entropy > limit else None

    return test


def reverse_text(value: bytes) -> bytes:
    """``t:reverseText``: the bytes in reverse order."""
    return value[::-1]


def _claims(tx: Transaction) -> list[Entry]:
    """The members of the first two parts of a JSON Web Token; nobody has checked its signature yet."""
    for name, value in tx.request.headers:
        if name.lower() == b"authorization" and value[:7].lower() == b"bearer " and len(value) <= MAX_TOKEN:
            parts = value[7:].strip().split(b".")
            return [member for part in parts[:2] for member in _members(part)]
    return []


def _members(part: bytes) -> list[Entry]:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return []
    if not isinstance(found, dict):
        return []
    return [(key.encode("utf-8", "replace"), str(value).encode("utf-8", "replace")) for key, value in found.items()]


BEARER_CLAIMS = Variable("BEARER_CLAIMS", _claims, is_collection=True)


def _apply_note(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``note:'text'``: add a text, macros expanded, to TX:notes, for the message of a later rule."""
    text = context.macro(value)

    def note(tx: Transaction, _rule: CompiledRule) -> None:
        before = tx.variable("TX", b"notes") or b""
        tx.set_tx(b"notes", before + b", " * bool(before) + text.expand(tx))

    draft.effects.append(note)


NOTE = Action("note", ActionKind.NON_DISRUPTIVE, Value.REQUIRED, _apply_note)
