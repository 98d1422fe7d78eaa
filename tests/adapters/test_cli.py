from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adapters.bind import TcpBind
from adapters.cli import coraza_spoa_main, main, make_parser
from adapters.run_options import RunOptions
from adapters.service import VERSION

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
    assert capsys.readouterr().out.count(f"version\t{VERSION}\n") == 2


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
