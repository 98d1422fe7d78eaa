"""`./dev demo` itself: what it shows, and that it leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEMO = [sys.executable, str(ROOT / "demo" / "demo.py"), "--port", "0"]


def _left_running(group: int) -> list[str]:
    """The command lines of processes whose environment says that this demo started them."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"DEMO_TEST={group}\0".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:  # it has ended meanwhile
            continue
    return found


@pytest.mark.haproxy
@pytest.mark.slow
def test_it_passes_clean_requests_and_blocks_attacks_and_says_why():
    shown = subprocess.run(DEMO, capture_output=True, text=True, timeout=600, check=False)

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("200 passed") == 2
    assert shown.stdout.count("nothing suspicious") == 2
    assert shown.stdout.count("blocked:") == 4, "each attack has its verdict"
    assert "on ARGS:id = 1' or '1'='1'-- -" in shown.stdout
    assert shown.stderr == ""


@pytest.mark.haproxy
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_it_kept_running_ends_with_it(number: signal.Signals):
    env = {**os.environ, "DEMO_TEST": str(os.getpid())}
    demo = subprocess.Popen([*DEMO, "--keep"], stdout=subprocess.PIPE, text=True, env=env)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "Ctrl-C ends it all" in line:
            break
    running = _left_running(os.getpid())
    demo.send_signal(number)
    rest = demo.stdout.read()
    demo.stdout.close()

    assert demo.wait(120) == 0
    for program in ("demo.py", "adapters\0serve", "haproxy.cfg"):
        assert any(program in line for line in running), "the demo, the agent and HAProxy"
    assert "Ending everything" in rest
    assert _left_running(os.getpid()) == []
