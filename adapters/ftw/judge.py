"""Whether what happened is what a test expects, and what to look at when it is not.

The order is go-ftw's: no response at all, status, response, log. All that is wrong is told, not the first fault only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from waf_engine.patterns import compile_pattern
from waf_engine.settings import EngineMode
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.ftw.exchange import Outcome
    from adapters.ftw.model import Output
    from waf_engine.compiler.plan import Plan


@dataclass(frozen=True, slots=True)
class Fault:
    """One expectation that was not met.

    Attributes:
        expected: what the test says.
        got: what happened.
        hint: where to look; may be empty.
    """

    expected: str
    got: str
    hint: str = ""

    def __str__(self) -> str:
        return f"expected {self.expected}, got {self.got}"


def judge(output: Output, outcome: Outcome, plan: Plan) -> list[Fault]:
    """All that is not as expected.

    Args:
        output: what the stage expects.
        outcome: what came of its request.
        plan: the rules, for hints.
    """
    if outcome.status == 0:
        if output.expect_error:
            return []
        why = outcome.blocked or outcome.refused
        return [Fault("a response", f"none: {why}", "expect_error: true is for tests that get no response")]
    if output.expect_error:
        return [Fault("no response (expect_error)", f"status {outcome.status}")]
    return [*_judge_response(output, outcome), *_judge_log(output, outcome, plan)]


def _judge_response(output: Output, outcome: Outcome) -> list[Fault]:
    faults = []
    if output.statuses and outcome.status not in output.statuses:
        wanted = " or ".join(map(str, output.statuses))
        hint = ""
        if outcome.would_block:
            hint = f"rule {outcome.would_block} would have blocked, but SecRuleEngine is DetectionOnly"
        got = f"status {outcome.status}" + (f" ({outcome.blocked})" if outcome.blocked else "")
        faults.append(Fault(f"status {wanted}", got, hint or _refusal(outcome)))
    if output.response_contains and encode_argument(output.response_contains) not in outcome.raw_response:
        shown = outcome.body[:80]
        faults.append(Fault(f"{output.response_contains!r} in the response", f"a body that begins with {shown!r}"))
    return faults


def _judge_log(output: Output, outcome: Outcome, plan: Plan) -> list[Fault]:
    faults = []
    logged = sorted({match.rule_id for match in outcome.logged})
    lines = [encode_argument(match.line) for match in outcome.logged]
    if output.match_regex and not any(map(_search(output.match_regex), lines)):
        faults.append(Fault(f"a log line with /{output.match_regex}/", _count(len(lines), "line") + " without it"))
    faults += [
        Fault(f"rule {rule_id} to match", "no match", _why_not(rule_id, outcome, plan))
        for rule_id in output.expect_ids
        if rule_id not in logged
    ]
    if output.isolated and len(logged) != 1:
        faults.append(Fault("exactly one rule in the log (isolated)", _count(len(logged), "rule"), _refusal(outcome)))
    if output.no_match_regex:
        found = [line for line in lines if _search(output.no_match_regex)(line)]
        faults += [Fault(f"no log line with /{output.no_match_regex}/", f"{line!r}") for line in found[:1]]
    for rule_id in output.no_expect_ids:
        match = next((match for match in outcome.logged if match.rule_id == rule_id), None)
        if match is not None:
            faults.append(
                Fault(f"rule {rule_id} not to match", f"a match: {match.message}", f"the rule: {match.place}")
            )
    return faults


def _why_not(rule_id: int, outcome: Outcome, plan: Plan) -> str:
    """The likeliest reason for which a rule is not in the log."""
    if outcome.refused:
        return _refusal(outcome)
    if any(match.rule_id == rule_id for match in outcome.matches):
        return f"rule {rule_id} did match, but it is not logged (nolog)"
    rule = next((rule for rule in plan.rules if rule.id == rule_id), None)
    settings = plan.settings
    if rule is None:
        return f"there is no rule {rule_id} among the {plan.rule_count} rules that are loaded"
    if settings.rule_engine is EngineMode.OFF:
        return "SecRuleEngine is Off"
    if outcome.blocked:
        return f"the exchange ended before: {outcome.blocked}"
    if rule.phase == 2 and not settings.request_body_access:
        return "SecRequestBodyAccess is Off: bodies of requests are not looked at"
    if rule.phase == 4 and not settings.response_body_access:
        return "SecResponseBodyAccess is Off: bodies of responses are not looked at"
    return f"the rule: {rule.span.file}:{rule.span.line}"


def _refusal(outcome: Outcome) -> str:
    return "no rule saw the request, see the answer" if outcome.refused else ""


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


@lru_cache(maxsize=256)
def _search(pattern: str) -> Callable[[bytes], bool]:
    search = compile_pattern(encode_argument(pattern)).search
    return lambda line: search(line) is not None
