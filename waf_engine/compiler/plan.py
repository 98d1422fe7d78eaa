"""The plan: what a rule set is compiled to. Frozen, shared by all transactions, never written to.

Everything here is resolved: names are functions, macros are parsed, chains are linked, markers are
positions. The run time reads plans; only the compiler makes them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from waf_engine.compiler.effects import note_of
from waf_engine.diagnostics import Diagnostic, Span
from waf_engine.runtime.macros import text_expander
from waf_engine.settings import Settings
from waf_engine.types import Entry, Macro, Test, TransactionView, Transformation, whole_number

if TYPE_CHECKING:
    from waf_engine.runtime.transaction import Transaction

PHASES = (1, 2, 3, 4, 5)


def id_range(text: str) -> tuple[int, int] | None:
    """The first and the last id that ``942100`` or ``942100-942999`` stands for; None for anything else."""
    first_text, dash, last_text = text.partition("-")
    first = whole_number(first_text)
    last = whole_number(last_text) if dash else first
    return None if first is None or last is None else (first, last)


class Phase(IntEnum):
    """The five phases of a transaction."""

    REQUEST_HEADERS = 1
    REQUEST_BODY = 2
    RESPONSE_HEADERS = 3
    RESPONSE_BODY = 4
    LOGGING = 5


class KeyPattern(Protocol):
    """A compiled selector such as ``/^re/``; whether it is found in a key."""

    def __call__(self, key: bytes) -> bool:
        """Whether the key is selected."""
        ...


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the rule language.

    Attributes:
        name: as the manuals write it: ``ARGS``.
        read: gives its members in order; a variable with one value gives one member with an empty key.
        is_collection: whether it can be selected from (``ARGS:id``).
        phase: the first phase in which it has its values.
        volatile: whether it may change while the rules of one phase run.
        select: reads members by a selector of its own language (XPath for XML), where keys do not serve.
        compile_select: makes that selector of what a rule has: the text and its prefixes; raises `ArgumentError`.
        scalar: for a variable with one value, what gives it, or None where there is none.
    """

    name: str
    read: Callable[[Transaction], Sequence[Entry]]
    is_collection: bool
    phase: int = 1
    volatile: bool = False
    select: Callable[[Transaction, str], Sequence[Entry]] | None = None
    compile_select: Callable[[str, Mapping[str, str]], str] | None = None
    scalar: Callable[[Transaction], bytes | None] | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A part of a variable that a rule does not look at.

    Attributes:
        variable: the variable's name.
        key: the member, in lower case; None for all or for a pattern.
        pattern: the pattern of members; None for all or for a key.
    """

    variable: str
    key: bytes | None = None
    pattern: KeyPattern | None = None

    def covers(self, key: bytes) -> bool:
        """Whether the member with this key is excluded."""
        if self.pattern is not None:
            return self.pattern(key)
        return self.key is None or self.key == key.lower()


@dataclass(frozen=True, slots=True)
class Target:
    """One target of a rule.

    Attributes:
        variable: what is read.
        key: the member, in lower case; None for all.
        pattern: the pattern of members; None when there is none.
        label: the member's name as the rule writes it, where the protocol has no case (headers): HAProxy and HTTP/2
            give names in lower case, and a log should not depend on that. None for other variables.
        selector: for variables with a language of their own: what their `compile_select` made of the selector.
        count: whether the number of members is the value (``&``).
        exclusions: what is left out.
    """

    variable: Variable
    key: bytes | None = None
    pattern: KeyPattern | None = None
    label: bytes | None = None
    selector: str = ""
    count: bool = False
    exclusions: tuple[Exclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator of a rule.

    Attributes:
        name: its registered name.
        argument: as written.
        negated: whether a value matches when the test finds nothing.
        test: the compiled operator.
    """

    name: str
    argument: str
    negated: bool
    test: Test


Effect = Callable[["Transaction", "CompiledRule"], None]
"""A non-disruptive action, run for each value that matches."""


class Allow(IntEnum):
    """The reach of ``allow``."""

    ALL = 1
    PHASE = 2
    REQUEST = 3


@dataclass(frozen=True, slots=True)
class Disruption:
    """The disruptive action of a rule.

    Attributes:
        action: ``deny``, ``drop``, ``redirect``, ``allow``, ``pass``.
        status: HTTP status, already defaulted for the action.
        data: the target of a redirect.
        allow: the reach of an allow.
    """

    action: str
    status: int = 0
    data: Macro | None = None
    allow: Allow | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledRule:
    """A rule, ready to run. A SecAction has no operator; a SecMarker has only a marker.

    Attributes:
        id: the rule's id; 0 for members of a chain.
        phase: 1 to 5; 0 for a marker, which lives in all.
        span: where it was written.
        raw: its text.
        targets: what it looks at, in order.
        operator: None for SecAction and SecMarker.
        transformations: (name, function), in order.
        multi_match: whether the operator sees every changed intermediate value.
        capture: whether the operator's captures go to TX:0 to TX:9.
        effects: non-disruptive actions in order.
        disruption: None when it has no disruptive action.
        chain: the next member of its chain.
        skip: number of rules to skip after a match.
        skip_after: marker to go to after a match; empty for none.
        marker: the label of a SecMarker; empty otherwise.
        log: whether a match is logged.
        auditlog: whether a match appears in the audit log.
        msg: message, with macros.
        logdata: data for the log, with macros.
        severity: 0 to 7; None for none.
        tags: in order.
        rev: revision.
        ver: version.
        maturity: 0 to 9.
        accuracy: 0 to 9.
        functions: the transformations without their names.
        has_texts: whether it has a msg or logdata.
        text_expanders: what expands msg and logdata.
        names_match: whether its effects, or its operator for a further value, may read MATCHED_VAR or MATCHED_VAR_NAME.
        reads_matches: whether it or a member of its chain may read MATCHED_VARS or MATCHED_VARS_NAMES.
    """

    id: int = 0
    phase: int = 2
    span: Span
    raw: str = ""
    targets: tuple[Target, ...] = ()
    operator: Operator | None = None
    transformations: tuple[tuple[str, Transformation], ...] = ()
    multi_match: bool = False
    capture: bool = False
    effects: tuple[Effect, ...] = ()
    disruption: Disruption | None = None
    chain: CompiledRule | None = None
    skip: int = 0
    skip_after: str = ""
    marker: str = ""
    log: bool = False
    auditlog: bool = False
    msg: Macro | None = None
    logdata: Macro | None = None
    severity: int | None = None
    tags: tuple[str, ...] = ()
    rev: str = ""
    ver: str = ""
    maturity: int = 0
    accuracy: int = 0

    functions: tuple[Transformation, ...] = field(init=False, repr=False)
    has_texts: bool = field(init=False, repr=False)
    text_expanders: tuple[Callable[[TransactionView], str], Callable[[TransactionView], str]] = field(
        init=False, repr=False
    )
    names_match: bool = field(init=False, repr=False)
    reads_matches: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """What follows from the rest, for those who ask on each request."""
        put = object.__setattr__  # it is frozen
        put(self, "functions", tuple(function for _, function in self.transformations))
        put(self, "has_texts", self.msg is not None or self.logdata is not None)
        put(self, "text_expanders", (text_expander(self.msg), text_expander(self.logdata)))
        put(self, "names_match", self._names("MATCHED_VAR"))
        put(self, "reads_matches", self._reads_matches())

    def members(self) -> Iterator[CompiledRule]:
        """The rule and the members of its chain."""
        member: CompiledRule | None = self
        while member is not None:
            yield member
            member = member.chain

    def _reads_matches(self) -> bool:
        texts = [self.msg, self.logdata, self.disruption.data if self.disruption is not None else None]
        if self._names("MATCHED_VARS") or any(
            "MATCHED_VARS" in str(text).upper() for text in texts if text is not None
        ):
            return True
        return self.chain is not None and self.chain.reads_matches

    def _names(self, word: str) -> bool:
        """Whether its targets, its operator or its effects name a variable, or what they read is not known.

        Not by its text: directives may have changed the rule.
        """
        if self.operator is not None and word in self.operator.argument.upper():
            return True
        if any(target.variable.name.startswith(word) for target in self.targets):
            return True
        for effect in self.effects:
            note = note_of(effect)
            if note is None or any(word in str(text).upper() for text in (note.writes or "", *note.reads)):
                return True
        return False


@dataclass(frozen=True, eq=False)
class Plan:
    """A whole rule set, ready to run.

    Attributes:
        settings: what the directives set.
        rules: rules and markers in the order of the files, without chain members.
        variables: the variables by upper-case name, for macros and the transaction's own look-ups.
        diagnostics: warnings that the load gave.
        files: the files that were read.
        exclusions: those that `ctl` can make at run time, in the order of the files.
        overrides: how directives changed rules before them: their ids, and ``disabled``, ``targets_changed`` or
            ``action_changed``.
        phases: for each phase (index 0 is empty) its rules and all markers, in order.
        tx_literals: the members of TX that rules write by a fixed name, in lower case, those of captures included.
        rule_count: the number of rules, markers and chain members left out.
        ids: the ids of all rules, sorted.
        ids_by_tag: the ids of the rules that carry each tag.
        ids_by_msg: the ids of the rules that have each message, as written.
    """

    settings: Settings
    rules: tuple[CompiledRule, ...]
    variables: dict[str, Variable]
    diagnostics: tuple[Diagnostic, ...] = ()
    files: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    overrides: tuple[tuple[int, str], ...] = ()

    phases: tuple[tuple[CompiledRule, ...], ...] = field(init=False, repr=False)
    tx_literals: frozenset[bytes] = field(init=False, repr=False)
    rule_count: int = field(init=False, repr=False)
    ids: tuple[int, ...] = field(init=False, repr=False)
    ids_by_tag: Mapping[str, frozenset[int]] = field(init=False, repr=False)
    ids_by_msg: Mapping[str, frozenset[int]] = field(init=False, repr=False)
    _selecting: dict[KeyPattern, bool] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """What follows from the rules."""
        put = object.__setattr__  # it is frozen
        put(self, "phases", ((), *(tuple(r for r in self.rules if r.marker or r.phase == each) for each in PHASES)))
        put(self, "tx_literals", frozenset(b"%d" % digit for digit in range(10)) | _literals(self.rules))
        put(self, "rule_count", sum(not rule.marker for rule in self.rules))
        put(self, "ids", tuple(sorted(rule.id for rule in self.rules if rule.id)))
        put(self, "ids_by_tag", _ids_by((tag, rule.id) for rule in self.rules for tag in rule.tags))
        put(self, "ids_by_msg", _ids_by((str(rule.msg), rule.id) for rule in self.rules if rule.msg is not None))

    def selects_written(self, pattern: KeyPattern) -> bool:
        """Whether a selector of TX takes a member that some rule writes by a fixed name."""
        found = self._selecting.get(pattern)
        if found is None:
            found = self._selecting[pattern] = any(pattern(key) for key in self.tx_literals)
        return found

    def ids_between(self, first: int, last: int) -> tuple[int, ...]:
        """The ids of the rules from first to last, both included."""
        return self.ids[bisect_left(self.ids, first) : bisect_right(self.ids, last)]


def _literals(rules: Sequence[CompiledRule]) -> frozenset[bytes]:
    return frozenset(
        note.writes.literal.lower()
        for rule in rules
        for member in rule.members()
        for effect in member.effects
        if (note := note_of(effect)) is not None and note.writes is not None and note.writes.literal is not None
    )


def _ids_by(pairs: Iterable[tuple[str, int]]) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for name, number in pairs:
        found.setdefault(name, set()).add(number)
    return {name: frozenset(numbers) for name, numbers in found.items()}
