"""The public names of the packages that others build on: pinned, importable, at most 25 each."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import waf_engine
from tests.docstrings import docstring_of

ROOT = Path(__file__).resolve().parent.parent
MOST = 25

WAF_ENGINE = {
    "WAF", "Transaction", "Interruption", "MatchedRule", "MatchedValue", "Settings",
    "SecLangError", "Diagnostic", "Severity", "Span",
    "CollectionStore", "MemoryStore",
    "actions", "body_processors", "directives", "operators", "transformations", "variables",
}  # fmt: skip
"""A name leaves this list only with a major version; one that comes needs a reason and a line in CHANGELOG.md."""

TRANSACTION = {
    "process_connection", "process_uri", "add_request_header", "process_request_headers", "write_request_body",
    "process_request_body", "add_response_header", "process_response_headers", "write_response_body",
    "process_response_body", "process_logging", "close", "matched_rules", "interruption", "id",
}  # fmt: skip
"""What a connector uses of a transaction (DESIGN.md)."""


def test_the_names_of_waf_engine():
    assert set(waf_engine.__all__) == WAF_ENGINE


def test_what_a_connector_needs_of_a_transaction():
    tx = waf_engine.WAF.from_directives("SecRuleEngine On").transaction()

    assert {name for name in TRANSACTION if not hasattr(tx, name)} == set()


@pytest.mark.parametrize("package", ["spop_proto", "waf_engine"])
def test_there_are_few_names_and_each_is_there(package: str):
    module = importlib.import_module(package)

    assert len(module.__all__) == len(set(module.__all__)) <= MOST
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert (Path(module.__path__[0]) / "py.typed").exists()


@pytest.mark.parametrize("package", ["spop_proto", "waf_engine"])
def test_what_is_exported_says_what_it_is(package: str):
    module = importlib.import_module(package)
    undocumented = [name for name in module.__all__ if not docstring_of(getattr(module, name)).strip()]

    assert undocumented == []


@pytest.mark.slow
def test_code_of_a_user_type_checks():
    """tests/typing/api.py is never run: mypy reads it as a user's program."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "tests/typing/api.py"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout
