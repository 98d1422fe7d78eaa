"""The registry of directives, the decorator that fills it, and readers of arguments.

A directive is a function that changes the compiler's state. It reports a fault at the argument that is
wrong (`State.fault`) or raises `ArgumentError`, which is shown at the first argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from waf_engine.diagnostics import ArgumentError
from waf_engine.registry import Registry
from waf_engine.types import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from waf_engine.compiler.state import State
    from waf_engine.seclang.ast import Directive

DirectiveHandler = Callable[["State", "Directive"], None]

directives: Registry[DirectiveHandler] = Registry("directive")

directive = directives.register
"""Register a function as a directive under a name and its aliases."""

MAX_NUMBER = 2**40
"""No limit of a rule file is larger than a terabyte."""


def one(node: Directive) -> str:
    """The one argument of a directive.

    Raises:
        ArgumentError: there are none, or more.
    """
    if len(node.arguments) != 1:
        raise ArgumentError(f"{node.name} takes one argument, got {len(node.arguments)}", code="argument-count")
    return node.arguments[0].text


def choice(node: Directive, words: Iterable[str]) -> str:
    """The one argument, one of some words, in their spelling.

    Raises:
        ArgumentError: it is something else.
    """
    text = one(node)
    known = {word.lower(): word for word in words}
    if text.lower() not in known:
        raise ArgumentError(f"{node.name} takes {' or '.join(known.values())}, got {text!r}")
    return known[text.lower()]


def number(node: Directive, *, least: int = 0, most: int = MAX_NUMBER) -> int:
    """The one argument, a whole number.

    Raises:
        ArgumentError: it is something else, or out of range.
    """
    text = one(node)
    value = whole_number(text)
    if value is None or not least <= value <= most:
        raise ArgumentError(f"{node.name} takes a whole number from {least} to {most}, got {text!r}")
    return value


def on_off(node: Directive) -> bool:
    """The one argument, On or Off.

    Raises:
        ArgumentError: it is something else.
    """
    return choice(node, ("On", "Off")) == "On"
