"""What non-disruptive actions read and write, for the planner: a description beside each effect.

An effect is a plain closure. An action that makes one may describe it here; an effect without a description
is taken to change anything. Only TX matters: the planner computes in advance what depends on TX alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from waf_engine.compiler.plan import Effect
    from waf_engine.types import Macro


@dataclass(frozen=True, slots=True)
class EffectNote:
    """What an effect does to TX.

    Attributes:
        writes: the name of the member of TX that it writes or removes; None for none.
        reads: texts that it expands, or might as well.
    """

    writes: Macro | None = None
    reads: tuple[Macro, ...] = ()


def noted(effect: Effect, writes: Macro | None = None, *reads: Macro) -> Effect:
    """Put a description at an effect's side, as its attribute ``note``.

    Args:
        effect: a function of its own, not one shared by several rules.
        writes: see `EffectNote`.
        reads: see `EffectNote`.

    Returns:
        The effect.
    """
    cast("Any", effect).note = EffectNote(writes, reads)
    return effect


def note_of(effect: Effect) -> EffectNote | None:
    """What an effect does to TX, or None: nothing is known."""
    found: EffectNote | None = getattr(effect, "note", None)
    return found
