"""Actions on persistent collections: which one is open, and when a member of it expires.

Writing to one is ``setvar`` (`data`). Keys are macros, expanded when the rule matches. Source: engine.md 1.5 and
1.11, ModSecurity's reference manual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import ActionKind, Value, action
from waf_engine.compiler.effects import noted
from waf_engine.counters import integer
from waf_engine.diagnostics import ArgumentError
from waf_engine.persistence import COLLECTIONS

if TYPE_CHECKING:
    from waf_engine.compiler.draft import ActionContext, RuleDraft
    from waf_engine.compiler.plan import CompiledRule, Effect
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Macro


@action("initcol", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def initcol(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``initcol:ip=%{REMOTE_ADDR}``: open a persistent collection under a key, for the rest of the transaction."""
    name, equals, key = value.partition("=")
    collection = name.strip().upper()
    if collection not in COLLECTIONS:
        raise ArgumentError(
            f"initcol opens {', '.join(COLLECTIONS)}; got {name.strip()!r}", hint="write initcol:ip=%{REMOTE_ADDR}"
        )
    if not equals or not key.strip():
        raise ArgumentError("initcol needs a key", hint="write initcol:ip=%{REMOTE_ADDR}")
    draft.effects.append(_open(collection, context.macro(key.strip(), len(name) + 1)))


@action("setsid", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def setsid(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``setsid:%{REQUEST_COOKIES.PHPSESSID}``: open SESSION under this key and set SESSIONID."""
    draft.effects.append(_open("SESSION", context.macro(value)))


@action("setuid", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def setuid(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``setuid:%{ARGS.username}``: open USER under this key and set USERID."""
    draft.effects.append(_open("USER", context.macro(value)))


@action("setrsc", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def setrsc(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``setrsc:%{REQUEST_FILENAME}``: open RESOURCE under this key."""
    draft.effects.append(_open("RESOURCE", context.macro(value)))


def _open(collection: str, key: Macro) -> Effect:
    def opens(tx: Transaction, _rule: CompiledRule) -> None:
        tx.open_collection(collection, key.expand(tx))

    return noted(opens, None, key)


@action("expirevar", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def expirevar(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``expirevar:ip.blocked=600``: remove a member of a persistent collection after so many seconds."""
    name, equals, content = value.partition("=")
    collection, dot, key = name.partition(".")
    collection = collection.strip().upper()
    if collection == "TX":
        context.warn("expirevar has no effect on TX, which ends with its transaction")
        return
    if collection not in COLLECTIONS:
        raise ArgumentError(f"expirevar acts on {', '.join(COLLECTIONS)}; got {collection!r}")
    if not dot or not key.strip() or not equals:
        raise ArgumentError("expirevar needs a member and seconds", hint="write expirevar:'ip.name=60'")
    seconds = context.macro(content.strip(), len(name) + 1)
    if seconds.literal is not None and (integer(seconds.literal) or 0) < 1:
        raise ArgumentError(f"expected a number of seconds from 1, got {content.strip()!r}", offset=len(name) + 1)
    draft.effects.append(_expire(collection, context.macro(key.strip(), len(collection) + 1), seconds))


def _expire(collection: str, member: Macro, seconds: Macro) -> Effect:
    def expire(tx: Transaction, _rule: CompiledRule) -> None:
        period = integer(seconds.expand(tx))
        if (opened := tx.persistent.get(collection)) is not None and period is not None and period > 0:
            tx.store.expire(opened, member.expand(tx).lower(), period)

    return noted(expire, None, member, seconds)
