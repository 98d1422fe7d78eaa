"""What the compiler knows while it walks, and what operators and actions may ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from waf_engine.compiler.state import State
from waf_engine.diagnostics import ArgumentError, Severity, Span
from waf_engine.seclang.ast import VariableRef
from waf_engine.settings import Settings
from waf_engine.waf import default_registries

if TYPE_CHECKING:
    from pathlib import Path

HERE = Span("rules.conf", 3, 10)


@pytest.fixture
def state(tmp_path: Path) -> State:
    settings = {name: getattr(Settings(), name) for name in Settings.__dataclass_fields__}
    return State(default_registries(), settings, tmp_path)


def test_faults_and_warnings_are_kept_in_order(state: State):
    state.fault(HERE, "a", "first", "hint")
    state.warn(HERE, "b", "second")
    state.refuse(HERE, ArgumentError("third", offset=4, hint="h", code="c"))

    assert [(d.severity, d.code, d.message, d.span, d.hint) for d in state.diagnostics] == [
        (Severity.ERROR, "a", "first", HERE, "hint"),
        (Severity.WARNING, "b", "second", HERE, ""),
        (Severity.ERROR, "c", "third", Span("rules.conf", 3, 14), "h"),
    ]


def test_variables_are_known_by_all_their_names(state: State):
    assert state.variables["XML"] is state.variables["REQUEST_XML"]
    assert set(state.variables) == {name.upper() for name in default_registries().variables}


@pytest.mark.parametrize(
    ("pattern", "key", "found"),
    [
        ("^a", b"Abc", True),
        ("^A", b"abc", True),
        ("b$", b"abc", False),
        ("\udcff", b"x\xff", True),
        ("^a(?!b)", b"ac", True),
    ],
)
def test_a_selectors_pattern_has_no_case(state: State, pattern: str, key: bytes, found: bool):
    assert state.pattern(pattern)(key) is found


def test_a_bad_pattern_is_refused_with_its_place_in_the_selector(state: State):
    with pytest.raises(ArgumentError) as caught:
        state.pattern("ab(")

    assert 0 <= caught.value.offset <= 3


@pytest.mark.parametrize(
    ("ref", "code", "column"),
    [
        (VariableRef("REQUEST_HEADER", span=HERE), "unknown-variable", 10),
        (
            VariableRef("ARGS", "(", is_regex=True, span=HERE, selector_span=Span("rules.conf", 3, 16)),
            "bad-pattern",
            16,
        ),
    ],
)
def test_an_exclusion_that_is_wrong_is_a_fault(state: State, ref: VariableRef, code: str, column: int):
    assert state.exclusion(ref) is None
    assert [(d.code, d.span.column >= column) for d in state.diagnostics] == [(code, True)]


def test_a_near_name_is_suggested(state: State):
    state.exclusion(VariableRef("REQUEST_HEADER", span=HERE))

    assert state.diagnostics[0].hint == "did you mean 'REQUEST_HEADERS'?"


def test_what_a_context_gives(state: State, tmp_path: Path):
    (tmp_path / "names.data").write_bytes(b"a\nb")
    state.datasets["d"] = (b"x",)
    context = state.context(HERE)
    context.warn("odd", "hint")

    assert context.setting("json_depth_limit") == 1024
    assert context.read_data("names.data") == b"a\nb"
    assert context.dataset("d") == (b"x",)
    assert context.macro("%{tx.a}").literal is None
    assert [(d.code, d.span, d.hint) for d in state.diagnostics] == [("suspicious", HERE, "hint")]
    assert context.transformations.get("lowercase") is not None


@pytest.mark.parametrize(
    ("known", "message"), [({}, "known before this line: none"), ({"a": (), "b": ()}, "known before this line: a, b")]
)
def test_a_dataset_that_there_is_not(state: State, known: dict[str, tuple[bytes, ...]], message: str):
    state.datasets = known
    with pytest.raises(ArgumentError, match=message):
        state.context(HERE).dataset("c")


def test_exclusions_of_a_list_of_targets(state: State):
    found = state.context(HERE).exclusions("ARGS:x|REQUEST_COOKIES:/^y/|FILES")

    assert [(x.variable, x.key, x.pattern is not None) for x in found] == [
        ("ARGS", b"x", False), ("REQUEST_COOKIES", None, True), ("FILES", None, False)
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "offset"), [("ARGS|NO_SUCH:a", 5), ("NO_SUCH", 0), ("ARGS:/(/", 6), ("", 0)])
def test_a_fault_in_them_is_raised_with_its_place(state: State, text: str, offset: int):
    with pytest.raises(ArgumentError) as caught:
        state.context(HERE).exclusions(text, 100)

    assert caught.value.offset - 100 in (offset, offset + 1)
    assert state.diagnostics == []
