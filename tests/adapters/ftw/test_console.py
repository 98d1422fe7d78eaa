"""What people read."""

from __future__ import annotations

import io

from adapters.ftw.console import MAX_SHOWN, Reporter
from adapters.ftw.exchange import Match, Outcome
from adapters.ftw.judge import Fault
from adapters.ftw.model import Case, Input, Output, Stage
from adapters.ftw.runner import CaseResult, Result, StageResult
from waf_engine.diagnostics import Span

WHERE = Span("tests/a.yaml", 3)


def _case(stages: int = 1) -> Case:
    stage = Stage(input=Input(), output=Output(), where=WHERE)
    return Case(name="1-2", rule_id=1, test_id=2, stages=(stage,) * stages, where=WHERE, description="what it is")


def _failed(outcome: Outcome, fault: Fault, stages: int = 1) -> CaseResult:
    stage = StageResult(stages, b"GET /[red]x\x07 HTTP/1.1\r\n\r\n", outcome, (fault,))
    return CaseResult(_case(stages), Result.FAILED, stages=(stage,))


def _shown(*results: CaseResult, **options: bool) -> str:
    out = io.StringIO()
    reporter = Reporter(out, io.StringIO(), **options)
    for result in results:
        reporter.show(result)
    return out.getvalue()


FAULT = Fault("rule 9 to match", "no match", "there is no rule 9 among the 4 rules that are loaded")


def test_a_test_that_failed():
    matches = (Match(7, "seven", "line of 7", "f:1"), Match(8, "", "", "f:2"), Match(8, "", "", "f:2"))
    text = _shown(_failed(Outcome(200, matches=matches), FAULT))

    assert text == (
        "FAILED   1-2  what it is  tests/a.yaml:3\n"
        "  expected rule 9 to match\n"
        "  got      no match\n"
        "  hint     there is no rule 9 among the 4 rules that are loaded\n"
        "  request  GET /[red]x\\x07 HTTP/1.1\n"
        "  answer   200 of the backend: the WAF let it pass\n"
        "  matched  7 seven\n"
        "  silent   8 (1 rules with nolog)\n"
        "\n"
    )


def test_the_log_on_request():
    outcome = Outcome(403, matches=(Match(7, "seven", "line of 7", "f:1"),), blocked="deny by rule 7")
    text = _shown(_failed(outcome, FAULT, stages=2), show_log=True)

    assert "  stage    2 of 2\n" in text
    assert "  answer   403: deny by rule 7\n" in text
    assert text.endswith("  line of 7\n\n")


def test_a_refused_request_has_no_rules_to_list():
    text = _shown(_failed(Outcome(400, refused="why it was"), FAULT))

    assert "  answer   400 of the HTTP server, not of the WAF: why it was\n" in text
    assert "matched" not in text


def test_many_rules_are_cut():
    matches = tuple(Match(n, "", "line", "") for n in range(MAX_SHOWN + 3))

    assert "           and 3 more\n" in _shown(_failed(Outcome(200, matches=matches), FAULT))


def test_what_passed_is_shown_on_request_only():
    results = [
        CaseResult(_case(), Result.PASSED),
        CaseResult(_case(), Result.IGNORED, reason="not here"),
        CaseResult(_case(), Result.CRASHED, reason="Traceback\nValueError: x\n"),
    ]

    assert _shown(*results).splitlines() == [
        "CRASHED  1-2  what it is  tests/a.yaml:3",
        "  why      Traceback",
        "  why      ValueError: x",
        "",
    ]
    assert [line.split()[0] for line in _shown(*results, verbose=True).splitlines() if line[:1].isalpha()] == [
        "PASSED", "IGNORED", "CRASHED",
    ]  # fmt: skip
    assert "  reason   not here\n" in _shown(*results, verbose=True)


def test_follow_passes_all_on_and_the_summary_counts():
    out, bar = io.StringIO(), io.StringIO()
    reporter = Reporter(out, bar)
    results = [CaseResult(_case(), Result.PASSED), CaseResult(_case(), Result.IGNORED), _failed(Outcome(200), FAULT)]
    followed = list(reporter.follow(iter(results), 5))
    reporter.summary(followed, 5, 1.25)

    assert followed == results
    assert bar.getvalue() == ""  # no terminal, no bar
    assert out.getvalue().splitlines()[-1] == "1 passed, 1 failed, 1 ignored, 2 not run in 1.2 s"
