"""The registry of transformations, and what each says about the bytes it needs to see.

Holds no transformation: those are in the family files. `none` is not one either, the compiler knows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from waf_engine.types import Transformation

transformations: Registry[Transformation] = Registry("transformation")
"""All transformations by name; the family files fill it."""

# How the families look for one byte: `PERCENT in value` takes 20 ns; `b"%" in value` takes 150, since CPython first
# tries the right-hand side as a number and fails.
PERCENT, AMPERSAND, BACKSLASH, SLASH, STAR, HASH, DASH, COLON, LOWER_X, UPPER_X = b"%&\\/*#-:xX"

_triggers: dict[Transformation, frozenset[int]] = {}
_makes: dict[Transformation, frozenset[int]] = {}


def triggered_by(
    needed: Iterable[int], *, makes: Iterable[int] | None = None
) -> Callable[[Transformation], Transformation]:
    """Declare that a transformation changes no value in which none of some bytes occurs.

    The plan skips a transformation whose bytes are absent, also behind others that do not make them; a test holds
    every declaration to its word.

    Args:
        needed: the bytes, as `bytes` or any other iterable of their values.
        makes: the bytes that its result may hold although the value does not; None: any.
    """

    def declare(transformation: Transformation) -> Transformation:
        _triggers[transformation] = frozenset(needed)
        if makes is not None:
            _makes[transformation] = frozenset(makes)
        return transformation

    return declare


def triggers_of(transformation: Transformation) -> frozenset[int] | None:
    """The bytes declared with `triggered_by`, or None: any value may change."""
    return _triggers.get(transformation)


def makes_of(transformation: Transformation) -> frozenset[int] | None:
    """The bytes declared with `triggered_by` that may come anew, or None: any may."""
    return _makes.get(transformation)
