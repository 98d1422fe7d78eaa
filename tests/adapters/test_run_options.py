from __future__ import annotations

import logging
import os
import pstats
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapters.bind import TcpBind
from adapters.config import parse_config
from adapters.run_options import RunOptions
from tests.adapters.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = parse_config("bind: ':0'\napplications: [{name: a, directives: SecRuleEngine On}]\n")


@pytest.fixture(autouse=True)
def _no_tracing_left() -> Iterator[None]:
    yield
    tracemalloc.stop()


def _work() -> list[bytes]:
    return [bytes(1000) for _ in range(500)]


def test_what_is_not_said_stays():
    assert RunOptions().apply(CONFIG) == CONFIG


def test_what_is_said_comes_before_the_file():
    options = RunOptions(workers=4, autoreload=True, metrics=TcpBind("127.0.0.1", 9100))
    config = options.apply(CONFIG)

    assert (config.workers, config.autoreload, config.metrics) == (4, True, TcpBind("127.0.0.1", 9100))
    assert RunOptions(autoreload=False, workers=0).apply(config).autoreload is False
    assert config.applications == CONFIG.applications


def test_without_profiles_nothing_is_measured(tmp_path: Path):
    with RunOptions().profile() as profile:
        assert sys.getprofile() is None
        assert not tracemalloc.is_tracing()

    assert (profile.written, list(tmp_path.iterdir())) == ([], [])


def test_both_profiles_are_written_and_read(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    options = RunOptions(cpuprofile=str(tmp_path / "cpu"), memprofile=str(tmp_path / "mem"))
    options.start()
    with options.profile() as profile:
        kept = _work()
    with caplog.at_level(logging.INFO):
        profile.report(logging.getLogger("profiles"))
    names = {name for _, _, name in pstats.Stats(str(tmp_path / "cpu")).stats}  # type: ignore[attr-defined]  untyped there

    assert "_work" in names
    lines = tracemalloc.Snapshot.load(str(tmp_path / "mem")).statistics("lineno")
    assert any("test_run_options" in str(line) and line.size > 500_000 for line in lines), len(kept)
    assert [name for name, _ in profile.written] == [str(tmp_path / "cpu"), str(tmp_path / "mem")]
    assert caplog.text.count("profile written") == 2


def test_the_commands_that_are_told_read_them(tmp_path: Path):
    options = RunOptions(cpuprofile=str(tmp_path / "cpu"), memprofile=str(tmp_path / "mem"))
    options.start()
    with options.profile() as profile:
        _work()
    shown = [
        subprocess.run(
            ["/bin/sh", "-c", f"PATH={Path(sys.executable).parent}:$PATH; {command}"], capture_output=True, check=False
        )
        for _, command in profile.written
    ]

    assert [(each.returncode, each.stderr) for each in shown] == [(0, b"")] * 2
    assert b"_work" in shown[0].stdout
    assert b"size=" in shown[1].stdout


def test_a_worker_has_files_of_its_own(tmp_path: Path):
    options = RunOptions(cpuprofile=str(tmp_path / "cpu"))
    with options.profile(worker=True) as profile:
        _work()

    assert [name for name, _ in profile.written] == [f"{tmp_path}/cpu.{os.getpid()}"]
    assert (tmp_path / "cpu").read_bytes() == (tmp_path / f"cpu.{os.getpid()}").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cpu", f"cpu.{os.getpid()}"]


def test_a_worker_leaves_devices_and_links_alone(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("pipe", "link"):
        with RunOptions(cpuprofile=str(tmp_path / name)).profile(worker=True) as profile:
            _work()
        assert profile.failed == []

    assert ((tmp_path / "pipe").is_fifo(), (tmp_path / "link").is_symlink()) == (True, True)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_that_cannot_be_written_is_told_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    options = RunOptions(cpuprofile=str(tmp_path / "none" / "cpu"))
    error = options.check_files()
    with options.profile() as profile:
        _work()
    profile.report(logging.getLogger("profiles"))

    assert error is not None
    assert (error.filename, error.strerror) == (f"{tmp_path}/none/cpu", "there is no such folder")
    assert "a profile could not be written" in caplog.text
    assert RunOptions(cpuprofile=str(ROOT / "pyproject.toml")).check_files() is None


def test_an_error_inside_passes_and_the_profile_is_written(tmp_path: Path):
    with pytest.raises(KeyError), RunOptions(cpuprofile=str(tmp_path / "cpu")).profile():
        raise KeyError

    assert (tmp_path / "cpu").stat().st_size > 0
