"""Cases: stages in order, what they hand on, second tries, forced results, crashes, several processes."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from adapters.ftw.model import Case, Input, Output, Reply, Stage, load_cases
from adapters.ftw.overrides import Overrides, load_overrides
from adapters.ftw.runner import CHUNK, Result, Runner
from waf_engine import WAF
from waf_engine.diagnostics import Span

if TYPE_CHECKING:
    from pathlib import Path

RULES = """SecRuleEngine On
SecRule ARGS:q "@streq bad" "id:1,phase:1,deny,log,status:403"
SecRule REQUEST_COOKIES:s "@rx (.+)" "id:2,phase:1,pass,log,msg:'cookie %{MATCHED_VAR}'"
SecAction "id:3,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}"
SecAction "id:4,phase:1,pass,nolog,setvar:ip.n=+1"
SecRule IP:n "@eq 2" "id:5,phase:1,pass,log"
"""


@pytest.fixture(scope="module")
def waf() -> WAF:
    return WAF.from_directives(RULES)


def _case(*stages: tuple[Input, Output], name: str = "1-1", line: int = 1) -> Case:
    made = tuple(Stage(input=request, output=output, where=Span("f", line)) for request, output in stages)
    return Case(name=name, rule_id=1, test_id=1, stages=made, where=Span("f", line))


BAD, GOOD = Input(uris=("/?q=bad",)), Input(uris=("/?q=good",))
BLOCKED, PASSED = Output(statuses=(403,)), Output(statuses=(200,))


def test_stages_are_run_until_one_fails(waf: WAF):
    result = Runner(waf).run_case(_case((BAD, BLOCKED), (GOOD, BLOCKED), (BAD, BLOCKED)))

    assert (result.result, len(result.stages)) == (Result.FAILED, 2)
    assert [fault.expected for fault in result.faults] == ["status 403"]
    assert result.stages[1].number == 2
    assert result.stages[1].request.startswith(b"GET /?q=good HTTP/1.1\r\n")


def test_every_uri_is_a_request_of_its_own(waf: WAF):
    both = Input(uris=("/?q=bad", "/?q=good"))
    result = Runner(waf).run_case(_case((both, BLOCKED)))

    assert (result.result, [stage.number for stage in result.stages]) == (Result.FAILED, [1, 1])


def test_cookies_are_kept_and_sent(waf: WAF):
    gives = Input(save_cookie=True, reply=Reply(headers=(("Set-Cookie", "s=abc; Path=/"), ("set-cookie", "t=1"))))
    result = Runner(waf).run_case(_case((gives, PASSED), (Input(), Output(match_regex="cookie abc"))))

    assert result.result is Result.PASSED
    assert b"\r\nCookie: s=abc; t=1\r\n" in result.stages[1].request


def test_cookies_are_not_kept_unless_asked_for(waf: WAF):
    gives = Input(reply=Reply(headers=(("Set-Cookie", "s=abc"),)))
    result = Runner(waf).run_case(_case((gives, PASSED), (Input(), Output(no_expect_ids=(2,)))))

    assert result.result is Result.PASSED


def test_redirects_are_followed(waf: WAF):
    leads = Input(reply=Reply(status=302, headers=(("Location", "/?q=bad"),)))
    follows = Input(follow_redirect=True)

    assert Runner(waf).run_case(_case((leads, Output(statuses=(302,))), (follows, BLOCKED))).result is Result.PASSED
    (fault,) = Runner(waf).run_case(_case((GOOD, PASSED), (follows, BLOCKED))).faults
    assert fault.got == "a response without Location"


def test_a_stage_is_tried_twice_when_it_says_so(waf: WAF):
    once, twice = Output(expect_ids=(5,)), Output(expect_ids=(5,), retry_once=True)

    assert Runner(waf).run_case(_case((GOOD, once))).result is Result.FAILED
    assert Runner(waf).run_case(_case((GOOD, twice))).result is Result.PASSED


def test_each_case_has_collections_of_its_own(waf: WAF):
    runner = Runner(waf)
    once, second = Output(no_expect_ids=(5,)), Output(expect_ids=(5,))
    case = _case((GOOD, once), (GOOD, second))

    assert [runner.run_case(case).result for _ in range(3)] == [Result.PASSED] * 3


def test_the_client_has_an_address():
    waf = WAF.from_directives('SecRule REMOTE_ADDR "@ipMatch 198.51.100.0/24" "id:1,phase:1,deny"')

    assert Runner(waf, client="198.51.100.9").run_case(_case((GOOD, BLOCKED))).result is Result.PASSED


def test_results_that_are_given(waf: WAF, tmp_path: Path):
    file = tmp_path / "o.yaml"
    file.write_text("testoverride: {ignore: {1-1: why}, forcepass: {1-2: p}, forcefail: {1-3: f}}\n")
    runner = Runner(waf, load_overrides([file]))
    results = [runner.run_case(_case((GOOD, BLOCKED), name=name)) for name in ("1-1", "1-2", "1-3", "1-4")]

    assert [result.result for result in results] == [Result.IGNORED, Result.PASSED, Result.FAILED, Result.FAILED]
    assert [result.reason for result in results] == ["why", "p", "f", ""]


def test_what_the_engine_raises_is_a_crash(waf: WAF, monkeypatch: pytest.MonkeyPatch):
    def fails(*_args: object) -> None:
        raise RuntimeError("engine on fire")

    monkeypatch.setattr(waf, "transaction", fails)
    result = Runner(waf).run_case(_case((GOOD, PASSED)))

    assert result.result is Result.CRASHED
    assert result.reason.endswith("RuntimeError: engine on fire\n")


def test_several_processes_come_to_the_same(waf: WAF):
    cases = [_case((BAD if n % 3 else GOOD, BLOCKED), name=f"1-{n}", line=n) for n in range(1, 3 * CHUNK + 2)]
    runner = Runner(waf)
    alone = {result.case.name: result.result for result in runner.run(cases)}
    with closing(runner.run(cases, processes=2)) as running:
        together = {result.case.name: result.result for result in running}

    assert alone == together
    assert len(together) == 49
    assert list(together.values()).count(Result.FAILED) == 16


def test_processes_end_when_nobody_wants_more(waf: WAF):
    cases = [_case((BAD, BLOCKED), name=f"1-{n}", line=n) for n in range(1, 10 * CHUNK)]
    running = Runner(waf).run(cases, processes=2)
    first = next(running)
    running.close()

    assert first.result is Result.PASSED
    assert list(running) == []


def test_a_process_that_dies_is_told_of(waf: WAF, monkeypatch: pytest.MonkeyPatch):
    parent = os.getpid()
    run_case = Runner.run_case

    def dies(self: Runner, case: Case):
        if os.getpid() != parent and case.name == "1-20":
            os._exit(9)
        return run_case(self, case)

    monkeypatch.setattr(Runner, "run_case", dies)
    cases = [_case((BAD, BLOCKED), name=f"1-{n}", line=n) for n in range(1, 3 * CHUNK)]
    results = {result.case.name: result for result in Runner(waf).run(cases, processes=2)}

    assert len(results) == len(cases)
    assert results["1-20"].result is Result.CRASHED
    assert "-j 1" in results["1-20"].reason


@pytest.mark.slow
@pytest.mark.corpora
@pytest.mark.timeout(300)
def test_the_regression_tests_of_the_crs(corpora: Path):
    """All 3,840; with the settings that the over-the-wire runner uses."""
    text = (corpora / "tools" / "ftw" / "directives.conf").read_text().replace("CRS_DIR", str(corpora / "crs"))
    loaded = load_cases([corpora / "corpora" / "crs-regression"])
    runner = Runner(WAF.from_directives(text), Overrides())
    with closing(runner.run(loaded.cases, processes=2)) as running:
        results = list(running)
    failed = {result.case.name: result.faults for result in results if result.result is not Result.PASSED}

    assert loaded.errors == []
    assert (len(results), sum(len(case.stages) for case in loaded.cases)) == (3840, 3845)
    assert failed == {}
