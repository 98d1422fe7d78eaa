"""The command line of `spoa-waf test`."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from adapters.cli import main
from adapters.ftw.arguments import add_test_command


def _parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_test_command(parser.add_subparsers())
    return parser.parse_args(["test", *arguments])


def test_what_is_not_said():
    options = _parse("a.yaml", "b")

    assert [str(path) for path in options.paths] == ["a.yaml", "b"]
    assert (options.config, options.rules, options.directives, options.jobs, options.client_ip) == (
        None, None, None, 0, "127.0.0.1",
    )  # fmt: skip
    assert not any((options.fail_fast, options.show_log, options.verbose, options.no_plugins, options.overrides))


def test_rules_may_be_named_in_one_go_or_one_by_one():
    assert _parse("--rules", "a", "b", "--rules", "c", "--", "t").rules == ["a", "b", "c"]


@pytest.mark.parametrize("arguments", [("--include", "("), ("-j", "0"), ("-j", "x"), ()])
def test_a_wrong_command_line(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(["test", *arguments, *(["t.yaml"] if arguments else [])])

    assert caught.value.code == 2
    assert "usage: spoa-waf test" in capsys.readouterr().err


def test_the_rules_come_from_one_place(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        _parse("-c", "x", "--directives", "y", "t")

    assert "not allowed with" in capsys.readouterr().err


def test_the_agent_does_not_load_what_only_tests_need():
    """Each worker of the agent would have it in its memory."""
    names = ("rich", "multiprocessing", "adapters.ftw.runner")
    code = f"import adapters.cli, sys; print([name for name in {names} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout == "[]\n"
