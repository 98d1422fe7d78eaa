"""Flow: which rule comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import ActionKind, Value, action
from waf_engine.diagnostics import ArgumentError
from waf_engine.types import whole_number

if TYPE_CHECKING:
    from waf_engine.compiler.draft import ActionContext, RuleDraft

MAX_SKIP = 100_000


@action("chain", ActionKind.FLOW)
def chain(draft: RuleDraft, _value: str, _context: ActionContext) -> None:
    """``chain``: the next rule must match too."""
    draft.chained = True


@action("skip", ActionKind.FLOW, Value.REQUIRED)
def skip(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``skip:2``: leave out the next rules of the phase; markers count."""
    number = whole_number(value)
    if number is None or not 1 <= number <= MAX_SKIP:
        raise ArgumentError(f"skip takes a number of rules from 1 to {MAX_SKIP}, got {value!r}")
    draft.skip = number


@action("skipAfter", ActionKind.FLOW, Value.REQUIRED)
def skip_after(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``skipAfter:END-HOST-CHECK``: go on behind that SecMarker, or end the phase."""
    draft.skip_after = value
