"""Which rules can be replayed (`runtime/replay.py`): those that note values under names made of them, and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from waf_engine.compiler.effects import note_of
from waf_engine.compiler.static import PURE
from waf_engine.operators.regex import WHOLE
from waf_engine.runtime.macros import CompiledMacro, Reference, compile_macro
from waf_engine.runtime.replay import Replay
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from waf_engine.compiler.plan import CompiledRule, Plan
    from waf_engine.types import Macro

CAPTURED: Final = b"0"
"""The member of TX that the pattern of the whole value captures to."""


def replay_of(plan: Plan, rule: CompiledRule) -> Replay | None:
    """The replay of a rule; None where its evaluation may depend on more, or do more, than a replay can tell."""
    if not _notes_values(rule) or rule.reads_matches:
        return None
    member = rule.chain
    if member is None or member.chain is not None:
        return None
    members = _compared_with(plan, member)
    if members is None:
        return None
    return Replay(rule, rule.targets[0].variable.read, tuple(dict.fromkeys(members)), (CAPTURED,))


def _notes_values(rule: CompiledRule) -> bool:
    """Whether the first member takes all values of one collection, and only sets members of TX made of each."""
    operator = rule.operator
    if operator is None or operator.negated or len(rule.targets) != 1:
        return False
    if operator.name != "rx" or encode_argument(operator.argument) not in WHOLE or not rule.capture or rule.multi_match:
        return False
    target = rule.targets[0]
    if target.count or target.exclusions or target.key or target.pattern or target.selector or target.variable.volatile:
        return False
    notes = [note_of(effect) for effect in rule.effects]
    return bool(notes) and all(
        note is not None and note.writes is not None and note.writes.literal is None
        and all(_names_captured(text) for text in (note.writes, *note.reads))
        for note in notes
    )  # fmt: skip


def _names_captured(text: Macro) -> bool:
    """Whether a text names nothing but what the pattern captured, and is no sum."""
    if not isinstance(text, CompiledMacro):
        return False
    first = text.parts[0] if text.parts else b""
    if not isinstance(first, bytes) or first[:1] in {b"+", b"-", b""}:
        return False  # what begins with a sign adds to what is there
    return all(p.of_tx and p.key == CAPTURED for p in text.parts if isinstance(p, Reference))


def _compared_with(plan: Plan, member: CompiledRule) -> list[bytes] | None:
    """The members of TX with which the second member compares those noted; None where it looks at anything else."""
    operator = member.operator
    if operator is None or operator.name not in PURE or member.capture:
        return None
    for target in member.targets:
        if target.variable.name != "TX" or target.pattern is None or target.count or target.exclusions:
            return None
        if plan.selects_written(target.pattern):
            return None
    if "%{" not in operator.argument:
        return []
    macro = compile_macro(operator.argument, plan.variables)
    references = [part for part in macro.parts if isinstance(part, Reference)]
    if any(not part.of_tx or part.key is None for part in references):
        return None
    return [part.key for part in references if part.key is not None]
