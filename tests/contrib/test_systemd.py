"""The units of contrib/systemd: systemd's own checks, and that their bounds leave the agent what it needs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.adapters.conformance import Client
from tests.adapters.harness import ROOT, fetch, free_ports, wait_for_port
from tests.conftest import absent

if TYPE_CHECKING:
    from tests.adapters.harness import Processes

FOLDER = ROOT / "contrib" / "systemd"
SERVICE = (FOLDER / "spoa-waf.service").read_text()
WORST_SCORE = 16  # tenths; systemd calls what is below 20 fine, an ordinary unit has 92


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        absent("systemd-analyze is not installed (Debian's package systemd)")
    return subprocess.run([str(program), *words], capture_output=True, text=True, check=False)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a program that exists on this machine."""
    program = tmp_path / "spoa-waf"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("spoa-waf.service", "spoa-waf.socket"):
        text = (FOLDER / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/spoa-waf/bin/spoa-waf", str(program)))
    return tmp_path


def test_verify_finds_nothing(units: Path):
    done = _analyze("verify", str(units / "spoa-waf.service"), str(units / "spoa-waf.socket"))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_would_find_something(units: Path):
    unit = units / "spoa-waf.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=30", "WatchdogSecs=30"))

    assert "WatchdogSecs" in _analyze("verify", str(unit)).stderr


def test_security_has_a_good_score(units: Path):
    done = _analyze("security", "--offline=true", f"--threshold={WORST_SCORE}", str(units / "spoa-waf.service"))
    score = re.search(r"exposure level for spoa-waf\.service: ([0-9.]+)", done.stdout)

    assert score is not None, done.stdout + done.stderr
    assert float(score[1]) * 10 <= WORST_SCORE
    assert done.returncode == 0


@pytest.mark.parametrize("family", ["AF_UNIX", "AF_INET", "AF_INET6"])
def test_every_form_of_bind_is_allowed(family: str):
    (line,) = re.findall(r"^RestrictAddressFamilies=(.*)$", SERVICE, re.MULTILINE)

    assert family in line.split()


def test_what_the_page_and_the_service_say_is_the_same():
    """The folders that the unit makes are those that docs/installing.md names."""
    page = (ROOT / "docs" / "installing.md").read_text()
    kinds = {"Configuration": "/etc", "Runtime": "/run", "Logs": "/var/log", "Cache": "/var/cache", "State": "/var/lib"}
    made = [
        f"{top}/{name}"
        for kind, top in kinds.items()
        for name in re.findall(rf"^{kind}Directory=(.*)$", SERVICE, re.MULTILINE)
    ]

    assert len(made) == 5
    assert [name for name in made if name not in page] == []


WITHOUT_WRITABLE_CODE = """
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
ENGINE = """
from waf_engine import WAF
import mmap
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    pass
else:
    raise SystemExit("memory may be written and run: the test tests nothing")
rules = ["SecRuleEngine On"]
operators = ("@rx (?<=a)b+c", "@rx attack[0-9]+", "@detectSQLi", "@pm one two three", "@detectXSS")
for number, operator in enumerate(operators, 1):
    rules.append(f'SecRule ARGS "{operator}" "id:{number},phase:2,pass,log"')
waf = WAF.from_directives("\\n".join(rules))
tx = waf.transaction()
tx.process_uri("/?a=abbc&b=attack12&c=1%27+or+%271%27=%271&d=two&e=<script>alert(1)</script>", "GET", "1.1")
tx.process_request_headers()
tx.process_request_body()
print(*(matched.rule_id for matched in tx.matched_rules))
"""


def test_the_engine_runs_without_memory_that_is_written_and_run(tmp_path: Path):
    """MemoryDenyWriteExecute: by the kernel's own switch for it (Linux 6.3), which a process can set for itself."""
    (tmp_path / "engine.py").write_text(ENGINE)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_WRITABLE_CODE, str(tmp_path / "engine.py")],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)},
    )
    if done.returncode == 77:
        pytest.skip("this kernel cannot forbid it to a process (before Linux 6.3)")

    assert (done.returncode, done.stdout.split()) == (0, ["1", "2", "3", "4", "5"]), done.stderr


def test_the_user_and_the_folders_are_made(tmp_path: Path):
    if shutil.which("systemd-sysusers") is None:
        absent("systemd-sysusers is not installed (Debian's package systemd)")
    root = tmp_path / "root"
    for name in ("etc", "var/lib", "var/cache/spoa-waf"):
        (root / name).mkdir(parents=True)
    users = ["systemd-sysusers", f"--root={root}", str(FOLDER / "sysusers.conf")]
    made = subprocess.run(users, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "spoa-waf:" in (root / "etc/passwd").read_text()
    folders = ["systemd-tmpfiles", "--create", f"--root={root}", str(FOLDER / "tmpfiles.conf")]
    made = subprocess.run(folders, capture_output=True, text=True, check=False)

    assert made.returncode == 0, made.stderr
    assert {path.name for path in (root / "var/lib/spoa-waf").iterdir()} == {"crs", "crs-plugins"}


CONFIG = """\
bind: 127.0.0.1:{port}
workers: 2
metrics: 127.0.0.1:{metrics}
log_file: agent.log
applications:
- {{name: a, directives: Include @recommended.conf, response_check: true}}
"""


def _calls(group: str) -> set[str]:
    """The system calls of one of systemd's groups."""
    lines = [line.strip() for line in _analyze("syscall-filter", group).stdout.splitlines()[1:]]
    names = [line for line in lines if line and not line.startswith("#")]
    return set().union(*(_calls(name) if name.startswith("@") else {name} for name in names))


def _allowed() -> set[str]:
    """What the unit's lines SystemCallFilter= come to, as systemd reads them: from the first to the last."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", SERVICE, re.MULTILINE):
        calls = set().union(*(_calls(name) for name in line.removeprefix("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


@pytest.mark.slow
def test_the_agent_needs_no_system_call_that_the_unit_forbids(processes: Processes):
    """From its start with two workers over a reload and a look at the metrics to its end, as strace sees it."""
    strace = shutil.which("strace")
    if strace is None:
        absent("strace is not installed")
    if subprocess.run([str(strace), "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    port, metrics = free_ports(2)
    (processes.folder / "config.yml").write_text(CONFIG.format(port=port, metrics=metrics))
    serve = [sys.executable, "-m", "adapters", "serve", "-c", "config.yml"]
    tracer = processes.start([str(strace), "-f", "-qq", "-o", "calls", *serve], "agent.out")
    wait_for_port(port, tracer)
    wait_for_port(metrics, tracer)
    client = Client(("127.0.0.1", port))
    client.hello()
    client.ask(1)
    client.close()
    assert fetch(metrics, "/metrics").status == 200
    (child,) = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split()[:1]
    os.kill(int(child), signal.SIGHUP)
    os.kill(int(child), signal.SIGUSR1)
    os.kill(int(child), signal.SIGTERM)
    tracer.wait(200)
    seen = set(
        re.findall(r"^\d+ +([a-z_0-9]+)\(", (processes.folder / "calls").read_text("utf-8", "replace"), re.MULTILINE)
    )

    assert len(seen) > 30
    assert seen - _allowed() == set()
