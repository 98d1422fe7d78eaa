"""Prechecks: for a rule that no scan speaks for, a cheap function that says whether it can match at all.

A precheck reads the rule's targets and asks its operator, and does nothing else: no captures, no effects. Where
it says True the rule is evaluated in full. It may say True too often, never False wrongly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from waf_engine.compiler.static import SIDE_EFFECT_FREE
from waf_engine.runtime.reference import read_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.compiler.plan import CompiledRule, Operator, Target
    from waf_engine.runtime.planned import Precheck
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Test

    ValueTest = Callable[[bytes, Transaction], bool]


OF_THE_RULE: Final = ("RULE", "MATCHED_VARS", "MATCHED_VARS_NAMES")
"""Variables that belong to the running rule: before it runs they are still those of the rule before."""


def precheck_of(rule: CompiledRule) -> Precheck | None:
    """The precheck of a rule, or None: it has to be evaluated.

    A rule that captures with a negated operator changes TX without matching, and an operator that changes the
    transaction must run as often as the rules say; neither has a precheck.
    """
    operator = rule.operator
    if operator is None or operator.name not in SIDE_EFFECT_FREE or (rule.capture and operator.negated):
        return None
    if rule.multi_match or (operator.name == "rx" and "%{" in operator.argument):
        return None
    named = operator.argument.upper()
    if any(t.variable.name in OF_THE_RULE for t in rule.targets) or any(f"%{{{name}" in named for name in OF_THE_RULE):
        return None
    test = _value_test(rule, operator)
    checks = [_target_check(target, test) for target in rule.targets]
    if len(checks) == 1:
        return checks[0]
    return lambda tx: any(check(tx) for check in checks)


def _value_test(rule: CompiledRule, operator: Operator) -> ValueTest:
    """Whether the rule's operator, behind its transformations, takes a value."""
    functions = tuple(function for _, function in rule.transformations)
    test: Test = operator.test
    negated = operator.negated
    if not functions:
        return lambda value, tx: (test(value, tx) is None) is negated

    def transformed(value: bytes, tx: Transaction) -> bool:
        for function in functions:
            value = function(value)
        return (test(value, tx) is None) is negated

    return transformed


def _target_check(target: Target, test: ValueTest) -> Precheck:
    """Whether one of the values of a target is taken; run-time exclusions are left to the full evaluation."""
    variable, key = target.variable, target.key
    if variable.name == "TX" and key is not None and not target.exclusions and target.pattern is None:
        if target.count:
            return lambda tx: test(b"1" if key in tx.tx else b"0", tx)

        def member(tx: Transaction) -> bool:
            value = tx.tx.get(key)
            return value is not None and test(value, tx)

        return member
    if target.count:
        # An exclusion made at run time lowers a count: no shortcut.
        return lambda tx: bool(tx.removed_targets) or any(test(v, tx) for _, v in read_target(tx, target))
    if variable.select is None and not target.exclusions and target.pattern is None:
        read = variable.read
        if key is None:
            return lambda tx: any(test(value, tx) for _, value in read(tx))
        return lambda tx: any(test(value, tx) for name, value in read(tx) if name.lower() == key)
    return lambda tx: any(test(value, tx) for _, value in read_target(tx, target))
