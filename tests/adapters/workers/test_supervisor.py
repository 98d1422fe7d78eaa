"""The agent of several processes, without HAProxy: start, reload, death, stop. With HAProxy: test_processes.py."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapters.workers.supervisor import Supervisor
from spop_proto import AgentDisconnect, Message, Notify
from tests.adapters.conformance import Client
from tests.adapters.harness import ROOT, free_ports, wait_for_port
from tests.adapters.proc import children, gone, sockets, tcp_sockets
from tests.adapters.workers.stand import RULES, until

if TYPE_CHECKING:
    from tests.adapters.harness import Processes

pytestmark = pytest.mark.slow

CONFIG = """\
bind: 127.0.0.1:{port}
workers: 2
autoreload: {autoreload}
drain_timeout_ms: {drain}
log_level: debug
log_file: agent.log
default_application: a
applications:
  - name: a
    directives: |
      Include rules.conf
      Include more/*.conf
    response_check: true
    transaction_ttl_ms: 30000
"""
SCRIPT = """
import sys
from adapters.workers import forwarding
from adapters.workers.supervisor import Supervisor
forwarding.SECONDS = 60.0
agent = Supervisor("config.yml", hangs_after=float(sys.argv[1]))
agent.open()
agent.run()
"""


class Agent:
    """An agent of two workers.

    Args:
        processes: it is one of these.
        autoreload: as in the configuration.
        drain_ms: as in the configuration; a machine that stands still for a second does not end it.
        hangs_after: seconds of silence of a worker.
        environment: of its process.
    """

    def __init__(
        self,
        processes: Processes,
        *,
        autoreload: bool = False,
        drain_ms: int = 1000,
        hangs_after: float = 60.0,
        **environment: str,
    ) -> None:
        (self.port,) = free_ports(1)
        self.folder: Path = processes.folder
        (self.folder / "rules.conf").write_text(RULES)
        (self.folder / "more").mkdir()
        self.configure(self.port, autoreload=autoreload, drain_ms=drain_ms)
        self.process = processes.start([sys.executable, "-c", SCRIPT, str(hangs_after)], "agent.out", **environment)
        wait_for_port(self.port, self.process)
        until(lambda: "listening" in self.log(), self.log)

    def configure(self, port: int, *, autoreload: bool = False, drain_ms: int = 1000) -> None:
        text = CONFIG.format(port=port, autoreload=str(autoreload).lower(), drain=drain_ms)
        (self.folder / "config.yml").write_text(text)

    def client(self, port: int = 0, **hello: Any) -> Client:
        client = Client(("127.0.0.1", port or self.port))
        client.hello(**hello)
        return client

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def says(self, text: str, before: int = 0) -> None:
        until(lambda: self.log().count(text) > before, self.log)

    def signal(self, number: signal.Signals, *, wait_for: str) -> None:
        before = self.log().count(wait_for)
        self.process.send_signal(number)
        self.says(wait_for, before)

    def settle(self) -> None:
        """Return when the supervisor has nothing more to do for an old generation, nor with its logs."""
        until(lambda: len(self.generations()) == 1, self.log)
        self.signal(signal.SIGUSR1, wait_for="logs reopened")  # obeyed after what it does when a child has ended

    def generations(self) -> list[int]:
        return children(self.process.pid)

    def workers(self) -> list[int]:
        return [worker for generation in self.generations() for worker in children(generation)]


@pytest.fixture
def agent(processes: Processes) -> Agent:
    return Agent(processes)


def asked(stream: int, query: str, key: str = "") -> Notify:
    arguments = {"id": key or f"t{stream}", "path": "/", "method": "GET", "query": query}
    return Notify(stream, 1, (Message("coraza-req", tuple(arguments.items())),))


def ask(client: Client, stream: int, query: str, key: str = "") -> dict[str, Any]:
    client.send(asked(stream, query, key))
    return client.answers(1)[stream]


def holder(agent: Agent, client: Client) -> int:
    """The worker that has a client's connection open; 0 while none has."""
    port = client.sock.getsockname()[1]
    inodes = {end.inode for end in tcp_sockets() if (end.local, end.remote) == (agent.port, port)}
    return next((pid for pid in agent.workers() if inodes & sockets(pid)), 0)


def until_rules_say(fail: int, query: str, client: Client, agent: Agent) -> None:
    """Ask on the same connection until the answer is this: the new rules have it when its worker has read its order.

    "reloaded" says that the new workers serve, and that the old ones are told to give their connections back.
    """
    streams = itertools.count(101, 2)

    def is_so() -> bool:
        stream = next(streams)
        answer = ask(client, stream, query)["fail"]
        if not answer:  # no old worker need wait for its response
            respond(client, next(streams), f"t{stream}")
        return bool(answer == fail)

    until(is_so, agent.log)


def respond(client: Client, stream: int, key: str) -> dict[str, Any]:
    client.send(Notify(stream, 1, (Message("coraza-res", (("id", key), ("status", 200))),)))
    return client.answers(1)[stream]


def files(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            found.append(str(each.readlink()))
    return found


def test_workers_share_the_connections_and_find_each_others_transactions(agent: Agent) -> None:
    clients = [agent.client() for _ in range(6)]
    for number, client in enumerate(clients):
        assert ask(client, 1, "q=word", f"id-{number}")["fail"] == 0
        assert ask(client, 3, "q=attack", f"bad-{number}")["fail"] == 1
    for number in range(6):
        assert respond(clients[(number + 1) % 6], 5, f"id-{number}")["fail"] == 0, "whichever worker gets it"
        assert respond(clients[(number + 1) % 6], 7, f"bad-{number}") == {}, "one that was blocked is known everywhere"
    assert respond(clients[0], 9, "never")["reason"] == "transaction-not-found"

    assert len(agent.generations()) == 1
    assert len(agent.workers()) == 2
    for client in clients:
        client.close()


def test_who_has_much_more_to_do_gives_a_connection(agent: Agent) -> None:
    """Four connections, dealt evenly; those of one worker carry everything, until one of them is another worker's."""
    clients = [agent.client(capabilities=("pipelining", "async")) for _ in range(4)]
    until(lambda: len({holder(agent, client) for client in clients} - {0}) == 2, agent.log)
    busy = [client for client in clients if holder(agent, client) == holder(agent, clients[0])]
    assert len(busy) == 2
    streams, stop = itertools.count(1, 2), threading.Event()
    wrong: list[dict[str, Any]] = []

    def work() -> None:
        while not stop.is_set():
            for client in busy:  # one after the other: both carry the same
                numbers = [next(streams) for _ in range(10)]
                client.send(*(asked(number, "q=attack" if number % 3 else "q=word") for number in numbers))
                answers = client.answers(len(numbers))
                wrong.extend(answers[each] for each in numbers if answers[each]["fail"] != (each % 3 > 0))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        until(lambda: 0 not in (held := [holder(agent, each) for each in busy]) and len(set(held)) == 2, agent.log)
    finally:
        stop.set()
        worker.join(60)

    assert wrong == []
    assert "a worker is to give a connection" in agent.log()
    for client in clients:
        assert ask(client, next(streams), "q=attack")["fail"] == 1
        client.close()


def test_a_reload_keeps_connections_and_what_waits(agent: Agent) -> None:
    clients = [agent.client() for _ in range(4)]
    silent = Client(("127.0.0.1", agent.port))  # has not said HELLO yet
    for number, client in enumerate(clients):
        assert ask(client, 1, "q=word", f"id-{number}")["fail"] == 0
    old = agent.workers()

    (agent.folder / "rules.conf").write_text(RULES.replace("attack", "word"))
    agent.signal(signal.SIGHUP, wait_for="logs reopened")

    for number, client in enumerate(clients):
        until_rules_say(1, "q=word", client, agent)
        assert respond(client, 5, f"id-{(number + 1) % 4}")["fail"] == 0, "by the worker that drains"
    silent.hello()
    assert ask(silent, 1, "q=word")["fail"] == 1
    until(lambda: all(gone(pid) for pid in old), agent.log)
    until(lambda: len(agent.generations()) == 1, agent.log)
    for client in (*clients, silent):
        client.close()


def test_a_faulty_reload_is_refused_and_the_old_goes_on(agent: Agent) -> None:
    workers = agent.workers()
    (agent.folder / "rules.conf").write_text("SecNonsense")
    agent.signal(signal.SIGHUP, wait_for="not reloaded")
    client = agent.client()

    assert "unknown directive 'SecNonsense'" in agent.log()
    assert ask(client, 1, "q=attack")["fail"] == 1
    assert agent.workers() == workers
    (agent.folder / "rules.conf").write_text(RULES)
    agent.signal(signal.SIGHUP, wait_for="reloaded address")
    assert ask(client, 3, "q=attack")["fail"] == 1
    client.close()


def test_another_address_is_opened_before_the_old_one_closes_and_a_taken_one_refused(agent: Agent) -> None:
    client = agent.client()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        agent.configure(taken.getsockname()[1])
        agent.signal(signal.SIGHUP, wait_for="not reloaded")
        assert "address already in use" in agent.log()
        assert ask(client, 1, "q=attack")["fail"] == 1
    (other,) = free_ports(1)
    agent.configure(other)
    agent.signal(signal.SIGHUP, wait_for="reloaded address")

    new = agent.client(other)
    assert ask(new, 1, "q=attack")["fail"] == 1
    assert ask(client, 3, "q=attack")["fail"] == 1, "a connection of the old address goes on"
    with pytest.raises(ConnectionRefusedError):
        agent.client(agent.port)
    for each in (client, new):
        each.close()


def test_a_worker_that_is_killed_is_replaced_and_what_it_kept_has_a_reason(agent: Agent) -> None:
    clients = [agent.client() for _ in range(2)]  # one for each worker
    for number, client in enumerate(clients):
        assert ask(client, 1, "q=word", f"id-{number}")["fail"] == 0
    before = agent.workers()
    os.kill(before[0], signal.SIGKILL)
    agent.says("a worker died")
    until(lambda: len(agent.workers()) == 2 and before[0] not in agent.workers(), agent.log)
    client = agent.client()
    answers = [respond(client, 1 + 2 * number, f"id-{number}") for number in range(2)]

    assert sorted(answer.get("reason", "") for answer in answers) == ["", "transaction-not-found"]
    assert "worker-died" in agent.log()
    assert "signal SIGKILL" in agent.log()
    assert ask(client, 9, "q=attack")["fail"] == 1
    for each in (*clients, client):
        each.close()


def test_a_worker_that_hangs_is_killed_and_replaced(processes: Processes) -> None:
    agent = Agent(processes, hangs_after=1.0)
    hung = agent.workers()[0]
    os.kill(hung, signal.SIGSTOP)
    agent.says("a worker hung and was killed")
    until(lambda: len(agent.workers()) == 2 and hung not in agent.workers(), agent.log)


def test_a_worker_that_dies_again_and_again_is_started_more_slowly(agent: Agent) -> None:
    stays = agent.workers()[0]
    for count in range(30):  # the fourth time at the latest, unless they live for long on a machine that stands still
        until(lambda: len(agent.workers()) == 2, agent.log)
        (victim,) = set(agent.workers()) - {stays}
        os.kill(victim, signal.SIGKILL)
        agent.says("a worker died", count)
        if "next_in=" in agent.log():
            break
    else:
        pytest.fail(agent.log())
    until(lambda: len(agent.workers()) == 2, agent.log)


def test_the_death_of_a_generation_is_no_interruption(agent: Agent) -> None:
    client = agent.client()
    (generation,) = agent.generations()
    workers = agent.workers()
    os.kill(generation, signal.SIGKILL)
    assert ask(client, 1, "q=attack")["fail"] == 1
    agent.says("rules are loaded anew")
    agent.says("generation=2")
    until(lambda: all(gone(pid) for pid in workers), agent.log)

    assert ask(client, 3, "q=attack")["fail"] == 1
    assert len(agent.workers()) == 2
    client.close()


def test_nobody_outlives_the_supervisor(agent: Agent) -> None:
    everyone = [*agent.generations(), *agent.workers()]
    agent.process.kill()
    agent.process.wait(10)

    assert len(everyone) == 3
    until(lambda: all(gone(pid) for pid in everyone), agent.log)


def test_stop_answers_what_is_in_hand(processes: Processes) -> None:
    agent = Agent(processes, drain_ms=60_000)
    client = agent.client()
    assert ask(client, 1, "q=word")["fail"] == 0
    agent.process.send_signal(signal.SIGTERM)
    agent.says("stopping")
    assert respond(client, 3, "t1")["fail"] == 0, "its request was taken before"

    assert client.rest() == [AgentDisconnect()]
    assert agent.process.wait(30) == 0
    assert agent.log().splitlines()[-1].endswith("INF stopped")
    client.close()


def test_a_second_signal_ends_at_once(processes: Processes) -> None:
    agent = Agent(processes, drain_ms=600_000)
    everyone = [*agent.generations(), *agent.workers()]
    os.kill(agent.workers()[0], signal.SIGSTOP)
    agent.signal(signal.SIGTERM, wait_for="stopping")
    agent.process.send_signal(signal.SIGINT)

    assert agent.process.wait(60) == 0
    assert "stopping at once" in agent.log()
    until(lambda: all(gone(pid) for pid in everyone))


def test_signals_to_the_whole_group_are_only_the_supervisors(agent: Agent) -> None:
    """As a terminal and systemd send them."""
    client = agent.client()
    for pid in (*agent.generations(), *agent.workers()):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            os.kill(pid, number)

    assert ask(client, 1, "q=attack")["fail"] == 1
    assert len(agent.workers()) == 2
    client.close()


def test_logs_are_reopened_in_every_process(agent: Agent) -> None:
    (agent.folder / "agent.log").rename(agent.folder / "agent.log.1")
    agent.process.send_signal(signal.SIGUSR1)
    until(lambda: (agent.folder / "agent.log").exists() and "logs reopened" in agent.log())
    everyone = (agent.process.pid, *agent.generations(), *agent.workers())

    def old_ones() -> list[int]:
        return [pid for pid in everyone for file in files(pid) if file.endswith("agent.log.1")]

    until(lambda: not old_ones(), lambda: str(old_ones()))
    assert all(any(file.endswith("agent.log") for file in files(pid)) for pid in everyone)


def test_reloads_leak_nothing(agent: Agent) -> None:
    def descriptors() -> int:
        return len(files(agent.process.pid))

    agent.signal(signal.SIGHUP, wait_for="logs reopened")
    agent.settle()
    before = descriptors()
    for _ in range(4):
        agent.signal(signal.SIGHUP, wait_for="logs reopened")
        agent.settle()

    assert descriptors() == before
    assert len(agent.workers()) == 2


def test_a_changed_file_is_a_reload_and_the_next_one_mends_a_faulty_one(processes: Processes) -> None:
    agent = Agent(processes, autoreload=True)
    client = agent.client()

    def write(text: str) -> None:
        """As one change."""
        (agent.folder / "new").write_text(text)
        (agent.folder / "new").rename(agent.folder / "more" / "new.conf")  # fits a glob

    write("SecNonsense")
    agent.says("not reloaded")
    assert ask(client, 1, "q=word")["fail"] == 0
    write('SecRule ARGS "@contains word" "id:7,phase:2,deny"')
    agent.says("reloaded address")

    until_rules_say(1, "q=word", client, agent)
    assert agent.log().count("a file has changed") == 2
    client.close()


def test_systemd_is_told(processes: Processes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(processes.folder / "notify"))
        sock.settimeout(60)
        agent = Agent(processes, NOTIFY_SOCKET=str(processes.folder / "notify"))
        told = [sock.recv(1000).decode()]
        agent.signal(signal.SIGHUP, wait_for="reloaded address")
        told += [sock.recv(1000).decode() for _ in range(2)]
        agent.process.send_signal(signal.SIGTERM)
        told.append(sock.recv(1000).decode())

    assert [each.split("\n")[0] for each in told] == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert "MONOTONIC_USEC=" in told[1]
    assert f"STATUS=2 workers on 127.0.0.1:{agent.port}" in told[0]


def test_faults_at_the_start_are_shown_and_end_it(processes: Processes) -> None:
    (processes.folder / "rules.conf").write_text("SecNonsense")
    (port,) = free_ports(1)
    (processes.folder / "config.yml").write_text(CONFIG.format(port=port, autoreload="false", drain=1000))
    done = subprocess.run(
        [sys.executable, "-m", "adapters", "serve", "-c", "config.yml"],
        cwd=processes.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert b"unknown directive 'SecNonsense'" in done.stderr
    assert b"Traceback" not in done.stderr

    (processes.folder / "rules.conf").write_text(RULES)
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(
            done.args,
            cwd=processes.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 1
    assert b"cannot listen on" in done.stderr
    assert b"Traceback" not in done.stderr


def test_what_was_closed_meanwhile_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two generations have something to say at the same time, and the first that is heard ends the other."""
    (tmp_path / "config.yml").write_text(CONFIG.format(port=0, autoreload="false", drain=1000))
    supervisor, lines, heard = Supervisor(tmp_path / "config.yml"), [Pipe(), Pipe()], list[int]()
    monkeypatch.setattr(supervisor, "_reap", lambda: None)

    def hear(number: int) -> None:
        heard.append(number)
        other = lines[1 - number][0]
        supervisor._selector.unregister(other)
        other.close()

    for number, (ours, theirs) in enumerate(lines):
        supervisor._register(ours, partial(hear, number))
        theirs.send("something")
    supervisor._step()

    assert len(heard) == 1
    for each in (*itertools.chain(*lines), supervisor._selector, supervisor._shared):
        each.close()


AUDITED = """\
bind: 127.0.0.1:{port}
workers: 3
log_file: agent.log
applications:
  - name: a
    detect_only: true
    response_check: true
    log_file: a.log
    directives: |
      SecRuleEngine On
      SecAuditEngine On
      SecAuditLogFormat JSON
      SecAuditLogType Concurrent
      SecAuditLogStorageDir {folder}/store
      SecAuditLog {folder}/audit.log
      SecRule ARGS "@contains attack" "id:100,phase:2,deny,log,msg:'an attack'"
"""


def test_logs_of_several_workers_are_whole_and_detection_only_finds_its_transactions(processes: Processes) -> None:
    folder = processes.folder
    (port,) = free_ports(1)
    (folder / "store").mkdir()
    process = processes.start_agent(AUDITED.format(port=port, folder=folder), port)
    clients = [Client(("127.0.0.1", port)) for _ in range(6)]
    for client in clients:
        client.hello()
    for number in range(120):
        query = "q=attack" if number % 2 else "q=word"
        assert ask(clients[number % 6], 2 * number + 1, query, f"id-{number}")["fail"] == 0
        assert "error" not in respond(clients[(number + 1) % 6], 2 * number + 100_001, f"id-{number}")
    until(lambda: (folder / "a.log").exists() and (folder / "a.log").read_text().count('[id "100"]') == 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0

    index = (folder / "audit.log").read_text().splitlines()
    entries = [path for path in (folder / "store").rglob("*") if path.is_file()]
    assert len(index) == len(entries) == 120
    assert {line.rsplit(" ", 1)[1] for line in index} == {str(path) for path in entries}
    assert all(json.loads(path.read_text()) for path in entries)
    assert "not-found" not in (folder / "agent.log").read_text()
    for client in clients:
        client.close()
