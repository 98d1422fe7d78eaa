"""Variables: what rules can look at, in family files.

To add one: a decorated function in the family file that fits, with a docstring. Source: engine.md 1.2.
"""

from __future__ import annotations

from waf_engine.variables import args, connection, matched, persistent, request, request_body, response, time, tx
from waf_engine.variables.registry import variables

FAMILIES = (args, connection, matched, persistent, request, request_body, response, time, tx)
"""The family files; a test compares them with the folder."""

__all__ = ["FAMILIES", "variables"]
