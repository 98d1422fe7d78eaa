from __future__ import annotations

import pytest

from adapters.cli import main
from adapters.crs.arguments import DEFAULT_VERSION
from adapters.crs.store import check_name


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["install", "4.1.0", "--from", "x"],
        ["pin"],
        ["remove"],
        ["diff", "4.1.0"],
        ["lis"],
        ["plugin"],
        ["plugin", "install"],
        ["plugin", "install", "x", "--from", "y"],
        ["plugin", "remove"],
    ],
)
def test_wrong_command_lines(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["crs", *arguments])
    assert error.value.code == 2
    assert "usage: spoa-waf crs" in capsys.readouterr().err


def test_help_names_the_actions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["crs", "--help"])
    assert error.value.code == 0
    out = capsys.readouterr().out
    assert [
        name for name in ("install", "list", "pin", "remove", "diff", "plugin") if f"\n    {name} " not in out
    ] == []


def test_the_default_is_a_version() -> None:
    assert check_name(DEFAULT_VERSION) == DEFAULT_VERSION
