"""Actions on data: captures, multiMatch, ``setvar`` and ``setenv``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import ActionKind, Value, action
from waf_engine.diagnostics import ArgumentError

if TYPE_CHECKING:
    from waf_engine.compiler.draft import ActionContext, RuleDraft
    from waf_engine.compiler.plan import CompiledRule, Effect
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Macro

WRITABLE = ("TX",)
"""The collections that setvar may write to."""
MAX_DIGITS = 18
"""Digits of a number that setvar reckons with; more is text, as an overflow is in Go's Atoi."""


@action("capture", ActionKind.NON_DISRUPTIVE)
def capture(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``capture``: keep what the operator found in TX:0 to TX:9."""
    draft.capture = True


@action("multiMatch", ActionKind.NON_DISRUPTIVE)
def multi_match(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``multiMatch``: test the value before and after each transformation that changes it."""
    draft.multi_match = True


@action("setvar", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def setvar(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``setvar:tx.score=+5``, ``=-5``, ``=text``, ``tx.x`` (empty), ``!tx.x`` (remove)."""
    removed = value.startswith("!")
    name, equals, content = value.removeprefix("!").partition("=")
    collection, dot, key = name.partition(".")
    if collection.strip().upper() not in WRITABLE:
        raise ArgumentError(
            f"setvar writes to {', '.join(WRITABLE)}; got {collection.strip()!r}", hint="write setvar:'tx.name=value'"
        )
    if not dot or not key.strip():
        raise ArgumentError("setvar needs the name of a member", hint="write setvar:'tx.name=value'")
    member = context.macro(key.strip())
    draft.effects.append(_remove(member) if removed else _set(member, context.macro(content if equals else "")))


def _remove(member: Macro) -> Effect:
    def remove(tx: Transaction, _rule: CompiledRule) -> None:
        tx.tx.pop(member.expand(tx).lower(), None)

    return remove


def _set(member: Macro, content: Macro) -> Effect:
    def assign(tx: Transaction, _rule: CompiledRule) -> None:
        key = member.expand(tx).lower()
        value = content.expand(tx)
        if value[:1] in {b"+", b"-"}:
            reckoned = reckon(tx.tx.get(key, b""), value)
            if reckoned is not None:
                tx.tx[key] = reckoned
        else:
            tx.tx[key] = value

    return assign


def reckon(current: bytes, change: bytes) -> bytes | None:
    """The new value of a counter.

    Args:
        current: the value so far; empty counts as 0.
        change: ``+`` or ``-`` and a number.

    Returns:
        The sum; the text of the change where that is no number; None (leave it) where the current value is
        none. So Coraza reads both.
    """
    step = integer(change[1:]) if len(change) > 1 else 0
    if step is None:
        return change
    base = integer(current) if current else 0
    if base is None:
        return None
    return b"%d" % (base + step if change[:1] == b"+" else base - step)


def integer(text: bytes) -> int | None:
    """A whole decimal number with an optional sign, or None."""
    digits = text[1:] if text[:1] in {b"-", b"+"} else text
    return int(text) if digits.isdigit() and len(digits) <= MAX_DIGITS else None


@action("setenv", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def setenv(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``setenv:name=value``: set a member of ENV for this transaction."""
    name, equals, content = value.partition("=")
    if not equals or not name:
        raise ArgumentError(f"setenv takes name=value, got {value!r}")
    member, text = context.macro(name), context.macro(content)

    def assign(tx: Transaction, _rule: CompiledRule) -> None:
        tx.env[member.expand(tx)] = text.expand(tx)

    draft.effects.append(assign)
