"""Actions: what a rule does and says, in family files.

To add one: a decorated function in the family file that fits, with a docstring. Source: engine.md 1.5, 1.6.
"""

from __future__ import annotations

from waf_engine.actions import ctl, data, disruptive, flow, logging, metadata, persistent, refused, sanitise
from waf_engine.actions.registry import Action, ActionKind, actions

FAMILIES = (ctl, data, disruptive, flow, logging, metadata, persistent, refused, sanitise)
"""The family files; a test compares them with the folder."""

__all__ = ["FAMILIES", "Action", "ActionKind", "actions"]
