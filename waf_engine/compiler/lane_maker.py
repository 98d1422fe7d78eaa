"""Makes the lanes of a rule set: which rules a scan can speak for, and what goes into one scanner.

A rule is *laned* when its variables cannot change while its phase runs, its operator is not negated and depends
on the value alone. For a laned rule the lanes name every value on which it matches (and perhaps some more).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from waf_engine.compiler.alphabet import idle_bytes
from waf_engine.compiler.static import SIDE_EFFECT_FREE, members
from waf_engine.operators import Kind, hint_of
from waf_engine.runtime.lanes import DirectTest, Lane, Source
from waf_engine.runtime.scan_patterns import ScanPattern, is_scannable
from waf_engine.runtime.scanner import Scanner
from waf_engine.transformations import TRIGGERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from waf_engine.compiler.plan import CompiledRule, Plan, Target, Variable
    from waf_engine.runtime.databases import DatabaseCache
    from waf_engine.runtime.lanes import Memory
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry, TransactionView, Transformation

RESPONSE_PHASE: Final = 3

DIRECT: Final = frozenset({"detectSQLi", "detectXSS", "ipMatch", "validateUtf8Encoding", "validateUrlEncoding"})
"""Operators without a pattern that depend on the value alone; they are asked about every value."""

IDLE: Final = {"detectXSS": bytes(byte for byte in range(256) if byte not in b"<=")}
"""Bytes of which a value that matches has at least one other. libinjection finds a tag, a comment or an attribute
with a value; the first two begin with ``<``, the last has a ``=``."""

FEW: Final = 4
"""Patterns of a lane up to which each is searched by itself: a scan is for all patterns of all lanes."""

SAMPLES: Final = (b"", b"a", b"1", b"on", b"hello world", b"alice@example.com", b"2026-11-22", b"/shop/list?id=5&p=x")
"""Values of which a useful pattern matches few; one that matches nearly all would make every value a candidate."""
TOO_COMMON: Final = 5
"""Samples that a pattern may match before it is left out of the scan."""


@dataclass(slots=True)
class _Entry:
    """One laned rule, as a lane sees it."""

    position: int
    rule: CompiledRule
    patterns: tuple[ScanPattern, ...]
    always: bool


@dataclass(slots=True)
class _LaneDraft:
    """A lane before its scanner exists."""

    entries: list[_Entry] = field(default_factory=list)


@dataclass(slots=True)
class _SourceDraft:
    """A variable with the lanes of its members."""

    phase: int
    variable: Variable
    selector: str
    by_key: dict[bytes, _LaneDraft] = field(default_factory=dict)
    other: _LaneDraft = field(default_factory=_LaneDraft)


class LaneMaker:
    """Collects the laned rules of all phases, then makes their lanes.

    Args:
        plan: the rules.
        cache: where databases come from.
        memory: where lanes remember; None for nowhere.
    """

    def __init__(self, plan: Plan, cache: DatabaseCache, memory: Memory | None) -> None:
        self._plan = plan
        self._cache = cache
        self._memory = memory
        self._drafts: list[_SourceDraft] = []
        self._laned: dict[int, set[int]] = {}
        self._sources: dict[int, tuple[Source, ...]] = {}
        names = {r.operator.name for rule in plan.rules for r in members(rule) if r.operator is not None}
        # @restpath adds to ARGS while rules run; a plug-in's operator may do so too.
        self._args_change = not names <= SIDE_EFFECT_FREE

    def laned(self, phase: int) -> frozenset[int]:
        """Positions of the phase's rules that lanes speak for."""
        return frozenset(self._laned.get(phase, ()))

    def sources(self, phase: int) -> tuple[Source, ...]:
        """The variables of the phase whose values lanes want; after `finish`."""
        return self._sources.get(phase, ())

    def add_phase(self, phase: int, rules: Sequence[CompiledRule], reachable: Iterable[int]) -> None:
        """Add the rules of a phase that can be reached."""
        laned = self._laned.setdefault(phase, set())
        drafts: dict[tuple[str, str], _SourceDraft] = {}
        entries = []
        for position in sorted(reachable):
            entry = self._entry(position, rules[position])
            if entry is not None:
                laned.add(position)
                entries.append(entry)
        for entry in entries:
            for target in entry.rule.targets:
                key = (target.variable.name, target.selector)
                draft = drafts.setdefault(key, _SourceDraft(phase, target.variable, target.selector))
                for name in _literal_keys(target):
                    draft.by_key.setdefault(name, _LaneDraft())
        for draft in drafts.values():
            _fill(draft, entries)
        self._drafts += drafts.values()

    def _entry(self, position: int, rule: CompiledRule) -> _Entry | None:
        operator = rule.operator
        if rule.marker or operator is None or operator.negated or not rule.targets:
            return None
        for target in rule.targets:
            if target.count or target.variable.volatile:
                return None
            if self._args_change and target.variable.name.startswith("ARGS"):
                return None
        if operator.name in DIRECT:
            return _Entry(position, rule, (), always=False)
        hint = hint_of(operator.test)
        if hint is None:
            return None
        patterns: tuple[ScanPattern, ...]
        match hint.kind:
            case Kind.REGEX:
                patterns = (ScanPattern(hint.patterns[0]),)
            case Kind.PHRASES:
                patterns = tuple(ScanPattern.literal(word, caseless=True) for word in hint.patterns)
            case Kind.CONTAINS | Kind.BEGINS | Kind.ENDS | Kind.EQUALS:
                patterns = tuple(ScanPattern.literal(text) for text in hint.patterns)
            case _:
                return None
        no_transaction = cast("TransactionView", _NO_TRANSACTION)
        texts = hint.kind is not Kind.REGEX  # texts mean the same to every engine
        always = any(not p.expression or not (texts or is_scannable(p.expression)) for p in patterns)
        if not always and sum(operator.test(sample, no_transaction) is not None for sample in SAMPLES) > TOO_COMMON:
            always = True
        return _Entry(position, rule, () if always else patterns, always)

    def finish(self) -> None:
        """Make scanners and lanes."""
        requests = [d for d in self._drafts if d.phase < RESPONSE_PHASE]
        responses = [d for d in self._drafts if d.phase >= RESPONSE_PHASE]
        number = 0
        found: dict[int, list[Source]] = {}
        for group in (requests, responses):
            slots: dict[ScanPattern, int] = {}
            for draft in group:
                for lane in (*draft.by_key.values(), draft.other):
                    for entry in lane.entries:
                        for pattern in entry.patterns:
                            slots.setdefault(pattern, len(slots))
            scanner = Scanner(list(slots), self._cache) if slots else None
            for draft in group:
                by_key: dict[bytes, Lane | None] = {}
                for key, lane in draft.by_key.items():
                    number += 1
                    by_key[key] = self._lane(number, lane, scanner, slots)
                number += 1
                other = self._lane(number, draft.other, scanner, slots)
                found.setdefault(draft.phase, []).append(_source(draft, by_key, other))
        self._sources = {phase: tuple(sources) for phase, sources in found.items()}

    def _lane(
        self, number: int, draft: _LaneDraft, scanner: Scanner | None, slots: dict[ScanPattern, int]
    ) -> Lane | None:
        if not draft.entries:
            return None
        chains: dict[tuple[tuple[Transformation, ...], bool], int] = {}
        triggers: list[frozenset[int] | None] = []
        rules_of: dict[int, list[int]] = {}
        always: list[int] = []
        direct: list[DirectTest] = []
        refused = scanner.refused if scanner is not None else frozenset()
        few = len({pattern for entry in draft.entries for pattern in entry.patterns}) <= FEW
        for entry in draft.entries:
            operator = entry.rule.operator
            assert operator is not None
            functions = tuple(function for _, function in entry.rule.transformations)
            # A chain whose steps are seen is another one than the same chain whose result is.
            chain = chains.setdefault((functions, entry.rule.multi_match), len(chains))
            if chain == len(triggers):
                triggers.append(_triggers(entry.rule))
            numbers = {slots[pattern] for pattern in entry.patterns}
            if not numbers.isdisjoint(refused) or (few and _exact(entry)):
                numbers = set()
            if not numbers:
                hint = hint_of(operator.test)
                if operator.name in DIRECT:
                    direct.append(DirectTest(entry.position, chain, operator.test, IDLE.get(operator.name, b"")))
                elif hint is not None and _exact(entry):
                    idle = idle_bytes(hint.patterns[0]) if hint.kind is Kind.REGEX else b""
                    direct.append(DirectTest(entry.position, chain, operator.test, idle))
                else:
                    always.append(entry.position)
            for slot in numbers:
                rules_of.setdefault(slot, []).append(entry.position)
        return Lane(
            number,
            [functions for functions, _ in chains],
            triggers,
            [every_step for _, every_step in chains],
            scanner if rules_of else None,
            {slot: tuple(positions) for slot, positions in rules_of.items()},
            tuple(always),
            direct,
            self._memory,
        )


def _exact(entry: _Entry) -> bool:
    """Whether a rule's operator may be asked by a lane itself: it decides by the value alone and changes nothing."""
    operator = entry.rule.operator
    hint = hint_of(operator.test) if operator is not None else None
    return hint is not None and hint.exact and operator is not None and operator.name in SIDE_EFFECT_FREE


class _NoTransaction:
    """What a test with a hint is given where there is no transaction: it never looks."""

    id = ""

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"a test that depends on the value alone asked for {name}")


_NO_TRANSACTION: Final = _NoTransaction()


def _literal_keys(target: Target) -> list[bytes]:
    keys = [target.key] if target.key is not None else []
    return keys + [exclusion.key for exclusion in target.exclusions if exclusion.key is not None]


def _fill(draft: _SourceDraft, entries: Iterable[_Entry]) -> None:
    """Put each rule into the lanes of the members that it may look at."""
    for entry in entries:
        targets = [
            t for t in entry.rule.targets if t.variable.name == draft.variable.name and t.selector == draft.selector
        ]
        for key, lane in draft.by_key.items():
            if any(_looks_at(target, key) for target in targets):
                lane.entries.append(entry)
        if any(_looks_at(target, None) for target in targets):
            draft.other.entries.append(entry)


def _looks_at(target: Target, key: bytes | None) -> bool:
    """Whether a target may select a member: one with this key, or (None) one that no rule names."""
    if target.key is not None and target.key != key:
        return False
    for exclusion in target.exclusions:
        if exclusion.pattern is None and (exclusion.key is None or exclusion.key == key):
            return False
    return True


def _triggers(rule: CompiledRule) -> frozenset[int] | None:
    """The bytes of which one must occur for the rule's transformations to change a value; None: any value may."""
    found: set[int] = set()
    for name, _ in rule.transformations:
        trigger = TRIGGERS.get(name)
        if trigger is None:
            return None
        found |= trigger
    return frozenset(found)


def _source(draft: _SourceDraft, by_key: dict[bytes, Lane | None], other: Lane | None) -> Source:
    read: Callable[[Transaction], Sequence[Entry]] = draft.variable.read
    if draft.selector and draft.variable.select is not None:
        select, selector = draft.variable.select, draft.selector
        read = lambda tx: select(tx, selector)  # noqa: E731  one of two readers
    return Source(draft.variable, read, by_key, other)
