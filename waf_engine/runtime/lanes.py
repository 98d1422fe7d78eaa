"""Lanes: all rules that look at the same variable, asked at once about a value.

A lane is given a value of its variable and answers with candidates: the positions of the rules that may match it.
The value is transformed once for each distinct chain that can change it, each distinct result is scanned once
for the patterns that look at it, and what no scan can decide is asked directly, where the value has a byte that
it needs. Answers on short values are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from waf_engine.compiler.plan import Variable
from waf_engine.runtime.scanner import Scanner
from waf_engine.types import Entry, Test, Transformation

if TYPE_CHECKING:
    from waf_engine.runtime.transaction import Transaction

MAX_REMEMBERED: Final = 256
"""Bytes of a value whose answer is remembered: names, header values, most cookies."""
OVERHEAD: Final = 200
"""Bytes that remembering one value costs beside the value."""
LATER: Final = 1 << 20
"""Added to the position of a candidate that belongs to the phase after the one in which it is found."""
HEADERS: Final = ("REQUEST_HEADERS", "REQUEST_HEADERS_NAMES")
MAX_SHAPES: Final = 4096
"""Sets of special bytes for which the list of active chains is kept."""

Candidates = tuple[int, ...]
Named = dict[int, set[str | bytes]]
"""Candidates, each with the values that named it and the names of their variables: on others it cannot match."""
Key = tuple[int, bytes, bytes]
"""What an answer is remembered by: the lane's or source's number, and what it was asked about."""


class Memory:
    """A budget of bytes for remembered answers, shared by all lanes of a rule set.

    Two generations: when the young one has used half the budget it becomes the old one, and the old one is
    dropped; what is asked for again moves up. So what repeats stays and what does not leaves.

    Attributes:
        young: the young generation; lanes look here first.
    """

    def __init__(self, budget: int) -> None:
        self._half = budget // 2
        self._used = 0
        self.young: dict[Key, Candidates] = {}
        self._old: dict[Key, Candidates] = {}

    def get(self, key: Key) -> Candidates | None:
        """The remembered answer, or None."""
        found = self.young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: Key, answer: Candidates) -> None:
        """Remember an answer."""
        if self._used >= self._half:
            self._old, self.young, self._used = self.young, {}, 0
        self.young[key] = answer
        self._used += len(key[1]) + len(key[2]) + OVERHEAD


@dataclass(frozen=True, slots=True)
class DirectTest:
    """A test that is asked about a value, since no scan speaks for it.

    Attributes:
        rule: the rule's position.
        chain: the number of the chain whose results it sees.
        test: the operator; depends on the value alone, and changes nothing.
        needs: bytes of which a value that matches has at least one; None when nothing is known.
        negated: whether a value matches when the test finds nothing; then nothing is known.
    """

    rule: int
    chain: int
    test: Test
    needs: frozenset[int] | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of transformations, as rules of one lane have it.

    Attributes:
        steps: the transformations.
        triggers: for each the bytes of which one must occur for it to change a value; None: any value may change.
        every_step: whether the rules see its intermediate results too (multiMatch).
        scanner: what scans its results, where they are not the value itself; None: nothing does.
        least: bytes of a value below which nothing that it makes in the end can be found; 0 when that is not known.
        makes: for each step the bytes that may come anew by it; None: any may.
        width: bytes of a result below which no pattern of its rules can be found in it.
    """

    steps: tuple[Transformation, ...]
    triggers: tuple[frozenset[int] | None, ...]
    every_step: bool
    scanner: Scanner | None
    least: int = 0
    makes: tuple[frozenset[int] | None, ...] = ()
    width: int = 0


Step = tuple[int, "Transformation"]
"""One step of a chain: the number of the value that it starts from, and what it does."""
Asked = tuple[int, "Test", bool, tuple[int, ...], bytes]
"""A direct test in a shape: rule, test, negated, the results that it sees, and the bytes that cannot make a match."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is to be done with values that hold the same special bytes.

    Attributes:
        steps: transformations, each on an earlier result; result 0 is the value itself.
        scans: what scans which results, without 0, each with the bytes that it must have; each distinct result once.
        asked: the direct tests.
    """

    steps: tuple[Step, ...]
    scans: tuple[tuple[Callable[[bytes], list[int]], tuple[tuple[int, int], ...]], ...]
    asked: tuple[Asked, ...]


class Lane:
    """The rules that look at one variable (or one member of it).

    Args:
        number: unique in the rule set; the key of its memory.
        chains: the distinct chains of transformations of its rules.
        scanner: what scans the value itself; None if no rule of the lane has a pattern.
        rules_of: for each pattern that concerns this lane, the rules it speaks for.
        always: rules that are candidates for every value.
        direct: tests that are asked directly.
        memory: where answers are remembered; None for nowhere.
    """

    def __init__(  # noqa: PLR0917  one call, in the planner
        self,
        number: int,
        chains: Sequence[Chain],
        scanner: Scanner | None,
        rules_of: Mapping[int, Candidates],
        always: Candidates,
        direct: Sequence[DirectTest],
        memory: Memory | None,
    ) -> None:
        self.number = number
        self._chains = tuple(chains)
        self._scan = scanner.scan if scanner is not None else None
        self._rules_of = dict(rules_of)
        self._always = always
        self._direct = tuple(direct)
        self._memory = memory
        self._plain, self._classes = _classes(chains, direct)
        self._least = min((chain.least for chain in chains if chain.least), default=0)
        self._shapes: dict[frozenset[int], Shape] = {}
        self._plain_shape = self._shape(frozenset())
        self._short_shapes: dict[frozenset[int], Shape] = {}
        self._short_plain_shape = self._shape(frozenset(), short=True)

    def candidates(self, value: bytes, tx: Transaction) -> Candidates:
        """The positions of the rules that may match a value."""
        memory = self._memory
        if memory is None or len(value) > MAX_REMEMBERED:
            return self.ask(value, tx)
        key = (self.number, b"", value)
        found = memory.young.get(key)  # most answers are here: the call is saved
        if found is not None:
            return found
        found = memory.get(key)
        if found is None:
            found = self.ask(value, tx)
            memory.put(key, found)
        return found

    def ask(self, value: bytes, tx: Transaction) -> Candidates:  # noqa: C901  the hottest function there is: no calls
        """The positions of the rules that may match a value, whatever is remembered."""
        special = value.translate(self._classes, self._plain)
        short = len(value) < self._least
        if special:
            present = frozenset(special)
            shape = (self._short_shapes if short else self._shapes).get(present) or self._new_shape(present, short)
        else:
            shape = self._short_plain_shape if short else self._plain_shape
        hits = self._scan(value) if self._scan is not None else []
        results = [value]
        if shape.steps:
            for start, transformation in shape.steps:
                results.append(transformation(results[start]))
            for scan, scanned in shape.scans:
                seen = {value}
                for number, width in scanned:
                    result = results[number]
                    if len(result) >= width and result not in seen:
                        seen.add(result)
                        hits += scan(result)
        if not hits and not shape.asked:
            return self._always
        found = set(self._always)
        rules_of = self._rules_of
        for slot in hits:
            if slot in rules_of:
                found.update(rules_of[slot])
        for rule, test, negated, numbers, idle in shape.asked:
            if rule in found:
                continue
            for number in numbers:
                result = results[number]
                if idle and not result.translate(None, idle):
                    continue
                if (test(result, tx) is None) is negated:
                    found.add(rule)
                    break
        return tuple(found)

    def _new_shape(self, present: frozenset[int], short: bool) -> Shape:
        shape = self._shape(present, short=short)
        shapes = self._short_shapes if short else self._shapes
        if len(shapes) >= MAX_SHAPES:
            shapes.clear()
        shapes[present] = shape
        return shape

    def _shape(self, present: frozenset[int], *, short: bool = False) -> Shape:
        """The steps for values with these special bytes; beginnings that chains share are done once."""
        steps: list[Step] = []
        known: dict[Step, int] = {}
        may_hold: list[frozenset[int] | None] = [present]
        scans: dict[Callable[[bytes], list[int]], dict[int, int]] = {}
        results: list[tuple[int, ...]] = []
        for chain in self._chains:
            seen = [0]
            # Of what is short comes nothing, but for multiMatch perhaps what decoding makes on the way.
            if short and chain.least and not (present and chain.every_step):
                results.append((0,))
                continue
            makes = chain.makes or (None,) * len(chain.steps)
            for transformation, trigger, new in zip(chain.steps, chain.triggers, makes, strict=True):
                held = may_hold[seen[-1]]
                if held is not None and trigger is not None and trigger.isdisjoint(held):
                    continue
                step = (seen[-1], transformation)
                if step not in known:
                    steps.append(step)
                    known[step] = len(steps)
                    may_hold.append(None if held is None or new is None else held | new)
                seen.append(known[step])
            results.append(tuple(dict.fromkeys(seen)) if chain.every_step else (seen[-1],))
            if chain.scanner is not None:
                wanted = scans.setdefault(chain.scanner.scan, {})
                for number in results[-1]:
                    if number:
                        wanted[number] = min(chain.width, wanted.get(number, chain.width))
        asked = []
        for direct in self._direct:
            numbers = results[direct.chain]
            needs = None if direct.negated else direct.needs
            if needs is not None:
                held_by = ((number, may_hold[number]) for number in numbers)
                numbers = tuple(number for number, held in held_by if held is None or not needs.isdisjoint(held))
            if numbers:
                idle = b"" if needs is None else bytes(byte for byte in range(256) if byte not in needs)
                asked.append((direct.rule, direct.test, direct.negated, numbers, idle))
        return Shape(
            tuple(steps),
            tuple((scan, tuple(numbers.items())) for scan, numbers in scans.items() if numbers),
            tuple(asked),
        )


def _classes(chains: Sequence[Chain], direct: Sequence[DirectTest]) -> tuple[bytes, bytes]:
    """The bytes that mean nothing to any chain or test, and a table that maps those which mean the same to one."""
    sets = {trigger for chain in chains for trigger in chain.triggers if trigger is not None}
    sets |= {test.needs for test in direct if test.needs is not None}
    ordered = list(sets)
    first: dict[tuple[bool, ...], int] = {}
    table = bytes(first.setdefault(tuple(byte in s for s in ordered), byte) for byte in range(256))
    plain = bytes(byte for byte in range(256) if not any(byte in s for s in ordered))
    return plain, table


@dataclass(frozen=True, slots=True)
class Source:
    """A variable whose values are given to lanes.

    Attributes:
        variable: the variable.
        read: gives its members.
        by_key: lanes of members that some rule names, by lower-case key.
        other: the lane of all other members; None when no rule looks at them.
    """

    variable: Variable
    read: Callable[[Transaction], Iterable[Entry]]
    by_key: Mapping[bytes, Lane | None]
    other: Lane | None

    def collect(self, tx: Transaction, found: Named) -> None:
        """Add the candidates of all members."""
        by_key, other = self.by_key, self.other
        for key, value in self.read(tx):
            lane = by_key.get(key.lower(), other) if by_key else other
            if lane is not None and (named := lane.candidates(value, tx)):
                for position in named:
                    found.setdefault(position, set()).update((self.variable.name, value))


@dataclass(frozen=True, slots=True)
class ScalarSource:
    """A variable with one value.

    Attributes:
        variable: the variable.
        read: gives its value; None when there is none.
        lane: the lane of its rules.
    """

    variable: Variable
    read: Callable[[Transaction], bytes | None]
    lane: Lane

    def collect(self, tx: Transaction, found: Named) -> None:
        """Add the candidates."""
        value = self.read(tx)
        if value is not None:
            for position in self.lane.candidates(value, tx):
                found.setdefault(position, set()).update((self.variable.name, value))


@dataclass(frozen=True, slots=True)
class HeaderSource:
    """The request's headers and their names, asked about together: a header line that is known needs one look.

    Attributes:
        number: unique among lanes and sources.
        values: the headers.
        names: their names; None when no rule looks at them.
        memory: where answers are remembered; None for nowhere.
    """

    number: int
    values: Source
    names: Source | None
    memory: Memory | None

    def collect(self, tx: Transaction, found: Named) -> None:
        """Add the candidates of all headers and their names."""
        memory, number = self.memory, self.number
        young = memory.young if memory is not None else {}
        for name, value in tx.request.headers:
            if memory is None:
                named = self._ask(name, value, tx)
            else:
                key = (number, name, value)
                remembered = young.get(key)
                named = self._remembered(memory, key, tx) if remembered is None else remembered
            for position in named:
                found.setdefault(position, set()).update((name, value, *HEADERS))

    def _remembered(self, memory: Memory, key: Key, tx: Transaction) -> Candidates:
        if len(key[1]) + len(key[2]) > MAX_REMEMBERED:
            return self._ask(key[1], key[2], tx)
        found = memory.get(key)
        if found is None:
            found = self._ask(key[1], key[2], tx)
            memory.put(key, found)
        return found

    def _ask(self, name: bytes, value: bytes, tx: Transaction) -> Candidates:
        lane = self.values.by_key.get(name.lower(), self.values.other)
        named = lane.ask(value, tx) if lane is not None else ()
        if self.names is not None:
            lane = self.names.by_key.get(name.lower(), self.names.other)
            if lane is not None:
                named += lane.candidates(name, tx)
        return named
