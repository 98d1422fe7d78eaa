"""Rules that depend on TX alone: which they are, and what they come to when nothing else has matched.

Most rules of CRS that always run read only TX: defaults of settings, paranoia gates, comparisons of scores. As
long as no rule that looks at the request has written to TX, their outcome is the same for every request. It
is computed here once, with the reference interpreter on an empty transaction, and kept as blocks that a
transaction applies; the moment a rule writes what they read, the executor evaluates them one by one instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from waf_engine.compiler.effects import note_of
from waf_engine.runtime.macros import CompiledMacro, Reference, compile_macro

if TYPE_CHECKING:
    from collections.abc import Iterable

    from waf_engine.compiler.plan import CompiledRule, Plan
    from waf_engine.types import Macro

PURE: Final = frozenset(
    {"beginsWith", "contains", "containsWord", "endsWith", "eq", "ge", "gt", "le", "lt", "noMatch", "pm", "rx", "streq"}
    | {"strmatch", "unconditionalMatch", "within"}
)
"""Operators that look at nothing but the value, their argument and its macros, and change nothing."""

SIDE_EFFECT_FREE: Final = PURE | {
    *("detectSQLi", "detectXSS", "ipMatch", "ipMatchFromFile", "ipMatchFromDataset", "pmFromFile", "pmFromDataset"),
    *("rxGlobal", "validateByteRange", "validateUrlEncoding", "validateUtf8Encoding", "validateSchema", "validateDTD"),
    *("validateNid", "verifyCC", "verifySSN", "verifyCPF", "verifySVNR"),
}
"""Operators that change nothing in the transaction but TX:0 to TX:9 (with ``capture``)."""

OWN_WORDS: Final = frozenset({"MATCHED_VAR", "MATCHED_VAR_NAME"})
"""What a message may name beside TX: for a rule on TX these are members of TX. For a SecAction they are what some rule
before it matched."""

CAPTURES: Final = tuple(b"%d" % i for i in range(10))


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a rule and its chain read and write of TX.

    Attributes:
        reads: members, in lower case; meaningful only where `only_tx` is true.
        writes: members, in lower case.
        prefixes: beginnings of members whose names are made at run time.
        opaque: whether an effect may change anything.
        only_tx: whether the rule's outcome depends on nothing but the members that it reads.
    """

    reads: frozenset[bytes]
    writes: frozenset[bytes]
    prefixes: tuple[bytes, ...]
    opaque: bool
    only_tx: bool

    def touched(self, keys: frozenset[bytes]) -> frozenset[bytes]:
        """Those of some members that it may write, if it is not opaque."""
        named = {key for key in keys if any(key.startswith(prefix) for prefix in self.prefixes)}
        return (self.writes & keys) | named


class Reach(IntEnum):
    """How far the evaluation of a rule and its chain came."""

    ASKED = 0
    """The rule's operator was asked; it did not match."""
    BEGUN = 1
    """The rule matched, the rest of its chain did not."""
    MATCHED = 2


def footprint(plan: Plan, rule: CompiledRule, reach: Reach = Reach.MATCHED) -> Footprint:
    """The footprint of a rule and its chain.

    Args:
        plan: the rules.
        rule: the rule.
        reach: how far its evaluation came; what is done only beyond that is left out of what is written.
    """
    chain = list(rule.members())
    matching = {Reach.ASKED: 0, Reach.BEGUN: len(chain) - 1, Reach.MATCHED: len(chain)}[reach]
    asked = 1 if reach is Reach.ASKED else len(chain)
    reads: set[bytes] = set()
    writes: set[bytes] = set()
    prefixes: list[bytes] = []
    opaque, only_tx = False, rule.disruption is None or rule.disruption.action == "pass"
    for number, member in enumerate(chain[:asked]):
        matches = number < matching
        if member.capture and member.operator is not None and (matches or member.operator.negated):
            writes.update(CAPTURES)
            reads.update(CAPTURES)  # what others captured meanwhile must be replaced
        if member.operator is not None and member.operator.name not in SIDE_EFFECT_FREE:
            opaque = True
        for effect in member.effects if matches else ():
            note = note_of(effect)
            if note is None:
                opaque, only_tx = True, False
                continue
            if note.writes is None:  # it changes something else than TX: not to be done in advance
                only_tx = False
                continue
            _add_write(note.writes, writes, prefixes, reads)
            only_tx = only_tx and note.writes.literal is not None  # what it replaces or adds to is not known
            for text in (note.writes, *note.reads):
                only_tx = _within_tx(text, reads) and only_tx
        only_tx = _reads_only_tx(plan, member, reads) and only_tx
    return Footprint(frozenset(reads), frozenset(writes), tuple(prefixes), opaque, only_tx)


def is_pure(plan: Plan) -> bool:
    """Whether all operators of a rule set are known to change nothing and to ask nobody."""
    operators = (member.operator for rule in plan.rules for member in rule.members())
    return all(operator.name in SIDE_EFFECT_FREE for operator in operators if operator is not None)


def is_silent(rule: CompiledRule) -> bool:
    """Whether a member of a chain leaves nothing behind, but MATCHED_VAR, when the rest of the chain does not match."""
    operator = rule.operator
    return operator is not None and operator.name in SIDE_EFFECT_FREE and not rule.effects and not rule.capture


def _add_write(macro: Macro, writes: set[bytes], prefixes: list[bytes], reads: set[bytes]) -> None:
    if macro.literal is not None:
        key = macro.literal.lower()
        writes.add(key)
        reads.add(key)  # a counter reads what it adds to
        return
    first = macro.parts[0] if isinstance(macro, CompiledMacro) else b""
    prefixes.append(first.lower() if isinstance(first, bytes) else b"")


def _within_tx(macro: Macro | None, reads: set[bytes], words: frozenset[str] = frozenset()) -> bool:
    """Whether a text names only members of TX (and some words); its members are added to what is read."""
    if macro is None or macro.literal is not None:
        return True
    if not isinstance(macro, CompiledMacro):
        return False
    for part in macro.parts:
        if not isinstance(part, Reference) or part.variable.name in words:
            continue
        if part.variable.name != "TX" or part.key is None:
            return False
        reads.add(part.key)
    return True


def _reads_only_tx(plan: Plan, rule: CompiledRule, reads: set[bytes]) -> bool:
    words = OWN_WORDS if rule.operator is not None else frozenset()
    if not _within_tx(rule.msg, reads, words) or not _within_tx(rule.logdata, reads, words):
        return False
    if rule.operator is None:
        return True
    if rule.operator.name not in PURE:
        return False
    for target in rule.targets:
        if target.variable.name != "TX" or target.key is None or target.exclusions:
            return False
        reads.add(target.key)
    return _within_tx(compile_macro(rule.operator.argument, plan.variables), reads) if _has_macro(rule) else True


def _has_macro(rule: CompiledRule) -> bool:
    return rule.operator is not None and "%{" in rule.operator.argument and rule.operator.name != "rx"


def all_keys(footprints: Iterable[Footprint]) -> frozenset[bytes]:
    """All members that rules on TX alone read."""
    return frozenset().union(*(f.reads for f in footprints if f.only_tx))
