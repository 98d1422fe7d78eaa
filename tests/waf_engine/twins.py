"""One rule set run by both executors, and all that an exchange comes to: the two must agree on every bit of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waf_engine import WAF
from waf_engine.compiler.lane_maker import reads_stale_match
from waf_engine.compiler.program import Passes, plan_executor
from waf_engine.persistence import MemoryStore
from waf_engine.runtime.databases import DatabaseCache, default_folder
from waf_engine.runtime.lanes import Memory
from waf_engine.runtime.planned import PlannedExecutor
from waf_engine.waf import default_registries

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.waf_engine.random_rules import Script
    from waf_engine import Transaction

HARD_RULES = Path(__file__).with_name("plan_rules.conf")
"""Rules made to be hard on the plan."""

ALL_PASSES = Passes()
Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Exchange:
    """One HTTP exchange. None as response: the request was blocked elsewhere, or its answer is not inspected."""

    uri: bytes = b"/"
    method: bytes = b"GET"
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    response: tuple[int, tuple[Header, ...], bytes] | None = (200, ((b"Content-Type", b"text/html"),), b"")
    phases: tuple[int, ...] = field(default=(1, 2, 3, 4, 5))

    def run(self, waf: WAF) -> Transaction:
        """Run it, in the order of its phases."""
        tx = waf.transaction("T1")
        tx.process_connection("192.0.2.7", 50000, "198.51.100.1", 80)
        tx.process_uri(self.uri, self.method, b"HTTP/1.1")
        for name, value in self.headers:
            tx.add_request_header(name, value)
        for phase in self.phases:
            self._run_phase(tx, phase)
        tx.close()
        return tx

    def _run_phase(self, tx: Transaction, phase: int) -> None:
        status, headers, answer = self.response or (200, (), b"")
        if phase == 1:
            tx.process_request_headers()
        elif phase == 2:
            tx.write_request_body(self.body)
            tx.process_request_body()
        elif phase == 3 and self.response is not None:
            for name, value in headers:
                tx.add_response_header(name, value)
            tx.process_response_headers(status, b"HTTP/1.1")
        elif phase == 4 and self.response is not None:
            tx.write_response_body(answer)
            tx.process_response_body()
        elif phase == 5:
            tx.process_logging()


def outcome(tx: Transaction) -> dict[str, Any]:
    """All that rules did in a transaction, as plain values that can be compared and read."""
    return {
        "records": [(r.rule.id, r.rule.span.line, r.matches, r.disruptive) for r in tx.records],
        "tx": list(tx.tx.items()),  # in order: a selector with a pattern reads them so
        "env": tx.env,
        "interruption": tx.interruption,
        "detected": tx.detected_interruption,
        "severity": tx.highest_severity,
        # What a chain that did not match leaves there is kept only for rule sets that look at it.
        "matched_var": tx.matched_var if reads_stale_match(tx.plan.rules) else None,
        "lines": [m.coraza_line() for m in tx.matched_rules if m.log],
        "persistent": [
            (name, [variable.read(tx) for variable in tx.plan.variables.values() if variable.name == name])
            for name in tx.persistent
        ],
        "allow": tx.allow,
        "removed": (tx.removed_ids, tx.removed_targets),
        "engine": tx.engine,
    }


class Twins:
    """The same plan with the reference interpreter and with a planned executor.

    Args:
        text: the rules.
        passes: the passes of the planner.
        memory: bytes for remembered scans; 0 for none.
        root: where the rules include from.
    """

    def __init__(
        self, text: str, *, passes: Passes = ALL_PASSES, memory: int = 1 << 20, root: Path | None = None
    ) -> None:
        self._clock: Callable[[], float] = lambda: 1_000_000.0
        self.reference = WAF.from_directives(
            text, root=root, executor="reference", clock=self._clock, store=self._store()
        )
        self.planned = WAF(
            self.reference.plan,
            default_registries(),
            executor="reference",
            clock=self._clock,
            store=self._store(),
        )
        self.set_passes(passes, memory)

    def forget(self) -> None:
        """Empty the persistent collections of both."""
        self.reference._store, self.planned._store = self._store(), self._store()

    def _store(self) -> MemoryStore:
        return MemoryStore(clock=self._clock)

    def set_passes(self, passes: Passes, memory: int = 1 << 20) -> None:
        """Plan anew."""
        cache = DatabaseCache(default_folder())
        remembered = Memory(memory) if memory else None
        executor = plan_executor(self.reference.plan, self.planned._blank, cache, remembered, passes)
        assert isinstance(executor, PlannedExecutor)
        self.planned._executor = executor

    def compare(self, exchange: Exchange | Script) -> dict[str, Any]:
        """Run an exchange on both; the outcome, which has to be the same."""
        expected, found = outcome(exchange.run(self.reference)), outcome(exchange.run(self.planned))
        for what, value in expected.items():
            assert found[what] == value, f"{what} differ on {exchange}"
        return expected
