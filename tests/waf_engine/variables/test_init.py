"""Every variable has a row in a table of this folder, and every family file is listed."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.docstrings import source_of
from waf_engine.variables import FAMILIES, variables

NAMES = {name: variables.canonical(name) for name in variables}


def rows() -> dict[str, str]:
    """Variable: the family whose table has it."""
    return {
        name: family
        for family in (module.__name__.rpartition(".")[2] for module in FAMILIES)
        for name in importlib.import_module(f"tests.waf_engine.variables.test_{family}").ROWS
    }


def test_no_variable_lacks_a_row_and_no_row_its_variable():
    assert set(rows()) == set(NAMES.values())


@pytest.mark.parametrize("name", sorted(set(NAMES.values())))
def test_each_is_shown_in_its_own_family(name: str):
    family = importlib.import_module(f"waf_engine.variables.{rows()[name]}")
    text = source_of(family.__name__).read_text("utf-8")

    assert f'"{name}"' in text or name in str(vars(family))


def test_the_families_are_the_folders_files():
    folder = Path(FAMILIES[0].__file__ or "").parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "registry"}

    assert {module.__name__.rpartition(".")[2] for module in FAMILIES} == files


def test_reading_a_variable_changes_nothing():
    sample = importlib.import_module("tests.waf_engine.variables.samples").sample
    tx = sample("rules")
    before = dict(tx.tx), dict(tx.env), list(tx.matched_vars), list(tx.request.args_get)
    for name in NAMES.values():
        found = variables.get(name)
        assert found is not None
        assert all(isinstance(key, bytes) and isinstance(value, bytes) for key, value in found.read(tx))

    assert (tx.tx, tx.env, tx.matched_vars, tx.request.args_get) == before
