"""Whether a match is logged, and whether it appears in the audit log. The later action wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import ActionKind, action

if TYPE_CHECKING:
    from waf_engine.compiler.draft import ActionContext, RuleDraft


@action("log", ActionKind.NON_DISRUPTIVE)
def log(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``log``: write the match to the log and the audit log."""
    draft.log = draft.auditlog = True


@action("nolog", ActionKind.NON_DISRUPTIVE)
def nolog(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``nolog``: write it to neither."""
    draft.log = draft.auditlog = False


@action("auditlog", ActionKind.NON_DISRUPTIVE)
def auditlog(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``auditlog``: write it to the audit log."""
    draft.auditlog = True


@action("noauditlog", ActionKind.NON_DISRUPTIVE)
def noauditlog(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``noauditlog``: keep it out of the audit log."""
    draft.auditlog = False
