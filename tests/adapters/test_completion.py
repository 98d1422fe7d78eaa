from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from adapters.cli import main, make_parser
from adapters.completion import SHELLS, script

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = ("serve", "check", "test", "crs", "migrate", "completion", "version")


@pytest.mark.parametrize("shell", SHELLS)
def test_it_knows_every_command_and_the_shell_reads_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, shell: str
) -> None:
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert [name for name in (*COMMANDS, "install", "autoreload") if name not in text] == []
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script was made, not read")
    (tmp_path / "script").write_text(text)
    read = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)

    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("spoa-waf ", set(COMMANDS)),
        ("spoa-waf ch", {"check"}),
        ("spoa-waf serve --au", {"--autoreload"}),
        ("spoa-waf crs in", {"install"}),
        ("spoa-waf check -c rul", {"rules.yaml"}),
        ("spoa-waf migrate rul", {"rules.yaml"}),
    ],
)
def test_bash_completes(tmp_path: Path, words: str, expected: set[str]) -> None:
    (tmp_path / "rules.yaml").touch()
    (tmp_path / "script").write_text(script(make_parser(), "bash"))
    ask = (
        "source ./script; words=($1); [[ $1 == *' ' ]] && words+=(''); COMP_WORDS=(\"${words[@]}\"); "
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$1; COMP_POINT=${#1}; "
        "function=$(complete -p spoa-waf | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $function spoa-waf; "
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    shown = subprocess.run(
        ["bash", "--norc", "-c", ask, "bash", words], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert expected <= set(shown.stdout.split()), shown.stderr


def test_without_the_library_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)

    assert main(["completion", "bash"]) == 1
    assert "pip install shtab" in capsys.readouterr().err
