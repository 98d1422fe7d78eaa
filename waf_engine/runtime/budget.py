"""A bound on the processor time of one transaction: what it is, how it is kept, what follows when it is reached.

A transaction with a budget is a `BoundedTransaction`. It looks at the clock where executors do a step of work: when
they take up a rule, when a value matches, and (`bounded`) when they take up a value to be scanned. A transaction
without a budget is none of that class and is run by the plain executor, so it pays nothing.

What cannot be interrupted: one transformation, scan or expression on one value. Its time is linear in the length of
the value, so the limit on bodies bounds it (docs/performance.md has the figures for a megabyte); a budget may be
overrun by that much.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from waf_engine.compiler.plan import Phase
from waf_engine.runtime.lanes import HeaderSource, ScalarSource, Source
from waf_engine.runtime.match import Interruption
from waf_engine.runtime.planned import PlannedExecutor
from waf_engine.runtime.transaction import Transaction
from waf_engine.settings import EngineMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from waf_engine.runtime.planned import PhaseProgram
    from waf_engine.runtime.transaction import Executor
    from waf_engine.types import Entry

    AnySource = Source | ScalarSource | HeaderSource

ACTIONS: Final = ("pass", "deny", "error")
STATUS: Final = 503
"""Status of the interruption of ``deny``: that the request was not judged in time is no verdict about the client."""

STRIDE = 8
"""Steps between two looks at the clock, which cost as much as a tenth of a step each."""
MANY = 16
"""Members of a variable that are worth a look at the clock between them while one rule is evaluated."""
LONG_VALUE: Final = 4096
"""Bytes of a value that counts as one step more, as does each further so many."""
SHORT: Final = 16_384
"""Bytes of URI and body up to which no look at the clock is needed while values are scanned: that takes a few
milliseconds."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much processor time a transaction may take.

    Attributes:
        milliseconds: in all phases together; more than 0.
        action: what follows when it is reached. ``pass``: the rest of the rules is not run. ``deny``: the transaction
            is interrupted with the status 503 (with ``SecRuleEngine DetectionOnly`` as ``pass``). ``error``: as
            ``pass``; whoever runs the transaction is to treat it as one without a verdict.
    """

    milliseconds: float
    action: str = "pass"

    def __post_init__(self) -> None:
        if not 0 < self.milliseconds < math.inf:
            raise ValueError(f"a budget is a number of milliseconds above 0, got {self.milliseconds}")
        if self.action not in ACTIONS:
            raise ValueError(f"the action of a budget is one of {', '.join(ACTIONS)}, got {self.action!r}")


@dataclass(frozen=True, slots=True)
class Exceeded:
    """How a budget was exceeded.

    Attributes:
        budget: what was allowed.
        milliseconds: what was used.
        phase: the phase at work, 1 to 5; the one before while a body was being parsed.
        rule_id: the rule at work; 0 while values were scanned for many rules at once, or a body was parsed.
        name: the variable at work, with its member, such as ``ARGS:q``; empty when no value was.
        length: bytes of the value at work; 0 when not known.
    """

    budget: Budget
    milliseconds: float
    phase: int
    rule_id: int
    name: str
    length: int

    def __str__(self) -> str:
        rule = f"rule {self.rule_id}" if self.rule_id else "no rule by itself"
        value = f"{self.name} of {self.length} bytes" if self.name else "no value"
        used = f"{self.milliseconds:.1f} ms of {self.budget.milliseconds:g} ms"
        return f"{used} used in phase {self.phase}, at work: {rule}, {value}; {self.budget.action}"


class _SpentError(Exception):
    """Unwinds what is at work when the budget is spent; never seen outside."""


class BoundedTransaction(Transaction):
    """A transaction with a budget, which `limit` gives it before anything else is done.

    Attributes:
        is_long: whether its values are worth a look at the clock between them.
    """

    def limit(self, budget: Budget, tell: Callable[[Exceeded], None]) -> None:
        """Begin to keep to a budget.

        Args:
            budget: see `Budget`.
            tell: called once if it is exceeded.
        """
        self._budget = budget
        self._tell = tell
        self._left = budget.milliseconds / 1000
        self._until = math.inf  # by the clock of the thread that runs a step; none runs
        self._steps = STRIDE
        self.is_long = False
        self._at_work: tuple[str, bytes | bytearray] | None = None  # name and value
        self.tick, self.step, self.watch = self._tick, self._step, self._watch

    # -- where executors do a step ---------------------------------------------------------------

    def _step(self, matched: tuple[str, bytes] | None) -> None:
        """A rule is taken up, or a value has matched."""
        self._at_work = matched
        self._tick()

    def _watch(self, variable: str, entries: Sequence[Entry]) -> Iterable[Entry]:
        """Members that a rule is about to look at; few are one step, as the rule is."""
        return entries if len(entries) < MANY else self.members(variable, entries)

    def scanned(self, variable: str, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Members of a variable that are scanned for many rules at once, each as its turn comes."""
        self.rule = None
        self._step(None)
        yield from self.members(variable, entries)

    def members(self, variable: str, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Members of a variable, each as its turn comes."""
        for entry in entries:
            key, value = entry
            self._at_work = (f"{variable}:{key.decode('utf-8', 'backslashreplace')}" if key else variable, value)
            yield entry
            # What the value has cost is looked at while it is known which it was.
            self._steps -= 1 + len(value) // LONG_VALUE
            if self._steps <= 0:
                self._look()

    def _tick(self) -> None:
        self._steps -= 1
        if self._steps <= 0:
            self._look()

    def _look(self) -> None:
        self._steps = STRIDE
        if time.thread_time() > self._until:
            raise _SpentError

    # -- steps -----------------------------------------------------------------------------------

    def process_request_headers(self) -> Interruption | None:
        """See `Transaction`."""
        return self._within(super().process_request_headers)

    def process_request_body(self) -> Interruption | None:
        """See `Transaction`."""
        self._parse("REQUEST_BODY", self.request.body)
        return self._within(super().process_request_body)

    def process_response_headers(self, status: int | str | bytes, version: str | bytes) -> Interruption | None:
        """See `Transaction`."""
        return self._within(partial(super().process_response_headers, status, version))

    def process_response_body(self) -> Interruption | None:
        """See `Transaction`."""
        self._parse("RESPONSE_BODY", self.response.body)
        return self._within(super().process_response_body)

    def process_logging(self) -> None:
        """See `Transaction`; the audit log is written whatever becomes of the rules."""
        if self.exceeded is not None:
            super().process_logging()  # its executor does nothing by now
            return
        self._within(super().process_logging)

    def _parse(self, name: str, body: bytes | bytearray) -> None:
        """Say that a body will be at work; a phase that begins looks how long it took."""
        self.rule, self._at_work = None, (name, body)

    def _run(self, phase: Phase) -> Interruption | None:
        self._look()
        return super()._run(phase)

    def _within(self, step: Callable[[], Interruption | None]) -> Interruption | None:
        """Do a step in what is left of the budget; nothing once it is spent."""
        if self.exceeded is not None:
            return self.interruption
        if self._until != math.inf:  # within another step
            return step()
        started = time.thread_time()
        self._until = started + self._left
        request = self.request
        self.is_long = len(request.body) + len(request.uri_raw) + len(self.response.body) > SHORT
        try:
            return step()
        except _SpentError:
            self._end(time.thread_time() - started)
            return self.interruption
        finally:
            self._left -= time.thread_time() - started
            self._until = math.inf

    def _end(self, seconds: float) -> None:
        """The budget is spent, a step has been given up."""
        rule_id = self.rule.id if self.rule is not None else 0
        name, value = self._at_work or ("", b"")
        used = self._budget.milliseconds - (self._left - seconds) * 1000
        self.exceeded = Exceeded(self._budget, used, self.phase, rule_id, name, len(value))
        self.note_limit("budget")
        self._executor = _run_nothing
        if self._budget.action == "deny" and self.phase < Phase.LOGGING:
            interruption = Interruption("deny", STATUS)
            if self.engine is EngineMode.ON:
                self.interruption = interruption
            else:
                self.detected_interruption = self.detected_interruption or interruption
        self._tell(self.exceeded)
        if self.phase == Phase.LOGGING and self._log is not None:
            self._log.record(self)  # what was given up would have done so


def _run_nothing(_tx: Transaction, _phase: int) -> None:
    """The executor of a transaction whose budget is spent."""


def bounded(executor: Executor) -> Executor:
    """An executor that looks at the clock between the values that it scans; it shares all else with the given one."""
    if not isinstance(executor, PlannedExecutor):
        return executor  # it evaluates rule by rule
    return PlannedExecutor({history: _watched_program(program) for history, program in executor.programs.items()})


def _watched_program(program: PhaseProgram) -> PhaseProgram:
    return replace(
        program,
        sources=tuple(_watched_source(source) for source in program.sources),
        early=tuple(_watched_source(source) for source in program.early),
    )


def _watched_source(source: AnySource) -> AnySource:
    if isinstance(source, HeaderSource):
        return source  # HAProxy bounds what all headers take together
    if isinstance(source, ScalarSource):
        source = Source(source.variable, source.variable.read, {}, source.lane)
    name, read = source.variable.name, source.read

    def watched(tx: Transaction) -> Iterable[Entry]:
        entries = read(tx)
        return tx.scanned(name, entries) if isinstance(tx, BoundedTransaction) and tx.is_long else entries

    return replace(source, read=watched)
