"""Actions that keep values out of the logs: masked in the audit log, in the debug log and in log lines.

Source: engine.md 1.5, ModSecurity 2's manual; neither Coraza nor libmodsecurity 3 has them. Both spellings are taken.
What is masked where is `audit/sanitiser.py`'s affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import Action, ActionKind, Value, actions
from waf_engine.audit.sanitiser import sanitiser_of
from waf_engine.compiler.effects import noted
from waf_engine.diagnostics import ArgumentError
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from waf_engine.actions.registry import Apply
    from waf_engine.compiler.draft import ActionContext, RuleDraft
    from waf_engine.compiler.plan import CompiledRule
    from waf_engine.runtime.transaction import Transaction

MAX_PIECES = 100
"""Pieces of one value that sanitiseMatchedBytes looks for."""


def _sanitise(name: str, value: Value) -> Callable[[Apply], Apply]:
    """Register a function under a name and its spelling with a z."""

    def register(function: Apply) -> Apply:
        actions.add(Action(name, ActionKind.NON_DISRUPTIVE, value, function), name, name.replace("itise", "itize"))
        return function

    return register


@_sanitise("sanitiseArg", Value.REQUIRED)
def sanitise_arg(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``sanitiseArg:password``: mask an argument, also one of a body that is yet to come."""
    name = encode_argument(value.strip()).lower()
    draft.effects.append(noted(lambda tx, _rule: sanitiser_of(tx).args.add(name)))


@_sanitise("sanitiseRequestHeader", Value.REQUIRED)
def sanitise_request_header(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``sanitiseRequestHeader:Authorization``: mask a header of the request."""
    name = encode_argument(value.strip()).lower()
    draft.effects.append(noted(lambda tx, _rule: sanitiser_of(tx).request_headers.add(name)))


@_sanitise("sanitiseResponseHeader", Value.REQUIRED)
def sanitise_response_header(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``sanitiseResponseHeader:Set-Cookie``: mask a header of the response."""
    name = encode_argument(value.strip()).lower()
    draft.effects.append(noted(lambda tx, _rule: sanitiser_of(tx).response_headers.add(name)))


@_sanitise("sanitiseMatched", Value.NONE)
def sanitise_matched(draft: RuleDraft, _value: str, context: ActionContext) -> None:
    """``sanitiseMatched``: mask what this rule matches on, as a whole."""
    matched = context.macro("%{MATCHED_VAR}")
    draft.effects.append(noted(lambda tx, rule: _hide_matched(tx, rule), None, matched))  # noqa: PLW0108  each rule's own


@_sanitise("sanitiseMatchedBytes", Value.OPTIONAL)
def sanitise_matched_bytes(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``sanitiseMatchedBytes:0/4``: mask what the operator found, but for so many bytes at its start and its end."""
    first, slash, last = (value or "0/0").partition("/")
    if not slash or not all(text.isascii() and text.isdigit() and len(text) < 5 for text in (first, last)):
        raise ArgumentError(f"expected two numbers of bytes such as 1/4, got {value!r}")
    start, end = int(first), int(last)
    matched = context.macro("%{MATCHED_VAR}")
    draft.effects.append(noted(lambda tx, rule: _hide_pieces(tx, rule, start, end), None, matched))


def _hide_matched(tx: Transaction, rule: CompiledRule) -> None:
    if rule.operator is None or tx.matched_var is None:
        return  # a SecAction matches on nothing
    name, value = tx.matched_var
    variable, _, key = name.partition(":")
    sanitiser_of(tx).hide_member(variable, encode_argument(key), value)


def _hide_pieces(tx: Transaction, rule: CompiledRule, start: int, end: int) -> None:
    """Mask each piece of the value that the operator finds; the whole where it says of none where it is."""
    if rule.operator is None or tx.matched_var is None:
        return
    pieces = list(_pieces(tx, rule, tx.matched_var[1]))
    if not pieces:
        _hide_matched(tx, rule)
    for piece in pieces:
        sanitiser_of(tx).hide_text(piece, start, end)


def _pieces(tx: Transaction, rule: CompiledRule, value: bytes) -> Iterator[bytes]:
    """What the operator finds in a value, one after the other."""
    assert rule.operator is not None
    if rule.operator.negated:
        return
    for _ in range(MAX_PIECES):
        captures = rule.operator.test(value, tx)
        if not captures or not captures[0]:
            return
        yield captures[0]
        value = value[value.find(captures[0]) + len(captures[0]) :]
