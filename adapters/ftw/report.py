"""Results for machines: JUnit's XML, which CI systems show, and JSON, which has everything.

Not here: what people read (console.py).
"""

from __future__ import annotations

import html
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from adapters.ftw.runner import Result
from waf_engine.runtime.match import printable
from waf_engine.types import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adapters.ftw.runner import CaseResult, StageResult

_NOT_XML = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), 0x7F, 0xFFFE, 0xFFFF) if code not in (9, 10, 13)
}
"""Characters that no XML document may have (XML 1.0, 2.2), and DEL, which is as useless."""


def count(results: Iterable[CaseResult]) -> Counter[Result]:
    """How many cases had each result."""
    return Counter(result.result for result in results)


def junit(results: Sequence[CaseResult], seconds: float) -> str:
    """Results as JUnit's XML: a test suite for each file.

    Args:
        results: in the order in which they are to appear.
        seconds: of wall-clock time, all in all.
    """
    suites: dict[str, list[CaseResult]] = {}
    for result in results:
        suites.setdefault(result.case.where.file, []).append(result)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        _open("testsuites", name="spoa-waf test", **_totals(results, seconds)),
    ]
    for file, inside in suites.items():
        lines.append(_open("testsuite", name=file, **_totals(inside, sum(each.seconds for each in inside))))
        lines += [line for each in inside for line in _junit_case(each)]
        lines.append("</testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _totals(results: Sequence[CaseResult], seconds: float) -> dict[str, str]:
    counts = count(results)
    return {
        "tests": str(len(results)),
        "failures": str(counts[Result.FAILED]),
        "errors": str(counts[Result.CRASHED]),
        "skipped": str(counts[Result.IGNORED]),
        "time": f"{seconds:.3f}",
    }


def _junit_case(result: CaseResult) -> list[str]:
    case = result.case
    start = _open(
        "testcase",
        classname=case.where.file,
        name=case.name,
        file=case.where.file,
        line=str(case.where.line),
        time=f"{result.seconds:.3f}",
    )
    match result.result:
        case Result.PASSED:
            return [start + "</testcase>"]
        case Result.IGNORED:
            return [start, _open("skipped", message=result.reason) + "</skipped>", "</testcase>"]
        case Result.CRASHED:
            message = result.reason.strip().rsplit("\n", 1)[-1]
            return [start, _open("error", message=message) + _text(result.reason) + "</error>", "</testcase>"]
    message = "; ".join(map(str, result.faults)) or result.reason
    text = "\n".join([case.description, *(line for stage in result.stages for line in _log(stage))]).strip()
    return [start, _open("failure", message=message) + _text(text) + "</failure>", "</testcase>"]


def _log(stage: StageResult) -> list[str]:
    return [printable(match.line) for match in stage.outcome.logged]


def _open(tag: str, **attributes: str) -> str:
    return f"<{tag}" + "".join(f' {name}="{_text(value)}"' for name, value in attributes.items()) + ">"


def _text(text: str) -> str:
    return html.escape(printable(text).translate(_NOT_XML))


def to_json(results: Sequence[CaseResult], seconds: float) -> str:
    """Results as JSON: ``summary``, and ``tests`` with the stages that were run.

    Args:
        results: in the order in which they are to appear.
        seconds: of wall-clock time, all in all.
    """
    counts = count(results)
    summary: dict[str, Any] = {str(result): counts[result] for result in Result}
    summary |= {"tests": len(results), "seconds": round(seconds, 3)}
    return json.dumps({"summary": summary, "tests": [_test(result) for result in results]}, indent=1) + "\n"


def _test(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "name": case.name,
        "description": case.description,
        "file": case.where.file,
        "line": case.where.line,
        "result": str(result.result),
        "reason": result.reason,
        "seconds": round(result.seconds, 6),
        "stages": [_stage(stage) for stage in result.stages],
    }


def _stage(stage: StageResult) -> dict[str, Any]:
    outcome = stage.outcome
    return {
        "number": stage.number,
        "request_line": printable(to_text(stage.request.split(b"\n", 1)[0].rstrip(b"\r"))),
        "status": outcome.status,
        "refused": outcome.refused,
        "blocked": outcome.blocked,
        "rules": [match.rule_id for match in outcome.matches],
        "logged": [match.rule_id for match in outcome.logged],
        "faults": [
            {"expected": printable(fault.expected), "got": printable(fault.got), "hint": printable(fault.hint)}
            for fault in stage.faults
        ],
    }
