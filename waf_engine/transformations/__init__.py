"""Transformations: what ``t:`` names in a rule does to a value before the operator sees it.

Each is a pure function, `bytes -> bytes`, that never raises, takes time linear in the value's length, and returns
the very object it was given when it changes nothing. A family file holds those of one kind; a new family is added
to the import below (a test compares it with the folder).

Where Coraza and ModSecurity differ, Coraza is followed, but for its losses: bytes that are not UTF-8 stay as they
are, caseless means ASCII (shared reference engine.md, sections 0.6 and 1.4). Names of functions follow SecLang's.
"""

from __future__ import annotations

from waf_engine.transformations import comments, encoding, escapes, hashing, path, text, whitespace
from waf_engine.transformations._registry import makes_of, transformations, triggered_by, triggers_of

FAMILIES = (comments, encoding, escapes, hashing, path, text, whitespace)

TRIGGERS: dict[str, frozenset[int] | None] = {
    name: triggers_of(thing) for name in transformations.names() if (thing := transformations.get(name)) is not None
}
"""For each name: the bytes of which at least one is in every value that changes; None when any value may change."""

MAKES: dict[str, frozenset[int] | None] = {
    name: makes_of(thing) for name in transformations.names() if (thing := transformations.get(name)) is not None
}
"""For each name: the bytes that its result may hold although the value does not; None when any may come."""

__all__ = ["FAMILIES", "MAKES", "TRIGGERS", "transformations", "triggered_by"]
