"""`spoa-waf profile` from its arguments to what it writes."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import pytest

from adapters.profile.arguments import add_profile_command
from adapters.profile.command import run_profile_command

if TYPE_CHECKING:
    from pathlib import Path

RULES = """
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecRule ARGS "@rx <script" "id:10,phase:2,deny,log,t:none,t:lowercase"
SecRule RESPONSE_BODY "@rx quiet page" "id:20,phase:4,pass,log"
"""


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_profile_command(parser.add_subparsers())
    return run_profile_command(parser.parse_args(["profile", *words]))


@pytest.mark.parametrize("executor", ["plan", "reference"])
def test_the_samples_on_some_rules(executor: str, capsys: pytest.CaptureFixture[str]):
    assert run("--directives", RULES, "--executor", executor, "--rounds", "2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    calls = {(row["kind"], row["name"]): row["calls"] for row in found["rows"]}

    assert (found["requests"], found["rounds"], found["executor"]) == (6, 2, executor)
    assert found["microseconds"] == pytest.approx(sum(row["microseconds"] for row in found["rows"]), abs=0.1)
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1, abs=0.01)
    assert calls["rest", ""] == calls["phase", "2"] == 1
    assert ("phase", "4") not in calls
    (rule,) = (row for row in found["rows"] if row["kind"] == "rule" and row["name"] == "10")
    assert rule["place"].endswith(":5")


def test_with_responses_all_phases_are_run(capsys: pytest.CaptureFixture[str]):
    assert run("--directives", RULES, "--response", "--rounds", "1", "--json") == 0
    calls = {(row["kind"], row["name"]): row["calls"] for row in json.loads(capsys.readouterr().out)["rows"]}

    assert 0 < calls["phase", "4"] < 1  # the attack gets no answer
    assert calls["rule", "20"] == calls["phase", "4"]


def test_tables_for_people(capsys: pytest.CaptureFixture[str]):
    assert run("--directives", RULES, "--rounds", "1", "--top", "1", "--memory") == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith("6 requests, each 1 times, executor plan: ")
    assert any(line.endswith("10 @rx  (directives:5)") or "10 @rx  (" in line for line in lines)
    assert any(" more" in line for line in lines)


def test_requests_that_a_server_answers_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "good").write_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    (tmp_path / "bad").write_bytes(b"what is this")

    assert run("--directives", RULES, "--rounds", "1", str(tmp_path)) == 0
    assert capsys.readouterr().err == "left out: 1 requests that a server answers itself\n"


@pytest.mark.parametrize("words", [["nowhere"], ["--directives", "SecNonsense"], ["--rules", "nowhere.conf"]])
def test_nothing_to_run_is_said(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(*words) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert "nowhere" in said.err or "SecNonsense" in said.err
