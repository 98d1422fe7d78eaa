"""Metadata: what a rule is called and how grave it is; and its transformations, which are written as actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import ActionKind, Value, action
from waf_engine.diagnostics import ArgumentError
from waf_engine.runtime.match import SEVERITIES
from waf_engine.types import whole_number

if TYPE_CHECKING:
    from waf_engine.compiler.draft import ActionContext, RuleDraft

PHASE_WORDS = {"request": 2, "response": 4, "logging": 5}
MAX_ID = 2**63 - 1
"""Rule ids travel to HAProxy as signed 64-bit integers."""


def _integer(value: str, first: int, last: int, what: str) -> int:
    number = whole_number(value)
    if number is None or not first <= number <= last:
        raise ArgumentError(f"{what} is a whole number from {first} to {last}, got {value!r}")
    return number


@action("id", ActionKind.METADATA, Value.REQUIRED)
def id_(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``id:942100``: the rule's number; unique in the rule set."""
    draft.id = _integer(value, 1, MAX_ID, "an id")


@action("phase", ActionKind.METADATA, Value.REQUIRED)
def phase(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``phase:2``: when the rule runs, 1 to 5, or ``request``, ``response``, ``logging``."""
    word = PHASE_WORDS.get(value.lower())
    if word is None and value not in {"1", "2", "3", "4", "5"}:
        words = ", ".join(PHASE_WORDS)
        raise ArgumentError(f"a phase is 1 to 5, or one of {words}; got {value!r}")
    draft.phase = word or int(value)
    draft.explicit_phase = True


@action("msg", ActionKind.METADATA, Value.REQUIRED)
def msg(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``msg:'SQL injection in %{MATCHED_VAR_NAME}'``: the message of the log line."""
    draft.msg = context.macro(value)


@action("logdata", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def logdata(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``logdata:'%{TX.0}'``: what else the log line shows."""
    draft.logdata = context.macro(value)


@action("severity", ActionKind.METADATA, Value.REQUIRED)
def severity(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``severity:'CRITICAL'``: a word from EMERGENCY to DEBUG, or 0 to 7."""
    word = value.lower()
    if word in SEVERITIES:
        draft.severity = SEVERITIES.index(word)
        return
    if value not in {"0", "1", "2", "3", "4", "5", "6", "7"}:
        raise ArgumentError(f"a severity is 0 to 7 or one of {', '.join(SEVERITIES).upper()}; got {value!r}")
    draft.severity = int(value)


@action("tag", ActionKind.METADATA, Value.REQUIRED)
def tag(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``tag:'attack-sqli'``: a label; a rule may have many."""
    draft.tags.append(value)


@action("rev", ActionKind.METADATA, Value.REQUIRED)
def rev(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``rev:'2'``: the rule's revision."""
    draft.rev = value


@action("ver", ActionKind.METADATA, Value.REQUIRED)
def ver(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``ver:'OWASP_CRS/4.28.0'``: the version of the rule set."""
    draft.ver = value


@action("maturity", ActionKind.METADATA, Value.REQUIRED)
def maturity(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``maturity:8``: 1 to 9."""
    draft.maturity = _integer(value, 1, 9, "maturity")


@action("accuracy", ActionKind.METADATA, Value.REQUIRED)
def accuracy(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``accuracy:8``: 1 to 9 (ModSecurity; Coraza does not know it)."""
    draft.accuracy = _integer(value, 1, 9, "accuracy")


@action("xmlns", ActionKind.DATA, Value.REQUIRED)
def xmlns(draft: RuleDraft, value: str, _context: ActionContext) -> None:
    """``xmlns:soap='http://schemas.xmlsoap.org/soap/envelope/'``: a prefix of the rule's XPath expressions."""
    prefix, equals, uri = value.partition("=")
    uri = uri.strip().strip("'\"")
    if not equals or not prefix.strip().isidentifier() or not uri or "\0" in uri:
        raise ArgumentError(f"xmlns takes prefix=name space, got {value!r}", hint="xmlns:soap='http://...'")
    draft.namespaces[prefix.strip()] = uri


@action("t", ActionKind.TRANSFORMATION, Value.REQUIRED)
def t(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``t:lowercase``: one more transformation; ``t:none`` drops those before it."""
    if value.lower() == "none":
        draft.transformations.clear()
        return
    function = context.transformations.get(value)
    if function is None:
        raise ArgumentError(
            f"unknown transformation {value!r}",
            hint=context.transformations.suggest(value),
            code="unknown-transformation",
        )
    draft.transformations.append((context.transformations.canonical(value), function))
