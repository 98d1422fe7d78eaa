"""The operator that starts a program: when it is refused, what the program gets, and what its answer means."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators import inspect as family
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to start a program."""
    monkeypatch.setattr(family, "TIMEOUT", 60.0)


@pytest.fixture
def script(tmp_path: Path) -> Any:
    def write(body: str) -> str:
        path = tmp_path / "script"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(stat.S_IRWXU)
        return str(path)

    return write


def test_it_is_refused_unless_allowed(bench: Any, script: Any):
    with pytest.raises(ArgumentError, match="not allowed") as refused:
        bench.compile("inspectFile", script("echo 1"), bench.Context(settings={}))

    assert "allow_inspect_file" in refused.value.hint


@pytest.mark.parametrize("program", ["", "echo", "/nonexistent/program", "/bin", "{file}"])
def test_what_is_no_program_is_refused(bench: Any, program: str, tmp_path: Path):
    (tmp_path / "file").write_text("not executable")
    program = program.replace("{file}", str(tmp_path / "file"))
    with pytest.raises(ArgumentError, match="not the absolute path"):
        bench.compile("inspectFile", program)


def test_the_value_is_one_argument_and_no_shell_reads_it(bench: Any, script: Any):
    program = script('[ $# = 1 ] && [ "$1" = \'/tmp/a b;"$(id)\' ] && [ -z "$HOME" ] && echo \'1 clean\'')

    assert bench.compile("inspectFile", program)(b'/tmp/a b;"$(id)') is None
    assert bench.compile("inspectFile", program)(b"/tmp/other") is MATCHED


def test_values_that_are_no_file_names_are_not_run(bench: Any, script: Any):
    test = bench.compile("inspectFile", script("echo 1"))

    assert test(b"/tmp/x") is None
    assert test(b"-rf") is MATCHED
    assert test(b"a\0b") is MATCHED
    assert test(b"") is None


def test_a_program_that_does_not_end_is_ended_and_counts_as_a_match(
    bench: Any, script: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(family, "TIMEOUT", 0.05)
    tx = bench.Transaction()

    assert bench.compile("inspectFile", script("exec sleep 20"))(b"/tmp/x", tx) is MATCHED
    assert tx.limits == ["inspectFile"]


def test_a_program_that_is_gone_counts_as_a_match(bench: Any, script: Any, tmp_path: Path):
    test = bench.compile("inspectFile", script("echo 1"))
    (tmp_path / "script").unlink()
    tx = bench.Transaction()

    assert test(b"/tmp/x", tx) is MATCHED
    assert tx.limits == ["inspectFile"]
