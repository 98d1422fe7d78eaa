"""Reloads of a configuration: what coraza-spoa got wrong about them (compatibility.md 3.5), each a test."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spop_proto import Message, Notify
from tests.adapters.conformance import Client
from tests.adapters.harness import free_ports

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.adapters.harness import Processes

pytestmark = pytest.mark.slow

CONFIG = """\
{listen}
log_level: info
log_file: agent-{turn}.log
default_application: {default}
{more}
applications:
  - name: one
    directives: |
      SecRuleEngine On
      SecAuditEngine On
      SecAuditLog {folder}/audit-{turn}.log
      SecRule ARGS "@contains one" "id:1,phase:2,deny,log,msg:'one'"
    log_file: one-{turn}.log
  - name: two
    directives: |
      SecRuleEngine On
      SecRule ARGS "@contains two" "id:2,phase:2,deny,log,msg:'two'"
    log_file: two-{turn}.log
    log_format: json
workers: 1
"""


class Agent:
    """An agent whose configuration changes."""

    def __init__(self, processes: Processes, listen: str = "bind: 127.0.0.1:{port}", **options: Any) -> None:
        (self.port,) = free_ports(1)
        self.folder, self.listen, self.turn = processes.folder, listen.format(port=self.port), 0
        self.process: subprocess.Popen[bytes] = processes.start_agent(self.text(**options), self.port)

    def text(self, *, default: str = "one", more: str = "", listen: str = "") -> str:
        return CONFIG.format(
            listen=listen or self.listen, default=default, more=more, turn=self.turn, folder=self.folder
        )

    def reload(self, **options: Any) -> None:
        self.turn += 1
        (self.folder / "config.yml").write_text(self.text(**options))
        self.process.send_signal(signal.SIGHUP)
        until(lambda: "application ready app=two" in self.log())

    def log(self) -> str:
        path = self.folder / f"agent-{self.turn}.log"
        return path.read_text() if path.exists() else ""

    def files(self) -> list[str]:
        """The regular files that its process has open."""
        names = []
        for number in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since then
                names.append(str(number.readlink()))
        return sorted(name for name in names if name.startswith(str(self.folder)))


def ask(agent: Agent, query: str) -> object:
    """The verdict of the default application."""
    client = Client(("127.0.0.1", agent.port))
    client.hello()
    arguments = (("id", "x"), ("path", "/"), ("query", f"q={query}"))
    client.send(Notify(1, 1, (Message("coraza-req", arguments),)))
    answer = client.answers(1)[1]
    client.close()
    return answer.get("action")


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    pytest.fail("it did not happen in time")


def test_the_default_application_is_that_of_the_new_configuration(processes: Processes) -> None:
    agent = Agent(processes)
    assert [ask(agent, word) for word in ("one", "two")] == ["deny", None]
    agent.reload(default="two")

    assert [ask(agent, word) for word in ("one", "two")] == [None, "deny"]


def test_files_of_older_configurations_are_closed(processes: Processes) -> None:
    agent = Agent(processes)
    assert ask(agent, "one") == "deny"
    until(lambda: f"{agent.folder}/audit-0.log" in agent.files())
    before = agent.files()
    for _ in range(5):
        agent.reload()
        assert ask(agent, "one") == "deny"
    after = [name.replace("-0.log", "-5.log") for name in before]
    until(lambda: agent.files() == after)

    assert len(after) == len(set(after)) + 1  # what it prints goes to one file by two descriptors


def test_another_address_needs_a_restart_but_nothing_else_does(processes: Processes) -> None:
    agent = Agent(processes)
    agent.reload(default="two", listen="listen: [127.0.0.1:1]")

    assert "that needs a restart" in agent.log()
    assert ask(agent, "two") == "deny"


@pytest.mark.parametrize(
    ("more", "listen", "fault"),
    [
        ("colour: red", "", "'colour' is not a key of the top of the file at=config.yml:5:1"),
        ("cache_folder: config.yml", "", "cache_folder config.yml is a file, not a folder at=config.yml:5:15"),
        ("workers: many", "", "workers must be a whole number of processes, or auto, not 'many' at=config.yml:5:10"),
        ("", "listen: [{bind: ':1', tls: {certificate: none.pem}}]", "tls.certificate: none.pem cannot be read"),
    ],
)
def test_a_faulty_configuration_leaves_the_old_one_at_work(
    processes: Processes, more: str, listen: str, fault: str
) -> None:
    agent = Agent(processes)
    (agent.folder / "config.yml").write_text(agent.text(default="two", more=more, listen=listen))
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: "not reloaded" in agent.log())

    assert fault in agent.log()
    assert [ask(agent, word) for word in ("one", "two")] == ["deny", None]


def test_addresses_that_coraza_spoa_cannot_take(processes: Processes) -> None:
    """There, the first is a fault, and the second listens on a port of chance on every address."""
    for address in ("localhost:{port}", "tcp://localhost:{port}"):
        agent = Agent(processes, f"bind: {address}")
        assert ask(agent, "one") == "deny"
