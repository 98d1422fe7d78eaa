"""The planned executor: visits only the rules that can match, with the outcome of the reference interpreter.

For each phase there is a program (made by `compiler/program.py`). The values that rules look at go to lanes first,
which name candidates; then candidates, and the rules that no scan can speak for, are evaluated in the order of
the files. Rules that depend on TX alone come as blocks, computed in advance: a block counts as long as nothing in
this transaction has written what its rules read ("dirty"); else its rules are evaluated one by one.

While all goes as computed a transaction is *clean*. It stops being so when a rule jumps, or changes something that
cannot be followed; from then on every rule that no lane speaks for is asked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from waf_engine.compiler.plan import Allow, CompiledRule, Phase
from waf_engine.runtime.evaluate import MATCHED, evaluate
from waf_engine.runtime.lanes import LATER, HeaderSource, Named, ScalarSource, Source
from waf_engine.runtime.match import MatchRecord
from waf_engine.runtime.reference import is_allowed
from waf_engine.runtime.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from waf_engine.runtime.transaction import Transaction

    Precheck = Callable[[Transaction], bool]
    Evaluate = Callable[[Transaction, CompiledRule, int, AbstractSet[str | bytes] | None], int]

GO_ON: Final = -1
"""All went as computed."""
ENDED: Final = -2
"""The phase ends here."""
JUMP: Final = -3
"""This, less a position: go on there, still clean."""

FOLLOWED_BY: Final = {1: 2, 3: 4}
"""Phases in which candidates of the next phase are found, too."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rules on TX alone, and what they come to.

    Attributes:
        start: the position of the first.
        end: the position at which the walk goes on.
        reads: members of TX that they read.
        changes: members of TX that they set.
        removed: members of TX that they remove, be it to set them anew.
        made: members of TX that they set by a name made at run time.
        records: the matches of those that match.
        severity: the worst severity among them; 255 for none.
        matched_var: what MATCHED_VAR and MATCHED_VAR_NAME are after them; None: as before.
    """

    start: int
    end: int
    reads: frozenset[bytes]
    changes: Mapping[bytes, bytes]
    removed: tuple[bytes, ...]
    made: tuple[bytes, ...]
    records: tuple[MatchRecord, ...]
    severity: int
    matched_var: tuple[str, bytes] | None

    def apply(self, tx: Transaction) -> None:
        """Do to a transaction what the rules would do."""
        for key in self.removed:
            tx.tx.pop(key, None)
        tx.tx.update(self.changes)
        if self.made and tx.made_keys is not None:
            tx.made_keys += self.made
        if self.matched_var is not None:
            tx.matched_var = self.matched_var
        if self.records:
            tx.record(self.records, self.severity)

    def then(self, after: Block) -> Block:
        """This block and a later one as one."""
        changes = {key: value for key, value in self.changes.items() if key not in after.removed}
        return Block(
            start=self.start,
            end=after.end,
            reads=self.reads | after.reads,
            changes={**changes, **after.changes},
            removed=tuple(dict.fromkeys((*self.removed, *after.removed))),
            made=self.made + after.made,
            records=self.records + after.records,
            severity=min(self.severity, after.severity),
            matched_var=after.matched_var or self.matched_var,
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """A rule that is evaluated, or at least asked.

    Attributes:
        rule: the rule.
        precheck: says False when it cannot match; None: it has to be evaluated.
        dirties: for each reach of an evaluation the members of TX, among those that blocks read, that it may have
            changed; None: it may have changed anything.
        changes_rules: whether its effects may remove rules or targets.
        laned: the member of its chain that lanes speak for; -1 for none.
        replay: does again what it did before, where that is all there is to it.
    """

    rule: CompiledRule
    precheck: Precheck | None
    dirties: tuple[frozenset[bytes] | None, ...]
    changes_rules: bool
    laned: int = -1
    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive positions that mostly come to nothing but a block.

    Attributes:
        end: the first position behind it.
        positions: what is in it, blocks by their first position.
        checks: the prechecks of its rules; while all say False, no rule of it matches. None where one must be visited.
        block: all its blocks as one; no precheck reads what a block before it in the stretch writes.
    """

    end: int
    positions: tuple[int, ...]
    checks: tuple[Precheck, ...] | None
    block: Block | None


@dataclass(frozen=True)
class PhaseProgram:
    """What is to be done in one phase.

    Attributes:
        rules: the rules and markers of the phase; positions are indexes into it.
        visits: for each rule how to visit it; None for markers.
        stretches: the way of a clean transaction, in order; none for an order of phases that has none.
        blocks: blocks by position.
        static: positions of rules in blocks.
        full: positions to be visited otherwise: all rules that no lane speaks for.
        sources: the variables whose values are asked about.
        early: the variables that were asked about in the phase before, for this one too.
        reachable: positions that candidates may have while the transaction is clean.
        landing: for each position with a skipAfter, where it leads.
        static_ids: ids of the rules in blocks.
        static_keys: members of TX that any block reads.
        evaluate: evaluates a rule; `profiling` has one of its own.
    """

    rules: Sequence[CompiledRule]
    visits: Sequence[Visit | None]
    stretches: tuple[Stretch, ...]
    blocks: Mapping[int, Block]
    static: frozenset[int]
    full: tuple[int, ...]
    sources: tuple[Source | ScalarSource | HeaderSource, ...]
    early: tuple[Source | ScalarSource | HeaderSource, ...]
    reachable: frozenset[int]
    landing: Mapping[int, int]
    static_ids: frozenset[int] = frozenset()
    static_keys: frozenset[bytes] = frozenset()
    evaluate: Evaluate = evaluate
    _written_behind: dict[int, frozenset[bytes]] = field(init=False, default_factory=dict)
    _written_between: dict[tuple[int, int], frozenset[bytes] | None] = field(init=False, default_factory=dict)

    def written_behind(self, position: int) -> frozenset[bytes]:
        """Members of TX that blocks behind a position write."""
        found = self._written_behind.get(position)
        if found is None:
            blocks = [block for start, block in self.blocks.items() if start > position]
            found = frozenset(key for block in blocks for key in (*block.changes, *block.removed))
            self._written_behind[position] = found
        return found

    def written_between(self, position: int, landing: int) -> frozenset[bytes] | None:
        """Members of TX that blocks write which a jump passes; None for one that ends within a block."""
        jump = position, landing
        if jump not in self._written_between:
            blocks = [block for start, block in self.blocks.items() if position < start < landing]
            keys = frozenset(key for block in blocks for key in (*block.changes, *block.removed))
            self._written_between[jump] = None if any(block.end > landing for block in blocks) else keys
        return self._written_between[jump]

    def fits(self, tx: Transaction) -> bool:
        """Whether nothing that blocks depend on was changed from outside: by a `ctl`, or by the body."""
        return (
            (not tx.removed_ids or tx.removed_ids.isdisjoint(self.static_ids))
            and (not tx.removed_targets or self.static_ids.isdisjoint(tx.removed_targets))
            and (not tx.keys_of_body or self.static_keys.isdisjoint(tx.keys_of_body))
        )


class PlannedExecutor:
    """Runs phases by their programs.

    Attributes:
        programs: by the phases that ran before in this transaction, while it was clean, and the phase to run.
    """

    def __init__(self, programs: Mapping[tuple[int, ...], PhaseProgram]) -> None:
        self.programs = programs

    def __call__(self, tx: Transaction, phase: int) -> None:
        """Run one phase."""
        history = (*tx.clean_phases, phase)
        program = self.programs.get(history)
        if tx.clean and program is not None and program.stretches and program.fits(tx):
            tx.clean_phases = history
            position = _run_clean(tx, program, phase)
        else:
            tx.clean, position = False, 0
            program = program or self.programs[phase,]
        if position >= 0:
            tx.clean = False  # something came otherwise than computed
            _run_full(tx, program, phase, position)
        if tx.allow is Allow.PHASE or (tx.allow is Allow.REQUEST and phase == Phase.REQUEST_BODY):
            tx.allow = None

    def wanted(self, tx: Transaction, history: tuple[int, ...]) -> set[int]:
        """Positions of the rules that a phase evaluated, or would evaluate now: for the planner."""
        program = self.programs[history]
        found = set(program.reachable.intersection(tx.candidates or ()))
        for stretch in program.stretches:
            for position in stretch.positions:
                visit = program.visits[position]
                if visit is None or position in program.blocks:
                    continue
                if visit.precheck is None or visit.precheck(tx):
                    found.add(position)
        return found


def _candidates(tx: Transaction, program: PhaseProgram, phase: int) -> Named:
    """The positions of the rules of this phase that the lanes name."""
    found: Named = {}
    for source in program.sources:
        source.collect(tx, found)
    following = FOLLOWED_BY.get(phase)
    if following is not None:
        later = {position - LATER: values for position, values in found.items() if position >= LATER}
        tx.later = (following, later)
        return {position: values for position, values in found.items() if position < LATER} if later else found
    if program.early:
        if tx.later is not None and tx.later[0] == phase:
            early = tx.later[1]
        else:
            named: Named = {}
            for source in program.early:
                source.collect(tx, named)
            early = {position - LATER: values for position, values in named.items() if position >= LATER}
        for position, values in early.items():
            found.setdefault(position, set()).update(values)
    return found


def _run_clean(tx: Transaction, program: PhaseProgram, phase: int) -> int:
    """Run until the end, or until the transaction is no longer clean: then the position to go on from."""
    tx.candidates = found = _candidates(tx, program, phase)
    wanted = sorted(program.reachable.intersection(found)) if found else []
    at, count, resume = 0, len(wanted), 0
    for stretch in program.stretches:
        if stretch.end <= resume:
            continue
        positions = stretch.positions
        if at < count and wanted[at] < stretch.end:
            start = at
            while at < count and wanted[at] < stretch.end:
                at += 1
            positions = tuple(sorted({*positions, *wanted[start:at]}))
        elif (checks := stretch.checks) is not None and (not positions or positions[0] >= resume):
            for check in checks:
                if check(tx):
                    break
            else:
                block = stretch.block
                if block is None:
                    continue
                if not tx.dirty or block.reads.isdisjoint(tx.dirty):
                    block.apply(tx)
                    continue
        following = _visit(tx, program, phase, positions, resume)
        while following <= JUMP and (resume := JUMP - following) < stretch.end:
            following = _visit(tx, program, phase, positions, resume)
        if following in {GO_ON, JUMP - resume}:
            continue
        return following
    return ENDED


def _visit(  # noqa: C901  the loop over positions: each call in it would cost as much as what it does
    tx: Transaction, program: PhaseProgram, phase: int, positions: Sequence[int], resume: int
) -> int:
    """Do what some positions of a stretch want, each for itself, from one on.

    Returns:
        Where to go on, no longer clean; `GO_ON`, `ENDED` or `JUMP`.
    """
    blocks, visits, found = program.blocks, program.visits, tx.candidates
    for position in positions:
        if position < resume:
            continue
        block = blocks.get(position)
        if block is not None:
            if not tx.dirty or block.reads.isdisjoint(tx.dirty):
                block.apply(tx)
            elif (following := _run_block(tx, program, phase, block)) != GO_ON:
                return following
            continue
        visit = visits[position]
        if visit is None or (visit.precheck is not None and not visit.precheck(tx)):
            continue
        rule = visit.rule
        if tx.removed_ids and rule.id in tx.removed_ids:
            continue
        if visit.replay is not None:
            reach = visit.replay.run(tx, program.evaluate)
        else:
            reach = program.evaluate(tx, rule, visit.laned, found.get(position) if found else None)
        if reach == MATCHED:
            if tx.interruption is not None and phase != Phase.LOGGING:
                # The logging phase follows: of what it reads, that is missing which blocks from here on would write.
                written = visit.dirties[MATCHED]
                tx.clean = written is not None
                tx.dirty |= (written or frozenset()) | program.written_behind(position)
                return ENDED
            if tx.allow is not None or rule.skip or rule.skip_after:
                return _jump(tx, program, phase, position, visit)
        dirties = visit.dirties[reach]
        if dirties is None:
            return position + 1
        if dirties:
            tx.dirty |= dirties
        if visit.changes_rules and not program.fits(tx):
            return position + 1
    return GO_ON


def _jump(tx: Transaction, program: PhaseProgram, phase: int, position: int, visit: Visit) -> int:
    """Where to go on after a rule that jumps, as `_visit` says it."""
    landing = _next(tx, program, position, visit.rule, phase)
    written = visit.dirties[MATCHED]
    passed = program.written_between(position, landing) if landing >= 0 else None
    if written is None or passed is None or (visit.changes_rules and not program.fits(tx)):
        tx.clean = False
        return landing
    tx.dirty |= written | passed
    return JUMP - landing


def _run_block(tx: Transaction, program: PhaseProgram, phase: int, block: Block) -> int:
    """Evaluate the rules of a block, since something that they read was written."""
    position = block.start
    while position < block.end:
        visit = program.visits[position]
        if visit is None:
            position += 1
            continue
        if position not in program.static:
            return position  # the rule that skips this one did not match this time
        rule = visit.rule
        matched = (visit.precheck is None or visit.precheck(tx)) and program.evaluate(tx, rule, -1, None) == MATCHED
        tx.dirty |= visit.dirties[MATCHED] or frozenset()  # that it did not match may be the difference, too
        if not matched:
            position += 1
            continue
        following = _next(tx, program, position, rule, phase)
        if following < 0:
            return following
        for passed in program.visits[position + 1 : min(following, block.end)]:
            if passed is not None:  # what it would have written is not as computed
                tx.dirty |= passed.dirties[MATCHED] or frozenset()
        position = following
    return GO_ON if position == block.end else position


def _next(tx: Transaction, program: PhaseProgram, position: int, rule: CompiledRule, phase: int) -> int:
    """Where to go on after a rule that matched; `ENDED` for the end of the phase."""
    if (tx.interruption is not None and phase != Phase.LOGGING) or is_allowed(tx, phase):
        return ENDED
    position = program.landing[position] if rule.skip_after else position + 1
    skip = rule.skip
    while skip and position < len(program.rules):
        if not (program.rules[position].id and program.rules[position].id in tx.removed_ids):
            skip -= 1
        position += 1
    return position


def _run_full(tx: Transaction, program: PhaseProgram, phase: int, start: int) -> None:
    """Run the phase from a position on, every rule for itself."""
    if start == 0 or tx.candidates is None:
        tx.candidates = _candidates(tx, program, phase)
    found, tx.candidates = tx.candidates, None
    order = sorted({*program.full, *found})
    if is_allowed(tx, phase) or (tx.interruption is not None and phase != Phase.LOGGING):
        return
    visits = program.visits
    for index in range(bisect_left(order, start), len(order)):
        position = order[index]
        if position < start:
            continue
        visit = visits[position]
        if visit is None or (visit.precheck is not None and not visit.precheck(tx)):
            continue
        rule = visit.rule
        if tx.removed_ids and rule.id in tx.removed_ids:
            continue
        if program.evaluate(tx, rule, visit.laned, found.get(position)) == MATCHED:
            start = _next(tx, program, position, rule, phase)
            if start == ENDED:
                return
