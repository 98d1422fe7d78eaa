"""Disruptive actions: at most one a rule; the last one written counts. ``status`` belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import ActionKind, Value, action
from waf_engine.compiler.plan import Allow
from waf_engine.diagnostics import ArgumentError
from waf_engine.types import whole_number

if TYPE_CHECKING:
    from waf_engine.compiler.draft import ActionContext, RuleDraft

ALLOW_REACH = {"": Allow.ALL, "phase": Allow.PHASE, "request": Allow.REQUEST}
DEFAULT_STATUS = {"deny": 403, "redirect": 302, "drop": 0}
REDIRECT_STATUS = frozenset({301, 302, 303, 307})
"""Other statuses of a redirect become 302 (Coraza)."""


@action("deny", ActionKind.DISRUPTIVE)
def deny(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``deny``: answer with ``status`` (403)."""
    draft.disruptive = "deny"


@action("drop", ActionKind.DISRUPTIVE)
def drop(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``drop``: close the connection."""
    draft.disruptive = "drop"


@action("pass", ActionKind.DISRUPTIVE)
def pass_(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``pass``: go on."""
    draft.disruptive = "pass"


@action("block", ActionKind.DISRUPTIVE)
def block(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``block``: what SecDefaultAction says for the phase."""
    draft.disruptive = "block"


@action("allow", ActionKind.DISRUPTIVE, Value.OPTIONAL)
def allow(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``allow``, ``allow:phase``, ``allow:request``: run no more rules; of the phase; of the request."""
    reach = ALLOW_REACH.get(value.lower())
    if reach is None:
        raise ArgumentError(f"allow takes nothing, phase or request; got {value!r}")
    draft.disruptive, draft.allow = "allow", reach


@action("redirect", ActionKind.DISRUPTIVE, Value.REQUIRED)
def redirect(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``redirect:'https://example.com/blocked'``: send the client elsewhere; macros are expanded."""
    draft.disruptive, draft.redirect = "redirect", context.macro(value)


@action("status", ActionKind.DATA, Value.REQUIRED)
def status(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``status:403``: the HTTP status of deny and redirect."""
    number = whole_number(value)
    if number is None or not 100 <= number <= 599:
        raise ArgumentError(f"a status is a number from 100 to 599, got {value!r}")
    draft.status = number
