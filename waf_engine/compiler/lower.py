"""From tree to plan: walks the directives, fills drafts, resolves names, and freezes.

All faults are collected; a rule set with an error is refused as a whole (`SecLangError`).
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import TYPE_CHECKING, Any, assert_never

from waf_engine.actions.disruptive import DEFAULT_STATUS, REDIRECT_STATUS
from waf_engine.actions.registry import ActionKind, Value
from waf_engine.compiler.draft import RuleDraft
from waf_engine.compiler.plan import CompiledRule, Disruption, Operator, Plan, Target
from waf_engine.compiler.state import Registries, State
from waf_engine.diagnostics import ArgumentError, SecLangError, Severity, Span
from waf_engine.loaders import EMBEDDED
from waf_engine.seclang.ast import ActionRef, Directive, SecAction, SecDefaultAction, SecMarker, SecRule
from waf_engine.settings import Settings
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from waf_engine.compiler.plan import Exclusion
    from waf_engine.diagnostics import Diagnostic
    from waf_engine.loaders import Loaded
    from waf_engine.registry import Registry
    from waf_engine.seclang.ast import Node, OperatorRef, VariableRef

BUILT_IN_DEFAULTS = (ActionRef("log"), ActionRef("auditlog"), ActionRef("pass"))
"""What phase 2 has without a SecDefaultAction (Coraza); the other phases have nothing."""

CASELESS = frozenset({"REQUEST_HEADERS", "RESPONSE_HEADERS"})
"""Variables whose members' names have no case in the protocol."""

MAX_CHAIN = 100
"""Members of one chain: CRS has at most five; the bound keeps the run time's loop short."""


def compile_plan(
    loaded: Loaded,
    registries: Registries,
    *,
    root: Path | None = None,
    settings: dict[str, Any] | None = None,
    embedded: Mapping[str, Path] = EMBEDDED,
) -> Plan:
    """Compile a loaded rule set.

    Args:
        loaded: what the loader read.
        registries: the names that rules may use.
        root: the folder of relative data files, and the bound of all.
        settings: values of `Settings` that the program sets before the directives do.
        embedded: where data files of embedded rules are, see `waf_engine.loaders.EMBEDDED`.

    Raises:
        SecLangError: the rules have errors, the loader's included; it carries all of them.
    """
    given = Settings(**(settings or {}))
    state = State(registries, {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}, root, embedded)
    state.diagnostics += loaded.diagnostics
    _Walk(state).run(loaded.nodes)
    rules = [_freeze_chain(state, draft) for draft in state.drafts]
    _check_markers(state)
    for check in state.at_end.values():
        check()
    diagnostics = _in_order(state.diagnostics, loaded)
    if any(d.severity is Severity.ERROR for d in diagnostics):
        raise SecLangError(diagnostics)
    return Plan(
        settings=Settings(**state.settings),
        rules=tuple(rules),
        variables=dict(state.variables),
        diagnostics=tuple(diagnostics),
        files=loaded.files,
        exclusions=tuple(state.exclusions),
        overrides=tuple(state.overrides),
    )


def _in_order(diagnostics: Iterable[Diagnostic], loaded: Loaded) -> list[Diagnostic]:
    """Errors before warnings, each in the order of the files and lines, with the text of their lines."""
    files = {name: order for order, name in enumerate(loaded.lines)}

    def place(diagnostic: Diagnostic) -> tuple[bool, int, int, int]:
        span = diagnostic.span
        return diagnostic.severity is Severity.WARNING, files.get(span.file, 0), span.line, span.column

    shown = (diagnostic.with_source(loaded.lines.get(diagnostic.span.file, ())) for diagnostic in diagnostics)
    return sorted(dict.fromkeys(shown), key=place)  # one fault in an update is met with each rule that it changes


class _Walk:
    """Goes through the directives in order; knows whether a chain is open."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.starter: RuleDraft | None = None  # of the chain whose next member is awaited

    def run(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if self.starter is not None and not isinstance(node, SecRule | SecAction | Directive):
                self._chain_broken(node.span)
            match node:
                case SecRule() | SecAction():
                    self._rule(node)
                case SecDefaultAction():
                    self._default_action(node)
                case SecMarker():
                    self.state.drafts.append(RuleDraft(span=node.span, raw=node.raw, phase=0, marker=node.label))
                case Directive():
                    self._directive(node)
                case _:
                    assert_never(node)
        if self.starter is not None:
            self._chain_broken(self.starter.span)

    def _chain_broken(self, span: Span) -> None:
        self.state.fault(span, "open-chain", "the rule before has the action chain: expected its next SecRule here")
        self.starter = None

    def _directive(self, node: Directive) -> None:
        handler = self.state.registries.directives.get(node.name)
        if handler is None:
            hint = self.state.registries.directives.suggest(node.name)
            self.state.fault(node.span, "unknown-directive", f"unknown directive {node.name!r}", hint)
            return
        try:
            handler(self.state, node)
        except ArgumentError as error:
            self.state.refuse(node.arguments[0].span if node.arguments else node.span, error)

    def _default_action(self, node: SecDefaultAction) -> None:
        """Check the actions of a SecDefaultAction by trying them on a draft, and keep them for its phase."""
        state = self.state
        draft = RuleDraft(span=node.span)
        apply_actions(state, draft, node.actions)
        for ref in node.actions:
            known = state.registries.actions.get(ref.name)
            fixed = known is not None and (known.kind is ActionKind.METADATA or known.name == "chain")
            if fixed and ref.name.lower() != "phase":
                state.fault(ref.span, "bad-default", f"{ref.name} cannot be a default action")
        if not draft.explicit_phase or not draft.disruptive:
            state.fault(node.span, "bad-default", "SecDefaultAction needs a phase and a disruptive action")
        elif draft.disruptive == "block":
            state.fault(node.span, "bad-default", "SecDefaultAction says what block means: it cannot be block itself")
        elif draft.phase in state.defaults:
            state.fault(node.span, "second-default", f"phase {draft.phase} already has a SecDefaultAction")
        else:
            kept = (ref for ref in node.actions if ref.name.lower() not in {"phase", "chain"})
            state.defaults[draft.phase] = tuple(kept)

    def _rule(self, node: SecRule | SecAction) -> None:
        draft = RuleDraft(span=node.span, raw=node.raw)
        starter = self.starter
        if starter is None:
            self._start(draft, node.actions)
        else:
            self._continue(draft, starter, node.actions)
        if isinstance(node, SecRule):
            draft.variables = list(node.variables)
            draft.operator = compile_operator(self.state, node.operator)
        self.starter = (starter or draft) if draft.chained else None

    def _start(self, draft: RuleDraft, refs: Sequence[ActionRef]) -> None:
        state = self.state
        phase = next((ref.value for ref in reversed(refs) if ref.name.lower() == "phase" and ref.value), None)
        probe = RuleDraft(span=draft.span)
        if phase is not None and (action := state.registries.actions.get("phase")):
            try:
                action.apply(probe, phase, state.context(draft.span))
            except ArgumentError:
                probe.phase = 2  # reported when the rule's own actions are applied
        defaults = state.defaults.get(probe.phase, BUILT_IN_DEFAULTS if probe.phase == 2 else ())
        apply_actions(state, draft, defaults)
        by_default = draft.disruptive, draft.redirect, draft.allow
        draft.disruptive = ""
        apply_actions(state, draft, refs)
        if draft.disruptive in {"", "block"}:
            draft.disruptive, draft.redirect, draft.allow = by_default
        state.drafts.append(draft)
        if not draft.id:
            if not any(ref.name.lower() == "id" for ref in refs):
                state.fault(draft.span, "missing-id", "this rule has no id", "add id:NUMBER, unique in the rule set")
        elif (other := state.ids.get(draft.id)) is not None:
            message = f"id {draft.id} is taken by the rule at {other.span}"
            state.fault(draft.span, "duplicate-id", message, "every rule has an id of its own")
        else:
            state.ids[draft.id] = draft

    def _continue(self, draft: RuleDraft, starter: RuleDraft, refs: Sequence[ActionRef]) -> None:
        state = self.state
        draft.in_chain = True
        apply_actions(state, draft, refs)
        for ref in refs:
            known = state.registries.actions.get(ref.name)
            if known is None:
                continue
            if known.kind is ActionKind.DISRUPTIVE or ref.name.lower() in {"id", "phase", "skip", "skipafter"}:
                hint = "move it to the first rule of the chain"
                state.fault(ref.span, "bad-chain", f"a member of a chain cannot have {ref.name}", hint)
        draft.phase, draft.id = starter.phase, 0
        starter.members.append(draft)
        if len(starter.members) == MAX_CHAIN:
            state.fault(draft.span, "long-chain", f"a chain has at most {MAX_CHAIN} members")


def apply_actions(state: State, draft: RuleDraft, refs: Iterable[ActionRef]) -> None:
    """Apply actions to a draft, in order; faults are reported at their place."""
    registry: Registry[Any] = state.registries.actions
    for ref in refs:
        known = registry.get(ref.name)
        if known is None:
            state.fault(ref.span, "unknown-action", f"unknown action {ref.name!r}", registry.suggest(ref.name))
            continue
        if known.value is Value.REQUIRED and not ref.value:
            state.fault(ref.span, "missing-value", f"{known.name} needs a value", f"write {known.name}:VALUE")
            continue
        if known.value is Value.NONE and ref.value:
            state.fault(ref.value_span, "extra-value", f"{known.name} takes no value, got {ref.value!r}")
            continue
        place = ref.value_span if ref.value else ref.span
        try:
            known.apply(draft, ref.value or "", state.context(place))
        except ArgumentError as error:
            state.refuse(place, error)


def compile_operator(state: State, ref: OperatorRef) -> Operator | None:
    """The operator of a rule, or None with the fault reported."""
    factory = state.registries.operators.get(ref.name)
    if factory is None:
        hint = state.registries.operators.suggest(ref.name)
        state.fault(ref.span, "unknown-operator", f"unknown operator {ref.name!r}", hint)
        return None
    try:
        test = factory(ref.argument, state.context(ref.argument_span))
    except ArgumentError as error:
        state.refuse(ref.argument_span, error)
        return None
    return Operator(state.registries.operators.canonical(ref.name), ref.argument, ref.negated, test)


def _targets(
    state: State, refs: Iterable[VariableRef], namespaces: Mapping[str, str] | None = None
) -> tuple[Target, ...]:
    """The targets of a rule; an exclusion acts on the mentions of its variable before it."""
    targets: list[Target] = []
    for ref in refs:
        if ref.exclude:
            exclusion = state.exclusion(ref)
            if exclusion is not None:
                targets = [_without(target, exclusion) for target in targets]
        elif (target := _target(state, ref, namespaces or {})) is not None:
            targets.append(target)
    return tuple(targets)


def _without(target: Target, exclusion: Exclusion) -> Target:
    if target.variable.name != exclusion.variable:
        return target
    return dataclasses.replace(target, exclusions=(*target.exclusions, exclusion))


def _target(state: State, ref: VariableRef, namespaces: Mapping[str, str]) -> Target | None:
    variable = state.variables.get(ref.name.upper())
    if variable is None:
        hint = state.registries.variables.suggest(ref.name)
        state.fault(ref.span, "unknown-variable", f"unknown variable {ref.name!r}", hint)
        return None
    if ref.selector is None:
        return Target(variable, count=ref.count)
    if not variable.is_collection:
        state.fault(ref.selector_span, "no-members", f"{variable.name} has one value: nothing can be selected from it")
        return None
    try:
        if variable.select is not None:
            compile_select = variable.compile_select
            selector = compile_select(ref.selector, namespaces) if compile_select else ref.selector
            return Target(variable, selector=selector, count=ref.count)
        if not ref.is_regex:
            key = encode_argument(ref.selector)
            label = key if variable.name in CASELESS else None
            return Target(variable, key=key.lower(), label=label, count=ref.count)
        return Target(variable, pattern=state.pattern(ref.selector), count=ref.count)
    except ArgumentError as error:
        state.refuse(ref.selector_span, error)
        return None


def _freeze_chain(state: State, draft: RuleDraft) -> CompiledRule:
    """A draft and its chain, frozen from the last member to the first."""
    following: CompiledRule | None = None
    for member in reversed(draft.members):
        following = _freeze(state, member, following)
    return _freeze(state, draft, following)


def _freeze(state: State, draft: RuleDraft, chain: CompiledRule | None) -> CompiledRule:
    return CompiledRule(
        id=draft.id,
        phase=draft.phase,
        span=draft.span,
        raw=draft.raw,
        targets=_targets(state, draft.variables, draft.namespaces),
        operator=draft.operator,
        transformations=tuple(draft.transformations),
        multi_match=draft.multi_match,
        capture=draft.capture,
        effects=tuple(draft.effects),
        disruption=_disruption(draft),
        chain=chain,
        skip=draft.skip,
        skip_after=draft.skip_after,
        marker=draft.marker,
        log=draft.log,
        auditlog=draft.auditlog,
        msg=draft.msg,
        logdata=draft.logdata,
        severity=draft.severity,
        tags=tuple(draft.tags),
        rev=draft.rev,
        ver=draft.ver,
        maturity=draft.maturity,
        accuracy=draft.accuracy,
    )


def _disruption(draft: RuleDraft) -> Disruption | None:
    action = draft.disruptive
    if not action:
        return None
    status = DEFAULT_STATUS.get(action, 0) if draft.status is None else draft.status
    if action == "redirect" and status not in REDIRECT_STATUS:
        status = DEFAULT_STATUS[action]
    return Disruption(action, status, draft.redirect if action == "redirect" else None, draft.allow)


def _check_markers(state: State) -> None:
    """Warn of a skipAfter whose marker does not come later: it ends the phase, which is seldom meant."""
    last = {draft.marker: index for index, draft in enumerate(state.drafts) if draft.marker}
    for index, draft in enumerate(state.drafts):
        if draft.skip_after and last.get(draft.skip_after, -1) < index:
            message = f"no SecMarker {draft.skip_after!r} follows: skipAfter will skip the rest of the phase"
            state.warn(draft.span, "no-marker", message)
    for before, after in pairwise(d for d in state.drafts if d.marker):
        if before.marker == after.marker:
            state.warn(after.span, "second-marker", f"SecMarker {after.marker!r} stands twice in a row")
