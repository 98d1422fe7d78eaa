"""Requests through a real HAProxy: how many a second, how long they take, what the agent takes beside the engine.

    ./dev bench wire [--seconds 3] [--rounds 3] [--clients 1,16,64] [--kinds R2,R3] [--rules DIR]
    ./dev bench wire --no-growth           without several workers and agents

HAProxy 2.8 and the clients have one core, the agent the other. Three agents take turns: with its own engine, with
libmodsecurity as its engine, with none. Each round has requests that none of them has seen; medians of the rounds.
`cpu us` is processor time of the agent for one request: with no engine, it is the part that is not the engine. `times`
is throughput in libmodsecurity's, `cpu` the same of processor time.
Growth: 1 and 2 workers and 2 agents on all cores, beside HAProxy and the clients.

Where something else runs on the machine, throughput and time are its as much as the agent's; processor time is less so.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.engine.engines import find_rules, say  # noqa: E402  # this tree is measured, installed or not
from benchmarks.engine.requests import KINDS, request  # noqa: E402
from benchmarks.wire.load import load  # noqa: E402
from benchmarks.wire.stand import Stand, Way, cpu_seconds  # noqa: E402
from tests.adapters.harness import Processes  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

ENGINES = (Way("ours"), Way("libmodsecurity", "libmodsecurity"), Way("no engine", "no engine"))
GROWTH = (
    Way("1 worker", pinned=False),
    Way("2 workers", workers=2, pinned=False),
    Way("2 agents", agents=2, pinned=False),
)
MOST_A_SECOND = 4000
"""Requests that are prepared for a second: what comes after them are the same again."""
GOAL_RATIO, GOAL_MICROSECONDS = 5.0, 150.0


@dataclass(frozen=True)
class Figures:
    """Of one way in one round, or their medians: per second, milliseconds, microseconds."""

    rate: float
    p50: float
    p99: float
    agent: float
    haproxy: float


class Bench:
    """Measures ways, each round on new requests.

    Args:
        stand: what is asked.
        seconds: of each load.
        rounds: how many.
    """

    def __init__(self, stand: Stand, seconds: float, rounds: int) -> None:
        self.stand, self.seconds, self.rounds = stand, seconds, rounds
        self.errors = 0
        self._made = 0

    def check(self, ways: Sequence[Way]) -> None:
        """See that each way blocks what it is to block, and that the others do.

        Raises:
            SystemExit: one does not.
        """
        attacks, clean = ([request(kind, number).raw() for number in range(20)] for kind in ("R6", "R3"))
        for way in ways:
            found = [dict(load(self.stand.ports[way.name], 1, 0.1, [each]).statuses) for each in (*attacks, *clean)]
            wanted = [{200} if way.engine == "no engine" else {403}] * 20 + [{200}] * 20
            if [set(each) for each in found] != wanted:
                raise SystemExit(f"{way.name} does not answer what it should: {found}")

    def compare(self, ways: Sequence[Way], kind: str, clients: int) -> dict[str, Figures]:
        """The ways in turn; the median of each figure."""
        found: dict[str, list[Figures]] = {way.name: [] for way in ways}
        for _ in range(self.rounds):
            count = max(clients, int(MOST_A_SECOND * self.seconds))
            batch = [request(kind, self._made + number).raw() for number in range(count)]
            self._made += count
            for way in ways:
                found[way.name].append(self._once(way.name, clients, batch))
        return {
            name: Figures(
                *(statistics.median(getattr(each, field) for each in values) for field in Figures.__dataclass_fields__)
            )
            for name, values in found.items()
        }

    def _once(self, way: str, clients: int, batch: Sequence[bytes]) -> Figures:
        before = self.stand.agent_seconds(way), cpu_seconds(self.stand.haproxy)
        outcome = load(self.stand.ports[way], clients, self.seconds, batch)
        after = self.stand.agent_seconds(way), cpu_seconds(self.stand.haproxy)
        count = len(outcome.times)
        self.errors += count - outcome.statuses[200]
        agent, haproxy = ((now - then) / count * 1e6 for now, then in zip(after, before, strict=True))
        return Figures(outcome.rate, outcome.quantile(0.5) * 1e3, outcome.quantile(0.99) * 1e3, agent, haproxy)


def engines_table(bench: Bench, kinds: Sequence[str], clients: Sequence[int]) -> tuple[str, list[str]]:
    """The table of the three engines, and what of it does not reach the goals."""
    lines = [_head("engine") + f"{'times':>8}{'cpu':>6}"]
    missed = []
    for kind in kinds:
        for count in clients:
            found = bench.compare(ENGINES, kind, count)
            peer, idle = found["libmodsecurity"], found["no engine"]
            for name, figures in found.items():
                ratios = f"{figures.rate / peer.rate:8.1f}{peer.agent / figures.agent:6.1f}" if name == "ours" else ""
                lines.append(_line(kind, count, name, figures) + ratios)
            times = found["ours"].rate / peer.rate
            if count == 16 and times < GOAL_RATIO:
                missed.append(f"{kind}, {count} clients: {times:.1f} times libmodsecurity's throughput, not 5")
            if idle.agent > GOAL_MICROSECONDS:
                missed.append(f"{kind}, {count} clients: {idle.agent:.0f} us beside the engine, not 150")
            say(f"{kind} with {count} clients: done")
    return "\n".join(lines), missed


def growth_table(bench: Bench, kinds: Sequence[str], clients: int) -> str:
    """The table of workers and agents."""
    lines = [_head("on all cores") + f"{'growth':>8}"]
    for kind in kinds:
        found = bench.compare(GROWTH, kind, clients)
        for name, figures in found.items():
            lines.append(_line(kind, clients, name, figures) + f"{figures.rate / found['1 worker'].rate:8.2f}")
    return "\n".join(lines)


def _head(what: str) -> str:
    columns = "".join(f"{name:>10}" for name in ("per s", "p50 ms", "p99 ms", "cpu us"))
    return f"{'kind':5}{'clients':>8}  {what:16}{columns}{'HAProxy us':>12}"


def _line(kind: str, clients: int, name: str, found: Figures) -> str:
    times = f"{found.rate:10.0f}{found.p50:10.2f}{found.p99:10.2f}"
    return f"{kind:5}{clients:8}  {name:16}{times}{found.agent:10.0f}{found.haproxy:12.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; exit status 1 when a goal is missed or a request was not answered as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rules", type=Path, metavar="DIR", help="a CRS: the folder with crs-setup.conf and rules/")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--clients", default="1,16,64", help="(%(default)s)")
    parser.add_argument("--kinds", default="R2,R3", help=f"of {', '.join(KINDS)} (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of HAProxy (%(default)s)")
    parser.add_argument("--no-growth", action="store_true", help="without several workers and agents")
    parser.add_argument("--only-growth", action="store_true", help="these alone")
    options = parser.parse_args(arguments)
    directives, about = find_rules(options.rules)
    cores = sorted(os.sched_getaffinity(0))
    print(f"rules: {about}\n{platform.machine()}, {len(cores)} cores, Python {platform.python_version()}\n")
    kinds, clients = options.kinds.split(","), [int(each) for each in options.clients.split(",")]
    ways = (*(() if options.only_growth else ENGINES), *(() if options.no_growth else GROWTH))
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="spoa-waf-bench-") as folder:
        processes = Processes(Path(folder))
        try:
            stand = Stand(processes, ways, directives, (cores[0], cores[-1]), options.threads)
            bench = Bench(stand, options.seconds, options.rounds)
            bench.check(ways)
            if not options.only_growth:
                table, missed = engines_table(bench, kinds, clients)
                print(table, flush=True)
            if not options.no_growth:
                print("\n" + growth_table(bench, kinds, max(clients)))
        finally:
            processes.stop()
            os.sched_setaffinity(0, cores)
    for words in missed:
        print(f"GOAL MISSED: {words}")
    print(f"requests that were not answered by 200: {bench.errors}")
    return int(bool(missed or bench.errors))


if __name__ == "__main__":
    sys.exit(main())
