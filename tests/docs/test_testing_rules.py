"""docs/testing-rules.md: its rules and tests are written to files and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from adapters.cli import main
from adapters.ftw.overrides import load_overrides

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing-rules.md"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILE.findall(PAGE.read_text()):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_first_test_passes(capsys: pytest.CaptureFixture[str]):
    assert main(["test", "--rules", "shop.conf", "--", "tests/"]) == 0
    assert capsys.readouterr().out.startswith("3 passed in ")


@pytest.mark.usefixtures("folder")
def test_the_office_may_see_the_administration(capsys: pytest.CaptureFixture[str]):
    arguments = ["test", "--rules", "shop.conf", "--client-ip", "192.0.2.5", "--include", "0-1", "--", "tests/"]

    assert main(arguments) == 1
    assert "got      status 200" in capsys.readouterr().out


def test_without_the_exclusion_it_fails_as_shown(folder: Path, capsys: pytest.CaptureFixture[str]):
    rules = (folder / "shop.conf").read_text()
    (folder / "shop.conf").write_text(rules[: rules.index("# The editor")])
    shown = re.search(r"```text\n(FAILED.*?)           \.\.\.\n```", PAGE.read_text(), re.DOTALL)

    assert main(["test", "--rules", "shop.conf", "--", "tests/"]) == 1
    assert shown
    assert shown[1] in capsys.readouterr().out


def test_the_overrides_are_understood(tmp_path: Path):
    (text,) = (block for block in YAML.findall(PAGE.read_text()) if "testoverride:" in block)
    file = tmp_path / "o.yaml"
    file.write_text(text)
    overrides = load_overrides([file])

    assert overrides.diagnostics == []
    assert overrides.force("942100-1") is not None


def test_every_option_is_told(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["test", "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    page = PAGE.read_text()
    by_their_letter = {"--config", "--help", "--jobs", "--verbose"}

    assert len(options) >= 16
    assert {option for option in options if option not in page} == by_their_letter


def test_the_ci_example_is_yaml():
    assert [type(yaml.safe_load(block)) for block in YAML.findall(PAGE.read_text())] == [dict] * 3
