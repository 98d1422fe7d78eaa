"""Directives: settings, and changes to rules, in family files.

To add one: a decorated function in the family file that fits, with a docstring. Source: engine.md 1.1.
"""

from __future__ import annotations

from waf_engine.directives import audit, body, engine, heritage, rules, uploads
from waf_engine.directives.registry import DirectiveHandler, directives

FAMILIES = (audit, body, engine, heritage, rules, uploads)
"""The family files; a test compares them with the folder."""

__all__ = ["FAMILIES", "DirectiveHandler", "directives"]
