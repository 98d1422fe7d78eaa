"""The planned executor: visits only the rules that can match, with the outcome of the reference interpreter.

For each phase there is a program (made by `compiler/program.py`). The values that rules look at go to lanes first,
which name candidates; then candidates, and the rules that no scan can speak for, are evaluated in the order of
the files by the reference interpreter's own `evaluate`. Rules that depend on TX alone come as blocks, computed in
advance, as long as nothing in this transaction has touched what they read ("clean"); after that they are
evaluated like all others.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waf_engine.compiler.plan import Allow, Phase
from waf_engine.runtime.evaluate import evaluate
from waf_engine.runtime.reference import is_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from waf_engine.compiler.plan import CompiledRule
    from waf_engine.runtime.lanes import Source
    from waf_engine.runtime.match import MatchRecord
    from waf_engine.runtime.transaction import Transaction

    Precheck = Callable[[Transaction], bool]


ASKED, BEGUN, MATCHED = range(3)
"""How far the evaluation of a rule came: `compiler.static.Reach`, as plain numbers."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rules on TX alone, and what they come to.

    Attributes:
        changes: members of TX that they set.
        removed: members of TX that they remove, be it to set them anew.
        records: the matches of those that match.
        severity: the worst severity among them; 255 for none.
        matched_var: what MATCHED_VAR and MATCHED_VAR_NAME are after them; None: as before.
    """

    changes: Mapping[bytes, bytes]
    removed: tuple[bytes, ...]
    records: tuple[MatchRecord, ...]
    severity: int
    matched_var: tuple[str, bytes] | None

    def apply(self, tx: Transaction) -> None:
        """Do to a transaction what the rules would do."""
        for key in self.removed:
            tx.tx.pop(key, None)
        tx.tx.update(self.changes)
        if self.matched_var is not None:
            tx.matched_var = self.matched_var
        if self.records:
            tx.record(self.records, self.severity)


@dataclass(frozen=True)
class PhaseProgram:
    """What is to be done in one phase.

    Attributes:
        rules: the rules and markers of the phase; positions are indexes into it.
        clean: positions to be visited while the transaction is clean, in order; those of blocks are their keys.
        blocks: blocks by position.
        full: positions to be visited otherwise: all rules that no lane speaks for.
        sources: the variables whose values are scanned.
        reachable: positions that candidates may have while the transaction is clean.
        taints: positions of rules that may write what blocks read: when they are evaluated at all, when only the
            beginning of their chain matches, when they match.
        prechecks: for some positions a function that says False when the rule cannot match.
        landing: for each position with a skipAfter, where it leads.
        static_ids: ids of the rules in blocks.
        static_keys: members of TX that any block reads.
    """

    rules: Sequence[CompiledRule]
    clean: tuple[int, ...]
    blocks: Mapping[int, Block]
    full: tuple[int, ...]
    sources: tuple[Source, ...]
    reachable: frozenset[int]
    taints: Sequence[frozenset[int]]
    prechecks: Mapping[int, Precheck]
    landing: Mapping[int, int]
    static_ids: frozenset[int] = frozenset()
    static_keys: frozenset[bytes] = frozenset()

    def fits(self, tx: Transaction) -> bool:
        """Whether nothing that blocks depend on was changed from outside: by a `ctl`, or by the body."""
        return (
            (not tx.removed_ids or tx.removed_ids.isdisjoint(self.static_ids))
            and (not tx.removed_targets or self.static_ids.isdisjoint(tx.removed_targets))
            and self.static_keys.isdisjoint(tx.keys_of_body)
        )


class PlannedExecutor:
    """Runs phases by their programs.

    Args:
        programs: by the phases that ran before in this transaction, while it was clean, and the phase to run.
    """

    def __init__(self, programs: Mapping[tuple[int, ...], PhaseProgram]) -> None:
        self._programs = programs

    def __call__(self, tx: Transaction, phase: int) -> None:
        """Run one phase."""
        history = (*tx.clean_phases, phase)
        program = self._programs.get(history)
        if tx.clean and program is not None and program.fits(tx):
            tx.clean_phases = history
            position = _run_clean(tx, program, phase)
        else:
            tx.clean, position = False, 0
            program = program or self._programs[phase,]
        if position is not None:
            _run_full(tx, program, phase, position)
        if tx.allow is Allow.PHASE or (tx.allow is Allow.REQUEST and phase == Phase.REQUEST_BODY):
            tx.allow = None


def _candidates(tx: Transaction, program: PhaseProgram) -> set[int]:
    found: set[int] = set()
    for source in program.sources:
        source.collect(tx, found)
    return found


def _run_clean(tx: Transaction, program: PhaseProgram, phase: int) -> int | None:
    """Run until the end, or until the transaction is no longer clean: then the position to go on from."""
    found = _candidates(tx, program)
    order = sorted({*program.clean, *(found & program.reachable)}) if found else program.clean
    rules, blocks, prechecks = program.rules, program.blocks, program.prechecks
    for position in order:
        block = blocks.get(position)
        if block is not None:
            block.apply(tx)
            continue
        precheck = prechecks.get(position)
        if precheck is not None and not precheck(tx):
            continue
        rule = rules[position]
        if tx.removed_ids and rule.id in tx.removed_ids:
            continue
        tx.matched_vars = []
        matched = evaluate(tx, rule)
        if matched and (tx.interruption is not None or tx.allow is not None or rule.skip or rule.skip_after):
            tx.clean = False
            tx.candidates = found
            return _next(tx, program, position, rule, phase)
        # A SecAction in front of a chain has begun without a match.
        reach = MATCHED if matched else BEGUN if tx.matched_vars or rule.operator is None else ASKED
        if position in program.taints[reach] or not program.fits(tx):
            tx.clean = False
            tx.candidates = found
            return position + 1
    return None


def _next(tx: Transaction, program: PhaseProgram, position: int, rule: CompiledRule, phase: int) -> int | None:
    """Where to go on after a rule that matched; None for the end of the phase."""
    if tx.interruption is not None and phase != Phase.LOGGING:
        return None
    if is_allowed(tx, phase):
        return None
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
        tx.candidates = _candidates(tx, program)
    found, tx.candidates = tx.candidates, None
    order = sorted({*program.full, *found})
    if is_allowed(tx, phase) or (tx.interruption is not None and phase != Phase.LOGGING):
        return
    rules, prechecks = program.rules, program.prechecks
    for index in range(bisect_left(order, start), len(order)):
        position = order[index]
        if position < start:
            continue
        precheck = prechecks.get(position)
        if precheck is not None and not precheck(tx):
            continue
        rule = rules[position]
        if tx.removed_ids and rule.id in tx.removed_ids:
            continue
        tx.matched_vars = []
        if evaluate(tx, rule):
            following = _next(tx, program, position, rule, phase)
            if following is None:
                return
            start = following
