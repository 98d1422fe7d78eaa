from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.metrics.recorder import Recorder
from adapters.metrics.sheet import Sheet, series
from adapters.metrics.table import BY_NAME, METRICS, RULE_SLOTS, Kind
from adapters.transactions import Gone, TransactionStore
from adapters.troubles import Reason
from spop_proto import ConnectionFailed, HAProxyDisconnect, HAProxyHello, Notify, UnknownFrame
from waf_engine import WAF

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine import Transaction

RULES = """
SecRuleEngine {engine}
SecAction "id:1,phase:1,pass,nolog,setvar:tx.blocking_inbound_anomaly_score=0"
SecRule ARGS:q "@contains sql" "id:2,phase:2,pass,log,tag:attack-sqli,severity:CRITICAL,\
setvar:tx.blocking_inbound_anomaly_score=+5"
SecRule ARGS:q "@contains notice" "id:3,phase:2,pass,log,tag:attack-sqli,tag:attack-xss,severity:NOTICE"
SecRule ARGS:q "@contains go" "id:4,phase:2,redirect:/x,log"
SecRule TX:blocking_inbound_anomaly_score "@ge 5" "id:949110,phase:2,deny,log,tag:anomaly-evaluation"
"""


def _run(waf: WAF, query: str, recorder: Recorder, application: str = "shop") -> Transaction:
    """A request as the handler tells of it."""
    transaction = waf.transaction("x", timer=recorder.timer(application))
    transaction.process_uri(f"/?q={query}", "GET", "HTTP/1.1")
    interruption = transaction.process_request_headers() or transaction.process_request_body()
    recorder.request(application, transaction, interruption)
    recorder.matched(application, transaction, transaction.matched_rules)
    return transaction


def _waf(engine: str = "On") -> WAF:
    return WAF.from_directives(RULES.format(engine=engine), executor="reference")


def _counts(recorder: Recorder, name: str) -> dict[tuple[str, ...], float]:
    """What is not 0, by labels."""
    metric = BY_NAME[name]
    return {
        series(metric)[number]: values[0] if metric.kind is not Kind.HISTOGRAM else sum(values[:-1])
        for _, number, values in recorder.sheet.values(metric)
        if any(values)
    }


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(Sheet(["shop"]))


@pytest.mark.parametrize(
    ("engine", "query", "outcome"),
    [
        ("On", "x", "pass"),
        ("On", "sql", "block"),
        ("On", "go", "redirect"),
        ("DetectionOnly", "sql", "detect"),
        ("DetectionOnly", "x", "pass"),
    ],
)
def test_outcomes(recorder: Recorder, engine: str, query: str, outcome: str):
    _run(_waf(engine), query, recorder)

    assert _counts(recorder, "coraza_waf_requests_total") == {(outcome,): 1}


def test_a_verdict_that_is_not_answered_is_a_detection(recorder: Recorder):
    transaction = _run(_waf(), "sql", recorder)
    recorder.request("shop", transaction, transaction.interruption, blocks=False)
    recorder.response("shop", transaction, transaction.interruption, blocks=False)
    recorder.response("shop", transaction, None)
    recorder.response("shop", transaction, transaction.interruption)
    recorder.failed("shop")
    recorder.failed("shop", response=True)

    assert _counts(recorder, "coraza_waf_requests_total") == {("block",): 1, ("detect",): 1, ("error",): 1}
    assert _counts(recorder, "spoa_waf_responses_total") == {
        ("detect",): 1, ("pass",): 1, ("block",): 1, ("error",): 1,
    }  # fmt: skip


def test_scores(recorder: Recorder):
    waf = _waf()
    for query in ("x", "y", "sql"):
        _run(waf, query, recorder)

    ((_, _, cells),) = recorder.sheet.values(BY_NAME["coraza_waf_request_anomaly_score"])
    assert cells[0] == 2  # at most 0
    assert cells[5] == 1  # above 4, at most 5
    assert cells[-1] == 5
    assert sum(cells[:-1]) == 3


@pytest.mark.parametrize("text", [b"", b"-1", b"x", b"9" * 40])
def test_a_score_that_is_no_number_counts_as_none(recorder: Recorder, text: bytes):
    transaction = _waf().transaction("x")
    transaction.tx[b"blocking_inbound_anomaly_score"] = text
    recorder.request("shop", transaction, None)

    ((_, _, cells),) = recorder.sheet.values(BY_NAME["coraza_waf_request_anomaly_score"])
    assert (cells[0], cells[-1]) == (1, 0)


def test_blocked_requests_by_category_with_the_highest_severity_of_each(recorder: Recorder):
    waf = _waf()
    _run(waf, "sql", recorder)
    _run(waf, "sqlnotice", recorder)
    _run(waf, "notice", recorder)  # not blocked
    _run(waf, "go", recorder)

    assert _counts(recorder, "coraza_waf_blocked_requests_total") == {
        ("sqli", "CRITICAL"): 2,
        ("xss", "NOTICE"): 1,
        ("other", "none"): 1,
    }


def test_hits_by_rule(recorder: Recorder):
    waf = _waf()
    for query in ("notice", "sql", "sql", "x"):
        _run(waf, query, recorder)

    assert list(recorder.sheet.hits("shop")) == [
        (3, 5, [1.0, 0.0, 0.0]),
        (2, 2, [0.0, 2.0, 0.0]),
        (949110, 8, [0.0, 2.0, 0.0]),
    ]


def test_rules_beyond_the_slots_are_counted_together(recorder: Recorder):
    count = RULE_SLOTS + 3
    rules = "".join(f'SecAction "id:{number},phase:1,pass,log,severity:NOTICE"\n' for number in range(1, count + 1))
    waf = WAF.from_directives("SecRuleEngine On\n" + rules, executor="reference")
    for _ in range(2):
        _run(waf, "x", recorder)

    hits = list(recorder.sheet.hits("shop"))
    assert len(hits) == RULE_SLOTS + 1
    assert hits[0] == (1, 5, [2.0, 0.0, 0.0])
    assert hits[-1] == (0, 5, [6.0, 0.0, 0.0])


def test_a_process_that_takes_over_a_sheet_goes_on_with_its_rules(recorder: Recorder):
    waf = _waf()
    _run(waf, "notice", recorder)
    recorder.opened()
    successor = Recorder(recorder.sheet)
    _run(waf, "notice", successor)
    _run(waf, "sql", successor)

    assert [hit[0] for hit in recorder.sheet.hits("shop")] == [3, 2, 949110]
    assert next(recorder.sheet.hits("shop")) == (3, 5, [2.0, 0.0, 0.0])
    assert _counts(recorder, "spoa_waf_open_connections") == {}
    assert _counts(recorder, "spoa_waf_connections_total") == {(): 1}


def test_time_of_phases(recorder: Recorder):
    waf = _waf()
    _run(waf, "x", recorder).process_logging()
    _run(waf, "sql", recorder)

    assert _counts(recorder, "spoa_waf_phase_duration_seconds") == {
        ("request-headers",): 2, ("request-body",): 2, ("logging",): 1,
    }  # fmt: skip
    total = sum(values[-1] for _, _, values in recorder.sheet.values(BY_NAME["spoa_waf_phase_duration_seconds"]))
    assert 0 < total < 1


def test_a_timer_follows_the_executor(recorder: Recorder):
    timer = recorder.timer("shop")
    assert timer is not None
    ran: list[tuple[str, int]] = []
    executors: list[Callable[[Any, int], None]] = [
        lambda _, phase, name=name: ran.append((name, phase))  # type: ignore[misc]  # mypy cannot infer it
        for name in ("slow", "fast")
    ]

    assert timer(executors[0]) is timer(executors[0])
    for executor in executors:
        timer(executor)(None, 2)  # type: ignore[arg-type]  # nothing is done with it
    assert ran == [("slow", 2), ("fast", 2)]
    assert recorder.timer("else") is None


TOLD: list[tuple[Callable[[Recorder], None], str, dict[tuple[str, ...], float]]] = [
    (lambda r: r.message(0.03), "coraza_handle_spoe_duration_seconds", {(): 1}),
    (lambda r: r.trouble(Reason.MISSING_ID), "spoa_waf_no_verdict_total", {("missing-id",): 1}),
    (lambda r: r.dropped("shop", Gone.EVICTED), "spoa_waf_transactions_dropped_total", {("evicted",): 1}),
    (lambda r: r.dropped("shop", Gone.ANSWERED), "spoa_waf_transactions_dropped_total", {}),
    (lambda r: r.missed("shop", Gone.UNKNOWN), "spoa_waf_transaction_misses_total", {("unknown",): 1}),
    (lambda r: r.truncated("shop"), "spoa_waf_bodies_truncated_total", {("request",): 1}),
    (lambda r: r.truncated("shop", response=True), "spoa_waf_bodies_truncated_total", {("response",): 1}),
    (lambda r: r.skipped("shop", "path"), "spoa_waf_skipped_total", {("path",): 1}),
    (lambda r: r.over_budget("shop", "deny"), "spoa_waf_budget_exceeded_total", {("deny",): 1}),
    (lambda r: r.opened(), "spoa_waf_open_connections", {(): 1}),
    (lambda r: r.opened(), "spoa_waf_connections_total", {(): 1}),
    (lambda r: (r.opened(), r.closed())[0], "spoa_waf_open_connections", {}),  # type: ignore[func-returns-value]
    (lambda r: r.received(70, []), "spoa_waf_received_bytes_total", {(): 70}),
    (lambda r: r.delayed(0.2), "spoa_waf_queue_delay_seconds", {(): 1}),
    (lambda r: r.shared("timeout", 0.02), "spoa_waf_shared_store_requests_total", {("timeout",): 1}),
    (lambda r: r.shared("ok", 0.02), "spoa_waf_shared_store_duration_seconds", {(): 1}),
    (lambda r: r.shared("refused"), "spoa_waf_shared_store_duration_seconds", {}),
    (lambda r: r.lines_lost(4), "spoa_waf_log_lines_lost_total", {(): 4}),
    (lambda r: r.loaded(["shop", "?"], success=False), "coraza_waf_plugin_loads_total", {("failure",): 1}),
]


@pytest.mark.parametrize(("tell", "name", "counts"), TOLD)
def test_what_counts_as_what(
    recorder: Recorder, tell: Callable[[Recorder], None], name: str, counts: dict[tuple[str, ...], float]
):
    tell(recorder)

    assert _counts(recorder, name) == counts


def test_names_that_the_configuration_does_not_have_count_for_nothing(recorder: Recorder):
    _run(_waf(), "sql", recorder, "else")
    recorder.missed("else", Gone.UNKNOWN)
    recorder.response("else", _waf().transaction("x"), None)

    assert not any(recorder.sheet.cells)


def test_frames_received(recorder: Recorder):
    events = [
        HAProxyHello(supported_versions=("2.0",), max_frame_size=16384, capabilities=frozenset()),
        *(Notify(stream_id=1, frame_id=number, messages=()) for number in range(3)),
        UnknownFrame(type=55, flags=1, stream_id=0, frame_id=0, payload=b""),
        HAProxyDisconnect(status=0, message="normal"),
        ConnectionFailed(status=3, reason="too big", delay=0.0),
        ConnectionFailed(status=4711, reason="?", delay=0.0),
    ]
    recorder.received(10, events)

    assert _counts(recorder, "spoa_waf_frames_received_total") == {
        ("haproxy-hello",): 1, ("notify",): 3, ("other",): 1, ("haproxy-disconnect",): 1,
    }  # fmt: skip
    assert _counts(recorder, "spoa_waf_connection_failures_total") == {("frame-too-big",): 1, ("other",): 1}


def test_frames_sent(recorder: Recorder):
    frames = b"".join(len(body).to_bytes(4, "big") + body for body in (b"\x65aaaa", b"\x67bb", b"\x67", b"\x66c"))
    recorder.sent(frames)
    recorder.sent(b"")

    assert _counts(recorder, "spoa_waf_frames_sent_total") == {
        ("agent-hello",): 1, ("ack",): 2, ("agent-disconnect",): 1,
    }  # fmt: skip
    assert _counts(recorder, "spoa_waf_sent_bytes_total") == {(): len(frames)}


@given(st.lists(st.tuples(st.sampled_from([101, 102, 103, 3]), st.binary(max_size=300)), max_size=20))
def test_as_many_frames_as_were_sent(frames: list[tuple[int, bytes]]):
    recorder = Recorder(Sheet(()))
    recorder.sent(b"".join((1 + len(body)).to_bytes(4, "big") + bytes([kind]) + body for kind, body in frames))

    assert sum(_counts(recorder, "spoa_waf_frames_sent_total").values()) == sum(kind != 3 for kind, _ in frames)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_frames_do_no_harm(data: bytes):
    recorder = Recorder(Sheet(()))
    recorder.sent(data)

    assert _counts(recorder, "spoa_waf_sent_bytes_total") == ({(): len(data)} if data else {})


def test_what_waits(recorder: Recorder):
    store: TransactionStore[object] = TransactionStore(7, 60, lambda: 0.0)
    store.put("a", object(), 100)
    store.put("b", object(), 50)
    recorder.waiting({"shop": store, "else": store})

    assert _counts(recorder, "spoa_waf_transactions_waiting") == {(): 2}
    assert _counts(recorder, "spoa_waf_transactions_waiting_bytes") == {(): 150}
    assert _counts(recorder, "spoa_waf_transactions_limit") == {(): 7}


def test_each_metric_that_is_written_can_be():
    """Nothing in the table stays at zero for want of somebody who counts it."""
    tested = {name for _, name, counts in TOLD if counts} | {
        "coraza_waf_requests_total", "spoa_waf_responses_total", "coraza_waf_request_anomaly_score",
        "coraza_waf_blocked_requests_total", "spoa_waf_phase_duration_seconds", "spoa_waf_connection_failures_total",
        "spoa_waf_frames_received_total", "spoa_waf_frames_sent_total", "spoa_waf_sent_bytes_total",
        "spoa_waf_transactions_waiting", "spoa_waf_transactions_waiting_bytes", "spoa_waf_transactions_limit",
    }  # fmt: skip

    assert {metric.name for metric in METRICS if not metric.made} == tested


def test_the_cost_of_a_request_with_its_response_is_bounded(recorder: Recorder):
    """Some ten microseconds on a machine of 2024, see docs/metrics.md; 100 calls of a method take seven there."""
    waf = _waf()
    transaction = _run(waf, "notice", recorder)
    matched = transaction.matched_rules
    notify, ack = [Notify(stream_id=1, frame_id=1, messages=())], b"\x00\x00\x00\x14\x67" + bytes(19)
    timer = recorder.timer("shop")
    assert timer is not None
    run = timer(lambda _transaction, _phase: None)
    plain = _Plain()
    best = calls = 1.0
    for _ in range(20):
        begin = time.thread_time()
        for _ in range(100):
            for number in range(100):
                plain.add(number)
        calls = min(calls, (time.thread_time() - begin) / 100)
        begin = time.thread_time()
        for _ in range(100):
            for _message in range(2):
                recorder.received(900, notify)
                recorder.message(0.001)
                recorder.sent(ack)
            recorder.timer("shop")
            for phase in range(1, 6):
                run(transaction, phase)
            recorder.request("shop", transaction, None)
            recorder.matched("shop", transaction, matched)
            recorder.response("shop", transaction, None)
        best = min(best, (time.thread_time() - begin) / 100)

    assert best < 6 * calls, f"{best * 1e6:.1f} us, 100 calls take {calls * 1e6:.1f} us"


class _Plain:
    """What the machine's speed is measured with."""

    def __init__(self) -> None:
        self.sum = 0

    def add(self, number: int) -> None:
        self.sum += number
