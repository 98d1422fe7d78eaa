"""The queue and its thread: order, bounds, losses, reopening, ends, forks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from waf_engine.audit.pipe import REPORT_EVERY, Pipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Sink:
    """Keeps what it is given; can be held up, and can fail."""

    def __init__(self) -> None:
        self.got: list[object] = []
        self.threads: set[int] = set()
        self.may_go = threading.Event()
        self.may_go.set()
        self.began = threading.Event()
        self.error: Exception | None = None

    def write(self, item: object) -> None:
        self.threads.add(threading.get_ident())
        self.began.set()
        assert self.may_go.wait(60)
        if self.error is not None:
            raise self.error
        self.got.append(item)

    def reopen(self) -> None:
        self.got.append("reopen")

    def close(self) -> None:
        self.got.append("close")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.may_go.set()


def make(sink: Sink, reports: list[str] | None = None, **options: object) -> Pipe[object]:
    return Pipe("log", sink, (reports if reports is not None else []).append, **options)  # type: ignore[arg-type]  # options of one kind each


def test_items_are_written_in_their_order_by_another_thread(sink: Sink):
    pipe = make(sink)
    for item in range(100):
        assert pipe.put(item, 1)
    pipe.close()

    assert sink.got == [*range(100), "close"]
    assert threading.get_ident() not in sink.threads
    assert (pipe.written, pipe.failed, pipe.dropped) == (100, 0, 0)


def test_put_does_not_wait_for_a_sink_that_hangs(sink: Sink):
    sink.may_go.clear()
    pipe = make(sink, max_items=2)
    assert pipe.put("first", 1)
    assert sink.began.wait(60)  # the first one is being written, and in the queue no more

    assert [pipe.put(item, 1) for item in range(5)] == [True, True, False, False, False]
    assert pipe.dropped == 3
    assert not pipe.flush(0.01)
    sink.may_go.set()
    assert pipe.flush(60)
    assert sink.got == ["first", 0, 1]


def test_the_bytes_of_what_waits_are_bounded(sink: Sink):
    sink.may_go.clear()
    pipe = make(sink, max_bytes=100)
    pipe.put("first", 60)
    assert sink.began.wait(60)

    assert [pipe.put(size, size) for size in (60, 41, 40)] == [True, False, True]
    sink.may_go.set()
    assert pipe.flush(60)
    assert pipe.put("later", 100)


def test_an_item_that_cannot_be_written_does_not_stop_the_next(sink: Sink):
    reports: list[str] = []
    clock = Clock()
    pipe = make(sink, reports, clock=clock)
    sink.error = OSError(28, "No space left on device")
    pipe.put(1, 1)
    assert pipe.flush(60)
    sink.error = None
    pipe.put(2, 1)
    pipe.close()

    assert sink.got == [2, "close"]
    assert (pipe.written, pipe.failed) == (1, 1)
    assert reports == ["log: 1 entries lost: OSError: [Errno 28] No space left on device"]


def test_losses_are_reported_once_a_minute(sink: Sink):
    reports: list[str] = []
    clock = Clock()
    pipe = make(sink, reports, clock=clock)
    sink.error = ValueError("no")
    for at in (0.0, 1.0, REPORT_EVERY - 1, REPORT_EVERY, REPORT_EVERY + 1):
        clock.now = at
        pipe.put(at, 1)
        assert pipe.flush(60)

    assert reports == ["log: 1 entries lost: ValueError: no", "log: 3 entries lost: ValueError: no"]
    pipe.close()
    assert reports[2:] == ["log: 1 entries lost: ValueError: no"]  # the end does not wait for the minute


def test_what_did_not_fit_is_reported(sink: Sink):
    reports: list[str] = []
    sink.may_go.clear()
    pipe = make(sink, reports, max_items=1)
    pipe.put(0, 1)
    assert sink.began.wait(60)
    for item in (1, 2, 3):
        pipe.put(item, 1)
    sink.may_go.set()
    pipe.close()

    assert reports == ["log: 2 entries lost: it cannot be written as fast as it grows"]


def test_a_report_that_fails_stops_nothing(sink: Sink):
    def report(_text: str) -> None:
        raise RuntimeError

    pipe: Pipe[object] = Pipe("log", sink, report)
    sink.error = ValueError("no")
    pipe.put(1, 1)
    assert pipe.flush(60)
    sink.error = None
    pipe.put(2, 1)
    pipe.close()

    assert sink.got == [2, "close"]


def test_reopening_is_done_by_the_thread_before_the_next_item(sink: Sink):
    pipe = make(sink)
    pipe.reopen()  # nothing is open yet
    pipe.put(1, 1)
    assert pipe.flush(60)
    pipe.reopen()
    pipe.put(2, 1)
    pipe.close()

    assert [item for item in sink.got if item != "reopen"] == [1, 2, "close"]
    assert sink.got.index("reopen") < sink.got.index(2)


def test_after_close_it_starts_again(sink: Sink):
    pipe = make(sink)
    pipe.put(1, 1)
    pipe.close()
    pipe.put(2, 1)
    pipe.close()

    assert sink.got == [1, "close", 2, "close"]


def test_close_does_not_wait_for_ever(sink: Sink):
    sink.may_go.clear()
    pipe = make(sink)
    pipe.put(1, 1)
    assert sink.began.wait(60)
    pipe.close(0.01)

    assert sink.got == []


def test_closing_what_never_began_does_nothing(sink: Sink):
    make(sink).close()

    assert sink.got == []


def test_a_forgotten_pipe_is_written_out_and_its_thread_ends(sink: Sink):
    pipe = make(sink)
    sink.may_go.clear()
    for item in range(3):
        pipe.put(item, 1)
    thread = pipe._work._thread
    del pipe
    gc.collect()
    sink.may_go.set()
    assert thread is not None
    thread.join(60)

    assert sink.got == [0, 1, 2, "close"]


PROGRAM = """
import os, sys
from waf_engine.audit.files import AppendFile
from waf_engine.audit.pipe import Pipe

class Sink:
    def __init__(self): self.file = AppendFile(sys.argv[1], 0o600)
    def write(self, item): self.file.append(item)
    def reopen(self): self.file.close()
    def close(self): self.file.close()

pipe = Pipe("log", Sink(), print)
pipe.put(b"before\\n", 1)
assert pipe.flush(60)
if sys.argv[2] == "fork" and (child := os.fork()):
    os.waitpid(child, 0)
pipe.put(b"after\\n", 1)
"""


@pytest.mark.parametrize(("how", "count"), [("once", 1), ("fork", 2)])
def test_what_waits_is_written_when_the_program_ends_and_after_a_fork(tmp_path: Path, how: str, count: int):
    """Neither program closes its pipe; a forked child has no thread until it puts something."""
    log = tmp_path / "log"
    subprocess.run([sys.executable, "-c", PROGRAM, str(log), how], check=True, timeout=120, cwd=os.getcwd())  # noqa: PTH109  the project's own folder

    assert log.read_bytes() == b"before\n" + b"after\n" * count
