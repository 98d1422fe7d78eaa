"""The agent as a process, without HAProxy: start, reload, stop. With HAProxy: test_haproxy.py."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spop_proto import AgentDisconnect, Message, Notify
from tests.adapters.conformance import Client
from tests.adapters.harness import ROOT, free_ports

if TYPE_CHECKING:
    from tests.adapters.harness import Processes

RULES = 'SecRuleEngine On\nSecRule ARGS "@contains attack" "id:1,phase:2,deny,log,msg:\'an attack\'"\n'
CONFIG = """\
bind: {bind}
workers: 1
log_level: debug
log_file: agent.log
applications:
  - name: a
    directives: |
      Include rules.conf
    response_check: true
  - name: b
    directives: SecRuleEngine On
    log_file: b.log
default_application: a
"""


class Agent:
    def __init__(self, processes: Processes, *, config: str = CONFIG, **environment: str) -> None:
        (self.port,) = free_ports(1)
        self.folder: Path = processes.folder
        (self.folder / "rules.conf").write_text(RULES)
        self.config = config
        self.process = processes.start_agent(config.format(bind=f"127.0.0.1:{self.port}"), self.port, **environment)

    def client(self) -> Client:
        client = Client(("127.0.0.1", self.port))
        client.hello()
        return client

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def signal(self, number: signal.Signals, *, wait_for: str) -> None:
        """Send a signal; return when the log says so once more."""
        before = self.log().count(wait_for)
        self.process.send_signal(number)
        self.says(wait_for, before)

    def says(self, wait_for: str, before: int = 0) -> None:
        """Return when the log says so more often than before."""
        for _ in range(3000):  # a minute
            if self.log().count(wait_for) > before:
                return
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail("the agent ended")
        pytest.fail(f"never said {wait_for!r}:\n{self.log()}")


def refused(port: int) -> bool:
    """Whether connections are refused, sooner or later."""
    pause = threading.Event()
    for _ in range(3000):
        with socket.socket() as sock:
            sock.settimeout(1)  # of those that were taken for it before, the kernel keeps only so many
            if sock.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED:
                return True
        pause.wait(0.02)
    return False


def write(path: Path, text: str) -> None:
    """As one change, for those who look at the file meanwhile."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def _ask(client: Client, stream: int, query: str, **more: Any) -> dict[str, Any]:
    arguments = {"id": f"t{stream}", "path": "/", "query": query, **more}
    client.send(Notify(stream, 1, (Message("coraza-req", tuple(arguments.items())),)))
    return client.answers(1)[stream]


def _response(client: Client, stream: int, identity: str) -> dict[str, Any]:
    client.send(Notify(stream, 1, (Message("coraza-res", (("id", identity), ("status", 200))),)))
    return client.answers(1)[stream]


@pytest.mark.slow
def test_serve_reload_and_stop(processes: Processes) -> None:
    agent = Agent(processes)
    client = agent.client()
    assert _ask(client, 1, "q=attack")["fail"] == 1
    assert _ask(client, 3, "q=word")["fail"] == 0

    (agent.folder / "rules.conf").write_text(RULES.replace("attack", "word"))
    agent.signal(signal.SIGHUP, wait_for="logs reopened")
    assert _ask(client, 5, "q=word")["fail"] == 1
    assert _response(client, 7, "t3")["fail"] == 0, "a request of before the reload finds its response"

    (agent.folder / "rules.conf").write_text("SecNonsense")
    agent.signal(signal.SIGHUP, wait_for="not reloaded")
    assert "unknown directive 'SecNonsense'" in agent.log()
    assert _ask(client, 9, "q=word")["fail"] == 1

    (agent.folder / "rules.conf").write_text(RULES)
    changed = agent.config.replace("- name: b", "- name: c").replace("b.log", "c.log").format(bind="127.0.0.1:1")
    (agent.folder / "config.yml").write_text(changed)
    agent.signal(signal.SIGHUP, wait_for="bind has changed")
    assert _ask(client, 11, "q=attack", app="c")["fail"] == 0
    assert (agent.folder / "c.log").exists()

    agent.process.send_signal(signal.SIGTERM)
    assert client.rest() == [AgentDisconnect()]
    assert agent.process.wait(60) == 0
    said = [agent.log().count(f" INF {words}") for words in ("reloading because=SIGHUP", "reloaded generation=")]
    assert said == [3, 2]
    assert agent.log().splitlines()[-1].endswith("INF stopped")
    client.close()


@pytest.mark.slow
def test_logs_are_reopened(processes: Processes) -> None:
    agent = Agent(processes)
    (agent.folder / "agent.log").rename(agent.folder / "agent.log.1")
    (agent.folder / "agent.log").write_text("")
    agent.signal(signal.SIGUSR1, wait_for="logs reopened")

    assert "listening" in (agent.folder / "agent.log.1").read_text()


@pytest.mark.slow
def test_the_audit_log_is_reopened_and_written_out_at_the_end(processes: Processes) -> None:
    log = processes.folder / "audit.log"
    audit = (
        f"SecAuditEngine RelevantOnly\n      SecAuditLog {log}\n      SecAuditLogFormat JSON\n      Include rules.conf"
    )
    agent = Agent(processes, config=CONFIG.replace("Include rules.conf", audit))
    client = agent.client()
    assert _ask(client, 1, "q=attack")["fail"] == 1
    agent.signal(signal.SIGUSR1, wait_for="logs reopened")
    assert _ask(client, 3, "q=attack")["fail"] == 1
    client.close()
    agent.process.send_signal(signal.SIGTERM)

    assert agent.process.wait(60) == 0
    assert log.read_text().count('"is_interrupted":true') == 2


@pytest.mark.slow
def test_int_stops_as_well_and_a_unix_socket_is_removed(processes: Processes) -> None:
    path = processes.folder / "agent.sock"
    (processes.folder / "rules.conf").write_text(RULES)
    (processes.folder / "config.yml").write_text(CONFIG.format(bind=f"unix://{path}"))
    process = processes.start([sys.executable, "-m", "adapters", "serve"], "agent.out")
    for _ in range(6000):
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                break
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.02)
    client = Client(str(path))
    client.hello()
    assert _ask(client, 1, "q=attack")["fail"] == 1
    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 0
    assert not path.exists()
    assert (processes.folder / "agent.out").read_text().count("listening") == 1, "said on the terminal as well"
    client.close()


@pytest.mark.slow
def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adapters", "version"], cwd=ROOT, capture_output=True, check=True, timeout=120
    )

    assert done.stdout.startswith(b"version\t")


@pytest.mark.slow
def test_stop_waits_for_responses_and_a_second_signal_does_not(processes: Processes) -> None:
    agent = Agent(processes, config="drain_timeout_ms: 600000\n" + CONFIG)
    client = agent.client()
    assert _ask(client, 1, "q=word")["fail"] == 0
    agent.signal(signal.SIGTERM, wait_for="stopping")
    assert refused(agent.port)
    assert _response(client, 3, "t1")["fail"] == 0
    assert client.rest() == [AgentDisconnect()]
    assert agent.process.wait(60) == 0
    client.close()


@pytest.mark.slow
def test_a_second_signal_ends_at_once(processes: Processes) -> None:
    agent = Agent(processes, config="drain_timeout_ms: 600000\n" + CONFIG)
    client = agent.client()
    assert _ask(client, 1, "q=word")["fail"] == 0
    agent.signal(signal.SIGTERM, wait_for="stopping")
    agent.process.send_signal(signal.SIGINT)

    assert agent.process.wait(60) == 0
    assert "stopping at once" in agent.log()
    client.close()


@pytest.mark.slow
def test_a_changed_file_is_a_reload(processes: Processes) -> None:
    agent = Agent(processes, config="autoreload: true\n" + CONFIG)
    client = agent.client()
    assert _ask(client, 1, "q=word")["fail"] == 0
    write(agent.folder / "rules.conf", "SecNonsense")
    agent.says("not reloaded")
    write(agent.folder / "rules.conf", RULES.replace("attack", "word"))
    agent.says("logs reopened")

    assert _ask(client, 3, "q=word")["fail"] == 1
    client.close()


@pytest.mark.slow
def test_reloads_leak_no_log_files(processes: Processes) -> None:
    agent = Agent(processes)

    def open_files() -> list[str]:
        """Of its folder: connections come and go as they like."""
        names = []
        for number in Path(f"/proc/{agent.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since then
                names.append(str(number.readlink()))
        return sorted(name for name in names if name.startswith(str(agent.folder)))

    agent.signal(signal.SIGHUP, wait_for="logs reopened")
    before = open_files()
    for _ in range(3):
        agent.signal(signal.SIGHUP, wait_for="logs reopened")
    (agent.folder / "config.yml").write_text(agent.config.replace("b.log", "other.log").format(bind="nonsense"))
    agent.signal(signal.SIGHUP, wait_for="not reloaded")

    assert len(before) >= 2
    assert open_files() == before


@pytest.mark.slow
def test_systemd_is_told(processes: Processes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(processes.folder / "notify"))
        sock.settimeout(60)
        agent = Agent(processes, NOTIFY_SOCKET=str(processes.folder / "notify"))
        told = [sock.recv(1000).decode()]
        agent.process.send_signal(signal.SIGHUP)
        told += [sock.recv(1000).decode() for _ in range(2)]
        agent.process.send_signal(signal.SIGTERM)
        told.append(sock.recv(1000).decode())

    assert [each.split("\n")[0] for each in told] == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
