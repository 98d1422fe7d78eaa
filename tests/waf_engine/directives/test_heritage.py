"""Directives that mean nothing to an agent, and those that it refuses."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import faults, warnings
from waf_engine.directives.heritage import IGNORED, REFUSED

ROWS = dict.fromkeys(IGNORED, ("On", None)) | dict.fromkeys(REFUSED, (None, "x"))
"""Directive: an argument that is accepted (None: there is none), and one that is refused (None: any is taken)."""


@pytest.mark.parametrize("name", IGNORED)
def test_a_warning_comes_where_something_is_missed(name: str):
    expected = [("no-effect", 1, 1)] if IGNORED[name] else []

    assert warnings(f"{name} On") == expected
    assert warnings(f"{name.upper()} value more") == expected
    assert warnings(f"{name} off") == []


@pytest.mark.parametrize("name", ["SecUnicodeMap", "SecUnicodeMapFile"])
def test_a_code_page_that_is_not_built_in_is_missed(name: str):
    assert warnings(f"{name} unicode.mapping 20127") == []
    assert warnings(f"{name} unicode.mapping 1252") == [("no-effect", 1, 1)]


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_bring_rules_is_refused(name: str):
    assert faults(f"\n {name} a b") == [("refused-directive", 2, 2)]
