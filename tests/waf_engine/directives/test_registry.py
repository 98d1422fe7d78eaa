"""The readers of arguments that directives share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from waf_engine.diagnostics import ArgumentError
from waf_engine.directives.registry import MAX_NUMBER, choice, directives, number, on_off, one
from waf_engine.seclang.ast import Argument, Directive

if TYPE_CHECKING:
    from collections.abc import Callable


def node(*arguments: str) -> Directive:
    return Directive("SecTest", tuple(Argument(text) for text in arguments))


def color(given: Directive) -> str:
    return choice(given, ("Red", "Blue"))


def small(given: Directive) -> int:
    return number(given, least=2, most=5)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (one, "any text", "any text"), (one, "", ""),
        (color, "Red", "Red"), (color, "bLUE", "Blue"),
        (number, "0", 0), (number, str(MAX_NUMBER), MAX_NUMBER), (small, "2", 2), (small, "5", 5), (number, "007", 7),
        (on_off, "On", True), (on_off, "OFF", False),
    ],
)  # fmt: skip
def test_what_is_read(read: Callable[[Directive], Any], text: str, value: object):
    assert read(node(text)) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (color, "green"), (color, ""), (number, "x"), (number, "-1"), (number, "1.5"), (number, ""), (number, "٣"),
        (number, str(MAX_NUMBER + 1)), (number, "9" * 5_000), (small, "1"), (small, "6"), (on_off, "1"),
    ],
)  # fmt: skip
def test_what_is_refused(read: Callable[[Directive], Any], text: str):
    with pytest.raises(ArgumentError, match="SecTest takes"):
        read(node(text))


@pytest.mark.parametrize("read", [one, color, number, on_off])
@pytest.mark.parametrize("arguments", [(), ("1", "2")])
def test_one_argument_means_one(read: Callable[[Directive], Any], arguments: tuple[str, ...]):
    with pytest.raises(ArgumentError) as caught:
        read(node(*arguments))

    assert caught.value.code == "argument-count"


def test_names_are_found_without_regard_to_case():
    assert directives.get("SECRULEENGINE") is directives.get("SecRuleEngine")
