"""Directives that change rules which stand before them: remove, other targets, other actions.

They act on the rules read so far, as in Coraza: exclusions for a rule set come after its Include.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import ActionKind
from waf_engine.compiler.plan import id_range
from waf_engine.diagnostics import ArgumentError
from waf_engine.directives.registry import directive, one
from waf_engine.seclang.parser import parse_actions, parse_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from waf_engine.compiler.draft import RuleDraft
    from waf_engine.compiler.state import State
    from waf_engine.seclang.ast import ActionRef, Argument, Directive

    Selects = Callable[[RuleDraft], bool]

FIXED = frozenset({"id", "phase", "chain"})
"""Actions that an update cannot give a rule."""


@directive("SecRuleRemoveById")
def sec_rule_remove_by_id(state: State, node: Directive) -> None:
    """``SecRuleRemoveById 942100 "941000-941999"``: ids and ranges."""
    if not node.arguments:
        raise ArgumentError("SecRuleRemoveById takes ids or ranges of ids")
    for argument in node.arguments:
        ranges = _ranges(state, argument)
        _remove(state, argument, lambda draft, ranges=ranges: _within(draft.id, ranges))  # type: ignore[misc]  # mypy cannot infer a lambda with a default


@directive("SecRuleRemoveByTag")
def sec_rule_remove_by_tag(state: State, node: Directive) -> None:
    """``SecRuleRemoveByTag attack-sqli``: the exact tag."""
    tag = one(node)
    _remove(state, node.arguments[0], lambda draft: tag in draft.tags)


@directive("SecRuleRemoveByMsg")
def sec_rule_remove_by_msg(state: State, node: Directive) -> None:
    """``SecRuleRemoveByMsg "text"``: the exact message, macros as written."""
    message = one(node)
    _remove(state, node.arguments[0], lambda draft: draft.msg is not None and str(draft.msg) == message)


@directive("SecRuleUpdateTargetById")
def sec_rule_update_target_by_id(state: State, node: Directive) -> None:
    """``SecRuleUpdateTargetById 942100 "!ARGS:comment"``: ids or ranges, then targets to add or to leave out."""
    *selectors, targets = _selector_and_more(node)
    for argument in selectors:
        ranges = _ranges(state, argument)
        _update_targets(state, argument, targets, [d for d in state.drafts if _within(d.id, ranges)])


@directive("SecRuleUpdateTargetByTag")
def sec_rule_update_target_by_tag(state: State, node: Directive) -> None:
    """``SecRuleUpdateTargetByTag attack-sqli "!ARGS:comment"``."""
    tag, targets = _two(node)
    _update_targets(state, tag, targets, [d for d in state.drafts if tag.text in d.tags])


@directive("SecRuleUpdateTargetByMsg")
def sec_rule_update_target_by_msg(state: State, node: Directive) -> None:
    """``SecRuleUpdateTargetByMsg "text" "!ARGS:comment"``."""
    message, targets = _two(node)
    _update_targets(
        state, message, targets, [d for d in state.drafts if d.msg is not None and str(d.msg) == message.text]
    )


@directive("SecRuleUpdateActionById")
def sec_rule_update_action_by_id(state: State, node: Directive) -> None:
    """``SecRuleUpdateActionById 942100 "pass,log"``: a disruptive action replaces the rule's."""
    from waf_engine.compiler.lower import apply_actions  # noqa: PLC0415  lower imports the directives' registry

    *selectors, argument = _selector_and_more(node)
    refs, faults = parse_actions(argument.text, argument.span)
    state.diagnostics += faults
    refs = tuple(ref for ref in refs if _may_change(state, ref))
    if any(ref.name.lower() == "t" for ref in refs):
        hint = "begin with t:none to replace the transformations"
        if not any(ref.name.lower() == "t" and (ref.value or "").lower() == "none" for ref in refs):
            state.warn(argument.span, "added-transformations", "these transformations come after the rule's own", hint)
    for selector in selectors:
        ranges = _ranges(state, selector)
        chosen = [draft for draft in state.drafts if _within(draft.id, ranges)]
        _warn_if_none(state, selector, chosen)
        for draft in chosen:
            before = draft.disruptive
            apply_actions(state, draft, refs)
            state.overrides.append((draft.id, "action_changed"))
            if draft.disruptive == "block":
                draft.disruptive = _default_disruption(state, draft.phase) or before


def _may_change(state: State, ref: ActionRef) -> bool:
    if ref.name.lower() not in FIXED:
        return True
    state.fault(ref.span, "bad-update", f"an update cannot change {ref.name}")
    return False


def _default_disruption(state: State, phase: int) -> str:
    names = [ref.name.lower() for ref in state.defaults.get(phase, ())]
    known = state.registries.actions
    return next((n for n in names if (a := known.get(n)) and a.kind is ActionKind.DISRUPTIVE), "")


def _selector_and_more(node: Directive) -> tuple[Argument, ...]:
    if len(node.arguments) < 2:
        raise ArgumentError(f"{node.name} takes ids and what to change", code="argument-count")
    return node.arguments


def _two(node: Directive) -> tuple[Argument, Argument]:
    if len(node.arguments) != 2:
        raise ArgumentError(f"{node.name} takes two arguments, got {len(node.arguments)}", code="argument-count")
    return node.arguments[0], node.arguments[1]


def _ranges(state: State, argument: Argument) -> list[tuple[int, int]]:
    """Ids and ranges in one argument: ``1``, ``1-5``, ``1,4-5``."""
    ranges = []
    for piece in argument.text.replace(",", " ").split():
        if (found := id_range(piece)) is None:
            state.fault(argument.span, "bad-id", f"expected an id or a range such as 1000-1999, got {piece!r}")
            continue
        ranges.append(found)
    return ranges


def _within(rule_id: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return rule_id > 0 and any(first <= rule_id <= last for first, last in ranges)


def _warn_if_none(state: State, argument: Argument, chosen: list[RuleDraft]) -> None:
    if not chosen:
        hint = "it acts on the rules before it: put it after their Include"
        state.warn(argument.span, "no-rule", f"no rule so far fits {argument.text!r}", hint)


def _remove(state: State, argument: Argument, selects: Selects) -> None:
    removed = [draft for draft in state.drafts if not draft.marker and selects(draft)]
    _warn_if_none(state, argument, removed)
    gone = set(map(id, removed))
    state.drafts = [draft for draft in state.drafts if id(draft) not in gone]
    for draft in removed:
        state.ids.pop(draft.id, None)
        state.overrides.append((draft.id, "disabled"))


def _update_targets(state: State, argument: Argument, targets: Argument, chosen: list[RuleDraft]) -> None:
    refs, faults = parse_variables(targets.text, targets.span)
    state.diagnostics += faults
    _warn_if_none(state, argument, chosen)
    for draft in chosen:
        draft.variables += refs
        state.overrides.append((draft.id, "targets_changed"))
