"""The fuzz targets of the engine, run without atheris: on their corpus, on any bytes, on pieces that mean something.

Targets are found by their names; a new one needs no entry here. Each states its invariant in its first line, has
a function ``fuzz(bytes)`` that raises when the invariant is broken, and a folder of samples under fuzz/corpus.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from types import ModuleType

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
TARGETS = sorted([*FUZZ.glob("fuzz_body_*.py"), *FUZZ.glob("fuzz_seclang_*.py")])


def load(path: Path) -> ModuleType:
    """A target as a module; fuzz/ is no package."""
    name = f"_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


LOADED = {path: load(path) for path in TARGETS}
"""Before any test: some have tests of their own, which hypothesis does not let be made while one of its own runs."""


def samples(path: Path) -> list[Path]:
    return sorted((FUZZ / "corpus" / path.stem.removeprefix("fuzz_")).iterdir())


def test_there_are_targets():
    assert {"fuzz_body_json", "fuzz_body_multipart", "fuzz_body_urlencoded", "fuzz_body_xml"} <= {
        path.stem for path in TARGETS
    }


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_a_target_states_its_invariant_first(path: Path):
    assert path.read_text("utf-8").startswith("# Invariant: ")


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_the_corpus_holds_the_invariant(path: Path):
    target = LOADED[path]
    assert samples(path)
    for sample in samples(path):
        target.fuzz(sample.read_bytes())


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_a_cut_sample_holds_the_invariant(path: Path):
    target = LOADED[path]
    for sample in samples(path):
        content = sample.read_bytes()
        for end in range(0, len(content), 1 + len(content) // 40):
            target.fuzz(content[:end])


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
@settings(deadline=None)
@given(data=st.data())
def test_any_bytes_and_any_pieces_hold_the_invariant(path: Path, data: st.DataObject):
    target = LOADED[path]
    pieces = getattr(target, "PIECES", [b"\n", b" "])
    target.fuzz(data.draw(st.binary(max_size=200) | st.lists(st.sampled_from(pieces), max_size=25).map(b"".join)))
