"""The reference interpreter: every rule of the phase, on every value, in the obvious way.

It is the definition of the semantics. Whatever runs rules faster must give the same matched rules, the
same TX and the same interruption; nothing is optimised here. Semantics: engine.md 1.2, 1.5, 1.8, and where
the two engines differ Coraza's (docs/seclang.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.compiler.plan import Allow, Phase
from waf_engine.runtime.match import MatchedValue
from waf_engine.types import to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from waf_engine.compiler.plan import CompiledRule, Exclusion, Operator, Target
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry

MAX_CAPTURES = 10
"""TX:0 to TX:9."""


def evaluate(tx: Transaction, rule: CompiledRule) -> bool:
    """Evaluate a rule with its chain; carry out its actions and report it if all of it matches."""
    tx.rule = rule
    if tx.step is not None:
        tx.step(None)
    matches = match(tx, rule, rule, 0)
    level, member = 0, rule.chain
    while matches and member is not None:
        level += 1
        more = match(tx, member, rule, level)
        if not more:
            return False
        matches += more
        member = member.chain
    if not matches:
        return False
    if rule.chain is not None or rule.operator is None:
        # The starter's texts may name what the last member of the chain matched.
        matches[0] = _with_texts(tx, rule, matches[0])
    if rule.disruption is not None:
        tx.disrupt(rule, rule.disruption)
    tx.report(rule, matches)
    return True


def run_phase(tx: Transaction, phase: int, evaluate: Callable[[Transaction, CompiledRule], bool] = evaluate) -> None:
    """Run the rules of one phase, in order, until one interrupts; `profiling` has an `evaluate` of its own."""
    marker, skip = "", 0
    for rule in tx.plan.phases[phase]:
        if tx.interruption is not None and phase != Phase.LOGGING:
            break
        if rule.id and rule.id in tx.removed_ids:
            continue
        if marker:
            if rule.marker == marker:
                marker = ""
            continue
        if skip:
            skip -= 1
            continue
        if is_allowed(tx, phase):
            break
        if rule.marker:
            continue
        tx.matched_vars = []
        if evaluate(tx, rule):
            marker, skip = rule.skip_after, rule.skip
    if tx.allow is Allow.PHASE or (tx.allow is Allow.REQUEST and phase == Phase.REQUEST_BODY):
        tx.allow = None


def is_allowed(tx: Transaction, phase: int) -> bool:
    """Whether an `allow` ends this phase here."""
    if tx.allow is Allow.REQUEST:
        return phase <= Phase.REQUEST_BODY
    return tx.allow is not None


def match(tx: Transaction, rule: CompiledRule, starter: CompiledRule, level: int) -> list[MatchedValue]:
    """Evaluate one rule, or one member of a chain, without the rest of the chain.

    Args:
        tx: the transaction.
        rule: the rule or member.
        starter: the rule that starts the chain (the rule itself for level 0).
        level: its place in the chain.

    Returns:
        What it matched on, in order; empty for no match. For each match MATCHED_VAR was set and the rule's
        effects were run, whether or not the rest of the chain will match.
    """
    if rule.operator is None:
        _run_effects(tx, rule)
        return [MatchedValue("", b"", b"", chain_level=level)]
    removed = tx.removed_targets.get(starter.id, ())
    found = []
    for target in rule.targets:
        for key, raw in read_target(tx, target, removed):
            for value in _transformed(rule, raw):
                if not _test(tx, rule, rule.operator, value):
                    continue
                matched = MatchedValue(target.variable.name, target.label or key, value, chain_level=level)
                name = matched.name
                tx.matched_var = (name, value)
                if tx.step is not None:
                    tx.step(tx.matched_var)
                tx.matched_vars.append((name.encode("utf-8", "surrogateescape"), value))
                _run_effects(tx, rule)
                if level or rule.chain is None:
                    matched = _with_texts(tx, rule, matched)
                found.append(matched)
    return found


def read_target(tx: Transaction, target: Target, removed: Iterable[Exclusion] = ()) -> Sequence[Entry]:
    """The members that a target selects, exclusions taken out; for a count, one member with the number."""
    variable = target.variable
    if variable.select is not None and target.selector:
        entries = variable.select(tx, target.selector)
    else:
        entries = variable.read(tx)
        if target.pattern is not None:
            entries = [e for e in entries if target.pattern(e[0])]
        elif target.key is not None:
            entries = [e for e in entries if e[0].lower() == target.key]
    exclusions = [*target.exclusions, *(x for x in removed if x.variable == variable.name)]
    if exclusions:
        entries = [e for e in entries if not any(x.covers(e[0]) for x in exclusions)]
    if target.count:
        return [(target.key or b"", str(len(entries)).encode())]
    return entries


def _transformed(rule: CompiledRule, value: bytes) -> list[bytes]:
    """The values that the operator sees: one, or with multiMatch the original and each changed one."""
    values = [value]
    for _, transformation in rule.transformations:
        changed = transformation(value)
        if rule.multi_match:
            if changed != value:
                values.append(changed)
        else:
            values[0] = changed
        value = changed
    return values


def _test(tx: Transaction, rule: CompiledRule, operator: Operator, value: bytes) -> bool:
    captures = operator.test(value, tx)
    if captures and rule.capture:
        for index, text in enumerate(captures[:MAX_CAPTURES]):
            tx.tx[b"%d" % index] = text
    return (captures is None) is operator.negated


def _run_effects(tx: Transaction, rule: CompiledRule) -> None:
    for effect in rule.effects:
        effect(tx, rule)


def _with_texts(tx: Transaction, rule: CompiledRule, matched: MatchedValue) -> MatchedValue:
    if rule.msg is None and rule.logdata is None:
        return matched
    return matched._replace(
        message=to_text(rule.msg.expand(tx)) if rule.msg else "",
        data=to_text(rule.logdata.expand(tx)) if rule.logdata else "",
    )
