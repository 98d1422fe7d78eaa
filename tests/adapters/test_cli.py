from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from adapters.bind import TcpBind
from adapters.cli import coraza_spoa_main, main, make_parser
from adapters.run_options import RunOptions
from adapters.service import VERSION
from tests.adapters.harness import ROOT
from waf_engine.forms import form_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adapters.cli.USUAL_PLACES", ("config.yml", "config.yaml"))
    monkeypatch.setattr("adapters.config.USUAL_PLACES", ("config.yml", "config.yaml"))
    return tmp_path


def test_check_finds_the_usual_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yml").write_text("spoa: {bind: ':0'}")

    assert main(["check"]) == 0
    assert "embedded (no include)" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_no_configuration_names_the_places(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve"]) == 1
    assert "name one with -c FILE" in capsys.readouterr().err
    assert coraza_spoa_main([]) == 1
    assert "name one with -config FILE" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert coraza_spoa_main(["-version"]) == 0
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.count(f"version\t{VERSION}\n") == 3
    assert shown.count(f"engine\t{form_name()}\n") == 2  # coraza-spoa has no such line


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["serve", "--nonsense"], ["check", "--conf", "x"], ["completion", "csh"]]
)
def test_wrong_command_lines(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], RunOptions()),
        (["--workers", "4", "--autoreload"], RunOptions(workers=4, autoreload=True)),
        (["--workers", "auto", "--no-autoreload"], RunOptions(workers=0, autoreload=False)),
        (["--metrics", "127.0.0.1:9100"], RunOptions(metrics=TcpBind("127.0.0.1", 9100))),
        (["--cpuprofile", "a", "--memprofile", "b"], RunOptions(cpuprofile="a", memprofile="b")),
    ],
)
def test_serve_passes_on_what_it_is_told(
    monkeypatch: pytest.MonkeyPatch, words: list[str], options: RunOptions
) -> None:
    called: list[Any] = []
    monkeypatch.setattr("adapters.cli.serve", lambda path, run: called.append((path, run)) or 0)

    assert main(["serve", "-c", "x.yaml", *words]) == 0
    assert called == [("x.yaml", options)]


@pytest.mark.parametrize(
    "words", [["--workers", "0"], ["--workers", "many"], ["--metrics", "unix@/x"], ["--metrics", "x"]]
)
def test_what_serve_refuses(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", *words])
    assert caught.value.code == 2
    assert f"argument {words[0]}: " in capsys.readouterr().err


def test_each_command_has_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    commands = ("serve", "check", "test", "crs", "migrate", "completion", "version")
    assert all(name in make_parser().format_help() for name in commands)
    for name in commands:
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert caught.value.code == 0
        assert f"usage: spoa-waf {name}" in capsys.readouterr().out


COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|38|48)[;\d]*m")
BAD_TEST = """\
meta: {}
rule_id: 1
tests:
  - test_id: 1
    stages: [{input: {uri: /}, output: {log: {expect_ids: [949110]}}}]
"""


def _on_a_terminal(words: list[str], folder: Path, **environment: str) -> bytes:
    """What a command writes to a terminal."""
    terminal, its_end = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment}
    env.pop("FORCE_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "adapters", *words], cwd=folder, env=env, stdin=its_end, stdout=its_end, stderr=its_end
    )
    os.close(its_end)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody has the other end any more
        while some := os.read(terminal, 65536):
            shown += some
    os.close(terminal)
    process.wait(120)
    return shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "coloured"),
    [
        (["check", "-c", "bad.yaml"], True),
        (["test", "bad-test.yaml", "-j", "1"], True),
        (["crs", "list"], False),
        (["crs", "plugin", "list"], False),
        (["migrate", "good.yaml"], False),
        (["version"], False),
    ],
)
def test_colours_on_a_terminal_and_not_with_no_color(folder: Path, words: list[str], *, coloured: bool) -> None:
    (folder / "bad.yaml").write_text("bind: 127.0.0.1:0\ncolour: red\n")
    (folder / "good.yaml").write_text("bind: 127.0.0.1:0\napplications: [{name: a, directives: SecRuleEngine On}]\n")
    (folder / "bad-test.yaml").write_text(BAD_TEST)
    with_colour = _on_a_terminal(words, folder, NO_COLOR="")
    without = _on_a_terminal(words, folder, NO_COLOR="1")

    assert with_colour
    assert bool(COLOUR.search(with_colour)) is coloured
    assert COLOUR.search(without) is None
