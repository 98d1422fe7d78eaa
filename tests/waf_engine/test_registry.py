"""Names are taken once, compared without case, suggested when close; a copy is its own."""

from __future__ import annotations

import pytest

from waf_engine.registry import Registry


@pytest.fixture
def operators() -> Registry[str]:
    registry: Registry[str] = Registry("operator")
    registry.add("<begins>", "beginsWith")
    registry.add("<path>", "normalisePath", "normalizePath")
    return registry


def test_a_decorated_thing_is_registered_and_stays_what_it_is():
    registry: Registry[object] = Registry("operator")

    @registry.register("beginsWith", "startsWith")
    def begins_with() -> str:
        return "called"

    assert begins_with() == "called"
    assert registry.get("BEGINSWITH") is begins_with
    assert registry.get("startswith") is begins_with


def test_names_are_compared_without_case(operators: Registry[str]):
    assert operators.get("BeginsWith") == "<begins>"
    assert operators.get("nope") is None
    assert "BEGINSWITH" in operators
    assert "nope" not in operators
    assert 5 not in operators


def test_names_keep_their_spelling_and_order(operators: Registry[str]):
    assert operators.names() == list(operators) == ["beginsWith", "normalisePath", "normalizePath"]
    assert operators.canonical_names() == ["beginsWith", "normalisePath"]
    assert operators.canonical("NormalizePath") == "normalisePath"
    assert len(operators) == 3
    with pytest.raises(KeyError):
        operators.canonical("nope")


@pytest.mark.parametrize("names", [("BEGINSWITH",), ("new", "beginswith")])
def test_a_name_is_taken_once_and_a_refusal_changes_nothing(operators: Registry[str], names: tuple[str, ...]):
    with pytest.raises(ValueError, match=r"operator '(BEGINSWITH|beginswith)' is registered twice"):
        operators.add("<other>", *names)

    assert operators.get("beginsWith") == "<begins>"
    assert "new" not in operators


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("beginWith", "did you mean 'beginsWith'?"),
        ("BEGINSWITCH", "did you mean 'beginsWith'?"),
        ("normalizepaht", "did you mean 'normalizePath'?"),
        ("rx", ""),
        ("", ""),
    ],
)
def test_suggestions(operators: Registry[str], name: str, hint: str):
    assert operators.suggest(name) == hint


def test_a_copy_is_its_own(operators: Registry[str]):
    twin = operators.copy()
    twin.add("<new>", "mine")

    assert twin.kind == "operator"
    assert twin.get("beginsWith") == "<begins>"
    assert twin.canonical("mine") == "mine"
    assert "mine" not in operators
    assert "mine" not in operators.names()
