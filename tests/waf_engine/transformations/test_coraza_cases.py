"""The cases of Coraza's own transformation tests (corpora/coraza-transformations), and where we differ, and why."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from waf_engine.transformations import transformations

if TYPE_CHECKING:
    from pathlib import Path

CASES = 358

# Coraza's test reads \xHH in a text by Go's strconv.Unquote, which gives an empty text for one with an escape unknown
# to Go; so some of its cases compare nothing with nothing. Here \xHH is read wherever it stands, and nothing else is.
BYTE = re.compile(rb"\\x([0-9a-fA-F]{2})")

# These decode backslashes themselves: their input is taken as it stands.
DECODE_BACKSLASHES = {"jsDecode", "escapeSeqDecode", "cssDecode"}

DIFFERENT = {
    ("escapeSeqDecode", 5): "the expected output keeps the backslashes of \\xag and \\xga, which both engines drop",
    ("hexDecode", 3): "Coraza does not run it (its name is no transformation); we decode the digits before the z",
    ("hexDecode", 4): "Coraza does not run it; we drop the digit left over, as Coraza and ModSecurity do",
}


def read(text: str, *, keep_backslashes: bool = False) -> bytes:
    raw = text.replace("\\u0000", "\0").encode()
    return raw if keep_backslashes else BYTE.sub(lambda match: bytes.fromhex(match[1].decode()), raw)


@pytest.mark.corpora
def test_coraza_cases(corpora: Path):
    ran = 0
    different = {}
    for file in sorted((corpora / "corpora" / "coraza-transformations").glob("*.json")):
        transformation = transformations.get(file.stem)
        assert transformation is not None, file.stem
        for index, case in enumerate(json.loads(file.read_text("utf-8"))):
            given = read(case["input"], keep_backslashes=file.stem in DECODE_BACKSLASHES)
            result = transformation(given)
            if result != read(case["output"]):
                different[file.stem, index] = (given, result)
            ran += 1

    assert different.keys() == DIFFERENT.keys(), different
    assert ran == CASES


@pytest.mark.corpora
def test_the_cases_that_differ_give_what_the_reason_says(corpora: Path):
    folder = corpora / "corpora" / "coraza-transformations"
    results = []
    for name, index in sorted(DIFFERENT):
        case = json.loads((folder / f"{name}.json").read_text("utf-8"))[index]
        transformation = transformations.get(name)
        assert transformation is not None
        results.append(transformation(case["input"].encode()))

    assert results == [b"89\xb6xagxga\n3", bytes.fromhex("0123456789"), b"Test\0"]
