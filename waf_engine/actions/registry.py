"""The registry of actions and the decorator that fills it.

An action is a function that writes what it means into the draft of its rule. What happens for each match
it leaves there as an effect, a closure called with the transaction and the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from waf_engine.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.compiler.draft import ActionContext, RuleDraft

    Apply = Callable[[RuleDraft, str, ActionContext], None]


class ActionKind(Enum):
    """The five kinds of action, and transformations, which look like one."""

    METADATA = "metadata"
    DISRUPTIVE = "disruptive"
    FLOW = "flow"
    DATA = "data"
    NON_DISRUPTIVE = "non-disruptive"
    TRANSFORMATION = "transformation"


class Value(Enum):
    """Whether an action is written with a value."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Action:
    """An action of the rule language.

    Attributes:
        name: as the manuals write it.
        kind: see `ActionKind`.
        value: whether it takes a value.
        apply: writes it into a draft; the value is empty where there is none. Raises `ArgumentError`.
    """

    name: str
    kind: ActionKind
    value: Value
    apply: Apply


actions: Registry[Action] = Registry("action")


def action(name: str, kind: ActionKind, value: Value = Value.NONE) -> Callable[[Apply], Apply]:
    """Register a function as an action."""

    def register(function: Apply) -> Apply:
        actions.add(Action(name, kind, value, function), name)
        return function

    return register
