"""The command as people call it: which rules, which tests, files for CI, exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from adapters.cli import main

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """\
rule_id: 1
tests:
  - desc: refused
    stages: [{input: {uri: /?q=bad, headers: {Host: h}}, output: {status: 403, log: {expect_ids: [1]}}}]
  - desc: let through
    stages: [{input: {uri: /?q=good, headers: {Host: h}}, output: {status: 200, log: {no_expect_ids: [1]}}}]
"""
RULE = 'SecRule ARGS:q "@streq bad" "id:1,phase:1,deny,log"'


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    file = tmp_path / "t.yaml"
    file.write_text(TESTS)
    return file


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["test", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_directives_of_the_command_line(tests: Path, capsys: pytest.CaptureFixture[str]):
    status, out, err = _run(capsys, "--directives", RULE, tests)

    assert (status, err) == (0, "")
    assert out.startswith("2 passed in ")


def test_rule_files(tests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.conf").write_text(RULE)
    (tmp_path / "b.conf").write_text('SecAction "id:2,phase:1,pass,nolog"')
    status, out, _ = _run(capsys, tests, "--rules", tmp_path / "a.conf", tmp_path / "b.conf")

    assert (status, out.split(" in ")[0]) == (0, "2 passed")


CONFIG = """\
bind: 127.0.0.1:1
applications:
  - {name: a, directives: SecRuleEngine On}
  - {name: b, directives: 'SecRule ARGS:q "@streq bad" "id:1,phase:1,deny,log"'}
"""


def test_the_rules_of_a_configuration(tests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)

    assert _run(capsys, "-c", config, "--application", "b", tests)[0] == 0
    status, _, err = _run(capsys, "-c", config, tests)
    assert (status, err) == (2, f"{config} names no application: --application is one of a, b\n")
    assert _run(capsys, "-c", config, "--application", "x", tests)[0] == 2
    config.write_text(CONFIG + "default_application: b\n")
    assert _run(capsys, "-c", config, tests)[0] == 0


def test_the_embedded_rules_are_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "t.yaml"
    file.write_text(
        "tests: [{stages: [{input: {uri: '/?id=1%27%20or%201=1--%20', headers: {Host: h}}, output: {status: 403}}]}]"
    )

    assert _run(capsys, file)[0] == 0


def test_a_test_that_fails(tests: Path, capsys: pytest.CaptureFixture[str]):
    status, out, _ = _run(capsys, "--directives", "SecRuleEngine On", tests)

    assert status == 1
    assert "there is no rule 1 among the 0 rules that are loaded" in out
    assert out.splitlines()[-1].startswith("1 passed, 1 failed in ")


def test_fail_fast(tests: Path, capsys: pytest.CaptureFixture[str]):
    status, out, _ = _run(capsys, "--directives", "SecRuleEngine On", "--fail-fast", tests)

    assert (status, out.splitlines()[-1].split(" in ")[0]) == (1, "1 failed, 1 not run")


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [(("--include", "1-1$"), 1), (("--exclude", "1-1$"), 1), (("--include", "1-", "--exclude", "2$"), 1), ((), 2)],
)
def test_which_tests(tests: Path, arguments: tuple[str, ...], ran: int, capsys: pytest.CaptureFixture[str]):
    status, out, _ = _run(capsys, "--directives", RULE, *arguments, tests)

    assert (status, out.split(" in ")[0]) == (0, f"{ran} passed")


def test_overrides(tests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "o1").write_text("test_overrides: [{rule_id: 1, test_ids: [1], reason: x, output: {status: 200}}]")
    (tmp_path / "o2").write_text("testoverride: {ignore: {1-2: x}}")
    status, out, _ = _run(
        capsys, "--directives", "", "--overrides", tmp_path / "o1", "--overrides", tmp_path / "o2", tests
    )

    assert (status, out.split(" in ")[0]) == (0, "1 passed, 1 ignored")


def test_files_for_ci_have_the_order_of_the_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "t.yaml"
    stage = "{stages: [{input: {headers: {Host: h}}, output: {status: 200}}]}"
    file.write_text(f"rule_id: 5\ntests:\n{''.join(f'- {stage}{chr(10)}' for _ in range(40))}")
    junit, report = tmp_path / "j.xml", tmp_path / "r.json"
    status, _, _ = _run(capsys, "--directives", "", "-j", "2", "--junit", junit, "--json", report, file)
    names = [f"5-{n}" for n in range(1, 41)]

    assert status == 0
    assert [case.get("name") for case in etree.parse(str(junit)).iter("testcase")] == names
    assert [test["name"] for test in json.loads(report.read_text())["tests"]] == names


def test_a_report_that_cannot_be_written(tests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    status, _, err = _run(capsys, "--directives", RULE, "--json", tmp_path, tests)

    assert status == 2
    assert "cannot be written" in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("absent.yaml",), "there is no absent.yaml"),
        (("--application", "x", "t.yaml"), "--application goes with -c"),
        (("-c", "absent", "t.yaml"), "absent"),
        (("--rules", "absent.conf", "--", "t.yaml"), "absent.conf"),
        (("--directives", "SecRuleEngin On", "t.yaml"), "SecRuleEngin"),
        (("--include", "nothing", "t.yaml"), "2 tests in 1 files, none of them is wanted"),
        (("--overrides", "t.yaml", "t.yaml"), "neither `test_overrides:`"),
        (("empty",), "no tests: empty"),
        (("faulty.yaml",), "1 error in the tests: none was run"),
    ],
)
def test_when_nothing_can_be_run(
    tests: Path,
    arguments: tuple[str, ...],
    word: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tests.parent)
    (tests.parent / "empty").mkdir()
    (tests.parent / "faulty.yaml").write_text("rule_id: 1\ntests: [{}]\n")
    status, out, err = _run(capsys, *arguments)

    assert (status, out) == (2, "")
    assert word in err


def test_the_logs_of_the_site_stay_untouched(tests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log, debug = tmp_path / "audit.log", tmp_path / "debug.log"
    settings = f"SecAuditEngine On\nSecAuditLog {log}\nSecDebugLog {debug}\nSecDebugLogLevel 9\n{RULE}"

    assert _run(capsys, "--directives", settings, tests)[0] == 0
    assert not log.exists()
    assert not debug.exists()
