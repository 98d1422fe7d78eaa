from __future__ import annotations

import os
from dataclasses import replace

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from adapters.metrics.board import Board
from adapters.metrics.facts import Facts
from adapters.metrics.recorder import Recorder
from adapters.metrics.sheet import Sheet
from adapters.metrics.table import METRICS, RULE_SLOTS, Kind
from adapters.transactions import Gone
from adapters.workers.status import State, Status
from waf_engine import WAF


@pytest.fixture(scope="module")
def facts() -> Facts:
    return Facts(rules=1, versions=("Rules/1.0",), overrides=((11, "disabled"),), ready=True, databases=(4711, 2, 5))


def _board(facts: Facts, *names: str, status: Status | None = None) -> Board:
    board = Board((status or Status(1)).report)
    board.configure(dict.fromkeys(names, facts))
    return board


def _samples(board: Board) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in board.collect()
        for sample in family.samples
    }


def _value(board: Board, name: str, **labels: str) -> float | None:
    return _samples(board).get((name, tuple(sorted(labels.items()))))


def _request(recorder: Recorder, application: str = "shop", number: int = 1) -> None:
    for _ in range(number):
        recorder.message(0.001)
        recorder.request(application, _TRANSACTION, None)


_TRANSACTION = WAF.from_directives("", executor="reference").transaction("x")
PASSED = {"engine": "shop", "namespace": "", "driver_type": "spoa", "outcome": "pass"}


def test_every_metric_of_the_table_is_told_and_no_other(facts: Facts):
    board = _board(facts, "shop")
    told = {f.name + ("_total" if f.type == "counter" else ""): f for f in board.collect()}

    assert list(told) == [metric.name for metric in METRICS]
    for metric in METRICS:
        assert told[metric.name].type == {"untyped": "unknown"}.get(metric.kind, metric.kind)


@pytest.mark.parametrize("parse", ["text", "openmetrics"])
def test_prometheus_clients_parsers_read_it_back(facts: Facts, parse: str):
    board = _board(facts, "shop", 'a "quoted"\\ name')
    _request(board.recorder, number=3)
    registry = board.registry()
    if parse == "text":
        families = list(parse_text(generate_latest(registry).decode()))
    else:
        families = list(parse_openmetrics(openmetrics(registry).decode()))

    samples = [sample for family in families for sample in family.samples]
    found = {s.labels.get("le"): s.value for s in samples if s.name == "coraza_handle_spoe_duration_seconds_bucket"}
    assert found["0.005"] == found["1.0"] == found["+Inf"] == 3
    assert {s.labels["engine"] for s in samples if s.name == "coraza_waf_plugin_rule_count"} == {
        "shop", 'a "quoted"\\ name',
    }  # fmt: skip


def test_the_sheets_of_workers_are_added_up(facts: Facts):
    board = _board(facts, "shop")
    workers: list[Sheet] = [board.new_sheet() for _ in range(3)]
    for number, sheet in enumerate(workers):
        _request(Recorder(sheet), number=number + 1)
        Recorder(sheet).opened()

    assert _value(board, "coraza_waf_requests_total", **PASSED) == 6
    assert _value(board, "spoa_waf_open_connections") == 3

    board.retire(workers[2])
    assert _value(board, "coraza_waf_requests_total", **PASSED) == 6
    assert _value(board, "coraza_handle_spoe_count") == 6
    assert _value(board, "spoa_waf_open_connections") == 2

    board.new_sheet()
    assert _value(board, "coraza_waf_requests_total", **PASSED) == 6


def test_nothing_is_lost_when_a_worker_is_killed(facts: Facts):
    board = _board(facts, "shop")
    sheet = board.new_sheet()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _request(Recorder(sheet), number=5)
        os.write(write, b"x")
        os.read(read, 1)
        os.kill(os.getpid(), 9)
    while _value(board, "coraza_waf_requests_total", **PASSED) != 5:
        pass
    os.kill(child, 9)
    os.waitpid(child, 0)
    board.retire(sheet)
    os.close(read)
    os.close(write)

    assert _value(board, "coraza_waf_requests_total", **PASSED) == 5


def test_a_reload_sets_nothing_back(facts: Facts):
    board = _board(facts, "shop")
    _request(board.recorder, number=2)
    board.recorder.opened()
    board.recorder.missed("shop", Gone.UNKNOWN)
    board.configure({"shop": facts, "blog": facts})
    _request(board.recorder, number=3)
    _request(board.recorder, "blog")

    assert _value(board, "coraza_waf_requests_total", **PASSED) == 5
    assert _value(board, "coraza_waf_requests_total", **PASSED | {"engine": "blog"}) == 1
    assert _value(board, "spoa_waf_open_connections") == 1
    assert _value(board, "spoa_waf_transaction_misses_total", application="shop", reason="unknown") == 1
    loads = {"engine": "shop", "namespace": "", "driver_type": "spoa"}
    assert _value(board, "coraza_waf_plugin_loads_total", **loads, status="success") == 2

    board.refused()
    assert _value(board, "coraza_waf_plugin_loads_total", **loads, status="failure") == 1


def test_applications_that_are_gone_are_forgotten(facts: Facts):
    board = _board(facts, "shop", "blog")
    _request(board.recorder)
    _request(board.recorder, "blog")
    board.configure({"shop": facts})

    assert _value(board, "coraza_waf_requests_total", **PASSED) == 1
    assert not any("blog" in dict(labels).values() for _, labels in _samples(board))
    assert _value(board, "coraza_handle_spoe_count") == 2


def _hit(sheet: Sheet, rule: int, count: int) -> None:
    """A rule with the severity CRITICAL has matched so often in requests that passed."""
    slot = next(slot for slot in sheet.slots("shop") if sheet.cells[slot] in (0, rule))
    for place, value in enumerate((rule, 2, count)):
        sheet.cells[slot + place] = value


def test_rules_of_several_workers_share_one_bound_and_keep_their_names(facts: Facts):
    board = _board(facts, "shop")
    first, second = board.new_sheet(), board.new_sheet()
    for rule in range(1, RULE_SLOTS + 1):
        _hit(first, rule, 2 if rule > 5 else 1)
    _samples(board)  # as a scrape does, which gives all of these a name
    for rule in range(RULE_SLOTS - 4, RULE_SLOTS + 6):
        _hit(second, rule, 100)

    fixed = {"engine": "shop", "namespace": "", "driver_type": "spoa", "severity": "CRITICAL", "outcome": "pass"}
    hits = {
        dict(labels)["rule_id"]: value
        for (name, labels), value in _samples(board).items()
        if name == "coraza_waf_rule_hits_total"
    }
    assert len(hits) == RULE_SLOTS + 1
    assert hits["other"] == 500
    assert hits["1"] == 1
    assert hits[str(RULE_SLOTS)] == 102
    assert _value(board, "coraza_waf_rule_hits_total", **fixed, rule_id="other") == 500
    assert _value(board, "coraza_handle_responses_rules", rule_id="6") == 2
    assert _value(board, "coraza_handle_responses_severity", severity="critical") == 5 + 195 * 2 + 1000


def test_what_is_known_of_the_rules(facts: Facts, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POD_NAMESPACE", "prod")
    board = _board(facts, "shop")
    fixed = {"engine": "shop", "namespace": "prod", "driver_type": "spoa"}

    assert _value(board, "coraza_waf_plugin_rule_count", **fixed) == 1
    assert _value(board, "coraza_waf_rule_overrides", **fixed, rule_id="11", type="disabled") == 1
    assert _value(board, "coraza_handle_version", version="Rules/1.0") == 1
    assert _value(board, "spoa_waf_rules_ready", application="shop") == 1
    assert _value(board, "spoa_waf_databases", how="compiled") == 2
    board.update({"shop": replace(facts, ready=False)})
    assert _value(board, "spoa_waf_rules_ready", application="shop") == 0


def test_rules_that_applications_share_count_once(facts: Facts):
    board = _board(facts, "shop", "blog")

    assert _value(board, "spoa_waf_databases", how="loaded") == 5


def test_processes_and_reloads_are_those_of_the_table_of_processes(facts: Facts):
    status = Status(3)
    board = _board(facts, "shop", status=status)
    status.put_to_work(1, reload=False)
    for slot in status.slots[:2]:
        slot.begin(1)
        slot.born(os.getpid())
        slot.state = State.SERVING
    status.slots[0].count_restart(hung=True)
    status.slots[1].count_restart(hung=False)
    status.slots[1].count_forwarded()
    status.slots[1].count_forward_failed()

    assert _value(board, "spoa_waf_workers") == 2
    assert _value(board, "spoa_waf_worker_restarts_total", reason="hung") == 1
    assert _value(board, "spoa_waf_worker_restarts_total", reason="died") == 1
    assert _value(board, "spoa_waf_forwarded_responses_total", result="failed") == 1
    assert _value(board, "spoa_waf_last_reload_successful") == 1
    status.reload_failed()
    assert _value(board, "spoa_waf_last_reload_successful") == 0
    assert _value(board, "spoa_waf_reloads_total", result="failure") == 1
    assert (_value(board, "spoa_waf_last_reload_success_timestamp_seconds") or 0) > 1_700_000_000


def test_memory_and_time_of_processes(facts: Facts):
    status = Status(3)
    board = _board(facts, "shop", status=status)
    for number, pid in ((1, os.getpid()), (2, 2**22 + 1)):  # the second has ended, and nobody has noticed yet
        status.slots[number].begin(1)
        status.slots[number].born(pid)

    assert (_value(board, "spoa_waf_worker_resident_memory_bytes", worker="1") or 0) > 1e6
    assert (_value(board, "spoa_waf_worker_cpu_seconds_total", worker="1") or 0) > 0
    assert _value(board, "spoa_waf_worker_cpu_seconds_total", worker="2") is None


def test_a_worker_goes_on_with_the_sheet_of_the_one_before(facts: Facts):
    board = _board(facts, "shop")
    sheet = board.new_sheet()
    for _ in range(2):
        again = Sheet(sheet.applications, os.dup(sheet.descriptor))
        recorder = Recorder(again)
        recorder.opened()
        _request(recorder, number=2)
        again.close()

    assert _value(board, "coraza_waf_requests_total", **PASSED) == 4
    assert _value(board, "spoa_waf_open_connections") == 1
    assert _value(board, "spoa_waf_connections_total") == 2


def test_what_is_looked_at_now_and_then_is_looked_at_when_somebody_asks(facts: Facts):
    board = _board(facts, "shop")
    board.refresh.append(board.recorder.opened)

    assert _value(board, "spoa_waf_open_connections") == 1
    assert _value(board, "spoa_waf_open_connections") == 2


def test_counters_never_fall(facts: Facts):
    """Whatever workers and reloads do."""
    board = _board(facts, "shop")
    counters = {metric.name for metric in METRICS if metric.kind in (Kind.COUNTER, Kind.HISTOGRAM) and not metric.made}
    before, sheet = _samples(board), board.new_sheet()
    for step in range(12):
        if step % 4 == 0:
            sheet = board.new_sheet()
            _request(Recorder(sheet), number=step + 1)
        elif step % 4 == 2:
            board.retire(sheet)
        elif step % 4 == 3:
            board.configure({"shop": replace(facts, rules=step), f"new-{step}": facts})
        _request(board.recorder)
        after = _samples(board)
        for key, value in before.items():
            if key[0].removesuffix("_bucket") in counters and "new-" not in str(key):
                assert after[key] >= value, key
        before = after
    assert before["coraza_waf_requests_total", tuple(sorted(PASSED.items()))] == 12 + 1 + 5 + 9
