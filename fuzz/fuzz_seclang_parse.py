# Invariant: `parse` raises on no bytes; every place lies inside the text; every fault can be shown; a tree that can be
# written parses to itself again. `unparse` may raise ValueError (a text that SecLang cannot express), nothing else.
"""Fuzz target of the SecLang parser.

With atheris: ``python fuzz/fuzz_seclang_parse.py fuzz/corpus/seclang_parse``; without it: ``pytest`` on this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waf_engine.diagnostics import Severity
from waf_engine.seclang.parser import parse
from waf_engine.seclang.unparse import unparse
from waf_engine.source import SourceFile

CORPUS = sorted((Path(__file__).parent / "corpus" / "seclang_parse").iterdir())


def fuzz(content: bytes) -> None:
    """Parse some bytes and hold the invariant."""
    text = content.decode("utf-8", "surrogateescape")
    nodes, diagnostics = parse(text, "f")
    lines = SourceFile("f", text).lines
    for thing in (*nodes, *diagnostics):
        span = thing.span
        assert 1 <= span.line <= len(lines), span
        assert 1 <= span.column <= len(lines[span.line - 1]) + 1, span
    for diagnostic in diagnostics:
        assert diagnostic.render()
    try:
        written = unparse(nodes)
    except ValueError:
        return
    again, faults = parse(written, "f")
    assert again == nodes
    assert not any(fault.severity is Severity.ERROR for fault in faults)


@pytest.mark.parametrize("sample", CORPUS, ids=lambda path: path.name)
def test_corpus(sample: Path) -> None:
    """Every sample of the corpus holds the invariant."""
    fuzz(sample.read_bytes())


@settings(deadline=None)
@given(st.binary(max_size=300) | st.sampled_from(CORPUS).flatmap(lambda path: damaged(path.read_bytes())))
def test_any_bytes(content: bytes) -> None:
    """Any bytes do, and damaged samples."""
    fuzz(content)


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """The content with one piece replaced by a few bytes that mean something."""
    pieces = st.lists(st.sampled_from([bytes([char]) for char in b"\"'`\\\n\r,|:#!@&/ <\x00\xff"]), max_size=3)
    places = st.tuples(st.integers(0, len(content)), st.integers(0, 10), pieces)
    return places.map(lambda place: content[: place[0]] + b"".join(place[2]) + content[place[0] + place[1] :])


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
