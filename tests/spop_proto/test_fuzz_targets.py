"""Each fuzz target of SPOP, found by glob: over its corpus, over damaged samples of it, over any bytes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2] / "fuzz"
TARGETS = sorted(FOLDER.glob("fuzz_spop_*.py"))
FEWEST_TARGETS = 7


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def corpus(path: Path) -> list[bytes]:
    folder = FOLDER / "corpus" / path.stem.removeprefix("fuzz_")
    return [sample.read_bytes() for sample in sorted(folder.iterdir())]


def damaged(sample: bytes) -> st.SearchStrategy[bytes]:
    """The sample with a piece of it replaced."""
    pieces = st.binary(max_size=6) | st.sampled_from([b"\xff" * 9, b"\xf0\x80", b"\0\0\0\x07", b"\x08", b"\x67", b"\0"])
    places = st.tuples(st.integers(0, len(sample)), st.integers(0, 8), pieces)
    return places.map(lambda place: sample[: place[0]] + place[2] + sample[place[0] + place[1] :])


def test_there_are_targets():
    assert len(TARGETS) >= FEWEST_TARGETS


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_each_says_what_it_holds(path: Path):
    head = path.read_text().partition('"""')[0]

    assert head.startswith("# Invariant: ")
    assert "Allowed: " in head


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_the_corpus(path: Path):
    samples = corpus(path)
    fuzz = load(path).fuzz
    for sample in samples:
        fuzz(sample)

    assert len(samples) >= 4


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_any_bytes(path: Path):
    fuzz = load(path).fuzz
    samples = corpus(path)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=200) | st.sampled_from(samples).flatmap(damaged))
    def run(data: bytes) -> None:
        fuzz(data)

    run()
