"""JUnit's XML and JSON."""

from __future__ import annotations

import json

from lxml import etree

from adapters.ftw.exchange import Match, Outcome
from adapters.ftw.judge import Fault
from adapters.ftw.model import Case, Input, Output, Stage
from adapters.ftw.report import junit, to_json
from adapters.ftw.runner import CaseResult, Result, StageResult
from waf_engine.diagnostics import Span

_LINE = '[id "7"] [data "<\x01\udcff>"]'


def _result(name: str, result: Result, file: str = "a.yaml", **options: object) -> CaseResult:
    where = Span(file, 3, 5)
    case = Case(
        name=name,
        rule_id=1,
        test_id=1,
        stages=(Stage(input=Input(), output=Output(), where=where),),
        where=where,
        description="<what>",
    )
    return CaseResult(case, result, 0.25, **options)  # type: ignore[arg-type]  # the tests name the fields


def _results() -> list[CaseResult]:
    outcome = Outcome(200, matches=(Match(7, "m", _LINE, "f:1"), Match(8, "", "", "f:2")))
    stage = StageResult(1, b"GET /\xff HTTP/1.1\r\n\r\n", outcome, (Fault("rule 9 to match", "no \x01 match", "look"),))
    return [
        _result("1-1", Result.PASSED),
        _result("1-2", Result.FAILED, stages=(stage,)),
        _result("2-1", Result.IGNORED, "b.yaml", reason='because "it" is'),
        _result("2-2", Result.CRASHED, "b.yaml", reason="Traceback\nValueError: x"),
        _result("2-3", Result.FAILED, "b.yaml", reason="forced"),
    ]


def test_junit_is_xml_with_a_suite_for_each_file():
    root = etree.fromstring(junit(_results(), 2.5).encode())
    suites = [dict(suite.attrib) for suite in root]

    assert root.tag == "testsuites"
    assert [root.get(key) for key in ("tests", "failures", "errors", "skipped", "time")] == [
        "5",
        "2",
        "1",
        "1",
        "2.500",
    ]
    assert [suite["name"] for suite in suites] == ["a.yaml", "b.yaml"]
    assert suites[1] | {"time": ""} == {
        "name": "b.yaml", "tests": "3", "failures": "1", "errors": "1", "skipped": "1", "time": "",
    }  # fmt: skip
    assert [len(case) for case in root.iter("testcase")] == [0, 1, 1, 1, 1]


def test_junit_says_what_failed_and_where():
    root = etree.fromstring(junit(_results(), 1).encode())
    (case, forced) = [element.getparent() for element in root.iter("failure")]
    skipped, error = next(root.iter("skipped")), next(root.iter("error"))

    assert (case.get("name"), case.get("file"), case.get("line")) == ("1-2", "a.yaml", "3")
    assert case[0].get("message") == "expected rule 9 to match, got no \N{REPLACEMENT CHARACTER} match"
    assert case[0].text == '<what>\n[id "7"] [data "<\N{REPLACEMENT CHARACTER}\\xff>"]'
    assert forced[0].get("message") == "forced"
    assert skipped.get("message") == 'because "it" is'
    assert (error.get("message"), error.text) == ("ValueError: x", "Traceback\nValueError: x")


def test_json_has_everything():
    document = json.loads(to_json(_results(), 2.5))

    assert document["summary"] == {
        "passed": 1, "failed": 2, "ignored": 1, "crashed": 1, "tests": 5, "seconds": 2.5,
    }  # fmt: skip
    assert document["tests"][1] == {
        "name": "1-2",
        "description": "<what>",
        "file": "a.yaml",
        "line": 3,
        "result": "failed",
        "reason": "",
        "seconds": 0.25,
        "stages": [
            {
                "number": 1,
                "request_line": "GET /\\xff HTTP/1.1",
                "status": 200,
                "refused": "",
                "blocked": "",
                "rules": [7, 8],
                "logged": [7],
                "faults": [{"expected": "rule 9 to match", "got": "no \x01 match", "hint": "look"}],
            }
        ],
    }
