"""Every directive has a row in a table of this folder: accepted, and refused with the position of the fault."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.waf_engine.support import faults, load
from waf_engine.directives import FAMILIES, directives

AUDIT = {
    "SecAuditEngine": ("Off", "Maybe"),
    "SecAuditLogRelevantStatus": ("^5", "^(5"),
    "SecAuditLogParts": ("ABCFHZ", "A1"),
    "SecAuditLogFormat": ("JSON", "YAML"),
    "SecAuditLogType": ("Serial", "Parcel"),
    "SecAuditLog": ("/dev/stdout", ""),
    "SecAuditLog2": ("/dev/stdout", ""),
    "SecAuditLogStorageDir": ("/tmp", "a b"),
    "SecAuditLogDirMode": ("0750", "0999"),
    "SecDebugLog": ("/dev/stderr", ""),
    "SecDebugLogLevel": ("9", "10"),
}
"""The directives of the logs, whose work is tested with the logs."""
TABLES: dict[str, tuple[str | None, str | None]] = AUDIT | {
    name: row
    for family in (module.__name__.rpartition(".")[2] for module in FAMILIES)
    if family != "audit"
    for name, row in importlib.import_module(f"tests.waf_engine.directives.test_{family}").ROWS.items()
}
RULE = 'SecRule ARGS "@rx a" "id:10,phase:2,pass,tag:sqli,msg:\'one\'"\n'


def test_no_directive_lacks_a_row_and_no_row_its_directive():
    assert set(TABLES) == set(directives.canonical_names())


@pytest.mark.parametrize("name", TABLES)
def test_each_accepts(name: str):
    good = TABLES[name][0]
    if good is not None:
        assert load(f"{RULE}{name} {good}").plan.files == ()
        assert load(f"{RULE}{name.lower()} {good}").plan.files == ()


@pytest.mark.parametrize("name", TABLES)
def test_each_refuses_on_its_line(name: str):
    bad = TABLES[name][1]
    if bad is not None:
        found = faults(f"{RULE}{name} {bad}")

        assert {line for _, line, _ in found} == {2}
        assert all(1 <= column <= len(name) + len(bad) + 2 for _, _, column in found)


@pytest.mark.parametrize("name", TABLES)
def test_a_column_is_that_of_the_argument(name: str):
    bad = TABLES[name][1]
    if bad and bad.isalnum() and name not in {"SecRuleScript", "SecRemoteRules"}:
        (found,) = faults(f"{RULE}  {name}   {bad}")

        assert found[1] == 2
        assert found[2] >= len(name) + 6


def test_the_families_are_the_folders_files():
    folder = Path(FAMILIES[0].__file__ or "").parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "registry"}

    assert {module.__name__.rpartition(".")[2] for module in FAMILIES} == files
