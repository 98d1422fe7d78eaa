"""`WAF`: made of texts and files, shared by threads, one verdict whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.waf_engine.support import exchange, load, matched
from waf_engine import WAF, Interruption, MemoryStore, SecLangError
from waf_engine.registry import Registry
from waf_engine.waf import EXECUTORS, default_registries

if TYPE_CHECKING:
    from pathlib import Path

    from waf_engine import Transaction

RULE = 'SecRule ARGS "@contains attack" "id:1,phase:1,deny"'


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder of rule files that include each other and a word list."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "main.conf").write_text("SecRuleEngine On\nInclude rules/*.conf\n")
    (tmp_path / "rules" / "10.conf").write_text('SecRule ARGS "@pmFromFile words.data" "id:10,phase:1,pass"\n')
    (tmp_path / "rules" / "20.conf").write_text('SecAction "id:20,phase:1,pass"\n')
    (tmp_path / "rules" / "words.data").write_text("attack\n")
    return tmp_path


def test_from_directives():
    waf = WAF.from_directives(RULE)

    assert exchange(waf, "/?a=attack").interruption == Interruption("deny", 403, "", 1)
    assert exchange(waf, "/?a=peace").interruption is None


def test_from_directives_with_includes_below_the_root(rules: Path):
    waf = WAF.from_directives("Include main.conf", root=rules)

    assert matched(exchange(waf, "/?a=attack")) == [10, 20]


def test_from_files(rules: Path):
    whole = WAF.from_files([rules / "main.conf"])
    pieces = WAF.from_files(["rules/2*.conf", str(rules / "rules" / "10.conf")], root=rules)

    assert matched(exchange(whole, "/?a=attack")) == [10, 20]
    assert matched(exchange(pieces, "/?a=attack")) == [20, 10]
    assert [name.rpartition("/")[2] for name in whole.plan.files] == ["main.conf", "10.conf", "20.conf"]


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(SecLangError) as caught:
        WAF.from_files([tmp_path / "none.conf"])

    assert [d.span.line for d in caught.value.errors] == [1]


def test_a_fault_in_a_file_is_shown_with_its_line(rules: Path):
    (rules / "rules" / "20.conf").write_text('# nothing\nSecRule NO_SUCH "@rx a" "id:20"\n')
    with pytest.raises(SecLangError) as caught:
        WAF.from_files([rules / "main.conf"])
    (fault,) = caught.value.errors

    assert fault.span.file.endswith("20.conf")
    assert (fault.span.line, fault.span.column, fault.source_line) == (2, 9, 'SecRule NO_SUCH "@rx a" "id:20"')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "fast"}, "executor is one of plan, reference, got 'fast'"),
        ({"scan_memory": -1}, "scan_memory is a number of bytes, got -1"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        WAF.from_directives(RULE, **options)


@pytest.mark.parametrize("executor", list(EXECUTORS))
@pytest.mark.parametrize("scan_memory", [0, 1_000_000])
def test_executors_and_memory_do_not_change_a_verdict(executor: str, scan_memory: int):
    waf = WAF.from_directives(RULE, executor=executor, scan_memory=scan_memory)

    assert [exchange(waf, f"/?a={word}").interruption is not None for word in ("attack", "x", "attack")] == [
        True, False, True
    ]  # fmt: skip


def test_settings_of_the_program():
    waf = WAF.from_directives("SecRuleEngine On", settings={"request_body_access": True})

    assert waf.plan.settings.request_body_access is True


def test_the_clock_and_the_store_are_the_ones_given():
    store = MemoryStore(clock=lambda: 5.0)
    waf = load('SecAction "id:1,phase:1,pass,initcol:ip=a,setvar:ip.b=1"', clock=lambda: 7.0, store=store)
    tx = exchange(waf)

    assert (tx.started, tx.variable("TIME_EPOCH"), tx.variable("IP", b"create_time")) == (7.0, b"7", b"5")
    assert len(store) == 1


def test_an_empty_store_is_a_store():
    store = MemoryStore()

    assert exchange(load("SecRuleEngine On", store=store)).store is store


def test_names_of_a_plug_in_go_to_copies():
    mine = replace(default_registries(), transformations=default_registries().transformations.copy())
    mine.transformations.add(bytes.swapcase, "swapCase")
    rules = 'SecRule ARGS:a "@streq aB" "id:1,phase:1,pass,t:swapCase"'

    assert matched(exchange(load(rules, registries=mine), "/?a=Ab")) == [1]
    with pytest.raises(SecLangError):
        load(rules)


def test_the_default_registries_are_full():
    registries = default_registries()

    for name in type(registries).__dataclass_fields__:
        registry = getattr(registries, name)
        assert isinstance(registry, Registry)
        assert len(registry) > 2


# -- threads --------------------------------------------------------------------------------------

SHARED = """
    SecRequestBodyAccess On
    SecRule ARGS:skip "@rx ." "id:1,phase:1,pass,nolog,ctl:ruleRemoveById=3,ctl:ruleRemoveTargetById=4;ARGS:b"
    SecRule ARGS "@rx (\\d+)" "id:2,phase:2,pass,capture,log,\\
        msg:'%{TX.1} in %{MATCHED_VAR_NAME}',setvar:tx.sum=+%{TX.1}"
    SecRule ARGS "@detectSQLi" "id:3,phase:2,pass,log"
    SecRule ARGS "@pm attack evil" "id:4,phase:2,pass,log,t:lowercase,t:urlDecodeUni"
    SecRule TX:sum "@gt 250" "id:5,phase:2,deny,log"
    SecAction "id:6,phase:5,pass,nolog,initcol:global=all,setvar:global.count=+1"
"""


def outcome(tx: Transaction) -> tuple[object, ...]:
    lines = [rule.coraza_line() for rule in tx.matched_rules]
    return lines, sorted(tx.tx.items()), tx.interruption


@pytest.mark.parametrize("executor", list(EXECUTORS))
def test_threads_share_a_waf_and_nothing_else(executor: str):
    waf = load(SHARED, executor=executor)
    requests = [
        (f"/?a={n}&b={'EVIL' if n % 3 else '1%27+or+1=1'}" + ("&skip=1" if n % 5 == 0 else ""), b"c=%d" % (n * 7))
        for n in range(40)
    ]

    def run(_: int) -> list[tuple[object, ...]]:
        return [outcome(exchange(waf, uri, body=body)) for uri, body in requests * 5]

    alone = run(0)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(run, range(8)))

    assert len(alone) == 200
    assert all(each == alone for each in together)
    assert any(verdict is not None for _, _, verdict in alone)
    assert dict(exchange(waf).plan.variables["GLOBAL"].read(exchange(waf)))[b"count"] == b"%d" % (9 * 200 + 2)


@pytest.mark.parametrize("from_files", [False, True])
def test_embedded_names_of_the_caller_s_choice(tmp_path: Path, *, from_files: bool):
    (tmp_path / "10.conf").write_text('SecRule ARGS "@pmFromFile words.data" "id:1,phase:1,deny"\n')
    (tmp_path / "words.data").write_text("attack\n")
    embedded = {"@site/": tmp_path}
    name = "@site/*.conf"

    waf = (
        WAF.from_files([name], embedded=embedded, executor="reference")
        if from_files
        else WAF.from_directives(f"Include {name}", embedded=embedded, executor="reference")
    )

    assert waf.plan.files == ("@site/10.conf",)
    tx = waf.transaction()
    tx.process_uri("/?a=attack", "GET", "1.1")
    interruption = tx.process_request_headers()
    assert interruption is not None
    assert interruption.rule_id == 1


def test_coraza_s_recommended_file_means_what_it_meant():
    waf = WAF.from_directives("Include @coraza.conf-recommended", executor="reference")
    settings = waf.plan.settings

    assert waf.plan.diagnostics == ()
    assert sorted(rule.id for rule in waf.plan.rules) == [200000, 200001, 200002, 200003, 200006]
    assert settings.rule_engine == "DetectionOnly"
    assert (settings.request_body_limit, settings.request_body_in_memory_limit) == (13107200, 131072)
    assert settings.response_body_mime_types == ("text/plain", "text/html", "text/xml")
    assert (settings.audit_engine, settings.audit_log_parts) == ("RelevantOnly", "ABIJDEFHZ")


@pytest.mark.parametrize(
    ("content_type", "processor"),
    [
        ("text/xml", b"XML"),
        ("application/soap+xml; charset=utf-8", b"XML"),
        ("Application/JSON", b"JSON"),
        ("application/vnd.api+json", b"JSON"),
        ("image/svg+xml", b""),
        ("text/json", b""),
    ],
)
def test_coraza_s_recommended_file_chooses_the_reader(content_type: str, processor: bytes):
    name = processor.decode() or "."
    operator = "streq" if processor else "rx"
    text = f'Include @coraza.conf-recommended\nSecRule REQBODY_PROCESSOR "@{operator} {name}" "id:1,phase:1,pass,log"'
    tx = WAF.from_directives(text, executor="reference").transaction()
    tx.process_uri("/", "POST", "1.1")
    tx.add_request_header("Content-Type", content_type)
    tx.process_request_headers()

    assert [match.rule.id for match in tx.matched_rules if match.rule.id == 1] == [1] * bool(processor)
