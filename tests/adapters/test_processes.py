"""Fifty clients behind a real HAProxy, four workers, responses checked: nothing is lost, whatever happens to the agent.

Each run takes some seconds. `SPOA_WAF_FULL=1 ./dev test tests/adapters/test_processes.py -s` runs them for a minute
each, with 20 reloads, and holds every answer to 250 ms; that needs a machine with nothing else to do.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.adapters.harness import haproxy_binaries
from tests.adapters.proc import gone
from tests.adapters.workers.stand import ANSWER_SECONDS, CLIENTS, FULL, RULES, Answer, Clients, Stand, until
from tests.conftest import absent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.adapters.harness import Processes

pytestmark = [pytest.mark.haproxy, pytest.mark.slow, pytest.mark.timeout(240)]

SECONDS = 60.0 if FULL else 6.0
KILL_EVERY = 2.0
AFTER_A_KILL = 1.0
"""Seconds after a worker's end in which what it had in hand fails: requests at once, waiting ones with their
response."""


@pytest.fixture
def stand(processes: Processes) -> Stand:
    return Stand(processes, binary("pypi"))


def binary(kind: str) -> str:
    path = dict(haproxy_binaries()).get(kind)
    if path is None:
        absent(f"no HAProxy of the kind {kind} on this machine")
    return path


@dataclass
class Killing:
    """Kills workers by chance, and knows when they ended."""

    stand: Stand
    ends: list[tuple[float, float]] = field(default_factory=list)

    def kill(self) -> None:
        victim, begin = random.choice(self.stand.workers()), time.monotonic()
        with suppress(ProcessLookupError):  # one that drained has ended by itself
            os.kill(victim, signal.SIGKILL)
        until(lambda: gone(victim))
        self.ends.append((begin, time.monotonic()))

    def explain(self, answer: Answer) -> bool:
        """Whether a worker may have had it in hand when it was killed."""
        asked = answer.at - answer.seconds
        return any(kill <= answer.at and asked < end + AFTER_A_KILL for kill, end in self.ends)


def run(stand: Stand, disturb: Callable[[float], None] | None = None, *, times_at_least: int = 0) -> Clients:
    """Let the clients ask, and disturb the agent now and then; what they saw."""
    clients, disturbed = Clients(stand.port), 0
    clients.start()
    try:
        begin = time.monotonic()
        while time.monotonic() < begin + SECONDS or disturbed < times_at_least or len(clients.answers) <= CLIENTS * 4:
            assert time.monotonic() < begin + 2 * SECONDS + 60, "too slow, even for a busy machine"
            if disturb is None:
                threading.Event().wait(0.2)
            else:
                disturb(begin)
                disturbed += 1
    finally:
        clients.stop()
    times = sorted(answer.seconds for answer in clients.answers)
    cuts = statistics.quantiles(times, n=100)
    sys.stdout.write(
        f"{len(times)} answers in {SECONDS:g} s, p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, "
        f"longest {times[-1] * 1000:.0f} ms, {len(clients.failed)} without a verdict\n"
    )
    assert clients.broken == []
    assert clients.wrong == []
    assert len(times) > CLIENTS * 4
    if FULL:
        assert stand.slow_answers() == []
    return clients


@pytest.mark.parametrize("kind", ["debian", "pypi"])
def test_every_response_finds_its_transaction(processes: Processes, kind: str) -> None:
    stand = Stand(processes, binary(kind))
    stand.start()
    clients = run(stand)

    assert clients.failed == []
    assert "transaction-not-found" not in stand.log()
    assert stand.log("shop.log").count('[id "100"]') >= len([each for each in clients.answers if each.status == 403])


def test_reloads_and_new_logs_lose_nothing(stand: Stand) -> None:
    stand.start()
    count = 0

    def disturb(begin: float) -> None:
        nonlocal count
        count += 1
        (stand.folder / "shop.log").rename(stand.folder / f"shop.log.{count}")
        stand.signal(signal.SIGUSR1, wait_for="logs reopened")
        stand.signal(signal.SIGHUP, wait_for="reloaded address")
        threading.Event().wait(max(0.0, begin + count * SECONDS / 20 - time.monotonic()) if FULL else 0.3)

    clients = run(stand, disturb, times_at_least=20 if FULL else 2)

    assert clients.failed == []
    lines = "".join(each.read_text() for each in stand.folder.glob("shop.log*"))
    attacks = len([each for each in clients.answers if each.status == 403])
    leaks = len([each for each in clients.answers if each.status == 502])
    assert (lines.count('[id "100"]'), lines.count('[id "101"]')) == (attacks, leaks), "each in the log, and once"
    until(lambda: len(stand.tree()) == 1, lambda: str(stand.tree()))


def test_rules_change_for_all_workers_at_once(stand: Stand) -> None:
    """After a reload is said to be done no worker judges by the old rules."""
    stand.start()
    clients = Clients(stand.port)
    clients.start()
    try:
        until(lambda: len(clients.answers) > CLIENTS)
        old = set(stand.workers())
        (stand.folder / "rules.conf").write_text(RULES.replace('"@contains attack"', '"@contains nothing"'))
        stand.signal(signal.SIGHUP, wait_for="reloaded address")
        # What reaches an old worker before it has read that it is to give its connections back is judged by it.
        until(lambda: not any(count for pid, count in stand.connections().items() if pid in old))
        done, before = time.monotonic(), len(clients.answers)
        until(lambda: len(clients.answers) > before + 4 * CLIENTS)
    finally:
        clients.stop()

    later = [each for each in clients.answers if each.at - each.seconds > done and "attack" in each.target]
    assert {each.status for each in later} == {200}
    assert clients.failed == []


def test_killed_workers_lose_only_what_they_had_in_hand(stand: Stand) -> None:
    stand.start()
    killing = Killing(stand)

    def disturb(_: float) -> None:
        threading.Event().wait(KILL_EVERY)
        killing.kill()

    clients = run(stand, disturb)

    assert [each for each in clients.failed if not killing.explain(each)] == []
    assert len(clients.failed) <= len(killing.ends) * CLIENTS
    assert {each.error for each in clients.failed} <= {"1", "256", "257", "516"}
    if FULL:
        assert all(each.seconds < ANSWER_SECONDS for each in clients.failed)
    until(lambda: len(stand.workers()) == 4, lambda: str(stand.tree()))


def test_all_of_it_at_once(stand: Stand) -> None:
    stand.start()
    killing = Killing(stand)

    def disturb(_: float) -> None:
        stand.signal(signal.SIGHUP, wait_for="reloaded address")
        stand.agent.send_signal(signal.SIGUSR1)
        killing.kill()
        threading.Event().wait(KILL_EVERY)

    clients = run(stand, disturb)

    assert [each for each in clients.failed if not killing.explain(each)] == []
    assert "Traceback" not in stand.log("agent.out")
    until(lambda: len(stand.tree()) == 1 and len(stand.workers()) == 4, lambda: str(stand.tree()))
    stand.signal(signal.SIGTERM, wait_for="stopping")
    assert stand.agent.wait(60) == 0


def test_the_work_is_shared_out(stand: Stand) -> None:
    """HAProxy opens few connections, and loads them unequally: workers without work get some from those with much."""
    stand.start(haproxy_threads=4)

    def ticks() -> dict[int, int]:
        return {pid: sum(map(int, _stat(pid)[13:15])) for pid in stand.workers()}

    def is_even() -> bool:
        before = ticks()
        threading.Event().wait(2)
        after = ticks()
        shares[:] = sorted(after[pid] - before[pid] for pid in before)
        return shares[0] > shares[-1] / 3

    shares: list[int] = []
    clients = Clients(stand.port)
    clients.start()
    try:
        until(is_even, lambda: f"{shares} {stand.connections()}")
    finally:
        clients.stop()

    assert (clients.broken, clients.wrong, clients.failed) == ([], [], [])


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text("ascii").split()
