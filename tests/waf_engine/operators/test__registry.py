"""What holds for every registered operator, a new one too, without a line here."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waf_engine.operators import FAMILIES, Hint, Kind, hint_of, hinted, operators
from waf_engine.operators.refused import REFUSED

NAMES = [name for name in operators.canonical_names() if name not in REFUSED]
each = pytest.mark.parametrize("name", NAMES)

FIELDS = ("Argument:", "Matches:", "Example: @")
QUOTED = re.compile(r'(matches|not) "(.*)"')

# Pieces that one operator or another looks at, so that what Hypothesis joins is often nearly a match.
PIECES = [
    b"%", b"%4", b"1", b"9", b"-", b"+", b".", b":", b"::", b"/", b"a", b"A", b"'", b'"', b"<", b">", b"<script",
    b" or ", b"=", b"(", b")", b"\0", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b",", b"null",
    b"4111111111111111", b"10.1.2.3", b"127.0.0.1", b"::ffff:10.0.0.1", b"574-57-8065", b"\n", b"wget", b"/bin/sh",
    b"<?xml", b"<a>", b"</a>",
]  # fmt: skip
values = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join))


def manual(name: str) -> str:
    return inspect.getdoc(operators.get(name)) or ""


def example(name: str) -> tuple[str, list[bytes], list[bytes]]:
    """The example of a manual: the argument, values that match, values that do not."""
    lines = manual(name).partition("Example: @")[2].splitlines()
    found: dict[str, list[bytes]] = {"matches": [], "not": []}
    for line in lines[1:]:
        quoted = QUOTED.fullmatch(line.strip())
        assert quoted is not None, f"{name}: neither matches nor not: {line}"
        found[quoted[1]].append(quoted[2].encode().decode("unicode_escape").encode("latin-1"))
    operator, _, argument = lines[0].partition(" ")
    assert operator == name
    return argument, found["matches"], found["not"]


def test_each_family_in_the_folder_is_imported():
    # By its full name: the package waf_engine has an attribute `operators` that is the registry.
    package = importlib.import_module("waf_engine.operators")
    modules = {name for _, name, _ in pkgutil.iter_modules(package.__path__) if not name.startswith("_")}

    assert {family.__name__.rpartition(".")[2] for family in FAMILIES} == modules


def test_names_are_compared_without_regard_to_case_and_known_by_their_aliases():
    assert operators.get("BEGINSWITH") is operators.get("beginsWith")
    assert operators.canonical("pmf") == "pmFromFile"
    assert operators.canonical("ipmatchf") == "ipMatchFromFile"
    assert operators.canonical("strmatch") == "contains"


@each
def test_the_manual_has_its_fixed_form(name: str):
    text = manual(name)

    assert text.splitlines()[0].endswith("."), "the first line is a sentence"
    assert [text.count(field) for field in FIELDS] == [1, 1, 1]
    assert [text.index(field) for field in FIELDS] == sorted(text.index(field) for field in FIELDS)


@each
def test_the_example_of_the_manual_holds(name: str, bench: Any):
    argument, matching, other = example(name)
    test = bench.compile(name, argument)

    assert matching or other
    assert bool(matching) == (name != "noMatch")
    assert bool(other) == (name != "unconditionalMatch")
    for value in matching:
        assert test(value) is not None, value
    for value in other:
        assert test(value) is None, value


@each
@given(value=values)
@settings(max_examples=100, deadline=None)
def test_no_value_makes_an_operator_raise(name: str, bench: Any, value: bytes):
    test = bench.compile(name, example(name)[0])

    captures = test(value)

    assert captures is None or (type(captures) is tuple and all(type(text) is bytes for text in captures))


@each
def test_no_long_value_makes_an_operator_raise(name: str, bench: Any):
    test = bench.compile(name, example(name)[0])
    for piece in PIECES:
        captures = test(piece * (20_000 // len(piece)))

        assert captures is None or type(captures) is tuple


def test_a_hint_is_found_again_and_nothing_else_is():
    def test(_value: bytes, _tx: object) -> None:
        return None

    def other(_value: bytes, _tx: object) -> None:
        return None

    assert hinted(test, Kind.ENDS, b".php", exact=False) is test
    assert hint_of(test) == Hint(Kind.ENDS, (b".php",), exact=False)
    assert hint_of(other) is None


def compare(kind: Kind, patterns: tuple[bytes, ...], value: bytes) -> bool:
    """What a hint says of a value, said in another way."""
    match kind:
        case Kind.REGEX:
            return re.search(b"(?sm)" + patterns[0], value) is not None
        case Kind.PHRASES:
            return any(word in value.lower() for word in patterns)
        case Kind.CONTAINS:
            return patterns[0] in value
        case Kind.BEGINS:
            return value.startswith(patterns[0])
        case Kind.ENDS:
            return value.endswith(patterns[0])
        case Kind.EQUALS:
            return value == patterns[0]
        case Kind.WITHIN:
            return value in patterns[0]
        case Kind.NUMBER:
            number = int(value) if re.fullmatch(rb"[+-]?[0-9]+", value) else 0
            return bool(getattr(number, f"__{patterns[0].decode()}__")(int(patterns[1])))
        case Kind.BYTES:
            return bool(set(value) & set(patterns[0]))
        case Kind.ALWAYS:
            return True
        case Kind.NEVER:
            return False


def hints(context: Any) -> list[tuple[str, object, Hint]]:
    """Each operator that gives a hint for its example's argument."""
    made = [(name, operators.get(name)(example(name)[0], context)) for name in NAMES]
    return [(name, test, hint) for name, test in made if (hint := hint_of(test)) is not None]


def test_these_operators_tell_the_planner_what_they_look_for(bench: Any):
    assert {name for name, _, _ in hints(bench.Context())} >= {
        "streq", "beginsWith", "endsWith", "contains", "containsWord", "within", "eq", "ge", "gt", "le", "lt", "rx",
        "rxGlobal", "pm", "pmFromFile", "pmFromDataset", "validateByteRange", "validateUrlEncoding",
        "validateUtf8Encoding", "unconditionalMatch", "noMatch",
    }  # fmt: skip


@given(value=values)
@settings(max_examples=100, deadline=None)
def test_a_hint_keeps_its_word(bench: Any, value: bytes):
    for name, test, hint in hints(bench.Context()):
        matched = test(value, bench.Transaction()) is not None
        found = compare(hint.kind, hint.patterns, value)

        assert found or not matched, name
        assert matched or not found or not hint.exact, name
