from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from adapters.console import BROKEN_PIPE, INTERRUPTED, TRACEBACK, complain, guarded, say_json, wants_colour
from tests.adapters.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _failing(error: BaseException) -> Callable[[], int]:
    def run() -> int:
        raise error

    return run


def test_results_and_complaints_have_their_own_streams(capsys: pytest.CaptureFixture[str]):
    say_json({"a": ["é"]})
    complain("x.conf:1:1: error: wrong")

    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": ["é"]}
    assert err == "x.conf:1:1: error: wrong\n"


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_on_a_terminal_only(stream: io.StringIO, environment: dict[str, str], *, wanted: bool):
    assert wants_colour(stream, environment) is wanted


def test_a_closed_stream_wants_no_colours():
    stream = io.StringIO()
    stream.close()

    assert wants_colour(stream, {}) is False


def test_the_kind_of_a_fault_is_coloured(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    complain("c.yaml:1:2: error: this warning: that\n    text\n  hint: do it\nc.yaml:3:1: warning: so")

    assert terminal.getvalue().split("\n") == [
        "c.yaml:1:2: \x1b[1;31merror\x1b[0m: this warning: that",
        "    text",
        "  \x1b[1mhint\x1b[0m: do it",
        "c.yaml:3:1: \x1b[1;33mwarning\x1b[0m: so",
        "",
    ]


def test_a_command_gives_its_status():
    assert guarded("x", lambda: 3) == 3


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "/x"), "/x: permission denied"),
        (OSError("odd\nlines"), "OSError: odd lines"),
        (ExceptionGroup("several", [ExceptionGroup("more", [KeyError("k")])]), "KeyError: 'k'"),
        (RecursionError(), "RecursionError"),
    ],
)
def test_what_nobody_foresaw_is_one_line(capsys: pytest.CaptureFixture[str], error: Exception, line: str):
    assert guarded("spoa-waf", _failing(error)) == 1
    first, hint, end = capsys.readouterr().err.split("\n")
    assert first == f"spoa-waf: error: {line}"
    assert TRACEBACK in hint
    assert end == ""


def test_the_traceback_can_be_had(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(TRACEBACK, "1")

    with pytest.raises(KeyError):
        guarded("x", _failing(KeyError("k")))


def test_an_interrupt_says_nothing(capsys: pytest.CaptureFixture[str]):
    assert guarded("x", _failing(KeyboardInterrupt())) == INTERRUPTED
    assert capsys.readouterr().err == ""


def test_a_usage_error_passes():
    with pytest.raises(SystemExit):
        guarded("x", _failing(SystemExit(2)))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_reads_any_more(unbuffered: str):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "adapters", "version"],
            stdout=out,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )

    assert (done.returncode, done.stderr) == (BROKEN_PIPE, b"")
