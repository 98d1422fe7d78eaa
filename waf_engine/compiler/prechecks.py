"""Prechecks: for a rule that is visited, a cheap function that says whether it can match at all.

A precheck reads the rule's targets and asks its operator, and does nothing else: no captures, no effects. Where
it says True the rule is evaluated in full. It may say True too often, never False wrongly. In a chain whose first
members do nothing but ask, the later members are asked as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from waf_engine.compiler.static import PURE, SIDE_EFFECT_FREE, is_silent
from waf_engine.runtime.evaluate import select_entries
from waf_engine.runtime.reference import read_target
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.compiler.plan import CompiledRule, Operator, Target
    from waf_engine.runtime.planned import Precheck
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Test, TransactionView

    ValueTest = Callable[[bytes, TransactionView], bool]


OF_THE_RULE: Final = ("RULE", "MATCHED_VARS", "MATCHED_VARS_NAMES")
"""Variables that belong to the running rule: before it runs they are still those of the rule before."""
OF_THE_MATCH: Final = ("MATCHED_VAR", "MATCHED_VAR_NAME")
"""Variables that an earlier member of the same chain sets."""

COUNTED: Final = 4
"""Numbers of members for which the answer of a count is known beforehand."""


def precheck_of(rule: CompiledRule, *, by_chain: bool = False) -> Precheck | None:
    """The precheck of a rule, or None: it has to be evaluated.

    An operator that changes the transaction must run as often as the rules say: its rule has no precheck. One that
    captures with a negated operator changes TX without matching: it is asked only whether it has a value.

    Args:
        rule: the rule.
        by_chain: whether the members of its chain may be asked too: that is, whether nobody reads MATCHED_VAR as a rule
            left it whose chain did not match.
    """
    cheap: list[Precheck] = []
    others: list[Precheck] = []
    for level, member in enumerate(rule.members()):
        checks = _member_checks(member, level, rule.id)
        if checks is None:
            break
        check = checks[0] if len(checks) == 1 else _any_of(checks)
        (cheap if all(target.count for target in member.targets) else others).append(check)
        if not by_chain or not is_silent(member):
            break
    asked = cheap + others
    if not asked:
        return None
    if len(asked) == 1:
        return asked[0]
    return _all_of(asked)


def _any_of(checks: list[Precheck]) -> Precheck:
    def any_of(tx: Transaction) -> bool:
        for check in checks:  # noqa: SIM110  a generator takes twice as long
            if check(tx):
                return True
        return False

    return any_of


def _all_of(checks: list[Precheck]) -> Precheck:
    def all_of(tx: Transaction) -> bool:
        for check in checks:  # noqa: SIM110  a generator takes twice as long
            if not check(tx):
                return False
        return True

    return all_of


def _member_checks(rule: CompiledRule, level: int, starter: int) -> list[Precheck] | None:
    """For each target of a rule, or of a member of its chain, whether it may match; None where that cannot be told.

    Args:
        rule: the member.
        level: its place in the chain.
        starter: the id of the chain.
    """
    operator = rule.operator
    if operator is None or operator.name not in SIDE_EFFECT_FREE:
        return None
    if rule.multi_match or (operator.name == "rx" and "%{" in operator.argument):
        return None
    named = operator.argument.upper()
    moving = OF_THE_RULE + OF_THE_MATCH if level else OF_THE_RULE
    if any(t.variable.name in moving for t in rule.targets) or any(f"%{{{name}" in named for name in moving):
        return None
    if rule.capture and operator.negated:  # it captures from values on which it does not match: any will do
        return [_presence_check(target) for target in rule.targets]
    test = _value_test(rule, operator)
    return [_target_check(target, operator, test, starter) for target in rule.targets]


def tx_reads(rule: CompiledRule) -> frozenset[bytes] | None:
    """The members of TX that a rule's precheck may read; None when that, or what else blocks change, cannot be told."""
    found: set[bytes] = set()
    for member in rule.members():
        operator = member.operator
        for target in member.targets:
            if target.variable.name == "TX":
                if target.key is None:
                    return None
                found.add(target.key)
            elif target.variable.volatile and target.variable.name not in SETTLED:
                return None
        if operator is not None and "%{" in operator.argument:
            keys = _macro_keys(operator.argument)
            if keys is None:
                return None
            found |= keys
    return frozenset(found)


SETTLED: Final = frozenset({"REQBODY_PROCESSOR"})
"""Volatile variables that no rule on TX alone changes."""


def _macro_keys(text: str) -> set[bytes] | None:
    """The members of TX that a text names, if it names nothing else."""
    found: set[bytes] = set()
    for piece in text.split("%{")[1:]:
        name = piece.partition("}")[0]
        collection, _, key = name.replace(":", ".", 1).partition(".")
        if collection.upper() != "TX" or not key:
            return None
        found.add(encode_argument(key).lower())
    return found


def _value_test(rule: CompiledRule, operator: Operator) -> ValueTest:
    """Whether the rule's operator, behind its transformations, takes a value."""
    functions = tuple(function for _, function in rule.transformations)
    test: Test = operator.test
    negated = operator.negated
    if not functions:
        if negated:
            return lambda value, tx: test(value, tx) is None
        return lambda value, tx: test(value, tx) is not None
    if len(functions) == 1:
        (only,) = functions
        return lambda value, tx: (test(only(value), tx) is None) is negated

    def transformed(value: bytes, tx: TransactionView) -> bool:
        for function in functions:
            value = function(value)
        return (test(value, tx) is None) is negated

    return transformed


def _presence_check(target: Target) -> Precheck:
    return lambda tx: bool(select_entries(tx, target))


def _target_check(target: Target, operator: Operator, test: ValueTest, starter: int) -> Precheck:
    """Whether one of the values of a target is taken; run-time exclusions are left to the full evaluation."""
    variable, key = target.variable, target.key
    simple = key is not None and not target.exclusions and target.pattern is None
    if simple and variable.name == "TX":
        return _tx_check(target, operator, test)
    if simple and variable.name == "REQUEST_HEADERS":
        return _header_check(target, operator, test, starter)
    if target.count:
        # An exclusion made at run time lowers a count: no shortcut.
        def counted(tx: Transaction) -> bool:
            return starter in tx.removed_targets or any(test(v, tx) for _, v in read_target(tx, target))

        return counted
    if variable.select is None and not target.exclusions and target.pattern is None:
        read = variable.read

        def values(tx: Transaction) -> bool:
            for name, value in read(tx):  # noqa: SIM110  a generator takes twice as long
                if (key is None or name.lower() == key) and test(value, tx):
                    return True
            return False

        return values
    return lambda tx: any(test(value, tx) for _, value in select_entries(tx, target))


def _tx_check(target: Target, operator: Operator, test: ValueTest) -> Precheck:
    key = target.key
    assert key is not None
    if target.count:
        absent, present = _counts(operator, test, 2)
        return lambda tx: (present(tx) or bool(tx.removed_targets)) if key in tx.tx else absent(tx)

    def member(tx: Transaction) -> bool:
        value = tx.tx.get(key)
        return value is not None and test(value, tx)

    return member


def _header_check(target: Target, operator: Operator, test: ValueTest, starter: int) -> Precheck:
    key = target.key
    assert key is not None
    if target.count:
        known = _counts(operator, test, COUNTED)

        def count(tx: Transaction) -> bool:
            number = len(tx.request.header_values(key))
            if starter in tx.removed_targets:
                return True
            return known[number](tx) if number < COUNTED else test(b"%d" % number, tx)

        return count

    def values(tx: Transaction) -> bool:
        for value in tx.request.header_values(key):  # noqa: SIM110  a generator takes twice as long
            if test(value, tx):
                return True
        return False

    return values


def _counts(operator: Operator, test: ValueTest, numbers: int) -> list[Precheck]:
    """For each number of members whether a count takes it: known beforehand where the operator's argument is fixed."""
    fixed = operator.name in PURE and "%{" not in operator.argument
    return [_count(test, b"%d" % number, fixed=fixed) for number in range(numbers)]


def _count(test: ValueTest, text: bytes, *, fixed: bool) -> Precheck:
    if not fixed:
        return lambda tx: test(text, tx)
    return _yes if test(text, cast("TransactionView", None)) else _no


def _yes(_tx: Transaction) -> bool:
    return True


def _no(_tx: Transaction) -> bool:
    return False
