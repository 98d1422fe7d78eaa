from __future__ import annotations

import os
import signal
from multiprocessing import Pipe
from typing import TYPE_CHECKING

import pytest

from adapters.run_options import RunOptions
from adapters.workers.channels import Kind
from adapters.workers.generation import Begin, Drain, Faulty, Generation, Order, Ready, _how
from adapters.workers.shared import Shared
from adapters.workers.status import State
from tests.adapters.workers.stand import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """\
bind: 127.0.0.1:9000
workers: 2
log_file: {folder}/agent.log
applications:
  - name: a
    directives: |
      {rules}
"""


class Line:
    """A generation that a test plays the supervisor of."""

    def __init__(self, folder: Path, rules: str) -> None:
        (folder / "config.yml").write_text(CONFIG.format(folder=folder, rules=rules))
        self.shared = Shared(2)
        self.line, theirs = Pipe()
        self.pid = os.fork()
        if not self.pid:
            self.shared.forked()
            self.line.close()
            Generation(Order(str(folder / "config.yml"), RunOptions(), 7), self.shared, theirs).main()
        theirs.close()

    def hear(self) -> object:
        assert self.line.poll(30)
        return self.line.recv()

    def ended(self) -> int:
        status: list[int] = []

        def look() -> bool:
            pid, how = os.waitpid(self.pid, os.WNOHANG)
            status.extend([how] if pid else [])
            return bool(pid)

        until(look)
        self.pid = 0
        return status[0]


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    made: list[Line] = []
    yield made
    for each in made:
        if each.pid:
            os.kill(each.pid, signal.SIGKILL)
            os.waitpid(each.pid, 0)
        each.line.close()
        each.shared.close()


def test_faults_are_told_with_the_files_that_were_read(tmp_path: Path, lines: list[Line]):
    (tmp_path / "rules.conf").write_text("SecNonsense")
    lines.append(Line(tmp_path, f"Include {tmp_path}/rules.conf"))
    told = lines[0].hear()

    assert isinstance(told, Faulty)
    assert "unknown directive" in told.diagnostics[0].message
    assert set(told.watched.files) == {str(tmp_path / "rules.conf"), str(tmp_path / "config.yml")}
    assert lines[0].ended() == 0


def test_workers_are_forked_when_told_so_replaced_and_drained(tmp_path: Path, lines: list[Line]):
    lines.append(Line(tmp_path, "SecRuleEngine On"))
    line = lines[0]
    told = line.hear()
    assert isinstance(told, Ready)
    assert (told.workers, told.config.applications[0].name) == (2, "a")
    slots = [line.shared.status.slots[index] for index in (3, 5)]
    line.line.send(Begin((3, 5)))
    until(lambda: all(slot.state is State.SERVING for slot in slots))
    assert {slot.generation for slot in slots} == {7}

    first, incarnation = slots[0].pid, slots[0].incarnation
    os.kill(first, signal.SIGKILL)
    until(lambda: slots[0].pid not in {0, first} and slots[0].state is State.SERVING)
    assert slots[0].incarnation == incarnation + 1
    assert line.shared.status.report().restarts == 1

    line.line.send(Drain())
    for index in (3, 5):
        assert line.shared.channels[index].order(Kind.DRAIN)
    assert line.ended() == 0
    assert [slot.state for slot in slots] == [State.FREE, State.FREE]
    assert "a worker died" in (tmp_path / "agent.log").read_text()


def test_it_ends_with_its_supervisor(tmp_path: Path, lines: list[Line]):
    lines.append(Line(tmp_path, "SecRuleEngine On"))
    line = lines[0]
    assert isinstance(line.hear(), Ready)
    line.line.send(Begin((0, 1)))
    slots = line.shared.status.slots[:2]
    until(lambda: all(slot.state is State.SERVING for slot in slots))
    workers = [slot.pid for slot in slots]
    line.shared._other_end.close()
    line.ended()

    until(lambda: not any(_alive(pid) for pid in workers))


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stream:  # noqa: PTH123  shortest
            return stream.read().split()[2] not in {"Z", "X"}
    except OSError:
        return False


@pytest.mark.parametrize(("status", "text"), [(9, "signal SIGKILL"), (256, "status 1"), (0, "status 0")])
def test_how_a_process_ended(status: int, text: str):
    assert _how(status) == text
