"""Override files of both forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.ftw.model import Case, Input, Output, Stage
from adapters.ftw.overrides import Forced, load_overrides
from waf_engine.diagnostics import Severity, Span

if TYPE_CHECKING:
    from pathlib import Path

    from adapters.ftw.overrides import Overrides


def _load(tmp_path: Path, text: str) -> Overrides:
    file = tmp_path / "o.yaml"
    file.write_text(text)
    return load_overrides([file])


def _case(rule_id: int, test_id: int, stages: int = 1) -> Case:
    stage = Stage(input=Input(), output=Output(statuses=(400,), expect_ids=(1,)), where=Span("f", 1))
    return Case(
        name=f"{rule_id}-{test_id}", rule_id=rule_id, test_id=test_id, stages=(stage,) * stages, where=Span("f", 1)
    )


PLATFORM = """\
version: v0.0.0
meta: {engine: x, platform: y, annotations: [{purpose: z}]}
test_overrides:
  - {rule_id: 1, test_ids: [2, 3], reason: why, output: {status: 200}}
  - {rule_id: 2, reason: why, retry_once: true, output: {log: {expect_ids: [9]}}}
  - {rule_id: 3, stage_ids: [2], reason: why, output: {expect_error: true}}
"""


def test_an_output_is_replaced_as_a_whole(tmp_path: Path):
    overrides = _load(tmp_path, PLATFORM)

    assert overrides.diagnostics == []
    assert overrides.apply(_case(1, 2)).stages[0].output == Output(statuses=(200,))
    assert overrides.apply(_case(1, 4)) == _case(1, 4)
    assert overrides.apply(_case(2, 7)).stages[0].output == Output(expect_ids=(9,), retry_once=True)
    assert [stage.output.expect_error for stage in overrides.apply(_case(3, 1, 3)).stages] == [None, True, None]


LISTS = """\
testoverride:
  input: {port: 8080}
  ignore:
    920280-3: ''
    '^9205.*': all of them
  forcepass: {1-1: sure}
  forcefail: {1-2: never}
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("920280-3", (Forced.IGNORE, "")),
        ("920280-30", None),
        ("920510-1", (Forced.IGNORE, "all of them")),
        ("1-1", (Forced.PASS, "sure")),
        ("1-2", (Forced.FAIL, "never")),
        ("1-20", None),
    ],
)
def test_results_that_are_given(tmp_path: Path, name: str, expected: tuple[Forced, str] | None):
    overrides = _load(tmp_path, LISTS)

    assert overrides.diagnostics == []
    assert overrides.force(name) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("rule_id: 1\n", "no-overrides"),
        ("test_overrides: [{rule_id: 1, reason: x}]", "no-output"),
        ("test_overrides: [{rule_id: x, output: {}}]", "bad-number"),
        ("testoverride: {ignore: {'(': x}}", "bad-pattern"),
        ("testoverride: {ignore: [1]}", "wrong-type"),
        ("a: [", "yaml"),
    ],
)
def test_faults(tmp_path: Path, text: str, code: str):
    errors = [fault for fault in _load(tmp_path, text).diagnostics if fault.severity is Severity.ERROR]

    assert [fault.code for fault in errors] == [code]


@pytest.mark.corpora
def test_corazas_own_files_are_read(corpora: Path):
    folder = corpora / "corpora" / "coraza-misc"
    overrides = load_overrides([folder / ".ftw-overrides.yml", folder / ".ftw.yml", folder / ".ftw-multiphase.yml"])

    assert overrides.diagnostics == []
    assert (len(overrides.replacements), len(overrides.forced)) == (10, 13)
    assert overrides.apply(_case(922130, 7)).stages[0].output == Output(expect_ids=(200003,))
    assert overrides.force("920430-9") == (Forced.IGNORE, "")
