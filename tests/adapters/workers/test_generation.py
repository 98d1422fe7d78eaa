from __future__ import annotations

import os
import signal
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from adapters.run_options import RunOptions
from adapters.workers import generation, status
from adapters.workers.channels import Kind
from adapters.workers.generation import Begin, Drain, Faulty, Generation, Order, Ready, _how, _Seat
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
        assert self.line.poll(60)
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


def test_who_stood_still_does_not_take_others_for_hung(monkeypatch: pytest.MonkeyPatch):
    """A machine that stops for a while stops all of them, and the generation may be the first to go on."""
    now, killed = [1000.0], list[int]()
    monkeypatch.setattr(generation, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(status, "_clock_ms", lambda: int(now[0] * 1000))
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    shared, (ours, theirs) = Shared(2), Pipe()
    made = Generation(Order("", RunOptions(), 1, hangs_after=10.0), shared, theirs)
    made._seats = [_Seat(index, None, pid=1000 + index) for index in range(2)]
    for slot in shared.status.slots[:2]:
        slot.begin(1)
        slot.state = State.SERVING

    def look(after: float, *, beats: tuple[int, ...]) -> list[int]:
        now[0] += after
        for index in beats:
            shared.status.slots[index].beat()
        made._look_for_hangs()
        return killed

    assert look(0.5, beats=(0, 1)) == []
    assert look(3600.0, beats=()) == []
    for _ in range(19):
        assert look(0.5, beats=(1,)) == []
    assert look(1.0, beats=(1,)) == [1000], "it still says nothing"
    for each in (ours, theirs, shared):
        each.close()


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stream:  # noqa: PTH123  shortest
            return stream.read().split()[2] not in {"Z", "X"}
    except OSError:
        return False


@pytest.mark.parametrize(("status", "text"), [(9, "signal SIGKILL"), (256, "status 1"), (0, "status 0")])
def test_how_a_process_ended(status: int, text: str):
    assert _how(status) == text
