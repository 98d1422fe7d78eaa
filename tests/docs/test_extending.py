"""docs/extending.md: its plug-in is loaded and its rules are run."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from waf_engine import WAF
from waf_engine.plugins import GROUPS, PREFIX, Registries
from waf_engine.waf import default_registries

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"<!-- run: [^>]* -->\n```\w*\n(.*?)```", re.DOTALL)


def test_the_example_does_what_it_says():
    module, rules = BLOCK.findall(PAGE.read_text())
    names: dict[str, Any] = {}
    exec(module, names)
    defaults = default_registries()
    registries = Registries(**{field.name: getattr(defaults, field.name).copy() for field in fields(Registries)})
    names["register"](registries)
    waf = WAF.from_directives(rules, registries=registries)
    tx = waf.transaction()
    tx.add_request_header("Accept-Language", "abc012")
    interruption = tx.process_request_headers()

    assert [matched.rule_id for matched in tx.matched_rules] == [1, 2, 3]
    assert interruption is not None
    assert interruption.rule_id == 3


def test_every_group_is_told():
    page = PAGE.read_text()

    assert [group for group in GROUPS if f"`{PREFIX}{group}`" not in page] == []
