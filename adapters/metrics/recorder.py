"""The observer that counts: each method adds to a few cells of a sheet.

Here: what counts as what. It runs for every request, so that cells are looked up once, when this file is imported.
Not here: where the cells are (sheet.py), what Prometheus is told (board.py).

A recorder is written to by one thread, the loop's. (In CPython two threads may lose a count, no more.)
"""

from __future__ import annotations

from bisect import bisect_left
from time import perf_counter
from typing import TYPE_CHECKING

from adapters.metrics.observer import Observer
from adapters.metrics.sheet import SLOT, Sheet, cell, width
from adapters.metrics.table import (
    BUDGET_ACTIONS,
    BY_NAME,
    CATEGORIES,
    CATEGORY_NAMES,
    DIRECTIONS,
    DROPPED,
    FAILURES,
    FINE,
    FRAMES_IN,
    FRAMES_OUT,
    HIT_OUTCOMES,
    LATENCY,
    METRICS,
    OUTCOMES,
    PHASES,
    REASONS,
    SCORES,
    SEVERITIES,
    SHARED,
    SKIPPED,
    Kind,
)
from adapters.transactions import Gone
from spop_proto import ConnectionFailed, HAProxyDisconnect, HAProxyHello, Notify, StatusCode, UnknownFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from adapters.transactions import TransactionStore
    from adapters.troubles import Reason
    from waf_engine import Interruption, MatchedRule, Transaction

    Executor = Callable[[Transaction, int], None]
    Wrap = Callable[[Executor], Executor]


def _cells(name: str, values: Iterable[str]) -> dict[str, int]:
    """The cells of a metric with one label, by its values."""
    return {value: cell(BY_NAME[name], value) for value in values}


def _one(name: str) -> int:
    return cell(BY_NAME[name])


_MESSAGE = _one("coraza_handle_spoe_duration_seconds")
_NO_VERDICT = _cells("spoa_waf_no_verdict_total", REASONS)
_OPEN, _ACCEPTED = _one("spoa_waf_open_connections"), _one("spoa_waf_connections_total")
_FAILURES = _cells("spoa_waf_connection_failures_total", FAILURES)
_FAILURE_OF = {int(code): _FAILURES[code.name.lower().replace("_", "-")] for code in StatusCode if code}
_IN, _OUT = _cells("spoa_waf_frames_received_total", FRAMES_IN), _cells("spoa_waf_frames_sent_total", FRAMES_OUT)
_IN_OF = {
    HAProxyHello: _IN["haproxy-hello"],
    HAProxyDisconnect: _IN["haproxy-disconnect"],
    Notify: _IN["notify"],
    UnknownFrame: _IN["other"],
}
_OUT_OF = {101: _OUT["agent-hello"], 102: _OUT["agent-disconnect"], 103: _OUT["ack"]}  # SPOE.txt 3.2, frame types
_RECEIVED, _SENT = _one("spoa_waf_received_bytes_total"), _one("spoa_waf_sent_bytes_total")
_DELAY = _one("spoa_waf_queue_delay_seconds")
_SHARED, _SHARED_TIME = (
    _cells("spoa_waf_shared_store_requests_total", SHARED),
    _one("spoa_waf_shared_store_duration_seconds"),
)
_LINES = _one("spoa_waf_log_lines_lost_total")

# Counted from the beginning of an application's block.
_REQUEST = _cells("coraza_waf_requests_total", OUTCOMES)
_RESPONSE = _cells("spoa_waf_responses_total", OUTCOMES)
_SCORE = _one("coraza_waf_request_anomaly_score")
_LOADS = _cells("coraza_waf_plugin_loads_total", ("success", "failure"))
_BLOCKED = {
    (category, number): cell(BY_NAME["coraza_waf_blocked_requests_total"], category, severity)
    for category in CATEGORY_NAMES
    for number, severity in enumerate(SEVERITIES)
}
_PHASE = (0, *(cell(BY_NAME["spoa_waf_phase_duration_seconds"], phase) for phase in PHASES))
_BUDGET = _cells("spoa_waf_budget_exceeded_total", BUDGET_ACTIONS)
_TRUNCATED = _cells("spoa_waf_bodies_truncated_total", DIRECTIONS)
_SKIPPED = _cells("spoa_waf_skipped_total", SKIPPED)
_WAITING, _WAITING_BYTES = _one("spoa_waf_transactions_waiting"), _one("spoa_waf_transactions_waiting_bytes")
_LIMIT = _one("spoa_waf_transactions_limit")
_DROPPED = _cells("spoa_waf_transactions_dropped_total", map(str, DROPPED))
_MISSED = _cells("spoa_waf_transaction_misses_total", map(str, Gone))

_FINE_SUM, _LATENCY_SUM, _SCORE_SUM = len(FINE) + 1, len(LATENCY) + 1, len(SCORES) + 1  # where a histogram's sum is
_NO_SEVERITY = len(SEVERITIES) - 1
_INBOUND_SCORE = b"blocking_inbound_anomaly_score"


class Recorder(Observer):
    """Counts on a sheet.

    Args:
        sheet: the sheet of this process; one that another process had before goes on.
    """

    def __init__(self, sheet: Sheet) -> None:
        self.use(sheet)
        for metric in METRICS:
            if metric.kind is Kind.GAUGE and not metric.made:
                sheet.clear(metric)  # what a process that had this sheet before has left behind

    def use(self, sheet: Sheet) -> None:
        """Count on another sheet from now on."""
        self.sheet = sheet
        self._cells = sheet.cells
        self._slots: dict[str, dict[int, int]] = {}
        self._free: dict[str, Iterator[int]] = {}
        for name in sheet.applications:
            used = {int(self._cells[slot]): slot for slot in sheet.slots(name) if self._cells[slot]}
            self._slots[name] = {rule: slot + SLOT - len(HIT_OUTCOMES) for rule, slot in used.items()}
            self._free[name] = iter(sheet.slots(name)[len(used) :])
        self._timers: dict[str, _Timer] = {}
        self._categories: dict[int, tuple[str, ...]] = {}

    # -- messages -----------------------------------------------------------------------------------

    def message(self, seconds: float) -> None:
        cells = self._cells
        cells[_MESSAGE + bisect_left(LATENCY, seconds)] += 1
        cells[_MESSAGE + _LATENCY_SUM] += seconds

    def trouble(self, reason: Reason) -> None:
        self._cells[_NO_VERDICT[reason.word]] += 1

    def timer(self, application: str) -> Wrap | None:
        known = self._timers.get(application)
        if known is None and (block := self.sheet.block(application)) is not None:
            known = self._timers[application] = _Timer(self._cells, block)
        return known

    def request(
        self, application: str, transaction: Transaction, interruption: Interruption | None, *, blocks: bool = True
    ) -> None:
        block = self.sheet.block(application)
        if block is None:
            return
        cells = self._cells
        outcome = _outcome(transaction, interruption, blocks=blocks)
        cells[block + _REQUEST[outcome]] += 1
        text = transaction.tx.get(_INBOUND_SCORE)
        score = float(text) if text and text.isdigit() and len(text) < 10 else 0.0
        cells[block + _SCORE + bisect_left(SCORES, score)] += 1
        cells[block + _SCORE + _SCORE_SUM] += score
        if outcome in ("block", "redirect"):
            self._count_blocked(block, transaction)

    def _count_blocked(self, block: int, transaction: Transaction) -> None:
        """Once for each category of the rules that matched, with the highest severity in it."""
        found: dict[str, int] = {}
        for rule in transaction.matched_rules:
            if not rule.log and not rule.disruptive:
                continue
            severity = _NO_SEVERITY if rule.severity is None else rule.severity
            for category in self._categories_of(rule):
                found[category] = min(found.get(category, _NO_SEVERITY), severity)
        # Rules that add up the others' scores have no category; they count only where nothing else does.
        named = {category: severity for category, severity in found.items() if category != "other"}
        for category, severity in (named or found or {"other": _NO_SEVERITY}).items():
            self._cells[block + _BLOCKED[category, severity]] += 1

    def _categories_of(self, rule: MatchedRule) -> tuple[str, ...]:
        known = self._categories.get(id(rule.rule))
        if known is None:
            known = tuple({CATEGORIES[tag] for tag in rule.rule.tags if tag in CATEGORIES}) or ("other",)
            if len(self._categories) > 100_000:  # rules of many reloads
                self._categories.clear()
            self._categories[id(rule.rule)] = known
        return known

    def response(
        self, application: str, transaction: Transaction, interruption: Interruption | None, *, blocks: bool = True
    ) -> None:
        block = self.sheet.block(application)
        if block is not None:
            self._cells[block + _RESPONSE[_outcome(transaction, interruption, blocks=blocks)]] += 1

    def failed(self, application: str, *, response: bool = False) -> None:
        self._count(application, (_RESPONSE if response else _REQUEST)["error"])

    def matched(self, application: str, transaction: Transaction, rules: Sequence[MatchedRule]) -> None:
        slots = self._slots.get(application)
        if slots is None:
            return
        if transaction.interruption is not None:
            outcome = _HIT_BLOCK
        else:
            outcome = _HIT_PASS if transaction.detected_interruption is None else _HIT_DETECT
        for rule in rules:
            if not rule.log and not rule.disruptive:
                continue  # settings and scores of rule sets, which match on every request
            slot = slots.get(rule.rule_id)
            if slot is None:
                slot = self._slot(application, rule)
            self._cells[slot + outcome] += 1

    def _slot(self, application: str, rule: MatchedRule) -> int:
        """The cells of a rule, counted so that the outcome's number can be added."""
        severity = _NO_SEVERITY if rule.severity is None else rule.severity
        slot = next(self._free[application], None) if rule.rule_id > 0 else None
        if slot is None:
            place = self.sheet.others(application) + severity * len(HIT_OUTCOMES)
        else:
            self._cells[slot + 1] = severity
            self._cells[slot] = rule.rule_id
            place = slot + SLOT - len(HIT_OUTCOMES)
        self._slots[application][rule.rule_id] = place
        return place

    def dropped(self, application: str, gone: Gone) -> None:
        if gone in _DROPPED:
            self._count(application, _DROPPED[gone])

    def missed(self, application: str, gone: Gone) -> None:
        self._count(application, _MISSED[gone])

    def truncated(self, application: str, *, response: bool = False) -> None:
        self._count(application, _TRUNCATED["response" if response else "request"])

    def skipped(self, application: str, what: str) -> None:
        self._count(application, _SKIPPED[what])

    def over_budget(self, application: str, action: str) -> None:
        self._count(application, _BUDGET[action])

    # -- connections --------------------------------------------------------------------------------

    def opened(self) -> None:
        self._cells[_OPEN] += 1
        self._cells[_ACCEPTED] += 1

    def closed(self) -> None:
        self._cells[_OPEN] -= 1

    def received(self, size: int, events: Iterable[object]) -> None:
        cells = self._cells
        cells[_RECEIVED] += size
        for happened in events:
            place = _IN_OF.get(happened.__class__)
            if place is not None:
                cells[place] += 1
            elif isinstance(happened, ConnectionFailed):
                cells[_FAILURE_OF.get(int(happened.status), _FAILURES["other"])] += 1

    def sent(self, data: bytes) -> None:
        cells, position, size = self._cells, 0, len(data)
        cells[_SENT] += size
        while position + 4 < size:  # a frame: its length, four bytes; then its type
            place = _OUT_OF.get(data[position + 4])
            if place is not None:
                cells[place] += 1
            position += 4 + int.from_bytes(data[position : position + 4], "big")

    def delayed(self, seconds: float) -> None:
        self._observe(_DELAY, seconds)

    # -- the process --------------------------------------------------------------------------------

    def waiting(self, stores: Mapping[str, TransactionStore[object]]) -> None:
        for application, store in stores.items():
            block = self.sheet.block(application)
            if block is not None:
                self._cells[block + _WAITING] = len(store)
                self._cells[block + _WAITING_BYTES] = store.counters.bytes
                self._cells[block + _LIMIT] = store.limit

    def shared(self, result: str, seconds: float | None = None) -> None:
        self._cells[_SHARED[result]] += 1
        if seconds is not None:
            self._observe(_SHARED_TIME, seconds)

    def lines_lost(self, count: int) -> None:
        self._cells[_LINES] += count

    def loaded(self, applications: Iterable[str], *, success: bool) -> None:
        for name in applications:
            self._count(name, _LOADS["success" if success else "failure"])

    # -----------------------------------------------------------------------------------------------

    def _count(self, application: str, place: int) -> None:
        block = self.sheet.block(application)
        if block is not None:
            self._cells[block + place] += 1

    def _observe(self, place: int, seconds: float) -> None:
        self._cells[place + bisect_left(FINE, seconds)] += 1
        self._cells[place + _FINE_SUM] += seconds


_HIT_PASS, _HIT_BLOCK, _HIT_DETECT = (HIT_OUTCOMES.index(word) for word in ("pass", "block", "detect"))
assert width(BY_NAME["spoa_waf_phase_duration_seconds"]) == _FINE_SUM + 1


class _Timer:
    """Makes executors that measure the time of each phase; the same one for the same executor."""

    def __init__(self, cells: memoryview[float], block: int) -> None:
        self._cells, self._places = cells, [block + place for place in _PHASE]
        self._inner: Executor | None = None
        self._made: Executor | None = None

    def __call__(self, executor: Executor) -> Executor:
        if self._made is None or executor is not self._inner:  # it changes once, when patterns are compiled
            self._inner, self._made = executor, self._measured(executor)
        return self._made

    def _measured(self, executor: Executor) -> Executor:
        cells, places = self._cells, self._places

        def run(transaction: Transaction, phase: int) -> None:
            begin = perf_counter()
            try:
                executor(transaction, phase)
            finally:
                seconds = perf_counter() - begin
                place = places[phase]
                cells[place + bisect_left(FINE, seconds)] += 1
                cells[place + _FINE_SUM] += seconds

        return run


def _outcome(transaction: Transaction, interruption: Interruption | None, *, blocks: bool) -> str:
    if interruption is None:
        return "pass" if transaction.detected_interruption is None else "detect"
    if not blocks:
        return "detect"
    return "redirect" if interruption.action == "redirect" else "block"
