"""Every command line that a page shows is one that the program understands."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from adapters.cli import make_parser
from adapters.go_flags import parse_flags

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
CODE = re.compile(r"```(?:sh|console)?\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`((?:spoa-waf|coraza-spoa) [^`\n]+)`")
ENDS = ("|", "&&", "&", ";", ">", ">>", "||")


def commands(text: str) -> list[str]:
    """The command lines of a page: in code between the words, in blocks, in indented lines."""
    found = [command for command in INLINE.findall(text) if "..." not in command]
    lines = [line for block in CODE.findall(text) for line in block.splitlines()]
    lines += [line[4:] for line in text.splitlines() if line.startswith("    ")]
    for line in lines:
        for part in re.split(r"&&|\||;", line):
            words = part.strip().split()
            index = int(words[:1] in (["sudo"], ["exec"]))
            if len(words) > index + 1 and words[index].rpartition("/")[2] in ("spoa-waf", "coraza-spoa"):
                found.append(" ".join([words[index].rpartition("/")[2], *words[index + 1 :]]))
    return found


def words_of(command: str) -> list[str]:
    """The arguments of a command, up to where the shell's own words begin."""
    words = shlex.split(command.replace("[", "").replace("]", ""), comments=True)
    end = next((index for index, word in enumerate(words) if word in ENDS or word.startswith(">")), len(words))
    return words[1:end]


def understood(command: str) -> str:
    """Why a command is not understood; empty when it is. A name alone stands for all that the command does."""
    words, told = words_of(command), io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            if command.startswith("coraza-spoa"):
                parse_flags(words)
            else:
                make_parser().parse_args(words)
    except (SystemExit, ValueError) as error:
        if str(error) in ("", "0") or "arguments are required" in told.getvalue():
            return ""
        return f"{command}: {told.getvalue() or error}"
    return ""


ALL = {page: commands((ROOT / page).read_text("utf-8")) for page in PAGES}


def test_there_are_commands():
    assert sum(map(len, ALL.values())) > 60
    assert "invalid choice: 'serv'" in understood("spoa-waf serv")
    assert "not defined: -confg" in understood("coraza-spoa -confg x")


@pytest.mark.parametrize("page", [page for page, found in ALL.items() if found])
def test_each_is_understood(page: str):
    assert [told for command in ALL[page] if (told := understood(command))] == []
