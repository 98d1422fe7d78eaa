"""The operators on libinjection; the library itself is tested in test_libinjection.py."""

from __future__ import annotations

from typing import Any

import pytest

from waf_engine.diagnostics import ArgumentError
from waf_engine.types import MATCHED


def test_the_fingerprint_is_captured(bench: Any):
    assert bench.compile("detectSQLi")(b"1' OR '1'='1") == (b"s&sos",)


def test_cross_site_scripting_has_no_text(bench: Any):
    assert bench.compile("detectXSS")(b"<img src=x onerror=alert(1)>") is MATCHED


@pytest.mark.parametrize("name", ["detectSQLi", "detectXSS"])
def test_without_the_library_the_rule_is_refused_with_what_to_install(bench: Any, name: str):
    context = bench.Context(settings={"libinjection": "/nonexistent/libinjection.so"})

    with pytest.raises(ArgumentError, match=r"libinjection cannot be loaded \(/nonexistent") as refused:
        bench.compile(name, "", context)

    assert refused.value.code == "no-libinjection"
    for remedy in ("pip install libmodsecurity", "apt-get install libmodsecurity3", "setting 'libinjection'"):
        assert remedy in refused.value.hint
