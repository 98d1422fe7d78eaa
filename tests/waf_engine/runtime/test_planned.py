"""The planned executor against the reference interpreter on real rules: OWASP CRS, the embedded baseline rules."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import absent
from tests.waf_engine.test_crs import CRS3_SETTINGS, reflect
from tests.waf_engine.twins import HARD_RULES, Exchange, Twins, outcome
from waf_engine.runtime.planned import Block, PhaseProgram, PlannedExecutor

if TYPE_CHECKING:
    from types import ModuleType

FULL = "SPOA_WAF_FULL"
"""Set this environment variable to run all of the corpora instead of a sample."""
STAGES = 3_845
SHARE = 6
"""One stage in so many, in the default run."""
KINDS = ("R1", "R2", "R3", "R4", "R5", "R6", "R7")


def module(path: Path) -> ModuleType:
    """A module of the shared tools, by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # its dataclasses look themselves up there
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def stages(corpora: Path) -> list[bytes]:
    """The raw requests of the CRS's regression tests."""
    reader = module(corpora / "tools" / "crs_ftw.py")
    cases: list[Any] = reader.load_cases([corpora / "corpora" / "crs-regression"])
    return [stage.request for case in cases for stage in case.stages]


def directives(corpora: Path, level: int) -> str:
    """The rules that the regression tests are run with, at a paranoia level."""
    text = (corpora / "tools" / "ftw" / "directives.conf").read_text("utf-8")
    changed = text.replace("blocking_paranoia_level=4", f"blocking_paranoia_level={level}")
    assert level == 4 or changed != text
    return changed.replace("CRS_DIR", str((corpora / "crs").resolve()))


def exchange(raw: bytes) -> Exchange:
    """The exchange of a raw request, read leniently, with the answer of a reflecting server."""
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    method, _, rest = line.partition(b" ")
    target, _, _ = rest.rpartition(b" ")
    parted = [field.partition(b":") for field in fields]
    headers = tuple((name, value.strip(b" \t")) for name, _, value in parted)
    status, answer_headers, answer = reflect(method, target, body)
    encoded = tuple((name.encode(), value.encode()) for name, value in answer_headers)
    return Exchange(target, method, headers, body, (status, encoded, answer))


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.parametrize("level", [1, 4])
def test_the_regression_tests_of_crs_come_to_the_same(corpora: Path, stages: list[bytes], level: int):
    sample = stages if os.environ.get(FULL) else stages[::SHARE]
    twins = Twins(directives(corpora, level))
    found = [twins.compare(exchange(raw)) for raw in sample]

    assert len(stages) == STAGES
    assert sum(len(f["records"]) for f in found) > 50 * len(sample)  # CRS's own settings among them
    assert sum(bool(f["lines"]) for f in found) > len(sample) / 3


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.parametrize("memory", [1 << 20, 0])
def test_the_requests_of_the_benchmark_come_to_the_same(corpora: Path, memory: int):
    corpus = module(corpora / "bench" / "corpus.py")
    text = directives(corpora, 1).replace("SecRuleEngine DetectionOnly", "SecRuleEngine On", 1)
    twins = Twins(text.replace("ctl:ruleEngine=DetectionOnly,", ""), memory=memory)
    blocked = {}
    for kind in KINDS:
        variants = 2 if kind == "R7" else 200 if os.environ.get(FULL) else 5
        raw = [corpus.variant(kind, index) for index in range(variants)]
        found = [twins.compare(exchange(each)) for each in raw]
        blocked[kind] = {f["interruption"] is not None for f in found}

    assert blocked == {kind: {kind == "R6"} for kind in KINDS}


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.parametrize("level", [1, 4])
def test_the_same_requests_under_crs_3_come_to_the_same(stages: list[bytes], level: int):
    """Rules with persistent collections and counters; of Debian's package, see `test_crs.py`."""
    root = Path(os.environ.get("SPOA_WAF_CRS3", "/"))
    rules = root / "usr/share/modsecurity-crs/rules"
    if not rules.is_dir():
        absent(f"no CRS 3.3 at {rules}: install modsecurity-crs, or unpack it and set SPOA_WAF_CRS3")
    settings = f'SecAction "id:1,phase:1,nolog,pass,setvar:tx.paranoia_level={level},setvar:tx.crs_validate_utf8=1"\n'
    twins = Twins(settings + CRS3_SETTINGS.format(etc=root / "etc/modsecurity/crs", rules=rules))
    sample = stages if os.environ.get(FULL) else stages[::24]
    found = [twins.compare(exchange(raw)) for raw in sample]

    assert sum(len(f["records"]) for f in found) > 30 * len(sample)
    assert sum(f["interruption"] is not None for f in found) > len(sample) / 4


@pytest.mark.corpora
@pytest.mark.slow
def test_the_embedded_rules_come_to_the_same(stages: list[bytes]):
    twins = Twins("Include @recommended.conf\nInclude @baseline/*.conf\n")
    found = [twins.compare(exchange(raw)) for raw in stages[::40]]

    assert sum(bool(f["lines"]) for f in found) > 20


# -- programs ---------------------------------------------------------------------------------------


@pytest.fixture
def hard() -> Twins:
    return Twins(HARD_RULES.read_text("utf-8"))


def test_threads_share_one_rule_set(hard: Twins):
    """Eight threads, the same requests in another order each: scratch spaces and the memory are shared."""
    exchanges = [Exchange(b"/?id=%d union select&a=x%d&b=%d" % (n, n % 7, n % 3)) for n in range(60)]
    expected = {e.uri: outcome(e.run(hard.reference))["records"] for e in exchanges}
    expected_tx = {e.uri: e.run(hard.reference).tx[b"score"] for e in exchanges}
    start = threading.Barrier(8)

    def worker(seed: int) -> int:
        start.wait()
        right = 0
        for number in range(len(exchanges) * 3):
            each = exchanges[(number * 7 + seed * 11) % len(exchanges)]
            found = each.run(hard.planned)
            # Counters of the persistent collection differ from run to run; what scans decide does not.
            scanned = [r.rule.id for r in found.records if 100 <= r.rule.id < 200]
            wanted = [r[0] for r in expected[each.uri] if 100 <= r[0] < 200]
            right += scanned == wanted and found.tx[b"score"] == expected_tx[each.uri]
        return right

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(worker, range(8))) == 8 * 3 * len(exchanges)


def test_phases_out_of_order_run_without_blocks(hard: Twins):
    found = hard.compare(Exchange(b"/?id=1", response=(500, (), b""), phases=(3, 5)))

    assert any(record[0] == 900 for record in found["records"])


def test_what_a_request_writes_of_what_settings_read_is_noted(hard: Twins):
    untouched = Exchange(b"/?n=1", phases=(1,)).run(hard.planned)
    touched = Exchange(b"/?level=2", phases=(1,)).run(hard.planned)

    assert (untouched.clean, b"level" in untouched.dirty) == (True, False)
    assert (touched.clean, b"level" in touched.dirty) == (True, True)


@pytest.mark.parametrize("query", [b"level=1", b"end=allow", b"off=here"])
def test_a_transaction_is_no_longer_clean_when_rules_jump_or_are_removed(hard: Twins, query: bytes):
    assert not Exchange(b"/?" + query, phases=(1,)).run(hard.planned).clean


def test_an_interruption_leaves_it_clean_for_the_logging_phase():
    twins = Twins("""
        SecRuleEngine On
        SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=0"
        SecRule ARGS:x "@rx ." "id:2,phase:2,deny,setvar:tx.b=1"
        SecAction "id:3,phase:2,nolog,pass,setvar:tx.a=1"
        SecRule TX:a "@eq 1" "id:4,phase:5,nolog,pass"
        SecRule TX:b "@eq 1" "id:5,phase:5,nolog,pass"
        SecRule TX:a "@eq 0" "id:6,phase:5,nolog,pass"
    """)
    tx = Exchange(b"/?x=1").run(twins.planned)

    assert tx.clean
    assert {b"a", b"b"} <= tx.dirty
    assert [record[0] for record in twins.compare(Exchange(b"/?x=1"))["records"]] == [1, 2, 5, 6]
    assert [record[0] for record in twins.compare(Exchange(b"/?y=1"))["records"]] == [1, 3, 4]


def block(start: int, **how: Any) -> Block:
    fields: dict[str, Any] = {
        "start": start, "end": start + 1, "reads": frozenset(), "changes": {}, "removed": (), "made": (),
        "records": (), "severity": 255, "matched_var": None,
    }  # fmt: skip
    return Block(**{**fields, **how})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"changes": {b"a": b"1", b"b": b"1"}}, {"changes": {b"a": b"2", b"c": b"1"}}),
        ({"changes": {b"a": b"1"}}, {"removed": (b"a",), "changes": {b"b": b"1"}}),
        ({"removed": (b"z",), "changes": {b"z": b"1"}}, {"removed": (b"z", b"y")}),
        ({"removed": (b"z",), "changes": {b"b": b"1"}}, {"removed": (b"b",), "changes": {b"b": b"1", b"z": b"2"}}),
        ({"matched_var": ("TX:a", b"1")}, {}),
        ({"matched_var": ("TX:a", b"1"), "made": (b"a",)}, {"matched_var": ("TX:b", b"1"), "made": (b"b",)}),
    ],
)
def test_two_blocks_as_one_do_what_they_do_one_by_one(first: dict[str, Any], second: dict[str, Any]):
    waf = Twins('SecAction "id:1,phase:1,pass"').reference
    apart, together = Exchange(phases=()).run(waf), Exchange(phases=()).run(waf)
    for tx in (apart, together):
        tx.tx.update({b"y": b"0", b"z": b"0"})
    one, other = block(1, reads=frozenset({b"a"}), **first), block(2, reads=frozenset({b"b"}), **second)
    one.apply(apart)
    other.apply(apart)
    merged = one.then(other)
    merged.apply(together)

    assert list(together.tx.items()) == list(apart.tx.items())
    assert (together.matched_var, together.made_keys) == (apart.matched_var, apart.made_keys)
    assert (merged.start, merged.end, merged.reads) == (1, 3, {b"a", b"b"})


def program_of(**how: Any) -> PhaseProgram:
    none: frozenset[int] = frozenset()
    fields: dict[str, Any] = {
        "rules": (), "visits": (), "stretches": (), "blocks": {}, "static": none, "full": (), "sources": (),
        "early": (), "reachable": none, "landing": {},
    }  # fmt: skip
    return PhaseProgram(**{**fields, **how})


def test_what_blocks_behind_a_position_write():
    program = program_of(
        blocks={1: block(1, changes={b"a": b"1"}), 4: block(4, changes={b"b": b"1"}, removed=(b"c",)), 7: block(7)}
    )

    assert program.written_behind(0) == {b"a", b"b", b"c"}
    assert program.written_behind(1) == program.written_behind(3) == {b"b", b"c"}
    assert program.written_behind(4) == frozenset()


def test_a_program_fits_while_nothing_outside_of_rules_changed_what_its_blocks_read():
    tx = Exchange(phases=()).run(Twins('SecAction "id:1,phase:1,pass"').reference)
    program = program_of(static_ids=frozenset({7}), static_keys=frozenset({b"a"}))

    assert program.fits(tx)
    tx.removed_ids = {8}
    assert program.fits(tx)
    tx.removed_ids = {7}
    assert not program.fits(tx)
    tx.removed_ids, tx.removed_targets = set(), {7: ()}
    assert not program.fits(tx)
    tx.removed_targets, tx.keys_of_body = {}, frozenset({b"a"})
    assert not program.fits(tx)


def test_an_executor_without_a_program_for_a_history_runs_the_phase_all_the_same(hard: Twins):
    executor = hard.planned._executor
    assert isinstance(executor, PlannedExecutor)
    executor.programs = {history: p for history, p in executor.programs.items() if len(history) == 1}

    hard.compare(Exchange(b"/?id=1 union select"))
