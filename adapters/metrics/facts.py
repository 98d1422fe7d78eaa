"""What is known of an application's rules once they are loaded: plain data, for the process that tells Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.rule_sets import RuleSet

MAX_VERSIONS = 20
MAX_OVERRIDES = 200


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one application.

    Attributes:
        rules: how many there are.
        versions: what they say in ``ver``.
        overrides: ids of rules, and how later directives changed them.
        ready: whether they run with their patterns compiled.
        databases: what all applications with the same rules have in common: a number for them, and how many databases
            were compiled and loaded.
    """

    rules: int
    versions: tuple[str, ...] = ()
    overrides: tuple[tuple[int, str], ...] = ()
    ready: bool = True
    databases: tuple[int, int, int] = (0, 0, 0)


def facts_of(rule_sets: Mapping[str, RuleSet]) -> dict[str, Facts]:
    """The facts of all applications, as they are now."""
    found = {}
    for name, each in rule_sets.items():
        waf = each.waf
        made = waf.databases
        found[name] = Facts(
            rules=waf.plan.rule_count,
            versions=tuple(dict.fromkeys(rule.ver for rule in waf.plan.rules if rule.ver))[:MAX_VERSIONS],
            overrides=tuple(dict.fromkeys(waf.plan.overrides))[:MAX_OVERRIDES],
            ready=made is not None and waf.wait(0),
            databases=(id(waf), 0, 0) if made is None else (id(waf), made.compiled, made.loaded),
        )
    return found
