from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.cli import coraza_spoa_main, main
from adapters.service import VERSION

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "bind: 127.0.0.1:0\nlog_file: /dev/stderr\napplications:\n- name: a\n  directives: |\n    SecRuleEngine On\n"
BAD = "bind: 127.0.0.1:0\napplications:\n- name: a\n  directives: |\n    SecNonsense\n  colour: red\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adapters.config.USUAL_PLACES", ("config.yml", "config.yaml"))
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


def test_check_finds_the_usual_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yml").write_text("spoa: {bind: ':0'}")

    assert main(["check"]) == 0
    assert "embedded (no include)" in capsys.readouterr().out


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


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["serve", "--nonsense"], ["check", "--conf", "x"]])
def test_wrong_command_lines(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "argv",
    [
        ["-config", "c.yaml", "-validate"],
        ["--config", "c.yaml", "--validate"],
        ["-config=c.yaml", "-validate=true"],
        ["-validate=1", "--config=c.yaml"],
        ["-config-file", "c.yaml", "-validate"],
        ["-autoreload", "-metrics-addr", ":9100", "-validate", "-config", "c.yaml"],
        ["-version=false", "-validate", "-config", "c.yaml", "ignored", "-words"],
    ],
)
def test_go_flags(folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    (folder / "c.yaml").write_text(GOOD)

    assert coraza_spoa_main(argv) == 0
    assert capsys.readouterr().err.endswith("INF Configuration file is valid\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-nonsense"], "flag provided but not defined: -nonsense"),
        (["-config"], "flag needs an argument: -config"),
        (["-validate=perhaps"], 'invalid boolean value "perhaps" for -validate'),
    ],
)
def test_wrong_go_flags(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    assert coraza_spoa_main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith(message + "\nUsage of coraza-spoa:\n")
    assert "  -config string\n" in err


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_go_help(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert coraza_spoa_main([flag]) == 0
    assert "  -validate\n" in capsys.readouterr().err


def test_flags_without_effect_are_named_and_do_not_stop_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(BAD)

    assert coraza_spoa_main(["-config", "c.yaml", "-autoreload", "-metrics-addr=:1", "-cpuprofile", "x"]) == 1
    err = capsys.readouterr().err
    for name in ("autoreload", "metrics-addr", "cpuprofile"):
        assert f"WRN -{name}: accepted and ignored" in err
    assert "-memprofile" not in err
