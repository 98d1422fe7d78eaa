from __future__ import annotations

import fcntl
import gzip
import os
import statistics
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapters import rotation as module
from adapters.config_model import Rotation
from adapters.logs import LineFile
from adapters.rotation import DAY, RETRY, Rotator

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
START = 1_660_468_365.678  # 2022-08-14, 9:12:45.678 UTC


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "server.log"
    path.write_text("one line\n")
    return path


@pytest.fixture(autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("old logs"):
            thread.join(60)


def _rotator(
    log: Path, clock: Clock, *, size: int = 10, keep: int = 0, days: int = 0, compress: bool = False
) -> Rotator:
    return Rotator(str(log), Rotation(size, keep, days, compress), clock=clock, wait=lambda _: None)


def _set_aside(rotator: Rotator, log: Path, *, threads: bool = False) -> bool:
    with log.open("ab") as file:
        return rotator.set_aside(file.fileno(), threads=threads)


def _names(log: Path) -> list[str]:
    return sorted(each.name for each in log.parent.iterdir())


def test_size(log: Path, clock: Clock):
    rotator = _rotator(log, clock, size=100)

    assert [rotator.due(size) for size in (0, 99, 100, 5000)] == [False, False, True, True]


def test_age(log: Path, clock: Clock):
    rotator = _rotator(log, clock, size=100, days=7)
    clock.now += 7 * DAY - 1
    assert not rotator.due(1)
    clock.now += 1
    assert rotator.due(1)
    assert not rotator.due(0)

    rotator.noticed()
    assert not rotator.due(1)


def test_the_name_is_coraza_spoas(log: Path, clock: Clock):
    assert _set_aside(_rotator(log, clock), log)
    assert _names(log) == ["server-2022-08-14T09-12-45.678.log"]


def test_two_in_one_millisecond(log: Path, clock: Clock):
    rotator = _rotator(log, clock)
    for number in range(3):
        log.write_text(f"{number}\n")
        assert _set_aside(rotator, log)

    assert [path.read_text() for path in rotator.old_files()] == ["2\n", "1\n", "0\n"]


def test_the_age_goes_on_after_a_restart(log: Path, clock: Clock):
    _set_aside(_rotator(log, clock), log)
    log.write_text("next\n")
    clock.now += 7 * DAY

    assert _rotator(log, clock, size=100, days=7).due(5)


def test_who_comes_second_finds_it_done(log: Path, clock: Clock):
    rotator = _rotator(log, clock)
    with log.open("ab") as file:
        assert _set_aside(rotator, log)
        log.write_text("new\n")
        assert rotator.set_aside(file.fileno(), threads=False)  # there is a new file to be opened

    assert len(rotator.old_files()) == 1
    assert log.read_text() == "new\n"


def test_another_process_has_done_it_just_now(log: Path, clock: Clock):
    """The new file is not there yet: whoever comes then makes it, and goes on looking at its size."""
    rotator = _rotator(log, clock)
    with log.open("ab") as file:
        log.rename(log.with_name("elsewhere"))
        assert rotator.set_aside(file.fileno(), threads=False)

    assert rotator.due(100)


def test_while_another_process_does_it_nothing_is_done(log: Path, clock: Clock):
    rotator = _rotator(log, clock)
    with log.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert not _set_aside(rotator, log)

    assert rotator.due(100)
    assert _set_aside(rotator, log)


def test_what_cannot_be_done_is_tried_again_later(log: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    rotator = _rotator(log, clock)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        assert not _set_aside(rotator, log)
    assert not rotator.due(100)
    clock.now += RETRY
    assert rotator.due(100)


@pytest.mark.parametrize(("keep", "days", "left"), [(0, 0, 5), (2, 0, 2), (0, 3, 4), (1, 3, 1), (9, 1, 2)])
def test_what_is_kept(log: Path, clock: Clock, keep: int, days: int, left: int):
    rotator = _rotator(log, clock, keep=keep, days=days)
    for number in range(5):
        log.write_text(f"{number}\n")
        _set_aside(rotator, log)
        clock.now += DAY
    clock.now -= DAY
    rotator.keep()

    assert [path.read_text() for path in rotator.old_files()] == [f"{number}\n" for number in range(4, 4 - left, -1)]


def test_other_files_are_left_alone(log: Path, clock: Clock):
    others = [
        "server-x.log",
        "server-2022-08-14.log",
        "other-2022-08-14T09-12-45.678.log",
        "server.log.1",
        "server.log",
    ]
    for name in others:
        (log.parent / name).write_text("mine\n")
    rotator = _rotator(log, clock, keep=1, days=1, compress=True)
    clock.now += 100 * DAY
    rotator.keep()

    assert _names(log) == sorted(others)


def test_compressed_with_its_time_and_mode(log: Path, clock: Clock):
    log.chmod(0o640)
    os.utime(log, (START, START))
    rotator = _rotator(log, clock, compress=True)
    _set_aside(rotator, log)
    rotator.keep()
    rotator.keep()

    (packed,) = log.parent.iterdir()
    assert packed.name == "server-2022-08-14T09-12-45.678.log.gz"
    assert gzip.decompress(packed.read_bytes()) == b"one line\n"
    assert (packed.stat().st_mode & 0o777, packed.stat().st_mtime) == (0o640, pytest.approx(START))


def test_a_full_disk_leaves_the_plain_file(log: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    rotator = _rotator(log, clock, compress=True)
    _set_aside(rotator, log)
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "copyfileobj", fail)
        rotator.keep()
    assert _names(log) == ["server-2022-08-14T09-12-45.678.log"]
    rotator.keep()
    assert _names(log) == ["server-2022-08-14T09-12-45.678.log.gz"]


def test_it_is_compressed_by_a_thread_after_a_while(log: Path, clock: Clock):
    waited: list[float] = []
    rotator = Rotator(str(log), Rotation(1, 0, 0, compress=True), clock=clock, wait=waited.append)
    _set_aside(rotator, log, threads=True)
    for thread in threading.enumerate():
        if thread.name.startswith("old logs"):
            thread.join(60)

    assert waited == [module.GRACE]
    assert _names(log) == ["server-2022-08-14T09-12-45.678.log.gz"]


_WRITER = """
import sys
from adapters import rotation
from adapters.config_model import Rotation
from adapters.logs import LineFile

rotation.GRACE = 3600.0  # what is compressed while the other process still writes is no matter of this test
file = LineFile(sys.argv[1], rotation=Rotation(600, 0, 0, True))
for number in range(1000):
    file.write(f"{sys.argv[2]} {number}")
print(file.lost)
"""


def test_two_processes_write_to_one_file_and_nothing_is_lost_or_twice(tmp_path: Path):
    log = tmp_path / "server.log"
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _WRITER, str(log), name],
                    stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                )
            )
            for name in ("a", "b")
        ]
        assert [writer.communicate(timeout=200)[0] for writer in writers] == [b"0\n", b"0\n"]

    rotator = Rotator(str(log), Rotation(600, 0, 0, compress=False))
    old = rotator.old_files()
    assert len(old) >= 4
    texts = [path.read_bytes() for path in old]
    lines = b"".join([*reversed(texts), log.read_bytes()]).decode().splitlines()
    assert sorted(lines) == sorted(f"{name} {number}" for name in ("a", "b") for number in range(1000))
    assert all(len(text) >= 600 for text in texts)
    # While one of them sets the file aside the other goes on writing to it; not for long, unless the first has to wait.
    assert statistics.median(map(len, texts)) < 700


def test_processes_that_were_forked_share_a_descriptor_and_still_rotate_once(tmp_path: Path):
    log = tmp_path / "server.log"
    file = LineFile(str(log), threads=False, rotation=Rotation(500, 0, 0, compress=False))
    children = []
    for name in ("a", "b", "c"):
        child = os.fork()
        if child == 0:
            for number in range(1000):
                file.write(f"{name} {number}")
            os._exit(file.lost)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    file.close()

    old = Rotator(str(log), Rotation(500, 0, 0, compress=False)).old_files()
    lines = "".join([*(path.read_text() for path in old), log.read_text()]).splitlines()
    assert sorted(lines) == sorted(f"{name} {number}" for name in "abc" for number in range(1000))
    assert len(old) >= 5
