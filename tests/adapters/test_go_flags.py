from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adapters.bind import TcpBind
from adapters.go_flags import main as coraza_spoa_main
from adapters.run_options import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "bind: 127.0.0.1:0\nlog_file: /dev/stderr\napplications:\n- name: a\n  directives: |\n    SecRuleEngine On\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        ([], RunOptions()),
        (["-autoreload"], RunOptions(autoreload=True)),
        (["-autoreload=false"], RunOptions(autoreload=False)),
        (["-metrics-addr", ":9100"], RunOptions(metrics=TcpBind("", 9100))),
        (["-metrics-addr="], RunOptions()),
        (["--metrics-addr=localhost:9100"], RunOptions(metrics=TcpBind("localhost", 9100))),
        (["-cpuprofile", "c", "-memprofile=m"], RunOptions(cpuprofile="c", memprofile="m")),
    ],
)
def test_flags_do_what_they_say(monkeypatch: pytest.MonkeyPatch, argv: list[str], options: RunOptions) -> None:
    called: list[Any] = []
    monkeypatch.setattr("adapters.go_flags.serve", lambda path, run: called.append((path, run)) or 0)

    assert coraza_spoa_main(["-config", "c.yaml", *argv]) == 0
    assert called == [("c.yaml", options)]


@pytest.mark.parametrize("address", ["9100", "unix:///run/x.sock", "host:port"])
def test_an_address_that_metrics_cannot_have(capsys: pytest.CaptureFixture[str], address: str) -> None:
    assert coraza_spoa_main(["-config", "c.yaml", "-metrics-addr", address]) == 1
    err = capsys.readouterr().err
    assert err.startswith("-metrics-addr: ")
    assert "\n  hint: " in err
