"""The list of family files is the folder's content, and each family registers something."""

from __future__ import annotations

from pathlib import Path

import waf_engine.bodies
from waf_engine.bodies import FAMILIES, HELPERS, body_processors


def test_every_file_is_a_family_or_a_helper():
    folder = Path(waf_engine.bodies.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}

    assert files == {family.__name__.rpartition(".")[2] for family in FAMILIES} | set(HELPERS)


def test_every_family_registers_a_processor():
    homes = {body_processors.get(name).__module__ for name in body_processors.names()}

    assert homes == {family.__name__ for family in FAMILIES}
