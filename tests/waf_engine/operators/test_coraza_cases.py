"""The cases of Coraza's own operator tests (corpora/coraza-operators), which Coraza skips, and where we differ."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators import operators

if TYPE_CHECKING:
    from pathlib import Path

CASES = 3934
FILES = 29

# ModSecurity's test reads \xHH and \uHHHH in an input as bytes; the cases were written for it.
BYTE = re.compile(rb"\\x([0-9a-fA-F]{2})|\\u00([0-9a-fA-F]{2})")

SCHEMA = b"""{"type": "object", "required": ["name", "age"],
 "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}"""
"""What Coraza's testdata/schema.json asks for, which the corpus leaves out."""

HAS_JSON_SCHEMA = importlib.util.find_spec("jsonschema_rs") is not None

DIFFERENT: dict[tuple[str, int], str] = {}


def read(text: str) -> bytes:
    return BYTE.sub(lambda found: bytes.fromhex((found[1] or found[2]).decode()), text.encode("latin-1"))


@pytest.mark.corpora
def test_coraza_cases(corpora: Path, bench: Any):
    folder = corpora / "corpora" / "coraza-operators"
    context = bench.Context({path.name: path.read_bytes() for path in (folder / "op").iterdir()})
    context.files["testdata/schema.json"] = SCHEMA
    ran: Counter[str] = Counter()
    different = {}
    for file in sorted(folder.glob("*.json")):
        for index, case in enumerate(json.loads(file.read_text("utf-8"))):
            assert case["name"] in operators, case["name"]
            argument = case.get("param", "").encode("latin-1").decode("utf-8", "surrogateescape")
            ran[file.stem] += 1
            if file.stem == "validateSchema" and not HAS_JSON_SCHEMA:
                with pytest.raises(ArgumentError, match="needs the package jsonschema-rs"):
                    bench.compile(case["name"], argument, context)
                continue
            captures = bench.compile(case["name"], argument, context)(read(case["input"]))
            expected = tuple(group.encode("latin-1") for group in case.get("re_groups", ()))
            wrong_groups = bool(captures and expected) and captures != expected
            if (captures is not None) != bool(case["ret"]) or wrong_groups:
                different[file.stem, index] = (case, captures)

    assert different.keys() == DIFFERENT.keys(), different
    assert ran["ipMatch"] == 3623
    assert (len(ran), ran.total()) == (FILES, CASES)
