"""Makes the lanes of a rule set: which rules a scan can speak for, and what goes into one scanner.

A rule is *laned* by a member of its chain (mostly itself) whose variables cannot change while its phase runs and whose
operator depends on the value alone; those before it in the chain must do nothing but ask. For a laned rule the
lanes name every value on which that member matches (and perhaps some more).

Variables that are complete in phase 1 (or 3) are asked about once, for the rules of that phase and of the next.
Positions of the next phase are given with `LATER` added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, cast

from waf_engine.compiler.alphabet import idle_bytes, least_width
from waf_engine.compiler.static import PURE, is_pure, is_silent
from waf_engine.operators import Kind, hint_of
from waf_engine.runtime.lanes import LATER, Chain, DirectTest, HeaderSource, Lane, ScalarSource, Source
from waf_engine.runtime.planned import FOLLOWED_BY
from waf_engine.runtime.scan_patterns import ScanPattern, is_scannable
from waf_engine.runtime.scanner import PLAIN, Scanner, alphabets_for, lighter, restricted
from waf_engine.transformations import MAKES, TRIGGERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from waf_engine.compiler.plan import CompiledRule, Operator, Plan, Target, Variable
    from waf_engine.runtime.database import Database
    from waf_engine.runtime.databases import DatabaseCache
    from waf_engine.runtime.lanes import Memory
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry, Macro, TransactionView, Transformation

    AnySource = Source | ScalarSource | HeaderSource


FOLLOWING: Final = {later: early for early, later in FOLLOWED_BY.items()}
"""Phases whose variables may be complete in the phase before."""
RESPONSE_PHASE: Final = 3

ALONE: Final = PURE | {
    *("detectSQLi", "detectXSS", "ipMatch", "ipMatchFromFile", "ipMatchFromDataset", "pmFromFile", "pmFromDataset"),
    *("validateByteRange", "validateUrlEncoding", "validateUtf8Encoding"),
}
"""Operators that depend on the value alone, where their argument holds no macro."""

NEEDS: Final = {"detectXSS": frozenset(b"<=")}
"""Bytes of which a value that matches has at least one, beside what an operator's hint says. libinjection finds a tag,
a comment or an attribute with a value; the first two begin with ``<``, the last has a ``=``."""

ORDINARY: Final = frozenset(PLAIN)
"""Bytes that are in nearly every value: a test that needs one of these is asked about nearly every value."""

FEW: Final = 4
"""Patterns of a lane up to which each is searched by itself, where it needs bytes that are rare."""

LARGE: Final = 300
"""Patterns of a lane above which its values are scanned for all that large lanes look for, and not for what others do:
of the request line of an attack that took 4.6 us and takes 2.9 us."""

ONE_OF_FEW: Final = frozenset({"REQUEST_METHOD", "REQUEST_PROTOCOL", "REMOTE_ADDR", "SERVER_ADDR", "REMOTE_PORT"})
"""Variables with few values: a rule that asks for one of these is better laned by another member of its chain."""

SAMPLES: Final = (b"", b"a", b"1", b"on", b"hello world", b"alice@example.com", b"2026-11-22", b"/shop/list?id=5&p=x")
"""Values of which a useful pattern matches few; one that matches nearly all would make every value a candidate."""
TOO_COMMON: Final = 5
"""Samples that a pattern may match before it is left out of the scan."""


class Remake(Enum):
    """What a chain of transformations makes of ordinary values; what it makes is scanned for rules of its kind."""

    NOTHING = 1
    """It changes only values with marks: it decodes."""
    OTHER = 2
    """The same with less or other characters: white space, case, paths."""
    ANYTHING = 3
    """Something that has nothing to do with the value: base64Decode, hashes."""


READS_MATCHED: Final = frozenset({"MATCHED_VAR", "MATCHED_VAR_NAME"})


_Kind = tuple[bool, Remake]
"""What a scanner is for: large lanes or others, and what made the value."""


@dataclass(slots=True)
class _Entry:
    """One laned rule, as a lane sees it.

    Attributes:
        position: its number as a candidate.
        rule: the member of its chain that the lane asks for.
        patterns: what a scan looks for; empty where it is asked directly, or always.
        always: whether every value is a candidate.
    """

    position: int
    rule: CompiledRule
    patterns: tuple[ScanPattern, ...]
    always: bool

    @property
    def operator(self) -> Operator:
        """The operator of that member, which always has one."""
        assert self.rule.operator is not None
        return self.rule.operator


@dataclass(slots=True)
class _LaneDraft:
    """A lane before its scanner exists."""

    entries: list[_Entry] = field(default_factory=list)

    def patterns(self) -> set[ScanPattern]:
        """What scans look for."""
        return {pattern for entry in self.entries for pattern in entry.patterns}


@dataclass(slots=True)
class _SourceDraft:
    """A variable with the lanes of its members; `phase` is the one in which it is asked about."""

    phase: int
    variable: Variable
    selector: str
    by_key: dict[bytes, _LaneDraft] = field(default_factory=dict)
    other: _LaneDraft = field(default_factory=_LaneDraft)

    def lanes(self) -> Iterable[_LaneDraft]:
        """All lanes."""
        return (*self.by_key.values(), self.other)


@dataclass(frozen=True, slots=True)
class _Scanners:
    """The scanners of the request or the response, by what made a value; for values themselves, of all patterns."""

    slots: Mapping[ScanPattern, int]
    by_kind: Mapping[_Kind, Scanner]
    refused_by: tuple[tuple[frozenset[int], frozenset[int]], ...]
    """For each database that lacks patterns: which, and the bytes of which one is in each value that comes to it."""


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
        self._drafts: dict[tuple[int, str, str], _SourceDraft] = {}
        self._laned: dict[int, dict[int, int]] = {}
        self._entries: list[tuple[int, list[_Entry]]] = []
        self._sources: dict[int, tuple[AnySource, ...]] = {}
        self._number = 0
        # @restpath adds to ARGS while rules run; a plug-in's operator may do so too.
        self._args_change = not is_pure(plan)
        self._by_chain = not reads_stale_match(plan.rules)

    def laned(self, phase: int) -> Mapping[int, int]:
        """Positions of the phase's rules that lanes speak for, each with the member of its chain that they know."""
        return self._laned.get(phase, {})

    def sources(self, phase: int) -> tuple[AnySource, ...]:
        """The variables that are asked about in a phase, for its rules and the next phase's; after `finish`."""
        return self._sources.get(phase, ())

    def add_phase(self, phase: int, rules: Sequence[CompiledRule], reachable: Iterable[int]) -> None:
        """Add the rules of a phase that can be reached."""
        laned = self._laned.setdefault(phase, {})
        entries: list[_Entry] = []
        for position in sorted(reachable):
            entry = self._entry(position, rules[position])
            if entry is None:
                continue
            laned[position] = list(rules[position].members()).index(entry.rule)
            entries.append(entry)
            for target in entry.rule.targets:
                draft = self._draft(phase, target)
                for name in _literal_keys(target):
                    draft.by_key.setdefault(name, _LaneDraft())
        self._entries.append((phase, entries))

    def _draft(self, phase: int, target: Target) -> _SourceDraft:
        early = FOLLOWING.get(phase, phase)
        asked = early if target.variable.phase <= early else phase
        key = (asked, target.variable.name, target.selector)
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._drafts[key] = _SourceDraft(asked, target.variable, target.selector)
        return draft

    def _entry(self, position: int, rule: CompiledRule) -> _Entry | None:
        """The rule as the best member of its chain that can be laned has it."""
        if rule.marker:
            return None
        best: _Entry | None = None
        for member in rule.members():
            entry = self._member(position, member)
            if entry is not None and not entry.always and not _asks_one_of_few(member):
                return entry
            best = best or entry
            if not self._by_chain or not is_silent(member):
                break
        if best is not None and rule.chain is not None and _asks_one_of_few(best.rule):
            return None  # it would be a candidate of many requests: the precheck of its whole chain costs less
        return best

    def _member(self, position: int, rule: CompiledRule) -> _Entry | None:
        operator = rule.operator
        if operator is None or not rule.targets or (operator.negated and rule.capture):
            return None  # a negated operator captures when the rule does not match
        for target in rule.targets:
            if target.count or target.variable.volatile:
                return None
            if self._args_change and target.variable.name.startswith("ARGS"):
                return None
        if _decides_alone(operator):
            patterns = () if operator.negated else _patterns(operator)
            return _Entry(position, rule, patterns or (), always=False)
        if operator.negated:
            return None
        # What a scan finds may be no match, but without it there is none.
        patterns = _patterns(operator)
        return None if patterns is None else _Entry(position, rule, patterns, always=not patterns)

    def finish(self) -> None:
        """Make scanners and lanes."""
        for draft in self._drafts.values():
            # Only now: a rule of a later phase may name a member that rules of an earlier one look at, too.
            for phase, entries in self._entries:
                if phase == draft.phase or FOLLOWING.get(phase) == draft.phase:
                    _fill(draft, entries, 0 if phase == draft.phase else LATER)
        requests = [d for d in self._drafts.values() if d.phase < RESPONSE_PHASE]
        responses = [d for d in self._drafts.values() if d.phase >= RESPONSE_PHASE]
        for group in (requests, responses):
            scanners = self._scanners(group)
            sources: dict[int, dict[str, Source | ScalarSource]] = {}
            for draft in group:
                by_key = {key: self._lane(lane, scanners) for key, lane in draft.by_key.items()}
                source = _source(draft, by_key, self._lane(draft.other, scanners))
                sources.setdefault(draft.phase, {})[f"{draft.variable.name} {draft.selector}"] = source
            for phase, named in sources.items():
                headers, names = named.pop("REQUEST_HEADERS ", None), named.pop("REQUEST_HEADERS_NAMES ", None)
                found: list[AnySource] = list(named.values())
                if isinstance(headers, Source) and (names is None or isinstance(names, Source)):
                    found.append(HeaderSource(self._next(), headers, names, self._memory))
                else:
                    found += [source for source in (headers, names) if source is not None]
                self._sources[phase] = tuple(found)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _scanners(self, drafts: Sequence[_SourceDraft]) -> _Scanners:
        """The scanners of values themselves, and of those which transformations have made."""
        slots: dict[ScanPattern, int] = {}
        groups: dict[_Kind, dict[int, None]] = {}
        for draft in drafts:
            for lane in draft.lanes():
                size = len(lane.patterns()) > LARGE
                values = groups.setdefault((size, Remake.NOTHING), {})
                for entry in lane.entries:
                    made = groups.setdefault((size, remake(entry.rule)), {})
                    for pattern in entry.patterns:
                        slot = slots.setdefault(pattern, len(slots))
                        made[slot] = values[slot] = None
        numbered = {slot: pattern for pattern, slot in slots.items()}
        wanted: list[list[tuple[int, ScanPattern]]] = []
        alphabets: list[tuple[bytes, ...]] = []
        for group in groups.values():
            patterns = [(slot, numbered[slot]) for slot in group]
            alphabets.append(alphabets_for(patterns))
            wanted += [lighter(patterns), *(restricted(patterns, alphabet) for alphabet in alphabets[-1])]
        databases = iter(self._cache.databases(wanted))
        scanners: dict[_Kind, Scanner] = {}
        refused: list[tuple[frozenset[int], frozenset[int]]] = []
        for name, group_alphabets in zip(groups, alphabets, strict=True):
            everything: Database = next(databases)
            smaller = [(alphabet, next(databases)) for alphabet in group_alphabets]
            if groups[name]:
                scanners[name] = Scanner(everything, smaller)
            # A value comes to a database because the alphabet of the one before it lacks one of its bytes.
            before: bytes = b""
            for database, own in [*((database, alphabet) for alphabet, database in smaller), (everything, b"")]:
                if database.refused:
                    whole = frozenset(range(256))
                    refused.append(
                        (database.refused, whole - frozenset(before) if name[1] is Remake.NOTHING else whole)
                    )
                before = own
        return _Scanners(slots, scanners, tuple(refused))

    def _lane(self, draft: _LaneDraft, scanners: _Scanners) -> Lane | None:
        if not draft.entries:
            return None
        chains: dict[tuple[tuple[Transformation, ...], bool], int] = {}
        made: list[Chain] = []
        rules_of: dict[int, list[int]] = {}
        always: list[int] = []
        direct: list[DirectTest] = []
        number = len(draft.patterns())
        few, size = number <= FEW, number > LARGE
        for entry in draft.entries:
            operator, rule = entry.operator, entry.rule
            functions = tuple(function for _, function in rule.transformations)
            # A chain whose steps are seen is another one than the same chain whose result is.
            chain = chains.setdefault((functions, rule.multi_match), len(chains))
            if chain == len(made):
                triggers = tuple(TRIGGERS.get(name) for name, _ in rule.transformations)
                made.append(
                    Chain(
                        functions,
                        triggers,
                        rule.multi_match,
                        scanners.by_kind.get((size, remake(rule))),
                        _least_value(draft.entries, rule),
                        tuple(MAKES.get(name) for name, _ in rule.transformations),
                        _least_result(draft.entries, rule),
                    )
                )
            numbers = {scanners.slots[pattern] for pattern in entry.patterns}
            alone = _decides_alone(operator)
            needs = _needs(operator)
            if numbers and few and alone and needs is not None and needs.isdisjoint(ORDINARY):
                numbers = set()
            for slot in numbers:
                rules_of.setdefault(slot, []).append(entry.position)
            if not numbers:
                if alone:
                    direct.append(DirectTest(entry.position, chain, operator.test, needs, operator.negated))
                else:
                    always.append(entry.position)
                continue
            # Where a database lacks one of the patterns, the operator is asked about the values that come to it.
            lacking = [rest for refused, rest in scanners.refused_by if not refused.isdisjoint(numbers)]
            if lacking and alone:
                seen = frozenset().union(*lacking)
                direct.append(DirectTest(entry.position, chain, operator.test, seen if len(seen) < 256 else None))
            elif lacking:
                always.append(entry.position)
        return Lane(
            self._next(),
            made,
            scanners.by_kind[size, Remake.NOTHING] if rules_of else None,
            {slot: tuple(positions) for slot, positions in rules_of.items()},
            tuple(always),
            direct,
            self._memory,
        )


def reads_stale_match(rules: Iterable[CompiledRule]) -> bool:
    """Whether a rule may read MATCHED_VAR before it matched anything itself: then it matters what matched before."""
    for rule in rules:
        for member in rule.members():
            if member.marker or member.operator is None:
                if member.names_match or any(_names_match(text) for text in (member.msg, member.logdata)):
                    return True
                continue  # a SecAction in front of a chain matches on nothing: the next member reads what it finds
            if "MATCHED_VAR" in member.operator.argument.upper() or any(
                target.variable.name in READS_MATCHED for target in member.targets
            ):
                return True
            break
    return False


def _names_match(text: Macro | None) -> bool:
    return text is not None and "MATCHED_VAR" in str(text).upper()


def remake(rule: CompiledRule) -> Remake:
    """What a rule's transformations make of ordinary values."""
    triggers = [TRIGGERS.get(name) for name, _ in rule.transformations]
    if any(trigger is None for trigger in triggers):
        return Remake.ANYTHING
    return Remake.OTHER if any(not trigger.isdisjoint(ORDINARY) for trigger in triggers if trigger) else Remake.NOTHING


SHRINKING: Final = frozenset(
    {"none", "urlDecode", "urlDecodeUni", "jsDecode", "removeWhitespace", "removeNulls", "replaceComments", "lowercase"}
)
"""Transformations that make no value longer."""


def _least_value(entries: Sequence[_Entry], rule: CompiledRule) -> int:
    """Bytes of a value below which base64Decode makes too little of it for the rules that have a rule's chain.

    Three bytes are made of four. 0 where the chain is another, or where a rule does not leave it to a scan.
    """
    names = [name for name, _ in rule.transformations]
    if names.count("base64Decode") != 1 or not SHRINKING.issuperset(set(names) - {"base64Decode"}):
        return 0
    if any(not entry.patterns for entry in entries if entry.rule.functions == rule.functions):
        return 0
    return (_least_result(entries, rule) * 4 + 2) // 3


def _least_result(entries: Sequence[_Entry], rule: CompiledRule) -> int:
    """Bytes that what a rule's chain makes must have for a pattern of the rules with that chain to be in it."""
    same = [entry for entry in entries if entry.rule.functions == rule.functions]
    return min((_width(pattern) for entry in same for pattern in entry.patterns), default=0)


def _width(pattern: ScanPattern) -> int:
    """Bytes that a pattern matches at least."""
    return len(pattern.text) if pattern.text is not None else least_width(pattern.expression)


def _asks_one_of_few(rule: CompiledRule) -> bool:
    return all(target.variable.name in ONE_OF_FEW for target in rule.targets)


def _decides_alone(operator: Operator) -> bool:
    """Whether the operator may be asked by a lane: it decides by the value alone and changes nothing."""
    if operator.name not in ALONE or ("%{" in operator.argument and operator.name != "rx"):
        return False
    if operator.name != "rx":
        return True
    hint = hint_of(operator.test)  # a pattern with a macro has none, one on the backtracking engine no exact one
    return hint is not None and hint.exact


def _patterns(operator: Operator) -> tuple[ScanPattern, ...] | None:
    """What a scan can look for; empty: nothing that would be of use; None: nothing is known."""
    hint = hint_of(operator.test)
    if hint is None:
        return None
    patterns: tuple[ScanPattern, ...]
    match hint.kind:
        case Kind.REGEX:
            patterns = (ScanPattern(hint.patterns[0]),)
        case Kind.PHRASES:
            patterns = tuple(ScanPattern.literal(word, caseless=True) for word in hint.patterns)
        case Kind.CONTAINS:
            patterns = tuple(ScanPattern.literal(text) for text in hint.patterns)
        case Kind.BEGINS | Kind.ENDS | Kind.EQUALS if all(hint.patterns):
            start, end = b"^" * (hint.kind is not Kind.ENDS), b"$" * (hint.kind is not Kind.BEGINS)
            patterns = tuple(ScanPattern(start + re.escape(text) + end) for text in hint.patterns)
        case _:
            return None
    texts = hint.kind is not Kind.REGEX  # texts mean the same to every engine
    if any(not p.expression or not (texts or is_scannable(p.expression)) for p in patterns):
        return ()
    if hint.kind is Kind.PHRASES:  # whose search is not made only to be asked this
        common = sum(any(word in sample.lower() for word in hint.patterns) for sample in SAMPLES)
    else:
        no_transaction = cast("TransactionView", _NO_TRANSACTION)
        common = sum(operator.test(sample, no_transaction) is not None for sample in SAMPLES)
    return () if common > TOO_COMMON else patterns


def _needs(operator: Operator) -> frozenset[int] | None:
    """Bytes of which one is in every value that the operator's test finds something in; None when nothing is known."""
    found = NEEDS.get(operator.name)
    hint = hint_of(operator.test)
    if found is None and hint is not None and hint.kind is Kind.BYTES:
        found = frozenset(hint.patterns[0])
    if found is None and hint is not None and hint.kind is Kind.REGEX:
        found = frozenset(range(256)) - frozenset(idle_bytes(hint.patterns[0]))
    return None if found is None or len(found) == 256 else found


class _NoTransaction:
    """What a test with a hint is given where there is no transaction: it never looks."""

    id = ""

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"a test that depends on the value alone asked for {name}")


_NO_TRANSACTION: Final = _NoTransaction()


def _literal_keys(target: Target) -> list[bytes]:
    keys = [target.key] if target.key is not None else []
    return keys + [exclusion.key for exclusion in target.exclusions if exclusion.key is not None]


def _fill(draft: _SourceDraft, entries: Iterable[_Entry], shift: int) -> None:
    """Put each rule into the lanes of the members that it may look at."""
    for entry in entries:
        targets = [
            t for t in entry.rule.targets if t.variable.name == draft.variable.name and t.selector == draft.selector
        ]
        shifted = _Entry(entry.position + shift, entry.rule, entry.patterns, entry.always)
        for key, lane in draft.by_key.items():
            if any(_looks_at(target, key) for target in targets):
                lane.entries.append(shifted)
        if any(_looks_at(target, None) for target in targets):
            draft.other.entries.append(shifted)


def _looks_at(target: Target, key: bytes | None) -> bool:
    """Whether a target may select a member: one with this key, or (None) one that no rule names."""
    if target.key is not None and target.key != key:
        return False
    for exclusion in target.exclusions:
        if exclusion.pattern is None and (exclusion.key is None or exclusion.key == key):
            return False
    return True


def _source(draft: _SourceDraft, by_key: dict[bytes, Lane | None], other: Lane | None) -> Source | ScalarSource:
    variable = draft.variable
    if variable.scalar is not None and other is not None and not by_key:
        return ScalarSource(variable, variable.scalar, other)
    read: Callable[[Transaction], Sequence[Entry]] = variable.read
    if draft.selector and variable.select is not None:
        select, selector = variable.select, draft.selector
        read = lambda tx: select(tx, selector)  # noqa: E731  one of two readers
    return Source(variable, read, by_key, other)
