"""contrib/logrotate: logrotate reads it without a fault and would rotate; its signal reaches the agent."""

from __future__ import annotations

import getpass
import grp
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.adapters.harness import ROOT
from tests.conftest import absent

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / "contrib" / "logrotate" / "spoa-waf").read_text()


@pytest.fixture
def program() -> str:
    found = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        absent("logrotate is not installed")
    return str(found)


def _here(tmp_path: Path, signal: str) -> Path:
    """The file for a folder and a user of this test."""
    owner = f"{getpass.getuser()} {grp.getgrgid(os.getegid()).gr_name}"
    text = TEXT.replace("/var/log/spoa-waf/", f"{tmp_path}/logs/").replace("spoa-waf spoa-waf", owner)
    command = next(line.strip() for line in text.splitlines() if "systemctl" in line)
    assert "USR1" in command
    file = tmp_path / "rotate"
    file.write_text(text.replace(command, signal))
    file.chmod(0o600)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server.log").write_text("a line\n")
    return file


def test_it_is_read_without_a_fault(program: str, tmp_path: Path):
    file = _here(tmp_path, "true")
    done = subprocess.run([program, "-d", str(file)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()
    assert "considering log" in done.stderr


def test_it_rotates_and_calls_once(program: str, tmp_path: Path):
    file = _here(tmp_path, f"echo called >>{tmp_path}/called")
    (tmp_path / "logs" / "error.log").write_text("another\n")
    done = subprocess.run(
        [program, "-f", "-s", str(tmp_path / "state"), str(file)], capture_output=True, text=True, check=False
    )
    names = sorted(path.name.partition("-")[0] for path in (tmp_path / "logs").iterdir())

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "called").read_text() == "called\n"
    assert names == ["error.log", "error.log", "server.log", "server.log"]
