from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapters.yaml_reader import MAX_ALIASES, MAX_DEPTH, MAX_FAULTS, MAX_NODES, Faults, Section, compose


def _section(text: str) -> Section:
    faults = Faults("f.yaml", text)
    return Section(compose(text, faults), faults, "")


def _codes(section: Section) -> list[str]:
    return [fault.code for fault in section.faults.found]


def test_text_takes_any_scalar_as_written() -> None:
    section = _section("a: word\nb: 0127\nc: yes\nd: 'q'\ne:\nf: [x]\n")

    assert [section.text(key, "-") for key in "abcdefg"] == ["word", "0127", "yes", "q", "-", "-", "-"]
    assert _codes(section) == ["wrong-type"]
    assert str(section.faults.found[0].span) == "f.yaml:6:4"


@pytest.mark.parametrize(
    ("word", "value"),
    [("true", True), ("YES", True), ("on", True), ("y", True), ("false", False), ("No", False), ("off", False)],
)
def test_boolean(word: str, value: bool) -> None:
    assert _section(f"a: {word}").boolean("a", default=not value) is value


@pytest.mark.parametrize("word", ["maybe", "1", "[true]", "''"])
def test_not_a_boolean(word: str) -> None:
    section = _section(f"a: {word}")

    assert section.boolean("a", default=True) is True
    assert _codes(section) == ["wrong-type"]


@pytest.mark.parametrize(
    ("word", "value", "codes"),
    [
        ("5", 5, []),
        ("1_000", 1000, []),
        ("'7'", 7, []),
        ("0", 50, ["out-of-range"]),
        ("-1", 50, ["out-of-range"]),
        ("1001", 50, ["out-of-range"]),
        ("1.5", 50, ["wrong-type"]),
        ("five", 50, ["wrong-type"]),
        ("٣", 50, ["wrong-type"]),
        ("9" * 5000, 50, ["wrong-type"]),
        ("{a: 1}", 50, ["wrong-type"]),
        ("", 50, []),
    ],
)
def test_integer(word: str, value: int, codes: list[str]) -> None:
    section = _section(f"a: {word}")

    assert section.integer("a", 50, lowest=1, highest=1000, unit="things") == value
    assert _codes(section) == codes


def test_choice_suggests() -> None:
    section = _section("a: jsno")

    assert section.choice("a", ("console", "json"), "console") == "console"
    assert section.faults.found[0].hint == "did you mean 'json'?"


def test_texts() -> None:
    section = _section("a: [x, y]\nb: z\nc: [1, {d: e}, '']\n")

    assert [[text for text, _ in section.texts(key)] for key in "abcd"] == [["x", "y"], ["z"], ["1"], []]
    assert _codes(section) == ["wrong-type", "wrong-type"]


def test_sections() -> None:
    section = _section("a: [{b: 1}, 7]\nc: {d: 2}\ne: 5\nf: {}\n")

    assert [each.text("b") for each in section.sections("a")] == ["1", ""]
    assert section.section("c").text("d") == "2"
    assert section.sections("f") == []
    assert section.section("none").text("x", "default") == "default"
    assert section.section("e").text("x", "default") == "default"
    assert _codes(section) == ["wrong-type"] * 3


def test_duplicate_keys_are_faults() -> None:
    section = _section("a: 1\nb: 2\na: 3\n")

    assert _codes(section) == ["duplicate-key"]
    assert "line 1" in section.faults.found[0].message
    assert str(section.faults.found[0].span) == "f.yaml:3:1"


@pytest.mark.parametrize(
    "text", ["<<: {a: 1, b: 1}\na: 2\n", "a: 2\n<<: {a: 1, b: 1}\n", "a: 2\n<<: [{b: 1}, {b: 9}]\n"]
)
def test_merge_keys_give_way_to_own_keys(text: str) -> None:
    section = _section(text)

    assert (section.text("a"), section.text("b"), _codes(section)) == ("2", "1", [])


def test_merge_takes_maps_only() -> None:
    assert _codes(_section("<<: 5\na: 1\n")) == ["wrong-type"]


@pytest.mark.parametrize(("strict", "severity"), [(True, "error"), (False, "warning")])
def test_unknown_keys(strict: bool, severity: str) -> None:
    section = _section("bind: x\nlog_levle: y\n")
    section.text("bind")
    section.text("log_level")
    section.finish(strict=strict)

    (fault,) = section.faults.found
    assert (fault.code, fault.severity, fault.hint) == ("unknown-key", severity, "did you mean 'log_level'?")
    assert str(fault.span) == "f.yaml:2:1"
    assert fault.source_line == "log_levle: y"


@pytest.mark.parametrize("text", ["- 1\n", "word", "5"])
def test_the_top_must_be_a_map(text: str) -> None:
    assert _codes(_section(text)) == ["wrong-type"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("bind: [::]:9000\n", 'quotes are needed: bind: "[::]:9000"'),
        ("a:\n\tb: 1\n", "YAML is indented with blanks, not with tabs"),
        ("a: @x\n", 'quotes are needed: a: "@x"'),
        ("a: {b\n", ""),
        ("a: 1\n--- \nb: 2\n", ""),
        ("a: \x01\n", "the file must be plain UTF-8 text"),
    ],
)
def test_not_yaml(text: str, hint: str) -> None:
    faults = Faults("f.yaml", text)

    assert compose(text, faults) is None
    assert [(fault.code, fault.hint) for fault in faults.found] == [("yaml", hint)]


def test_depth_and_size_are_bounded() -> None:
    for text, code in [
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "too-deep"),
        ("[" * 100_000, "too-deep"),
        ("a: &x 1\nb: [" + "*x," * (MAX_ALIASES + 1) + "]", "too-large"),
        ("[" + "1," * (MAX_NODES + 1) + "]", "too-large"),
        ("#" * (5 << 20), "too-large"),
    ]:
        faults = Faults("f", text)
        assert compose(text, faults) is None
        assert [fault.code for fault in faults.found] == [code]


def test_maps_are_sections_by_their_names() -> None:
    section = _section("a:\n  x: {k: 1}\n  y:\n  z: 5\nb: [1]\n")
    found = section.maps("a")

    assert [(name, key.start_mark.line, inner.text("k"), inner.name) for name, key, inner in found] == [
        ("x", 1, "1", "a.x"),
        ("y", 2, "", "a.y"),
        ("z", 3, "", "a.z"),
    ]
    assert section.maps("b") == section.maps("c") == []
    assert [(fault.code, fault.span.line) for fault in section.faults.found] == [("wrong-type", 4), ("wrong-type", 5)]


def test_a_bomb_of_aliases_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    section = _section("\n".join(lines))

    assert len(section.texts("a19")) == 0
    assert _codes(section) == ["wrong-type"] * 9


def test_faults_are_bounded() -> None:
    section = _section("\n".join(f"k{n}: 1" for n in range(500)))
    section.finish(strict=True)

    assert len(section.faults.found) == MAX_FAULTS


@given(st.one_of(st.text(max_size=80), st.text("ab:{}[],-&*!|>'\"%@`#?<\n\t ~0\\", max_size=60)))
def test_never_raises(text: str) -> None:
    faults = Faults("f", text)
    node = compose(text, faults)
    section = Section(node, faults, "")
    for key in "ab":
        section.text(key)
        section.texts(key)
        section.sections(key)
    section.finish(strict=True)

    assert node is None or isinstance(node, yaml.Node)
    for fault in faults.found:
        assert fault.render()
