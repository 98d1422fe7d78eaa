"""The bar on the terminal."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from adapters.progress import ERASE, WIDTH, compiling_bar
from waf_engine import WAF
from waf_engine.runtime.databases import WORTH_KEEPING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Terminal(io.StringIO):
    """A terminal of which all that was written is kept."""

    def isatty(self) -> bool:
        return not self.closed


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch):
    assert compiling_bar(io.StringIO()) is None
    monkeypatch.setattr(sys, "stderr", None)
    assert compiling_bar() is None


def test_a_bar_grows_and_is_gone_at_the_end():
    terminal = Terminal()
    draw = compiling_bar(terminal)
    assert draw is not None
    for done in range(4):
        draw(done, 3, f"{done} patterns" if done else "")
    shown = terminal.getvalue().split(ERASE)

    assert shown[0] == shown[-1] == ""
    assert [text.count("#") for text in shown[1:-1]] == [0, WIDTH // 3, WIDTH * 2 // 3]
    assert shown[2].endswith("] 1 of 3 1 patterns")


def test_a_terminal_that_goes_away_is_no_fault():
    terminal = Terminal()
    draw = compiling_bar(terminal)
    assert draw is not None
    terminal.close()

    draw(1, 3, "x")


def test_rules_that_are_compiled_draw_and_those_on_disk_do_not(tmp_path: Path):
    words = " ".join(f"word{number}" for number in range(WORTH_KEEPING))
    text = f'SecRule ARGS "@pm {words}" "id:1,phase:1,deny"'
    drawn = []
    for _ in range(2):
        terminal = Terminal()
        WAF.from_directives(text, cache_folder=tmp_path / "cache", progress=compiling_bar(terminal))
        drawn.append(terminal.getvalue())

    assert drawn[0].startswith(f"{ERASE}compiling rules [")
    assert drawn[0].endswith(ERASE)
    assert drawn[1] == ""
