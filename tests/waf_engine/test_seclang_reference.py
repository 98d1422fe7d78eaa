"""docs/seclang.md tells the truth: its tables hold every name of the registries and of shared/reference/engine.md, what
it calls refused is refused with a reason, and every choice names a test that exists.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.waf_engine.support import load
from tests.waf_engine.test_choices import CHOICES
from waf_engine import WAF, SecLangError
from waf_engine.actions import actions
from waf_engine.actions.ctl import OPTIONS
from waf_engine.actions.refused import REFUSED as REFUSED_ACTIONS
from waf_engine.audit import audit_formats, audit_writers
from waf_engine.bodies import body_processors
from waf_engine.directives import directives, heritage
from waf_engine.operators import operators
from waf_engine.operators.refused import REFUSED as REFUSED_OPERATORS
from waf_engine.transformations import transformations
from waf_engine.variables import variables

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent.parent / "docs" / "seclang.md"

OF_THE_PARSER = {"SecRule", "SecAction", "SecMarker", "SecDefaultAction", "Include"}
"""Directives that stand in the tree as nodes of their own."""
RESERVED = {"JSON", "WEBSERVER_ERROR_LOG"}
"""Variables that are there and always empty."""

FAMILIES: dict[str, set[str]] = {
    "Directives": OF_THE_PARSER | set(directives.names()),
    "Variables": set(variables.names()),
    "Operators": set(operators.names()),
    "Transformations": {"none", "phpArgsNames"} | set(transformations.names()),
    "Actions": set(actions.names()),
    "ctl options": set(OPTIONS),
    "Body processors": set(body_processors.names()),
    "Log formats": {*audit_formats.names(), *audit_writers.names()},
}
"""Heading of a table: the names that it must hold, and no others."""

REFUSED = {
    "Directives": set(heritage.REFUSED),
    "Operators": set(REFUSED_OPERATORS),
    "Transformations": {"phpArgsNames"},
    "Actions": set(REFUSED_ACTIONS),
}
WITHOUT_EFFECT = {
    "Directives": set(heritage.IGNORED),
    "Variables": RESERVED,
    "ctl options": {"hashEngine", "hashEnforcement"},
}
REFUSED_RULES = {
    "Directives": "{} x",
    "Operators": 'SecRule ARGS "@{} x" "id:1,phase:2"',
    "Transformations": 'SecRule ARGS "@rx x" "id:1,phase:2,t:{}"',
    "Actions": 'SecAction "id:1,phase:1,{}:x"',
}
CELL = re.compile(r"(?<!\\)\|")
NAME = re.compile(r"`([^`]+)`")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in CELL.split(line)[1:-1]]


@cache
def sections() -> dict[str, list[list[str]]]:
    """The rows of the page's tables, without their heads, by heading."""
    found: dict[str, list[list[str]]] = {}
    heading, head = "", True
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif not line.startswith("|"):
            head = True
        elif head:
            head = False
        elif not line.startswith("|---"):
            found.setdefault(heading, []).append(cells(line))
    return found


class Entry(NamedTuple):
    """What the page says of one name."""

    status: str
    note: str


def entries(family: str) -> dict[str, Entry]:
    """What a table of names says."""
    return {name: Entry(status, note) for first, status, note in sections()[family] for name in NAME.findall(first)}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_has_every_name_once_and_no_other(family: str):
    names = Counter(name for first, *_ in sections()[family] for name in NAME.findall(first))

    assert set(names) == FAMILIES[family]
    assert {name for name, count in names.items() if count > 1} == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_says_of_each_name_what_is_true(family: str):
    said = entries(family)

    assert {entry.status for entry in said.values()} <= {"yes", "no effect", "refused"}
    assert {name for name, entry in said.items() if entry.status == "refused"} == REFUSED.get(family, set())
    assert {name for name, entry in said.items() if entry.status == "no effect"} == WITHOUT_EFFECT.get(family, set())
    assert {name for name, entry in said.items() if entry.status != "yes" and not entry.note} == set()


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family, names in REFUSED.items() for name in sorted(names)]
)
def test_what_is_refused_says_so(family: str, name: str):
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives(REFUSED_RULES[family].format(name))
    (fault,) = caught.value.errors

    assert name in fault.message
    assert fault.code.startswith(("refused-", "unknown-"))


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_variable_may_stand_in_a_rule(name: str):
    assert load(f'SecRule {name} "@rx x" "id:1,phase:2,pass"').plan.rule_count == 1


# -- the shared reference ----------------------------------------------------------------------------

REFERENCE = {
    "1.1": ("Directives", 84),
    "1.2": ("Variables", 116),
    "1.3": ("Operators", 44),
    "1.4": ("Transformations", 39),
    "1.5": ("Actions", 47),
    "1.6": ("ctl options", 20),
}
"""Section: the page's table, and how many names the section has."""


def reference_rows(corpora: Path, section: str) -> list[list[str]]:
    text = (corpora / "reference" / "engine.md").read_text("utf-8")
    lines = text.split(f"\n### {section} ")[1].split("\n### ")[0].splitlines()
    return [cells(line) for line in lines if line.startswith("|") and not line.startswith("|--")][1:]


@pytest.mark.corpora
@pytest.mark.parametrize("section", REFERENCE)
def test_every_row_of_the_reference_is_supported_or_explained(corpora: Path, section: str):
    family, count = REFERENCE[section]
    said = entries(family)
    read, unexplained = set(), []
    for first, coraza, libmodsecurity, *_ in reference_rows(corpora, section):
        supported = coraza.startswith("yes") or libmodsecurity.startswith("yes")
        for name in NAME.findall(first):
            read.add(name)
            if supported and said[name].status != "yes" and not said[name].note:
                unexplained.append(name)

    assert read <= set(said)
    assert unexplained == []
    assert len(read) == count


@pytest.mark.corpora
def test_body_processors_and_log_formats_of_the_reference(corpora: Path):
    processors = {first for first, *_ in reference_rows(corpora, "1.7")} - {"response JSON"}
    formats = {first.partition(" ")[0] for first, *_ in reference_rows(corpora, "1.10")}
    (types,) = re.findall(
        r"^Writers: (.*)$", (corpora / "reference" / "engine.md").read_text("utf-8"), flags=re.MULTILINE
    )

    assert processors == set(entries("Body processors"))
    assert formats == set(audit_formats.names())
    assert set(re.findall(r"(?:^|, )([A-Z]\w+) \(", types)) == set(audit_writers.names()) - {"Parallel"}


# -- choices ------------------------------------------------------------------------------------------

CHOICE_TABLES = (
    "Reading rules", "Running rules", "Transformations of values", "Operators on values", "Requests and bodies", "Logs",
)  # fmt: skip
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)(?:\[([\w-]+)\])?`")


@cache
def functions(file: str) -> frozenset[str]:
    """The test functions of a file below tests/waf_engine."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def choices() -> list[list[str]]:
    return [row for table in CHOICE_TABLES for row in sections()[table]]


@pytest.mark.parametrize("row", choices(), ids=lambda row: row[0])
def test_a_choice_has_a_test_that_exists(row: list[str]):
    what, coraza, libmodsecurity, here, why, test = row
    named = TEST.fullmatch(test)

    assert all((what, coraza, libmodsecurity, here, why))
    assert named is not None, test
    assert named[2] in functions(named[1])
    assert named[3] is None or (named[1] == "test_choices.py" and named[3] in CHOICES)


def test_every_tested_choice_is_a_row():
    named = [found[3] for row in choices() if (found := TEST.fullmatch(row[-1])) and found[3]]

    assert Counter(named) == Counter(CHOICES.keys())


def test_the_tests_that_the_text_names_exist():
    text = PAGE.read_text("utf-8")
    found = TEST.findall(text)

    assert len(found) > len(choices())  # those outside of the tables
    assert {(file, name) for file, name, _ in found if name not in functions(file)} == set()
