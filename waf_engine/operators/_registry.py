"""The registry of operators, and what a compiled operator tells the planner about itself.

Holds no operator: those are in the family files. A `Test` is a plain function, for nothing is cheaper to call; what
the planner may know of it (that it looks for these words, say) is a `Hint` at the function's side, so that no plan
needs to read an operator's argument a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from waf_engine.registry import Registry

if TYPE_CHECKING:
    from waf_engine.types import OperatorFactory, Test

operators: Registry[OperatorFactory] = Registry("operator")
"""All operators by name; the family files fill it."""


class Kind(StrEnum):
    """What a test looks for; `Hint.patterns` holds what in its own way."""

    REGEX = "regex"
    """One pattern in RE2's syntax, dotall and multiline, over bytes."""
    PHRASES = "phrases"
    """Words in lower case, found anywhere without regard to ASCII case."""
    CONTAINS = "contains"
    """One text, found anywhere."""
    BEGINS = "begins"
    """One text at the beginning."""
    ENDS = "ends"
    """One text at the end."""
    EQUALS = "equals"
    """One text, the whole value."""
    WITHIN = "within"
    """One text that contains the value."""
    NUMBER = "number"
    """The comparison's name (``lt``) and a number: the value, as a number, compares so with it."""
    BYTES = "bytes"
    """Bytes of which at least one is in every value that matches."""
    ALWAYS = "always"
    """Nothing: every value matches."""
    NEVER = "never"
    """Nothing: no value matches."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What a test looks for, as far as its argument alone decides it.

    Attributes:
        kind: see `Kind`.
        patterns: what is looked for.
        exact: True: a value matches if and only if this is found; False: a value that matches has it, but not every
            value that has it matches.
    """

    kind: Kind
    patterns: tuple[bytes, ...] = ()
    exact: bool = True


def hinted(test: Test, kind: Kind, *patterns: bytes, exact: bool = True) -> Test:
    """Put a hint at a test's side, as its attribute ``hint``.

    Args:
        test: a function of its own, not one shared by several operators.
        kind: what it looks for.
        patterns: see `Kind`.
        exact: see `Hint`.

    Returns:
        The test.
    """
    cast("Any", test).hint = Hint(kind, patterns, exact)
    return test


def hint_of(test: Test) -> Hint | None:
    """What a test looks for, or None: nothing is known, or it depends on the transaction."""
    found: Hint | None = getattr(test, "hint", None)
    return found
