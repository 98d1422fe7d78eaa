"""The examples of docs/configuration.md are configurations without a fault, of the forms that they are said to have."""

from __future__ import annotations

import textwrap
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from adapters.config import parse_config
from adapters.config_schema import TABLES, schema

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text("utf-8")


def _section(title: str) -> str:
    """A section, without the ones below it."""
    return PAGE.partition(f"# {title}\n")[2].partition("\n#")[0]


def _example(title: str) -> str:
    """The lines of a section that are indented: the example."""
    lines = _section(title).split("\n")
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")) + "\n")


@pytest.mark.parametrize(
    ("title", "generation", "tables"),
    [
        ("The flat form", "A", ("flat", "log", "spoa")),
        ("The list form", "ours", ("list", "application", "shared", "rotation", "skip")),
        ("Listeners", "ours", ("listener", "tls")),
        ("The map form", "B1", ("map", "old_application")),
    ],
)
def test_each_form_has_an_example_that_is_valid(title: str, generation: str, tables: tuple[str, ...]):
    text = _example(title)
    config = parse_config(text)

    assert config.generation == generation
    assert [fault.code for fault in config.warnings if fault.code != "no-applications"] == []
    assert jsonschema_rs.validator_for(schema()).is_valid(yaml.safe_load(text))
    missing = [key.name for table in tables for key in TABLES[table] if key.name not in _section(title)]
    assert missing == []
