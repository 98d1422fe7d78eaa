"""Where the time of requests goes: a WAF whose parts are timed, each by itself.

`ProfiledWAF` wraps the parts of a rule set when it is loaded: operators, transformations, body processors, databases,
the evaluation of rules, the phases. A plain `WAF` has none of this and pays nothing for it. Times are exclusive: what a
part hands on to another timed part is counted there, so that all of them add up to the whole.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from waf_engine.operators import hint_of, hinted
from waf_engine.registry import Registry
from waf_engine.runtime.planned import PlannedExecutor
from waf_engine.runtime.reference import evaluate, run_phase
from waf_engine.waf import WAF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from waf_engine.compiler.plan import CompiledRule, Plan
    from waf_engine.compiler.state import Registries
    from waf_engine.runtime.database import Database, Numbered
    from waf_engine.runtime.databases import DatabaseCache
    from waf_engine.runtime.lanes import Memory
    from waf_engine.runtime.transaction import Executor, Transaction
    from waf_engine.types import BodyProcessor, Test, Transformation

RULE, OPERATOR, CHAIN, DATABASE, BODY, PHASE, REST = (
    "rule",
    "operator",
    "transformations",
    "database",
    "body",
    "phase",
    "rest",
)
KINDS: Mapping[str, str] = {
    RULE: "rules, evaluated: reading values, actions, captures, messages",
    OPERATOR: "operators of rules, on one value each",
    CHAIN: "transformations, by the chain up to them",
    DATABASE: "scans, by database",
    BODY: "body processors",
    PHASE: "phases: choosing the rules to be evaluated, walking through them",
    REST: "all else: taking in the request, logs",
}
"""The kinds of parts, and what the time of each is spent on."""

Key = tuple[str, str]
"""A kind and a name."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one part took.

    Attributes:
        kind: one of `KINDS`.
        name: which of them: a rule's id, a chain, ...
        seconds: without what other parts took on its behalf.
        calls: how often it was at work.
    """

    kind: str
    name: str
    seconds: float
    calls: int


class Meter:
    """Adds up the time of parts, each without that of the parts it calls; of one thread."""

    def __init__(self) -> None:
        self._cells: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0])
        self._inner = 0  # nanoseconds that parts inside the one at work took

    def reset(self) -> None:
        """Forget all."""
        for cell in self._cells.values():
            cell[:] = (0, 0)
        self._inner = 0

    def rows(self) -> list[Row]:
        """What took any time, the most first."""
        found = [Row(*key, cell[0] / 1e9, cell[1]) for key, cell in self._cells.items() if cell[1]]
        return sorted(found, key=lambda row: -row.seconds)

    def timed(self, kind: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that does the same and is timed."""
        cell, clock = self._cells[kind, name], time.perf_counter_ns

        def run(*arguments: Any) -> Any:
            outer, self._inner = self._inner, 0
            began = clock()
            try:
                return function(*arguments)
            finally:
                took = clock() - began
                cell[0] += took - self._inner
                cell[1] += 1
                self._inner = outer + took

        return run

    def timed_by(self, kind: str, name: Callable[..., str], function: Callable[..., Any]) -> Callable[..., Any]:
        """As `timed`, for a function whose part depends on its arguments."""
        made: dict[str, Callable[..., Any]] = {}

        def run(*arguments: Any) -> Any:
            part = name(*arguments)
            if part not in made:
                made[part] = self.timed(kind, part, function)
            return made[part](*arguments)

        return run


class _TimedDatabase:
    """Stands for a database; its scans are timed."""

    def __init__(self, database: Database, name: str, meter: Meter) -> None:
        self.refused = database.refused
        self.scan = meter.timed(DATABASE, name, database.scan)


class ProfiledWAF(WAF):
    """A rule set that knows what it spends its time on; for one thread.

    Made as a `WAF` is, or of the plan of another one.

    Attributes:
        meter: the times.
    """

    def __init__(self, plan: Plan, registries: Registries, **options: Any) -> None:
        self.meter = Meter()
        super().__init__(_timed_plan(plan, self.meter), _timed_registries(registries, self.meter), **options)
        timed = _timed_rules(self._executor, self.meter)
        self._executor = self.meter.timed_by(PHASE, lambda _tx, phase: f"{int(phase)}", timed)

    def _make_plan(self, cache: DatabaseCache, memory: Memory | None) -> None:
        counting = iter(range(1, 1_000_000))
        original = cache.databases

        def databases(groups: Sequence[Sequence[Numbered]]) -> list[Database]:
            made = zip(groups, original(groups), strict=True)
            named = [(f"{next(counting)}, {len(patterns)} patterns", database) for patterns, database in made]
            return [cast("Database", _TimedDatabase(database, name, self.meter)) for name, database in named]

        cache.databases = databases  # type: ignore[method-assign]  # as above
        super()._make_plan(cache, memory)

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        """Run transactions in this context; times begin at nothing."""
        self.meter.reset()
        gc.collect()
        gc.freeze()  # the rules; else a part that happens to start a collection is charged with all of them
        try:
            yield
        finally:
            gc.unfreeze()

    def exchange(self, run: Callable[[], Any]) -> Any:
        """Run one transaction, from its beginning to its end, timed as a whole."""
        return self.meter.timed(REST, "", run)()


def _name_of(_tx: Transaction, rule: CompiledRule, *_how: object) -> str:
    return str(rule.id)


def _timed_rules(executor: Executor, meter: Meter) -> Executor:
    """The same executor with the evaluation of rules timed."""
    if not isinstance(executor, PlannedExecutor):
        return partial(run_phase, evaluate=meter.timed_by(RULE, _name_of, evaluate))
    programs = executor.programs.items()
    return PlannedExecutor(
        {
            each: replace(program, evaluate=meter.timed_by(RULE, _name_of, program.evaluate))
            for each, program in programs
        }
    )


def _timed_registries(registries: Registries, meter: Meter) -> Registries:
    known = registries.body_processors
    processors: Registry[BodyProcessor] = Registry(known.kind)
    for name in known.names():
        processor = known.get(name)
        assert processor is not None
        processors.add(meter.timed(BODY, name, processor), name)
    return replace(registries, body_processors=processors)


def _timed_plan(plan: Plan, meter: Meter) -> Plan:
    """A plan whose operators and transformations are timed; in all else the same."""
    chains: dict[tuple[str, ...], Transformation] = {}
    return replace(plan, rules=tuple(_timed_rule(rule, str(rule.id), chains, meter) for rule in plan.rules))


def _timed_rule(
    rule: CompiledRule, name: str, chains: dict[tuple[str, ...], Transformation], meter: Meter
) -> CompiledRule:
    operator = rule.operator
    if operator is not None:
        label = f"{name} {'!' * operator.negated}@{operator.name}"
        operator = replace(operator, test=_timed_test(operator.test, label, meter))
    steps: list[tuple[str, Transformation]] = []
    for step, function in rule.transformations:
        # The same chain is the same function, so that what rules share stays shared.
        chain = (*(known for known, _ in steps), step)
        if chain not in chains:
            chains[chain] = meter.timed(CHAIN, " ".join(f"t:{each}" for each in chain), function)
        steps.append((step, chains[chain]))
    following = None if rule.chain is None else _timed_rule(rule.chain, name, chains, meter)
    return replace(rule, operator=operator, transformations=tuple(steps), chain=following)


def _timed_test(test: Test, name: str, meter: Meter) -> Test:
    timed = meter.timed(OPERATOR, name, test)
    hint = hint_of(test)
    return timed if hint is None else hinted(timed, hint.kind, *hint.patterns, exact=hint.exact)
