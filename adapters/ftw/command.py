"""What `spoa-waf test` does: tests and rules loaded, run, reported.

Here: which rules and tests, and the exit status: 0 when every test passed, 1 when one failed, 2 when there was nothing
to run or the tests, the rules or the arguments are faulty. Not here: the arguments (arguments.py).
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.config import EMBEDDED_RULES, ConfigError, load_config
from adapters.crs.find import embedded_rules, explain
from adapters.ftw.console import Reporter
from adapters.ftw.model import load_cases
from adapters.ftw.overrides import load_overrides
from adapters.ftw.report import junit, to_json
from adapters.ftw.runner import Result, Runner
from adapters.rule_sets import load_rule_sets, rule_language
from waf_engine import WAF, SecLangError
from waf_engine.diagnostics import Severity, render_all

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from adapters.ftw.model import Case
    from adapters.ftw.overrides import Overrides
    from adapters.ftw.runner import CaseResult
    from waf_engine.diagnostics import Diagnostic


class UsageError(Exception):
    """Nothing can be run: the text says why, for people."""


def run_test_command(options: argparse.Namespace) -> int:
    """Run the tests.

    Args:
        options: as `arguments.py` has them parsed.

    Returns:
        The exit status: 0 all passed, 1 a test failed, 2 nothing could be run.
    """
    try:
        cases, overrides = _load_tests(options)
        waf = load_rules(options)
        waf.log.audit = waf.log.debug = None  # a test leaves no traces in the logs of the site
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    started = time.perf_counter()
    reporter = Reporter(sys.stdout, sys.stderr, show_log=options.show_log, verbose=options.verbose)
    results = _run(Runner(waf, overrides, client=options.client_ip), cases, options, reporter)
    seconds = time.perf_counter() - started
    reporter.summary(results, len(cases), seconds)
    for path, text in ((options.junit, junit), (options.json, to_json)):
        if path is not None:
            try:
                path.write_text(text(results, seconds), encoding="utf-8")
            except OSError as error:
                sys.stderr.write(f"{path} cannot be written: {error.strerror}\n")
                return 2
    return 1 if any(result.result in (Result.FAILED, Result.CRASHED) for result in results) else 0


def _run(runner: Runner, cases: Sequence[Case], options: argparse.Namespace, reporter: Reporter) -> list[CaseResult]:
    """All results in the order of the tests; with --fail-fast and after an interrupt those that were there by then."""
    order = {case.where: index for index, case in enumerate(cases)}
    results: list[CaseResult] = []
    with closing(runner.run(cases, processes=options.jobs or _processors())) as running:
        try:
            for result in reporter.follow(running, len(cases)):
                results.append(result)
                if options.fail_fast and result.result in (Result.FAILED, Result.CRASHED):
                    break
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
    return sorted(results, key=lambda result: order[result.case.where])


def _load_tests(options: argparse.Namespace) -> tuple[list[Case], Overrides]:
    missing = [str(path) for path in options.paths if not path.exists()]
    if missing:
        raise UsageError(f"there is no {' and no '.join(missing)}")
    loaded = load_cases(options.paths)
    overrides = load_overrides(options.overrides)
    diagnostics = [*loaded.diagnostics, *overrides.diagnostics]
    _warn(diagnostics)
    errors = [fault for fault in diagnostics if fault.severity is Severity.ERROR]
    if errors:
        raise UsageError(
            f"{render_all(errors)}\n\n{len(errors)} error{'s'[: len(errors) != 1]} in the tests: none was run"
        )
    cases = [case for case in loaded.cases if _wanted(case.name, options)]
    if not cases:
        found = (
            f"{len(loaded.cases)} tests in {loaded.files} files, none of them is wanted" if loaded.cases else "no tests"
        )
        raise UsageError(f"{found}: {', '.join(map(str, options.paths))}")
    return cases, overrides


def _wanted(name: str, options: argparse.Namespace) -> bool:
    included = options.include is None or options.include.search(name) is not None
    return included and (options.exclude is None or options.exclude.search(name) is None)


def load_rules(options: argparse.Namespace) -> WAF:
    """The rules that the arguments name; what is worth a word about them goes to standard error.

    Args:
        options: with the arguments of `arguments.add_rule_arguments`.

    Raises:
        UsageError: there are none, or they have faults.
    """
    if options.application is not None and options.config is None:
        raise UsageError("--application goes with -c")
    try:
        if options.config is not None:
            return _configured(options)
        registries = rule_language(plugins=not options.no_plugins)
        if options.rules is not None:
            waf = WAF.from_files(options.rules, registries=registries, embedded=embedded_rules())
        else:
            text = EMBEDDED_RULES if options.directives is None else options.directives
            waf = WAF.from_directives(text, registries=registries, embedded=embedded_rules())
    except SecLangError as error:
        raise UsageError(str(SecLangError([explain(fault) for fault in error.diagnostics]))) from error
    except ConfigError as error:
        raise UsageError(str(error)) from error
    _warn(waf.plan.diagnostics)
    return waf


def _configured(options: argparse.Namespace) -> WAF:
    config = load_config(options.config)
    names = [application.name for application in config.applications]
    name = options.application or config.default_application or (names[0] if len(names) == 1 else None)
    if name not in names:
        which = "names no application" if name is None else f"has no application {name!r}"
        raise UsageError(f"{options.config} {which}: --application is one of {', '.join(names) or '(none)'}")
    rule_set = load_rule_sets(replace(config, plugins=config.plugins and not options.no_plugins))[name]
    _warn([*config.warnings, *rule_set.warnings])
    return rule_set.waf


def _warn(diagnostics: Sequence[Diagnostic]) -> None:
    warnings = [fault for fault in dict.fromkeys(diagnostics) if fault.severity is Severity.WARNING]
    if warnings:
        sys.stderr.write(f"{render_all(warnings)}\n\n")


def _processors() -> int:
    """The processors that this process may use; all of the machine where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
