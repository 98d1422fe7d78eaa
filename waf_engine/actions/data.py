"""Actions on data of the transaction: captures, multiMatch, ``setvar`` (persistent collections too), ``setenv``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions._assign import Assignment, NamingAssignment
from waf_engine.actions.registry import ActionKind, Value, action
from waf_engine.compiler.effects import noted
from waf_engine.counters import step_of
from waf_engine.diagnostics import ArgumentError
from waf_engine.persistence import COLLECTIONS
from waf_engine.runtime.macros import expander

if TYPE_CHECKING:
    from waf_engine.compiler.draft import ActionContext, RuleDraft
    from waf_engine.compiler.plan import CompiledRule, Effect
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Macro

WRITABLE = ("TX", *COLLECTIONS)
"""The collections that setvar may write to."""


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
    """``setvar:tx.score=+5``, ``=-5``, ``=text``, ``tx.x`` (1), ``!tx.x`` (remove); also ``ip.x`` after its initcol."""
    removed = value.startswith("!")
    name, equals, content = value.removeprefix("!").partition("=")
    collection, dot, key = name.partition(".")
    collection = collection.strip().upper()
    if collection not in WRITABLE:
        raise ArgumentError(
            f"setvar writes to {', '.join(WRITABLE)}; got {collection!r}", hint="write setvar:'tx.name=value'"
        )
    if not dot or not key.strip():
        raise ArgumentError("setvar needs the name of a member", hint="write setvar:'tx.name=value'")
    member = context.macro(key.strip(), value.index(".") + 1)
    text = context.macro(content, value.index("=") + 1) if equals else context.macro("1")
    if collection == "TX":
        draft.effects.append(_remove(member) if removed else _set(member, text))
    elif removed:
        draft.effects.append(_remove_persistent(collection, member))
    else:
        draft.effects.append(_set_persistent(collection, member, text))


def _remove(member: Macro) -> Effect:
    def remove(tx: Transaction, _rule: CompiledRule) -> None:
        tx.tx.pop(member.expand(tx).lower(), None)

    return noted(remove, member)


def _set(member: Macro, content: Macro) -> Effect:
    name, text = expander(member), expander(content)
    if member.literal is not None:
        return noted(Assignment(member.literal.lower(), text), member, content)
    return noted(NamingAssignment(name, text), member, content)


def _remove_persistent(collection: str, member: Macro) -> Effect:
    def remove(tx: Transaction, _rule: CompiledRule) -> None:
        if (opened := tx.persistent.get(collection)) is not None:
            tx.store.remove(opened, member.expand(tx).lower())

    return noted(remove, None, member)


def _set_persistent(collection: str, member: Macro, content: Macro) -> Effect:
    def assign(tx: Transaction, _rule: CompiledRule) -> None:
        if (opened := tx.persistent.get(collection)) is None:
            return  # without initcol there is nothing to write to (ModSecurity)
        key = member.expand(tx).lower()
        value = content.expand(tx)
        step = step_of(value)
        if step is None:
            tx.store.set(opened, key, value)
        else:
            tx.store.add(opened, key, step)

    return noted(assign, None, member, content)


@action("setenv", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def setenv(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``setenv:name=value``: set a member of ENV for this transaction."""
    name, equals, content = value.partition("=")
    if not equals or not name:
        raise ArgumentError(f"setenv takes name=value, got {value!r}")
    member, text = context.macro(name), context.macro(content)

    def assign(tx: Transaction, _rule: CompiledRule) -> None:
        tx.env[member.expand(tx)] = text.expand(tx)

    draft.effects.append(noted(assign, None, member, text))
