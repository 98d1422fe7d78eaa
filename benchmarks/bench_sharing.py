"""What it costs that agents share: processor time of each process per exchange, through a real HAProxy 2.8.

    ./dev bench sharing [--seconds 8] [--clients 16] [--rules DIR]

One agent; two agents, an engine of HAProxy for each; two agents that share a redis-server, so that every other response
comes to another agent than its request. Requests are browsers' (R2), responses are checked, rules are a CRS as for
`./dev bench engine`. An exchange is a request with its response. The clients run on the same machine: what to read is
processor time per exchange; throughput only where nothing else runs and there are cores enough for all.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.engine.engines import find_rules  # noqa: E402  # this tree is measured, installed or not
from benchmarks.engine.requests import request  # noqa: E402
from tests.adapters.fleet import Fleet  # noqa: E402
from tests.adapters.harness import Processes, Site  # noqa: E402
from tests.adapters.redis_server import RedisServer  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Way:
    """One way to run agents."""

    name: str
    agents: int
    sharded: bool
    shared: bool


WAYS = (
    Way("one agent", 1, sharded=True, shared=False),
    Way("one agent, with Redis", 1, sharded=True, shared=True),
    Way("two agents, an engine for each", 2, sharded=True, shared=False),
    Way("two agents that share Redis", 2, sharded=False, shared=True),
)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20


@dataclass
class Load:
    """Clients that ask for some seconds."""

    port: int
    clients: int
    seconds: float
    count: int = 0
    errors: int = 0

    def run(self) -> float:
        """Ask; the seconds that it took."""
        begin = time.monotonic()
        threads = [threading.Thread(target=self._client, args=(n, begin + self.seconds)) for n in range(self.clients)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return time.monotonic() - begin

    def _client(self, number: int, until: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        turn = number * 100_000
        while turn == number * 100_000 or time.monotonic() < until:  # once, on however busy a machine
            turn += 1
            asked = request("R2", turn)
            connection.request(asked.method, asked.target, headers=dict(asked.headers))
            response = connection.getresponse()
            response.read()
            self.count += 1
            self.errors += bool(response.headers["X-Error"])
        connection.close()


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """The site behind HAProxy."""
    server = Site()
    server.socket.listen(1024)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def measure(way: Way, rules: str, seconds: float, clients: int) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as name, site() as behind:
        folder = Path(name)
        processes, redis = Processes(folder), RedisServer(folder) if way.shared else None
        try:
            fleet = Fleet(processes, behind, sharded=way.sharded, rules=rules)
            fleet.shared = "serve_while_compiling: false\nworkers: 1\n"
            if redis:
                fleet.shared += f'shared: {{url: "{redis.url}", timeout_ms: 5000}}\n'
            fleet.start(way.agents)
            Load(fleet.port, clients, min(2.0, seconds)).run()
            pids = {"agents": [each.pid for each in fleet.agents], "HAProxy": [processes.started[-1].pid]}
            if redis:
                pids["Redis"] = [redis.pid]
            before = {kind: sum(map(cpu_seconds, found)) for kind, found in pids.items()}
            told = redis.client().info("all") if redis else {}
            load = Load(fleet.port, clients, seconds)
            took = load.run()
            used = {kind: sum(map(cpu_seconds, found)) - before[kind] for kind, found in pids.items()}
            cost = "  ".join(f"{kind} {1e6 * value / load.count:5.0f} us" for kind, value in used.items())
            memory = ", ".join(f"{resident(pid):.0f}" for pid in pids["agents"])
            line = f"{way.name:32} {load.count / took:5.0f}/s  {cost}  agents' MiB {memory}  errors {load.errors}"
            return line + (_told_by_redis(redis, told, load.count) if redis else "")
        finally:
            processes.stop()
            if redis:
                redis.end()


def _told_by_redis(redis: RedisServer, before: dict[str, float], count: int) -> str:
    now = redis.client().info("all")
    commands, into, out = (
        (now[name] - before[name]) / count
        for name in ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
    )
    return f"\n{'':32} Redis: {commands:.1f} commands, {into:.0f} bytes in and {out:.0f} out per exchange"


def main() -> None:
    """Measure each way in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rules", type=Path, help="the folder of a CRS")
    options = parser.parse_args()
    text, words = find_rules(options.rules)
    print(words)
    rules = "".join(f"      {line}\n" for line in text.splitlines())
    for way in WAYS:
        print(measure(way, rules, options.seconds, options.clients), flush=True)


if __name__ == "__main__":
    main()
