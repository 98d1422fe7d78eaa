"""Expectations against outcomes, in the order of go-ftw; and the hints."""

from __future__ import annotations

import pytest

from adapters.ftw.exchange import Match, Outcome
from adapters.ftw.judge import judge
from adapters.ftw.model import Output
from waf_engine import WAF

PLAN = WAF.from_directives(
    'SecRequestBodyAccess On\nSecAction "id:1,phase:1,pass,log"\nSecAction "id:2,phase:1,pass,nolog"\n'
    'SecAction "id:3,phase:4,pass"\nSecAction "id:4,phase:2,pass,log"'
).plan

LOGGED = Match(1, "one", '[id "1"] [msg "one"]', "f:1")
OTHER = Match(5, "five", '[id "5"] [msg "five"]', "f:5")
SILENT = Match(2, "", "", "f:2")


def _outcome(*matches: Match, status: int = 200, **options: str | int | bytes) -> Outcome:
    return Outcome(status, matches=matches, **options)  # type: ignore[arg-type]  # the tests name the fields


@pytest.mark.parametrize(
    ("output", "outcome"),
    [
        (Output(statuses=(200, 404)), _outcome(status=404)),
        (Output(expect_error=True), _outcome(status=0, blocked="x")),
        (Output(expect_error=True, statuses=(200,), expect_ids=(9,)), _outcome(status=0, refused="x")),
        (Output(expect_error=False, statuses=(200,)), _outcome()),
        (Output(response_contains="X: y"), Outcome(200, (("X", "y"),))),
        (Output(response_contains="\xe9"), _outcome(body=b"\xc3\xa9")),
        (Output(expect_ids=(1, 5)), _outcome(LOGGED, OTHER)),
        (Output(expect_ids=(1,), isolated=True), _outcome(LOGGED, SILENT, LOGGED)),
        (Output(no_expect_ids=(2,)), _outcome(LOGGED, SILENT)),
        (Output(match_regex='id "1".*one'), _outcome(OTHER, LOGGED)),
        (Output(no_match_regex="id.*six"), _outcome(OTHER, LOGGED)),
    ],
)
def test_as_expected(output: Output, outcome: Outcome):
    assert judge(output, outcome, PLAN) == []


@pytest.mark.parametrize(
    ("output", "outcome", "expected"),
    [
        (Output(statuses=(200,)), _outcome(status=0, blocked="b"), "a response"),
        (Output(expect_error=True), _outcome(), "no response (expect_error)"),
        (Output(statuses=(403, 401)), _outcome(), "status 403 or 401"),
        (Output(response_contains="x"), _outcome(body=b"y"), "'x' in the response"),
        (Output(expect_ids=(5,)), _outcome(LOGGED), "rule 5 to match"),
        (Output(isolated=True), _outcome(LOGGED, OTHER), "exactly one rule in the log (isolated)"),
        (Output(isolated=True), _outcome(SILENT), "exactly one rule in the log (isolated)"),
        (Output(no_expect_ids=(1,)), _outcome(LOGGED), "rule 1 not to match"),
        # a pattern holds for one line, not for the log as a whole
        (Output(match_regex="one(.|\\n)*five"), _outcome(LOGGED, OTHER), "a log line with /one(.|\\n)*five/"),
        (Output(no_match_regex="on[e]"), _outcome(LOGGED), "no log line with /on[e]/"),
    ],
)
def test_not_as_expected(output: Output, outcome: Outcome, expected: str):
    assert [fault.expected for fault in judge(output, outcome, PLAN)] == [expected]


def test_all_faults_are_told():
    output = Output(statuses=(403,), expect_ids=(5, 6), no_expect_ids=(1,))

    assert len(judge(output, _outcome(LOGGED), PLAN)) == 4


@pytest.mark.parametrize(
    ("rule_id", "outcome", "hint"),
    [
        (2, _outcome(SILENT), "did match, but it is not logged"),
        (99, _outcome(), "there is no rule 99 among the 4 rules"),
        (3, _outcome(), "SecResponseBodyAccess is Off"),
        (4, _outcome(), "the rule: <directives>:5"),
        (4, _outcome(status=403, blocked="deny by rule 1"), "the exchange ended before: deny by rule 1"),
        (4, _outcome(status=400, refused="x"), "no rule saw the request"),
    ],
)
def test_hints_for_a_rule_that_is_not_in_the_log(rule_id: int, outcome: Outcome, hint: str):
    (fault,) = judge(Output(expect_ids=(rule_id,)), outcome, PLAN)

    assert hint in fault.hint


@pytest.mark.parametrize(
    ("settings", "hint"), [("SecRuleEngine Off", "SecRuleEngine is Off"), ("", "SecRequestBodyAccess is Off")]
)
def test_hints_of_settings(settings: str, hint: str):
    plan = WAF.from_directives(f'{settings}\nSecRule ARGS "x" "id:1,phase:2,log"').plan
    (fault,) = judge(Output(expect_ids=(1,)), _outcome(), plan)

    assert hint in fault.hint


def test_a_status_that_detection_only_prevents():
    (fault,) = judge(Output(statuses=(403,)), _outcome(would_block=7), PLAN)

    assert "rule 7 would have blocked" in fault.hint
    assert str(fault) == "expected status 403, got status 200"
