"""Operators: what ``@`` names in a rule does with a value.

Each is a factory, called once while a rule set is compiled, that gives a `Test`: value and transaction in, captures
out, None for no match. A test never raises on request data. A family file holds the operators of one kind; a new
family is added to the import below (a test compares it with the folder). A factory's docstring is its manual, in a
fixed form whose example is executed as a test: first line, ``Argument:``, ``Matches:``, ``Example:``.

What differs between Coraza and ModSecurity follows CRS's tests, then Coraza (shared reference engine.md, 1.3).
"""

from __future__ import annotations

from waf_engine.operators import (
    checksum,
    detect,
    inspect,
    lookup,
    misc,
    net,
    numeric,
    phrase,
    refused,
    regex,
    schema,
    text,
    validate,
)
from waf_engine.operators._registry import Hint, Kind, hint_of, hinted, operators

FAMILIES = (checksum, detect, inspect, lookup, misc, net, numeric, phrase, refused, regex, schema, text, validate)

__all__ = ["FAMILIES", "Hint", "Kind", "hint_of", "hinted", "operators"]
