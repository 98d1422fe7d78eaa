"""The command line of `spoa-waf profile`."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from adapters.cli import main
from adapters.profile.arguments import add_profile_command


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_profile_command(parser.add_subparsers())
    return parser.parse_args(["profile", *words])


def test_without_arguments_samples_are_run_on_the_embedded_rules():
    options = parsed()

    assert (options.paths, options.config, options.rules, options.directives) == ([], None, None, None)
    assert (options.executor, options.rounds, options.top, options.memory, options.json) == (
        "plan",
        20,
        10,
        False,
        False,
    )


def test_rules_and_requests_are_told_apart():
    options = parsed("--rules", "a.conf", "b/*.conf", "--executor", "reference", "--", "requests", "tests.yaml")

    assert options.rules == ["a.conf", "b/*.conf"]
    assert options.paths == [Path("requests"), Path("tests.yaml")]
    assert options.executor == "reference"


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--rounds", "x"], ["--top", "-1"], ["--top", "10001"]])
def test_numbers_that_mean_nothing_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parsed(*words)

    assert "a number from 1 to 10" in capsys.readouterr().err


def test_it_is_a_command_of_the_program(capsys: pytest.CaptureFixture[str]):
    assert main(["profile", "--directives", "SecRuleEngine On", "--rounds", "1"]) == 0
    assert "executor plan" in capsys.readouterr().out
