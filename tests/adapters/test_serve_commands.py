from __future__ import annotations

import io
import json
import os
import pstats
import signal
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from adapters.cli import main
from adapters.service import VERSION
from tests.adapters.conformance import Client
from tests.adapters.harness import ROOT, free_ports, wait_for_port
from waf_engine.forms import form_name

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.harness import Processes

GOOD = "bind: 127.0.0.1:0\nlog_file: /dev/stderr\napplications:\n- name: a\n  directives: |\n    SecRuleEngine On\n"
BAD = "bind: 127.0.0.1:0\napplications:\n- name: a\n  directives: |\n    SecNonsense\n  colour: red\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_says_what_would_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(GOOD + "  response_check: true\n  transaction_ttl_ms: 5000\n")

    assert main(["check", "-c", "c.yaml"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "c.yaml is valid (form C)" in out
    assert "listens on    127.0.0.1:0" in out
    assert "application   a" in out
    assert "a request waits 5 s for its response" in out


def test_check_lists_every_fault(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(BAD)

    assert main(["check", "--config", "c.yaml"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "c.yaml:6:3: error: 'colour' is not a key" in err
    assert "c.yaml:5:5: error: unknown directive 'SecNonsense'" in err
    assert err.endswith("2 errors: nothing was started\n")


def test_check_shows_warnings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text("bind: ':0'\n")

    assert main(["check", "-c", "c.yaml"]) == 0
    assert "there are no applications" in capsys.readouterr().err


def test_check_looks_for_the_folders_of_logs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(GOOD.replace("/dev/stderr", "none/x.log"))

    assert main(["check", "-c", "c.yaml"]) == 1
    assert "c.yaml:2:11: error: there is no folder none" in capsys.readouterr().err


def test_serve_refuses_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(BAD)
    assert main(["serve", "-c", "c.yaml"]) == 1
    assert "2 errors" in capsys.readouterr().err

    (folder / "c.yaml").write_text(GOOD.replace("/dev/stderr", "none/x.log"))
    assert main(["serve", "-c", "c.yaml"]) == 1
    assert "c.yaml:2:11: error: the log file none/x.log cannot be opened" in capsys.readouterr().err

    (folder / "c.yaml").write_text(GOOD.replace("127.0.0.1", "192.0.2.1"))
    assert main(["serve", "-c", "c.yaml"]) == 1
    assert "cannot listen on 192.0.2.1:0" in capsys.readouterr().err

    assert main(["serve", "-c", "none.yaml"]) == 1
    assert "none.yaml:1:1: error: the file cannot be read" in capsys.readouterr().err


def test_check_for_scripts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(GOOD + "workers: auto\nmetrics: 127.0.0.1:9100\n")

    assert main(["check", "-c", "c.yaml", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert (found["valid"], found["form"], found["listen"]) == (True, "ours", ["127.0.0.1:0"])
    assert (found["workers"], found["metrics"], found["diagnostics"]) == ("auto", "127.0.0.1:9100", [])
    (application,) = found["applications"]
    assert (application["name"], application["engine"], application["embedded"]) == ("a", "On", False)


def test_check_tells_scripts_of_faults(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(BAD)

    assert main(["check", "-c", "c.yaml", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert {(fault["line"], fault["severity"]) for fault in found["diagnostics"]} == {(5, "error"), (6, "error")}


def test_faults_have_colours_on_a_terminal_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "c.yaml").write_text(BAD)
    shown = []
    for no_color in ("", "1"):
        terminal = io.StringIO()
        terminal.isatty = lambda: True  # type: ignore[method-assign]  # what the test is about
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("sys.stderr", terminal)
        assert main(["check", "-c", "c.yaml"]) == 1
        shown.append(terminal.getvalue())

    assert "\x1b[1;31merror\x1b[0m" in shown[0]
    assert "\x1b" not in shown[1]


def test_version_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["version"], facts["engine"]) == (VERSION, form_name())


@pytest.mark.parametrize("name", ["none/cpu", "/dev/null/cpu"])
def test_a_profile_that_cannot_be_written_is_told_at_the_start(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (folder / "c.yaml").write_text(GOOD)

    assert main(["serve", "-c", "c.yaml", "--cpuprofile", name]) == 1
    assert capsys.readouterr().err == f"the profile {name} cannot be written: there is no such folder\n"


EARLY = """
import os, signal, sys
import anyio
from adapters.run_options import RunOptions
from adapters.serve_commands import serve

run = anyio.run

def signalled(*arguments, **more):
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
        os.kill(os.getpid(), number)
    return run(*arguments, **more)

anyio.run = signalled
sys.exit(serve("config.yml", RunOptions(workers=1)))
"""


@pytest.mark.slow
def test_signals_before_the_loop_runs_are_obeyed_by_it(processes: Processes) -> None:
    config = GOOD.replace("127.0.0.1:0", "./x.sock").replace("/dev/stderr", "agent.log")
    (processes.folder / "config.yml").write_text(config)
    agent = processes.start([sys.executable, "-c", EARLY], "agent.out")

    assert agent.wait(120) == 0
    assert not (processes.folder / "x.sock").exists()
    log = (processes.folder / "agent.log").read_text()
    assert ("logs reopened" in log, "stopping" in log, "stopped" in log) == (True, True, True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_it_says_that_it_listens_when_it_does(folder: Path, workers: int) -> None:
    config = GOOD.replace("127.0.0.1:0", "./x.sock").replace("/dev/stderr", "agent.log")
    (folder / "config.yml").write_text(f"{config}workers: {workers}\n")
    words = [sys.executable, "-m", "adapters", "serve", "-c", "config.yml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as agent:
        assert agent.stderr is not None
        try:
            line = next(line for line in agent.stderr if "INF listening" in line)
            client = Client("./x.sock")
            client.hello()
            client.close()
        finally:
            agent.send_signal(signal.SIGTERM)

        assert "logs=agent.log" in line
        assert agent.wait(120) == 0


@pytest.mark.slow
def test_profiles_are_written_at_the_end(processes: Processes) -> None:
    (port,) = free_ports(1)
    config = GOOD.replace(":0", f":{port}") + "workers: 1\n"
    (processes.folder / "config.yml").write_text(config)
    start = "import sys; from adapters.cli import coraza_spoa_main; sys.exit(coraza_spoa_main())"
    flags = ["-config", "config.yml", "-cpuprofile", "cpu", "-memprofile=mem"]
    agent = processes.start([sys.executable, "-c", start, *flags], "agent.out")
    wait_for_port(port, agent)
    client = Client(("127.0.0.1", port))
    client.hello()
    client.ask(1)
    client.close()
    agent.send_signal(signal.SIGTERM)

    assert agent.wait(120) == 0
    functions = {name for _, _, name in pstats.Stats(str(processes.folder / "cpu")).stats}  # type: ignore[attr-defined]  # untyped
    assert "receive_data" in functions
    assert tracemalloc.Snapshot.load(str(processes.folder / "mem")).statistics("filename")
    log = (processes.folder / "agent.out").read_text()
    assert log.count("profile written") == 2
    assert "pstats" in log
    assert "Traceback" not in log
