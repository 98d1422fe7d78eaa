"""Lanes: all rules that look at the same variable, asked at once about a value.

A lane is given a value of its variable and answers with candidates: the positions of the rules that may match it.
The value is transformed once for each distinct chain that can change it, each distinct result is scanned once,
and what no scan can decide (libinjection) is asked directly. Answers on short values are remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from waf_engine.compiler.plan import Variable
    from waf_engine.runtime.scanner import Scanner
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry, Test, Transformation

MAX_REMEMBERED: Final = 256
"""Bytes of a value whose answer is remembered: names, header values, most cookies."""
OVERHEAD: Final = 200
"""Bytes that remembering one value costs beside the value."""
MAX_SHAPES: Final = 4096
"""Sets of special bytes for which the list of active chains is kept."""

Candidates = tuple[int, ...]


class Memory:
    """A budget of bytes for remembered answers, shared by all lanes of a rule set.

    Two generations: when the young one has used half the budget it becomes the old one, and the old one is
    dropped; what is asked for again moves up. So what repeats stays and what does not leaves.

    Attributes:
        young: the young generation, by lane and value; lanes look here first.
    """

    def __init__(self, budget: int) -> None:
        self._half = budget // 2
        self._used = 0
        self.young: dict[tuple[int, bytes], Candidates] = {}
        self._old: dict[tuple[int, bytes], Candidates] = {}

    def get(self, lane: int, value: bytes) -> Candidates | None:
        """The remembered answer of a lane on a value, or None."""
        key = (lane, value)
        found = self.young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(lane, value, found)
        return found

    def put(self, lane: int, value: bytes, answer: Candidates) -> None:
        """Remember an answer."""
        if self._used >= self._half:
            self._old, self.young, self._used = self.young, {}, 0
        self.young[lane, value] = answer
        self._used += len(value) + OVERHEAD


@dataclass(frozen=True, slots=True)
class DirectTest:
    """A test that is asked about every value, since no pattern can speak for it.

    Attributes:
        rule: the rule's position.
        chain: the number of the chain whose results it sees.
        test: the operator; pure.
        idle: bytes of which a value that matches has at least one other; empty when nothing is known.
    """

    rule: int
    chain: int
    test: Test
    idle: bytes = b""


Step = tuple[int, "Transformation"]
"""One step of a chain: the number of the value that it starts from, and what it does."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is to be done with values that hold the same special bytes.

    Attributes:
        steps: transformations, each on an earlier result; result 0 is the value itself.
        results: the numbers of the results to be scanned, without 0.
        chains: for each chain the numbers of the results that its rules see: the last, or with multiMatch all.
        scan_original: whether the value itself is to be scanned.
    """

    steps: tuple[Step, ...]
    results: tuple[int, ...]
    chains: tuple[tuple[int, ...], ...]
    scan_original: bool


class Lane:
    """The rules that look at one variable (or one member of it).

    Args:
        number: unique in the rule set; the key of its memory.
        chains: the distinct chains of transformations of its rules.
        triggers: for each chain the bytes of which one must occur for it to change a value; None: any.
        every_step: for each chain whether its rules see its intermediate results too (multiMatch).
        scanner: what scans; None if no rule of the lane has a pattern.
        rules_of: for each pattern of the scanner that concerns this lane, the rules it speaks for.
        always: rules that are candidates for every value.
        direct: tests that are asked about every value.
        memory: where answers are remembered; None for nowhere.
    """

    def __init__(  # noqa: PLR0917  one call, in the planner, all by keyword
        self,
        number: int,
        chains: Sequence[tuple[Transformation, ...]],
        triggers: Sequence[frozenset[int] | None],
        every_step: Sequence[bool],
        scanner: Scanner | None,
        rules_of: Mapping[int, Candidates],
        always: Candidates,
        direct: Sequence[DirectTest],
        memory: Memory | None,
    ) -> None:
        self.number = number
        self._chains = tuple(chains)
        self._triggers = tuple(triggers)
        self._every_step = tuple(every_step)
        self._scanner = scanner
        self._rules_of = dict(rules_of)
        self._always = always
        self._direct = tuple(direct)
        self._memory = memory
        special: set[int] = set()
        for trigger in triggers:
            special |= trigger or frozenset()
        self._plain = bytes(byte for byte in range(256) if byte not in special)
        self._shapes: dict[frozenset[int], Shape] = {}
        self._plain_shape = self._shape(frozenset())

    def candidates(self, value: bytes, tx: Transaction) -> Candidates:
        """The positions of the rules that may match a value."""
        memory = self._memory
        if memory is None or len(value) > MAX_REMEMBERED:
            return self._ask(value, tx)
        found = memory.young.get((self.number, value))  # most answers are here: the call is saved
        if found is None:
            found = memory.get(self.number, value)
        if found is None:
            found = self._ask(value, tx)
            memory.put(self.number, value, found)
        return found

    def _ask(self, value: bytes, tx: Transaction) -> Candidates:
        special = value.translate(None, self._plain)
        shape = self._shape_of(special) if special else self._plain_shape
        results = [value]
        for start, transformation in shape.steps:
            results.append(transformation(results[start]))
        found = set(self._always)
        if self._scanner is not None:
            rules_of = self._rules_of
            variants = {results[number] for number in shape.results}
            if shape.scan_original:
                variants.add(value)
            for variant in variants:
                for slot in self._scanner.scan(variant):
                    if (rules := rules_of.get(slot)) is not None:
                        found.update(rules)
        for direct in self._direct:
            if direct.rule in found:
                continue
            for number in shape.chains[direct.chain]:
                subject = results[number]
                if direct.idle and not subject.translate(None, direct.idle):
                    continue
                if direct.test(subject, tx) is not None:
                    found.add(direct.rule)
                    break
        return tuple(found)

    def _shape_of(self, special: bytes) -> Shape:
        key = frozenset(special)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shape(key)
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            self._shapes[key] = shape
        return shape

    def _shape(self, special: frozenset[int]) -> Shape:
        """The steps for values with these special bytes; beginnings that chains share are done once."""
        steps: list[Step] = []
        known: dict[Step, int] = {}
        results: set[int] = set()
        chains: list[tuple[int, ...]] = []
        for chain, trigger, every_step in zip(self._chains, self._triggers, self._every_step, strict=True):
            seen = [0]
            if trigger is None or not trigger.isdisjoint(special):
                for transformation in chain:
                    step = (seen[-1], transformation)
                    if step not in known:
                        steps.append(step)
                        known[step] = len(steps)
                    seen.append(known[step])
            chains.append(tuple(seen) if every_step else (seen[-1],))
            results.update(chains[-1])
        return Shape(tuple(steps), tuple(sorted(results - {0})), tuple(chains), 0 in results)


@dataclass(frozen=True, slots=True)
class Source:
    """A variable whose values are given to lanes.

    Attributes:
        read: gives its members.
        by_key: lanes of members that some rule names, by lower-case key.
        other: the lane of all other members; None when no rule looks at them.
    """

    variable: Variable
    read: Callable[[Transaction], Sequence[Entry]]
    by_key: Mapping[bytes, Lane | None]
    other: Lane | None

    def collect(self, tx: Transaction, found: set[int]) -> None:
        """Add the candidates of all members."""
        by_key, other = self.by_key, self.other
        for key, value in self.read(tx):
            lane = by_key.get(key.lower(), other) if by_key else other
            if lane is not None and (named := lane.candidates(value, tx)):
                found.update(named)
