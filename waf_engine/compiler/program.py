"""The planner: makes the programs of the planned executor from a plan.

Three passes, each of which may be left out without changing any outcome (`Passes`; tests run all
combinations against the reference interpreter):

- *static*: rules on TX alone are computed in advance (`static.py`); what they skip is not even scanned;
- *lanes*: rules whose operator a scan can speak for are left to lanes (`runtime/lanes.py`);
- *prechecks*: what is left is asked by a cheap function first whether it can match at all (`prechecks.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from waf_engine.compiler.effects import note_of
from waf_engine.compiler.kept_facts import facts_of
from waf_engine.compiler.lane_maker import FOLLOWING, LaneMaker, reads_stale_match
from waf_engine.compiler.ordinary import stops
from waf_engine.compiler.plan import PHASES, CompiledRule, Plan
from waf_engine.compiler.prechecks import precheck_of, tx_reads
from waf_engine.compiler.replays import replay_of
from waf_engine.compiler.static import Reach, all_keys, footprint, is_pure
from waf_engine.runtime.planned import Block, PhaseProgram, PlannedExecutor, Stretch, Visit
from waf_engine.runtime.reference import evaluate
from waf_engine.runtime.transaction import NO_SEVERITY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from waf_engine.compiler.static import Footprint
    from waf_engine.runtime.databases import DatabaseCache
    from waf_engine.runtime.lanes import Memory
    from waf_engine.runtime.planned import Precheck
    from waf_engine.runtime.transaction import Transaction

HISTORIES: Final[tuple[tuple[int, ...], ...]] = (
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4),
    (1, 2, 3, 4, 5),
    (1, 2, 3, 5),
    (1, 2, 5),
    (1, 5),
)
"""The orders of phases that have a program of their own: a whole exchange, one without a response, or without its
body. Any other order is run without blocks."""


@dataclass(frozen=True, slots=True)
class Passes:
    """Which passes the planner makes."""

    static: bool = True
    lanes: bool = True
    prechecks: bool = True


def plan_executor(
    plan: Plan,
    blank: Callable[..., Transaction],
    cache: DatabaseCache,
    memory: Memory | None,
    passes: Passes = Passes(),
) -> PlannedExecutor:
    """Make the executor of a plan.

    Args:
        plan: the compiled rules.
        blank: makes an empty transaction of the plan that nobody hears of, run by the executor that it is given (the
            reference interpreter).
        cache: where databases come from.
        memory: where lanes remember; None for nowhere.
        passes: which passes to make.
    """
    with facts_of(plan.rules, cache.folder):
        return _planned(plan, blank, cache, memory, passes)


def _planned(
    plan: Plan,
    blank: Callable[..., Transaction],
    cache: DatabaseCache,
    memory: Memory | None,
    passes: Passes,
) -> PlannedExecutor:
    walks = _Statics(plan, blank) if passes.static else None
    keys = walks.keys if walks is not None else frozenset()
    by_chain = not reads_stale_match(plan.rules)
    phases = {
        phase: _Phase(plan, phase, passes, keys, by_chain=by_chain, remembers=memory is not None) for phase in PHASES
    }
    reachable = {phase: set(range(len(phases[phase].rules))) for phase in PHASES}
    walked: dict[tuple[int, ...], _Walked] = {}
    if walks is not None:
        for history in HISTORIES:
            walked[history] = walks.walk(history, walked.get(history[:-1]))
        for phase in PHASES:
            reachable[phase] = set(walked[PHASES[:phase]].reachable)
    maker = LaneMaker(plan, cache, memory)
    if passes.lanes:
        for phase in PHASES:
            maker.add_phase(phase, phases[phase].rules, reachable[phase])
    maker.finish()
    programs = {history: phases[history[-1]].program(maker, walk) for history, walk in walked.items()}
    for phase in PHASES:
        programs.setdefault((phase,), phases[phase].program(maker, None))
    executor = PlannedExecutor(programs)
    if not is_pure(plan):  # nothing is looked up in DNS, and no plug-in's operator asked, for a request that is none
        return executor
    for history, alone in stops(executor, blank).items():
        programs[history] = phases[history[-1]].program(maker, walked[history], alone)
    return PlannedExecutor(programs)


@dataclass(frozen=True, slots=True)
class _Walked:
    """One phase, walked with no rule on the request matching.

    Attributes:
        end: the transaction afterwards.
        blocks: by position of their first rule.
        reachable: positions that were not skipped and are in no block.
        static: positions of the rules in blocks.
        static_ids: ids of the rules in blocks, without those that a skipAfter passes over.
        keys: members of TX that any block reads.
    """

    end: Transaction
    blocks: dict[int, Block]
    reachable: tuple[int, ...]
    static: frozenset[int]
    static_ids: frozenset[int]
    keys: frozenset[bytes]


class _Phase:
    """What is the same for all programs of one phase."""

    def __init__(
        self, plan: Plan, phase: int, passes: Passes, keys: frozenset[bytes], *, by_chain: bool, remembers: bool
    ) -> None:
        self.number = phase
        self.plan = plan
        self.rules = plan.phases[phase]
        self.landing = {i: _landing(self.rules, i) for i, rule in enumerate(self.rules) if rule.skip_after}
        self.visits: list[Visit | None] = []
        for rule in self.rules:
            precheck = precheck_of(rule, by_chain=by_chain) if passes.prechecks and not rule.marker else None
            visit = None if rule.marker else self._visit(rule, precheck, keys)
            if visit is not None and remembers and (replay := replay_of(plan, rule)) is not None:
                visit = replace(visit, replay=replay)
            self.visits.append(visit)

    def _visit(self, rule: CompiledRule, precheck: Precheck | None, keys: frozenset[bytes]) -> Visit:
        dirties: list[frozenset[bytes] | None] = []
        for reach in Reach:
            written = footprint(self.plan, rule, reach)
            dirties.append(None if written.opaque else written.touched(keys))
        effects = [effect for member in rule.members() for effect in member.effects]
        changes_rules = any((note := note_of(effect)) is None or note.writes is None for effect in effects)
        return Visit(rule, precheck, tuple(dirties), changes_rules)

    def program(self, maker: LaneMaker, walked: _Walked | None, alone: frozenset[int] = frozenset()) -> PhaseProgram:
        """The program for one history; for none (not walked) it has no clean way.

        Args:
            maker: has made the lanes.
            walked: the phase as it was walked.
            alone: positions that are better no part of a stretch.
        """
        laned = maker.laned(self.number)
        visits = tuple(
            replace(visit, laned=laned[i], precheck=None if visit.rule.chain is None else visit.precheck)
            if visit is not None and i in laned
            else visit
            for i, visit in enumerate(self.visits)
        )
        full = tuple(i for i, visit in enumerate(visits) if visit is not None and i not in laned)
        before = FOLLOWING.get(self.number)
        program = PhaseProgram(
            rules=self.rules,
            visits=visits,
            stretches=(),
            blocks={},
            static=frozenset(),
            full=full,
            sources=maker.sources(self.number),
            early=maker.sources(before) if before is not None else (),
            reachable=frozenset(range(len(self.rules))),
            landing=self.landing,
        )
        if walked is None:
            return program
        clean = sorted({*(i for i in walked.reachable if i not in laned), *walked.blocks})
        return replace(
            program,
            stretches=_stretches(sorted({*clean, *alone}), walked.blocks, visits, len(self.rules), alone),
            blocks=walked.blocks,
            static=walked.static,
            reachable=frozenset(walked.reachable),
            static_ids=walked.static_ids,
            static_keys=walked.keys,
        )


@dataclass(slots=True)
class _StretchDraft:
    """A stretch that still grows."""

    positions: list[int] = field(default_factory=list)
    checks: list[Precheck] = field(default_factory=list)
    block: Block | None = None

    def add_block(self, position: int, block: Block) -> None:
        """Add a block."""
        self.positions.append(position)
        self.block = block if self.block is None else self.block.then(block)

    def takes(self, visit: Visit) -> bool:
        """Whether the precheck of a rule may be asked before the blocks of the stretch are applied."""
        if self.block is None:
            return True
        reads = tx_reads(visit.rule)
        return reads is not None and reads.isdisjoint({*self.block.changes, *self.block.removed})


def _stretches(
    clean: Sequence[int],
    blocks: dict[int, Block],
    visits: Sequence[Visit | None],
    end: int,
    alone: frozenset[int],
) -> tuple[Stretch, ...]:
    """The clean way in stretches, each as long as can be."""
    done: list[Stretch] = []
    draft = _StretchDraft()

    def close(until: int) -> None:
        nonlocal draft
        if not draft.positions and until != end:
            return  # candidates before this place are for the next one
        done.append(Stretch(until, tuple(draft.positions), tuple(draft.checks), draft.block))
        draft = _StretchDraft()

    for position in clean:
        block, visit = blocks.get(position), visits[position]
        if block is not None:
            draft.add_block(position, block)
            continue
        assert visit is not None
        if position in alone or visit.precheck is None:
            close(position)
            if visit.laned >= 0:  # lanes name it, and then it is visited
                done.append(Stretch(position + 1, (), (), None))
            else:
                done.append(Stretch(position + 1, (position,), None, None))
        else:
            if not draft.takes(visit):
                close(position)
            draft.positions.append(position)
            draft.checks.append(visit.precheck)
    close(end)
    return tuple(done)


def _landing(rules: Sequence[CompiledRule], position: int) -> int:
    """The position behind the marker that a rule's skipAfter names; the end of the phase where there is none."""
    label = rules[position].skip_after
    for index in range(position + 1, len(rules)):
        if rules[index].marker == label:
            return index + 1
    return len(rules)


class _Recorder(dict[bytes, bytes]):
    """TX while a block runs: remembers what was removed, for a member that is set anew stands behind all others."""

    def __init__(self, content: dict[bytes, bytes]) -> None:
        super().__init__(content)
        self.removed: dict[bytes, None] = {}

    def pop(self, key: bytes, default: Any = None) -> Any:
        """Remove a member, as effects do it."""
        self.removed[key] = None
        return super().pop(key, default)


class _Statics:
    """Walks phases on an empty transaction."""

    def __init__(self, plan: Plan, blank: Callable[[], Transaction]) -> None:
        self.plan = plan
        self.blank = blank
        self.footprints: dict[int, Footprint] = {id(r): footprint(plan, r) for r in plan.rules if not r.marker}
        self.keys = all_keys(self.footprints.values())

    def walk(self, history: tuple[int, ...], before: _Walked | None) -> _Walked:
        """Walk the last phase of a history, on from where the one before ended."""
        tx = self.blank()
        if before is not None:
            tx.tx.update(before.end.tx)
            tx.matched_var, tx.highest_severity = before.end.matched_var, before.end.highest_severity
        rules = self.plan.phases[history[-1]]
        blocks: dict[int, Block] = {}
        reachable: list[int] = []
        static: set[int] = set()
        static_ids: set[int] = set()
        position = 0
        while position < len(rules):
            rule = rules[position]
            if rule.marker:
                position += 1
            elif self._is_static(rule):
                position = self._block(tx, rules, position, blocks, static, static_ids)
            else:
                reachable.append(position)
                position += 1
        return _Walked(tx, blocks, tuple(reachable), frozenset(static), frozenset(static_ids), self.keys)

    def _is_static(self, rule: CompiledRule) -> bool:
        return self.footprints[id(rule)].only_tx and not rule.log

    def _block(  # noqa: PLR0917  one call
        self,
        tx: Transaction,
        rules: Sequence[CompiledRule],
        position: int,
        blocks: dict[int, Block],
        static: set[int],
        static_ids: set[int],
    ) -> int:
        """Run the static rules from a position on; add their block, positions and ids; the position behind them."""
        first, before = position, dict(tx.tx)
        reads: set[bytes] = set()
        recorder = tx.tx = _Recorder(before)
        tx.records.clear()
        tx.made_keys = []
        tx.matched_var = None
        while position < len(rules):
            rule = rules[position]
            if rule.marker:
                position += 1
                continue
            if not self._is_static(rule):
                break
            tx.matched_vars = []
            static.add(position)
            static_ids.add(rule.id)
            reads |= self.footprints[id(rule)].reads
            if evaluate(tx, rule):
                position = _landing(rules, position) if rule.skip_after else position + 1
                # Of removed rules `skip` counts none: those it passes matter too.
                static_ids.update(passed.id for passed in rules[position : position + rule.skip])
                position = min(position + rule.skip, len(rules))
            else:
                position += 1
        tx.tx = dict(recorder)
        moved = recorder.removed
        blocks[first] = Block(
            start=first,
            end=position,
            reads=frozenset(reads),
            changes={key: value for key, value in tx.tx.items() if before.get(key) != value or key in moved},
            removed=tuple(moved),
            made=tuple(tx.made_keys or ()),
            records=tuple(record._replace(disruptive=False) for record in tx.records),
            severity=min((r.rule.severity for r in tx.records if r.rule.severity is not None), default=NO_SEVERITY),
            matched_var=tx.matched_var,
        )
        return position
