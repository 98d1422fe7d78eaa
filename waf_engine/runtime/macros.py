"""Macros: ``%{VARIABLE.key}`` in arguments and actions, compiled once and expanded for a transaction.

A member that does not exist leaves its own text without ``%{}`` (``tx.unknown``), as Coraza does: rules
written for it compare with that text. TX:0 to TX:9 always exist, and are empty before a capture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from waf_engine.diagnostics import ArgumentError
from waf_engine.types import encode_argument, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from waf_engine.compiler.plan import Variable
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Macro, TransactionView

_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:[]")


class Reference:
    """One ``%{...}``; never changed.

    Args:
        variable: the variable.
        key: the member, in lower case; None for the whole.
        text: what stands between the braces.
        of_tx: whether the variable is TX.
    """

    __slots__ = ("key", "of_tx", "text", "variable")

    # No dataclass: compiled, it would need the types of its fields first, and Variable's module needs this one.
    def __init__(self, variable: Variable, key: bytes | None, text: bytes, *, of_tx: bool = False) -> None:
        self.variable = variable
        self.key = key
        self.text = text
        self.of_tx = of_tx

    def value(self, tx: Transaction) -> bytes:
        """The value now, or the text when there is none."""
        if self.of_tx and self.key is not None and (member := tx.tx.get(self.key)) is not None:
            return member
        found = tx.first_value(self.variable, self.key)
        return self.text if found is None else found


@dataclass(frozen=True, slots=True)
class CompiledMacro:
    """A text with macros: literal pieces and references in order."""

    source: str
    parts: tuple[bytes | Reference, ...]
    literal: bytes | None

    def expand(self, tx: TransactionView) -> bytes:
        """The text with every macro replaced."""
        if self.literal is not None:
            return self.literal
        transaction = cast("Transaction", tx)  # the one implementation of the view; the families see no more
        return b"".join([p if p.__class__ is bytes else p.value(transaction) for p in self.parts])  # type: ignore[union-attr]  # twice as fast as isinstance

    def __str__(self) -> str:
        return self.source


def expander(macro: Macro) -> Callable[[TransactionView], bytes]:
    """The fastest function that expands a macro: nearly all name members of TX, or what the rule has matched."""
    if (literal := macro.literal) is not None:
        return lambda _tx: literal
    if not isinstance(macro, CompiledMacro):
        return macro.expand
    getters = [_getter(part) for part in macro.parts]
    if len(getters) == 1:
        return getters[0]
    if len(getters) == 2:
        first, second = getters
        return lambda tx: first(tx) + second(tx)
    return lambda tx: b"".join([get(tx) for get in getters])


def _getter(part: bytes | Reference) -> Callable[[TransactionView], bytes]:
    if isinstance(part, bytes):
        return lambda _tx: part
    if part.of_tx and (key := part.key) is not None:

        def member(tx: TransactionView) -> bytes:
            value = tx.tx.get(key)  # type: ignore[attr-defined]  # the one implementation of the view has it
            return part.value(tx) if value is None else value  # type: ignore[arg-type]  # see above

        return member
    if part.variable.name == "MATCHED_VAR":
        return lambda tx: tx.matched_var[1] if tx.matched_var else b""  # type: ignore[attr-defined]  # see above
    return part.value  # type: ignore[return-value]  # see above


def text_expander(macro: Macro | None) -> Callable[[TransactionView], str]:
    """What expands a text for logs; nothing for no text."""
    if macro is None:
        return lambda _tx: ""
    if (literal := macro.literal) is not None:
        text = to_text(literal)
        return lambda _tx: text
    expand = expander(macro)
    return lambda tx: to_text(expand(tx))


def compile_macro(text: str, variables: Mapping[str, Variable], offset: int = 0) -> CompiledMacro:
    """Compile a text.

    Args:
        text: the text as written in the rule.
        variables: the variables by upper-case name.
        offset: where the text begins in its argument, for the position of a fault.

    Raises:
        ArgumentError: a macro is not closed, is empty, or names no variable.
    """
    parts: list[bytes | Reference] = []
    position = 0
    while (start := text.find("%{", position)) >= 0:
        end = text.find("}", start)
        if end < 0:
            raise ArgumentError("this macro has no closing brace", offset=offset + start, hint="write %{VARIABLE.key}")
        if start > position:
            parts.append(encode_argument(text[position:start]))
        parts.append(_reference(text[start + 2 : end], offset + start + 2, variables))
        position = end + 1
    if position < len(text) or not parts:
        parts.append(encode_argument(text[position:]))
    literal = parts[0] if len(parts) == 1 and isinstance(parts[0], bytes) else None
    return CompiledMacro(text, tuple(parts), literal)


def _reference(inner: str, offset: int, variables: Mapping[str, Variable]) -> Reference:
    bad = next((i for i, c in enumerate(inner) if c not in _NAME_CHARACTERS), None)
    if bad is not None or not inner:
        raise ArgumentError(
            f"a macro holds a variable and a key, got {inner!r}",
            offset=offset + (bad or 0),
            hint="write %{VARIABLE.key}",
        )
    cut = min((i for i in (inner.find("."), inner.find(":")) if i >= 0), default=len(inner))
    name, key = inner[:cut], inner[cut + 1 :]
    variable = variables.get(name.upper())
    if variable is None:
        raise ArgumentError(f"unknown variable {name!r} in a macro", offset=offset, code="unknown-variable")
    member = encode_argument(key).lower() if variable.is_collection and key else None
    return Reference(variable, member, encode_argument(inner), of_tx=variable.name == "TX")
