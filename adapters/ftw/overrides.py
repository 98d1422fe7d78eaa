"""What a platform expects otherwise: go-ftw's override files, and the lists of tests that its configuration ignores.

Two forms: platform overrides (``test_overrides:``, each replaces the whole output of some stages), and go-ftw's
configuration (``testoverride:`` with ``ignore``, ``forcepass`` and ``forcefail``, each a map of a test's name, or a
pattern, to a reason).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from adapters.ftw.documents import items, number, numbers, optional_boolean, read_document
from adapters.ftw.model import Output, read_override_output
from waf_engine.diagnostics import ArgumentError, Diagnostic
from waf_engine.patterns import compile_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from adapters.ftw.model import Case
    from adapters.yaml_reader import Section

    Search = Callable[[bytes], object]


class Forced(StrEnum):
    """What a test's result is, whatever happens."""

    IGNORE = "ignore"
    PASS = "forcepass"  # noqa: S105  no password
    FAIL = "forcefail"


@dataclass(frozen=True, slots=True)
class _Replacement:
    """One entry of ``test_overrides``; empty tuples stand for all tests, all stages."""

    rule_id: int
    test_ids: tuple[int, ...]
    stage_ids: tuple[int, ...]
    retry_once: bool
    output: Output


@dataclass(slots=True)
class Overrides:
    """All overrides of some files.

    Attributes:
        replacements: expectations that are replaced, later ones win.
        forced: names or patterns of tests whose result is given, each with the reason.
        diagnostics: what is wrong with the files.
    """

    replacements: list[_Replacement] = field(default_factory=list)
    forced: list[tuple[Forced, str, Search | None, str]] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def apply(self, case: Case) -> Case:
        """The case with the expectations that hold here."""
        stages = list(case.stages)
        for each in self.replacements:
            if each.rule_id != case.rule_id or (each.test_ids and case.test_id not in each.test_ids):
                continue
            for index, stage in enumerate(stages):
                if not each.stage_ids or index + 1 in each.stage_ids:
                    retry = each.retry_once or each.output.retry_once
                    stages[index] = replace(stage, output=replace(each.output, retry_once=retry))
        return replace(case, stages=tuple(stages))

    def force(self, name: str) -> tuple[Forced, str] | None:
        """What the result of a test is to be, and why; None: what comes of running it."""
        for forced, text, pattern, reason in self.forced:
            if text == name or (pattern is not None and pattern(name.encode()) is not None):
                return forced, reason
        return None


def load_overrides(paths: Iterable[Path]) -> Overrides:
    """Read override files of either form; a file may have both."""
    overrides = Overrides()
    for path in paths:
        top, faults = read_document(path)
        if not faults.found and "test_overrides" not in top and "testoverride" not in top:
            faults.add((1, 1), "no-overrides", "the file has neither `test_overrides:` nor `testoverride:`")
        for entry in top.sections("test_overrides"):
            overrides.replacements.append(_read_replacement(entry))
            entry.finish(strict=False)
        lists = top.section("testoverride")
        for forced in Forced:
            overrides.forced += [(forced, *entry) for entry in _read_list(lists, forced)]
        overrides.diagnostics += faults.found
    return overrides


def _read_replacement(entry: Section) -> _Replacement:
    entry.raw("reason")
    if entry.raw("output") is None:
        entry.faults.add(entry.node or (1, 1), "no-output", "an override has an `output:`, which replaces the test's")
    return _Replacement(
        rule_id=number(entry, "rule_id", 0),
        test_ids=numbers(entry, "test_ids"),
        stage_ids=numbers(entry, "stage_ids"),
        retry_once=bool(optional_boolean(entry, "retry_once")),
        output=read_override_output(entry) if entry.raw("output") is not None else Output(),
    )


def _read_list(lists: Section, forced: Forced) -> list[tuple[str, Search | None, str]]:
    """Names and patterns of one list. What looks like a name is one: ``920280-3`` is not to mean 920280-30 as well."""
    found: list[tuple[str, Search | None, str]] = []
    for text, reason, node in items(lists, forced):
        pattern = None
        if not text.replace("-", "").isalnum():
            try:
                pattern = compile_pattern(text.encode("utf-8", "surrogatepass")).search
            except ArgumentError as error:
                lists.faults.add(node, "bad-pattern", f"{text}: {error.message}", error.hint)
        found.append((text, pattern, reason))
    return found
