"""Actions that are known and refused, each with its reason: a rule that counts on one must not load in silence.

Coraza and libmodsecurity refuse them too, but for ``exec``, which Coraza ignores and libmodsecurity runs (Lua).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import Action, ActionKind, Value, actions
from waf_engine.diagnostics import ArgumentError

if TYPE_CHECKING:
    from waf_engine.actions.registry import Apply
    from waf_engine.compiler.draft import ActionContext, RuleDraft

_CHANGES_BODY = "an agent cannot change a response's body"

REFUSED = {
    "exec": ("no program is started while a request waits", "write a plug-in action in Python, or act on the log"),
    "proxy": ("an agent does not forward requests", "let HAProxy choose a backend by the agent's variables"),
    "pause": ("waiting in the agent would hold up others", "let HAProxy do it: http-request tarpit"),
    "append": (_CHANGES_BODY, ""),
    "prepend": (_CHANGES_BODY, ""),
    "deprecatevar": (
        "it is an action of ModSecurity 2 that its successors dropped",
        "use expirevar:'session.score=300': the counter starts anew after that time",
    ),
}
"""Action: why it is refused, and what to do instead."""


def _refuse(name: str) -> Apply:
    reason, hint = REFUSED[name]

    def refuse(_draft: RuleDraft, _value: str, _context: ActionContext) -> None:
        raise ArgumentError(f"{name} is refused: {reason}", hint=hint, code="refused-action")

    refuse.__doc__ = f"``{name}``: refused, for {reason}."
    return refuse


for _name in REFUSED:
    actions.add(Action(_name, ActionKind.NON_DISRUPTIVE, Value.OPTIONAL, _refuse(_name)), _name)
