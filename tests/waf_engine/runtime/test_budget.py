"""Budgets: nothing without one; spent at every place of work; passed, denied or told as it says."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.twins import HARD_RULES, Exchange, outcome
from waf_engine import WAF, Interruption
from waf_engine.runtime import budget as module
from waf_engine.runtime.budget import STRIDE, BoundedTransaction, Budget
from waf_engine.runtime.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecAction "id:1,phase:1,pass,nolog,setvar:tx.seen=1"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" "id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule ARGS "@rx evil" "id:10,phase:2,deny,status:403"
SecRule ARGS "@rx often" "id:11,phase:2,pass,log,setvar:tx.count=+1"
SecRule ARGS "!@rx ." "id:12,phase:2,pass,nolog"
SecRule &ARGS "@gt 0" "id:13,phase:2,pass,nolog,setvar:tx.last=1"
SecRule RESPONSE_BODY "@contains leak" "id:20,phase:4,deny"
SecAction "id:30,phase:5,pass,nolog,setvar:tx.logged=1"
"""
EXECUTORS = ("plan", "reference")


class Clock:
    """A clock of processor time: it goes on by a step at every look; from one look on by a leap."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0
        self.leap_at = -1

    def __call__(self) -> float:
        self.looks += 1
        self.now += 1000.0 if self.looks == self.leap_at else 1e-6
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "thread_time", clock)
    monkeypatch.setattr(module, "STRIDE", 1)
    monkeypatch.setattr(module, "MANY", 1)
    return clock


def form(count: int, value: bytes = b"x") -> Exchange:
    body = b"&".join(b"a%d=%s" % (number, value) for number in range(count))
    return Exchange(
        method=b"POST", headers=((b"Content-Type", b"application/x-www-form-urlencoded"),), body=body
    )  # fmt: skip


def run(waf: WAF, exchange: Exchange, budget: Budget | None) -> Transaction:
    """An exchange with a budget."""
    make = waf.transaction
    waf.transaction = partial(make, budget=budget)  # type: ignore[method-assign]  # for Exchange.run
    try:
        return exchange.run(waf)
    finally:
        waf.transaction = make  # type: ignore[method-assign]  # as above


# -- without, and not spent -------------------------------------------------------------------------


def test_a_transaction_without_a_budget_is_a_plain_one():
    waf = WAF.from_directives(RULES)
    tx = waf.transaction()

    assert type(tx) is Transaction
    assert (tx.exceeded, tx.tick, tx.step, tx.watch) == (None, None, None, None)
    assert tx._executor is waf._executor


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_budget_that_is_not_spent_changes_nothing(executor: str):
    text = HARD_RULES.read_text("utf-8")
    wafs = [WAF.from_directives(text, executor=executor, clock=lambda: 1_000_000.0) for _ in range(2)]
    uris = (b"/", b"/?id=1 union select&a=<script>", b"/?level=3&x=" + b"often" * 4000, b"/a.php?off=here&end=deny1")
    for uri in uris:
        exchange = Exchange(uri)
        plain, bounded = run(wafs[0], exchange, None), run(wafs[1], exchange, Budget(60_000))
        assert isinstance(bounded, BoundedTransaction)
        assert outcome(bounded) == outcome(plain)
    assert wafs[1].budgets_exceeded == 0


@pytest.mark.parametrize(("milliseconds", "action"), [(0, "pass"), (-1, "pass"), (float("inf"), "deny"), (5, "drop")])
def test_a_budget_that_means_nothing_is_refused(milliseconds: float, action: str):
    with pytest.raises(ValueError, match="budget"):
        Budget(milliseconds, action)


# -- spent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("action", ["pass", "deny", "error"])
def test_what_follows_is_what_it_says(clock: Clock, executor: str, action: str):
    waf = WAF.from_directives(RULES, executor=executor)
    clock.leap_at = 12
    tx = run(waf, form(2000, b"often"), Budget(10, action))

    assert tx.exceeded is not None
    assert tx.exceeded.budget.action == action
    assert tx.exceeded.milliseconds > 900_000
    assert tx.interruption == (Interruption("deny", 503) if action == "deny" else None)
    assert tx.limits == {"budget": 1}
    assert waf.budgets_exceeded == 1
    assert tx.tx[b"seen"] == b"1"
    assert b"last" not in tx.tx
    assert b"logged" not in tx.tx  # rules of phase 5 are rules, too
    assert tx.closed


@pytest.mark.parametrize("executor", EXECUTORS)
def test_detection_only_interrupts_nothing(clock: Clock, executor: str):
    waf = WAF.from_directives(RULES.replace("SecRuleEngine On", "SecRuleEngine DetectionOnly"), executor=executor)
    clock.leap_at = 12
    tx = run(waf, form(500, b"often"), Budget(10, "deny"))

    assert tx.interruption is None
    assert tx.detected_interruption == Interruption("deny", 503)


def places(executor: str, exchange: Exchange, clock: Clock, rules: str = RULES) -> Iterator[BoundedTransaction]:
    """The exchange, its budget spent at the first look at the clock, at the second, ... until there is none more."""
    waf = WAF.from_directives(rules, executor=executor)
    for look in range(1, 4000):
        clock.looks, clock.now, clock.leap_at = 0, 0.0, look
        tx = run(waf, exchange, Budget(10, "deny"))
        assert isinstance(tx, BoundedTransaction)
        if clock.looks < look:
            return
        yield tx
    raise AssertionError("it never ends")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_it_may_be_spent_at_any_step_and_nothing_breaks(clock: Clock, executor: str):
    exchange = Exchange(b"/?a=often&b=x", response=(200, ((b"Content-Type", b"text/html"),), b"a page"))
    spent = [tx for tx in places(executor, exchange, clock) if tx.exceeded is not None]

    assert {tx.exceeded.phase for tx in spent} >= ({1, 2} if executor == "plan" else {1, 2, 4, 5})
    for tx in spent:
        assert tx.interruption == (Interruption("deny", 503) if tx.exceeded.phase < 5 else None)
        assert tx.tx.get(b"logged") is None
        assert tx.process_response_body() is tx.interruption


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_rule_and_the_value_at_work_are_told(clock: Clock, executor: str):
    seen = {
        (tx.exceeded.rule_id, tx.exceeded.name, tx.exceeded.length)
        for tx in places(executor, form(3, b"often"), clock)
        if tx.exceeded
    }

    assert {(11, "ARGS:a0", 5), (11, "ARGS:a1", 5), (11, "ARGS:a2", 5)} <= seen


def test_a_value_that_is_scanned_is_told(clock: Clock):
    long = b"x" * 20_000
    seen = {str(tx.exceeded).partition("at work: ")[2] for tx in places("plan", form(3, long), clock) if tx.exceeded}

    assert {f"no rule by itself, ARGS:a{number} of 20000 bytes; deny" for number in range(3)} <= seen


@pytest.mark.parametrize("processor", ["JSON", "MULTIPART"])
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_body_is_given_up_between_its_items(clock: Clock, executor: str, processor: str):
    if processor == "JSON":  # not what Python's own parser takes: read token by token
        kind, body = b"application/json", b"[" + b"1," * 200 + b"]"
    else:
        kind = b"multipart/form-data; boundary=b"
        part = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'
        body = part * 200 + b"--b--\r\n"
    exchange = Exchange(method=b"POST", headers=((b"Content-Type", kind),), body=body)
    at_body = [
        tx for tx in places(executor, exchange, clock) if tx.exceeded is not None and tx.exceeded.name == "REQUEST_BODY"
    ]

    assert len([tx for tx in at_body if tx.exceeded.phase == 1]) > 190
    assert {tx.exceeded.length for tx in at_body} == {len(body)}
    assert all(not tx.request.args_post for tx in at_body if tx.exceeded.phase == 1 and not tx.request.args_post)


def test_the_time_of_all_phases_counts_together(clock: Clock):
    waf = WAF.from_directives(RULES)
    clock.leap_at = 10**9
    tx = waf.transaction(budget=Budget(5))
    tx.process_uri("/", "GET", "HTTP/1.1")
    tx.process_request_headers()
    clock.now += 1.0  # another thread's work, or the time until the response
    tx.process_request_body()
    assert tx.exceeded is None
    tx._left = 0.0
    tx.process_response_headers(200, "HTTP/1.1")

    assert tx.exceeded is not None
    assert tx.exceeded.phase == 2  # at the first look, before phase 3 began


def test_a_body_over_its_limit_ends_in_the_same_step():
    waf = WAF.from_directives(f"{RULES}\nSecRequestBodyLimit 100\nSecRequestBodyLimitAction ProcessPartial")
    tx = waf.transaction(budget=Budget(60_000))
    tx.process_uri("/", "POST", "HTTP/1.1")
    tx.add_request_header("Content-Type", "application/x-www-form-urlencoded")
    tx.process_request_headers()

    assert tx.write_request_body(b"a=evil&" + b"b" * 200) == Interruption("deny", 403, "", 10)


def test_the_audit_log_is_written_all_the_same(clock: Clock, tmp_path: Path):
    log = tmp_path / "audit.log"
    waf = WAF.from_directives(
        f"{RULES}\nSecAuditEngine On\nSecAuditLogParts ABZ\nSecAuditLog {log}\nSecAuditLogFormat JSON"
    )
    exchange = Exchange(b"/?a=often")
    count = 0
    for look in range(1, 200):
        clock.looks, clock.now, clock.leap_at = 0, 0.0, look
        run(waf, exchange, Budget(10, "deny"))
        count += 1
        if clock.looks < look:
            break
    waf.close()

    lines = log.read_text().splitlines()
    assert len(lines) == count > 10
    assert all(json.loads(line) for line in lines)


def test_the_form_for_budgets_follows_the_executor():
    waf = WAF.from_directives(RULES)
    first, second = waf.transaction(budget=Budget(5)), waf.transaction(budget=Budget(5))
    assert first._executor is second._executor is not waf._executor
    waf._executor = WAF.from_directives(RULES, executor="reference")._executor

    assert waf.transaction(budget=Budget(5))._executor is waf._executor


# -- with the real clock ----------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
def test_work_without_end_is_bounded(executor: str):
    rules = "".join(
        f'SecRule ARGS "@rx often.{{0,40}}{number}x" "id:{number},phase:2,pass,nolog,multiMatch,t:urlDecodeUni"\n'
        f'SecRule ARGS "!@rx never{number}" "id:{number + 1000},phase:2,pass,nolog,setvar:tx.n=+1"\n'
        for number in range(1000, 1090)
    )
    waf = WAF.from_directives(f"SecRuleEngine On\nSecRequestBodyAccess On\n{rules}", executor=executor)
    exchange = form(990, b"often " * 40)
    started = time.thread_time()
    run(waf, exchange, None)
    without = time.thread_time() - started
    tries = []
    for _ in range(3):  # the best counts: this is no test of what else the machine does
        started = time.thread_time()
        tx = run(waf, exchange, Budget(10))
        assert tx.exceeded is not None
        tries.append(time.thread_time() - started)

    assert min(tries) < without / 2  # of a machine that is slower than another, both are: a budget of 10 of 200 ms


def test_the_clock_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch):
    looks = 0
    waf = WAF.from_directives(HARD_RULES.read_text("utf-8"))
    tx = waf.transaction(budget=Budget(60_000))
    assert isinstance(tx, BoundedTransaction)
    original = time.thread_time

    def look() -> float:
        nonlocal looks
        looks += 1
        return original()

    monkeypatch.setattr(time, "thread_time", look)
    assert tx.step is not None
    for _ in range(STRIDE * 20):
        tx.step(None)

    assert 19 <= looks <= 21
