"""Snapshots: a transaction that goes on elsewhere comes to what it would have come to where it was."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.waf_engine.exchanges import exchanges
from tests.waf_engine.test_crs import FULL, cases, chosen, crs_ftw
from tests.waf_engine.twins import HARD_RULES, Exchange, outcome
from waf_engine import WAF, MemoryStore
from waf_engine.audit.entry import AuditEntry, entry_of
from waf_engine.audit.sanitiser import Sanitiser
from waf_engine.persistence import OpenCollection
from waf_engine.runtime import snapshot
from waf_engine.runtime.exchange import Connection, Request, Response
from waf_engine.runtime.snapshot import SnapshotError, leave
from waf_engine.waf import default_registries

if TYPE_CHECKING:
    from waf_engine import Transaction

__all__ = ["cases", "crs_ftw"]  # fixtures

RULES = """
    SecRuleEngine On
    SecRequestBodyAccess On
    SecResponseBodyAccess On
    SecResponseBodyMimeType text/html text/plain
    SecAuditEngine On
    SecAuditLogParts ABCEFHIJKZ
    SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=+1,setvar:tx.a=1,setenv:mode=x"
    SecRule ARGS "@rx (s)(ecret)" "id:2,phase:2,pass,log,capture,msg:'seen %{MATCHED_VAR}',sanitiseMatched"
    SecRule ARGS_NAMES "@streq off" "id:3,phase:2,pass,nolog,ctl:ruleRemoveTargetById=6;ARGS:/^q/,ctl:ruleRemoveById=7"
    SecRule ARGS:end "@streq 1" "id:4,phase:2,deny,status:409,log"
    SecRule TX:0|TX:1 "@rx ." "id:5,phase:3,pass,log,msg:'%{TX.1}'"
    SecRule ARGS|FILES|XML:/*|REQUEST_BODY "@contains odd" "id:6,phase:4,pass,log,setvar:tx.odd=+1"
    SecRule IP:n "@ge 1" "id:7,phase:5,pass,log,msg:'%{IP.n} %{ENV.mode}'"
    SecRule REQUEST_HEADERS:Content-Type "@contains xml" "id:8,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"
    SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:9,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
    SecRule &FILES_TMPNAMES "@gt 0" "id:10,phase:4,pass,nolog,setvar:tx.saved=+1"
"""
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\nodd secret\r\n'
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="odd.txt"\r\n\r\nhello\r\n--b--\r\n'
)
BODIES = {
    "none": (b"", b""),
    "form": (b"application/x-www-form-urlencoded", b"q=odd+secret&off=1"),
    "multipart": (b"multipart/form-data; boundary=b", MULTIPART),
    "json": (b"application/json", b'{"q": ["odd", {"secret": 1}]}'),
    "xml": (b"text/xml", b"<a>odd<b>secret</b></a>"),
}


def noon() -> float:
    return 1_000_000.0


class Pair:
    """One plan twice, each with collections of its own: on one a transaction goes on, on the other it moves."""

    def __init__(self, text: str, **options: Any) -> None:
        self.stays = WAF.from_directives(text, clock=noon, store=MemoryStore(clock=noon), **options)
        plan, registries = self.stays.plan, default_registries()
        self.moves = WAF(plan, registries, executor="reference", clock=noon, store=MemoryStore(clock=noon))
        self.moves._executor = self.stays._executor

    def compare(self, exchange: Exchange) -> dict[str, Any]:
        """Both outcomes, which have to be the same."""
        here, there = begin(self.stays, exchange), begin(self.moves, exchange)
        moved = self.moves.snapshots.restore(self.moves.snapshots.take(there))
        leave(there)
        differences = {
            name: (getattr(here, name), getattr(moved, name))
            for name in (*snapshot.AS_IT_IS, "tx", "interruption", "engine", "allow", "removed_targets", "connection")
            if getattr(here, name) != getattr(moved, name)
        }
        assert differences == {}
        assert seen(here.request) == seen(moved.request)
        ends = [finish(tx, exchange) for tx in (here, moved)]
        assert ends[0] == ends[1]
        return ends[0][0]


def seen(request: Request) -> dict[str, Any]:
    """A request's attributes; of the XML tree, what rules see of it."""
    found = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    del found["index"], found["indexed"]  # made when they are asked for
    found["files"] = [dataclasses.replace(file, path=None) for file in request.files]
    found["xml"] = request.xml and (request.xml.body, request.xml.texts(), request.xml.attributes())
    return found


def begin(waf: WAF, exchange: Exchange) -> Transaction:
    tx = waf.transaction("T1")
    tx.process_connection("192.0.2.7", 50000, "198.51.100.1", 80)
    tx.process_uri(exchange.uri, exchange.method, b"HTTP/1.1")
    for name, value in exchange.headers:
        tx.add_request_header(name, value)
    for phase in exchange.phases:
        if phase <= 2:
            exchange._run_phase(tx, phase)
    return tx


def finish(tx: Transaction, exchange: Exchange) -> tuple[dict[str, Any], AuditEntry]:
    for phase in exchange.phases:
        if phase > 2:
            exchange._run_phase(tx, phase)
    entry = entry_of(tx)
    found = outcome(tx)
    tx.close()
    return found, dataclasses.replace(entry, matched=()), [m.to_dict() for m in entry.matched]


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(RULES, executor="reference")


@pytest.fixture(scope="module")
def waf() -> WAF:
    return WAF.from_directives(RULES, executor="reference")


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("query", ["", "?q=secret&off=1", "?end=1&q=odd"])
def test_a_transaction_goes_on_elsewhere_as_in_place(pair: Pair, kind: str, query: str):
    content_type, body = BODIES[kind]
    headers = ((b"Host", b"a.example:80"), (b"Cookie", b"a=1; b=2"), (b"Content-Type", content_type))
    response = (200, ((b"Content-Type", b"text/html"), (b"X-A", b"secret")), b"<p>odd</p>")

    found = pair.compare(Exchange(b"/a/b" + query.encode(), b"POST", headers, body, response))

    assert 7 in [record[0] for record in found["records"]] or "off" in query or kind == "form"


def test_what_is_masked_stays_masked(waf: WAF):
    tx = begin(waf, Exchange(b"/?q=secret"))
    moved = waf.snapshots.restore(waf.snapshots.take(tx))

    lines = [rule.coraza_line() for rule in moved.matched_rules if rule.rule_id == 2]

    assert lines == [rule.coraza_line() for rule in tx.matched_rules if rule.rule_id == 2]
    assert "secret" not in lines[0]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(exchanges())
def test_hard_rules_and_odd_exchanges(hard_pair: Pair, exchange: Exchange):
    if [phase for phase in exchange.phases if phase <= 2] == sorted(p for p in exchange.phases if p <= 2):
        hard_pair.compare(exchange)


@pytest.fixture(scope="module")
def hard_pair() -> Pair:
    return Pair(HARD_RULES.read_text(), root=HARD_RULES.parent)


CRS = """
    SecRuleEngine DetectionOnly
    SecRequestBodyAccess On
    SecResponseBodyAccess On
    SecAuditEngine RelevantOnly
    SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application(?:/soap\\+|/)|text/)xml" \
        "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
    SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" \
        "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
    Include {crs}/crs-setup.conf
    Include {crs}/rules/*.conf
"""
ANSWERS = (
    (200, ((b"Content-Type", b"text/html"),), b"<p>hello</p>"),
    (500, ((b"Content-Type", b"text/plain"),), b"You have an error in your SQL syntax; check the manual (MySQL)"),
    (404, ((b"content-type", b"image/png"), (b"X-Powered-By", b"PHP")), b"\x89PNG"),
)


@pytest.mark.corpora
@pytest.mark.slow
def test_all_requests_of_the_crs_tests(corpora: Path, cases: list[Any]):
    """Each tenth of them, or all with SPOA_WAF_CRS_FULL."""
    pair = Pair(CRS.format(crs=(corpora / "crs").resolve()))
    requests = [stage.request for case in chosen(cases, 10) for stage in case.stages]
    matched = 0
    for number, raw in enumerate(requests):
        head, _, body = raw.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        method, _, rest = line.partition(b" ")
        headers = tuple((name, value.strip()) for name, _, value in (field.partition(b":") for field in fields))
        exchange = Exchange(rest.rpartition(b" ")[0], method, headers, body, ANSWERS[number % 3])
        found = pair.compare(exchange)
        matched += bool([record for record in found["records"] if record[0] >= 910_000])

    assert len(requests) > 300, FULL
    assert matched == len(requests)


def attributes(thing: object) -> set[str]:
    """The names of an object's attributes; compiled classes list them."""
    compiled = getattr(type(thing), "__mypyc_attrs__", ())
    return {*getattr(thing, "__dict__", {}), *compiled} - {"__dict__"}


def test_each_attribute_is_in_a_table():
    """Who adds an attribute to a transaction says here what becomes of it in a snapshot."""
    tx = begin(WAF.from_directives("SecRuleEngine On", executor="reference"), Exchange())
    names = attributes(tx)

    tables = (snapshot.AS_IT_IS, snapshot.CONVERTED, snapshot.MADE_ANEW)
    assert names == {name for table in tables for name in table}
    assert sum(map(len, tables)) == len(names), "an attribute is in two tables"
    assert {f.name for f in dataclasses.fields(Request)} == {*snapshot.REQUEST_KEPT, *snapshot.REQUEST_MADE_ANEW}
    assert set(snapshot.RESPONSE_KEPT) < {f.name for f in dataclasses.fields(Response)}
    assert [f.name for f in dataclasses.fields(Connection)] == ["client_ip", "client_port", "server_ip", "server_port"]
    assert [f.name for f in dataclasses.fields(OpenCollection)] == ["key", "timeout", "is_new", "changed", "view"]
    assert {name for name in attributes(Sanitiser(tx)) if name[0] != "_"} == set(snapshot.SANITISER_KEPT)
    assert set(snapshot._STATE_CHECKS) | {"limits", "made_keys"} == set(snapshot.AS_IT_IS)


# -- guards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        ("setvar:tx.a=1", "setvar:tx.a=2"),
        ("SecRuleEngine On", "SecRuleEngine DetectionOnly"),
        ("id:7", "id:77"),
        ("SecAuditEngine On", 'SecAuditEngine On\nSecRuleUpdateTargetById 2 "!ARGS:x"'),
        ("ARGS:/^q/", "ARGS:/^r/"),
    ],
    ids=["action", "setting", "id", "update", "exclusion"],
)
def test_other_rules_refuse_it(waf: WAF, change: tuple[str, str]):
    data = waf.snapshots.take(begin(waf, Exchange()))
    assert change[0] in RULES
    text = RULES.replace(*change)
    if change[1].startswith("SecAuditEngine"):
        text = RULES + '\nSecRuleUpdateTargetById 2 "!ARGS:x"'
    other = WAF.from_directives(text, executor="reference")

    with pytest.raises(SnapshotError) as caught:
        other.snapshots.restore(data)
    assert caught.value.other_rules


def test_the_same_rules_elsewhere_take_it(waf: WAF, tmp_path: Path):
    """In another folder, with other logs."""
    (tmp_path / "rules.conf").write_text(RULES)
    log = f"SecDebugLog {tmp_path}/debug.log\nSecUploadDir {tmp_path}"
    other = WAF.from_directives(f"{log}\nInclude {tmp_path}/rules.conf", executor="reference")
    data = waf.snapshots.take(begin(waf, Exchange(b"/?q=secret")))

    assert [r.rule_id for r in other.snapshots.restore(data).matched_rules] == [1, 2]
    other.close()


@pytest.mark.slow
def test_the_fingerprint_is_the_same_in_another_process(waf: WAF):
    script = (
        "import sys; from waf_engine import WAF; rules = sys.stdin.read();"
        "print(WAF.from_directives(rules, executor='reference').snapshots.fingerprint.hex())"
    )
    command, root = [sys.executable, "-c", script], Path(__file__).parent.parent.parent.parent
    found = subprocess.run(command, input=RULES, text=True, capture_output=True, cwd=root, check=False)

    assert found.stdout.strip() == waf.snapshots.fingerprint.hex(), found.stderr


def test_a_snapshot_is_bounded(waf: WAF):
    tx = begin(waf, Exchange(method=b"POST", body=b"x" * 5000))

    with pytest.raises(SnapshotError, match="the body alone has 5000 bytes of 5000"):
        waf.snapshots.take(tx, 5000)
    with pytest.raises(SnapshotError, match="where 5100 are allowed"):
        waf.snapshots.take(tx, 5100)
    assert len(waf.snapshots.take(tx, 10_000)) < 10_000


def test_it_is_for_requests_only(waf: WAF):
    tx = begin(waf, Exchange())
    tx.process_response_headers(200, "HTTP/1.1")

    with pytest.raises(SnapshotError, match="beyond its request"):
        waf.snapshots.take(tx)


def test_what_a_plug_in_put_there_is_refused(waf: WAF):
    tx = begin(waf, Exchange())
    tx.env[b"x"] = object()  # type: ignore[assignment]  # what a plug-in may do

    with pytest.raises(SnapshotError, match="what no snapshot can hold"):
        waf.snapshots.take(tx)


def test_files_on_disk_stay_with_their_process(tmp_path: Path):
    text = RULES + f"\nSecUploadDir {tmp_path}\nSecUploadKeepFiles On\n"
    text += 'SecRule FILES_TMPNAMES "@rx ." "id:20,phase:2,pass,nolog"'
    waf = WAF.from_directives(text, executor="reference")
    headers = ((b"Content-Type", b"multipart/form-data; boundary=b"),)
    tx = begin(waf, Exchange(method=b"POST", headers=headers, body=MULTIPART))
    saved = [file.path for file in tx.request.files]
    data = waf.snapshots.take(tx)
    leave(tx)
    assert len(saved) == 1
    assert list(tmp_path.iterdir()) == []

    moved = waf.snapshots.restore(data)
    finish(moved, Exchange())

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"hello"]


# -- damage ------------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_data_is_refused(waf: WAF, data: st.DataObject):
    whole = waf.snapshots.take(begin(waf, Exchange(b"/?q=secret&off=1")))
    damaged = bytearray(whole)
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)), min_size=1)):
        damaged[place] ^= value
    cut = bytes(damaged[: data.draw(st.integers(0, len(whole)))])
    if cut == whole:
        return

    with pytest.raises(SnapshotError):
        waf.snapshots.restore(cut)


def sealed(waf: WAF, content: bytes) -> bytes:
    return waf.snapshots.fingerprint + zlib.crc32(content).to_bytes(4, "big") + content


odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | st.binary(max_size=8)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.binary(max_size=3) | st.integers(0, 9), inner),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested lists and dictionaries."""
    found = [path]
    if isinstance(value, (list, dict)):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += places(value[key], (*path, key))
    return found


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_forged_data_with_a_right_check_sum_raises_nothing_else(waf: WAF, data: st.DataObject):
    headers = ((b"Content-Type", b"application/x-www-form-urlencoded"),)
    exchange = Exchange(b"/?q=secret&off=1", b"POST", headers, b"a=secret")
    taken = waf.snapshots.take(begin(waf, exchange))[20:]
    content = msgpack.unpackb(taken, strict_map_key=False, unicode_errors="surrogateescape")
    path = data.draw(st.sampled_from(places(content)))
    value = data.draw(odd)
    if path:
        holder = content
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value
    else:
        content = value
    forged = sealed(waf, msgpack.packb(content, unicode_errors="surrogatepass"))

    try:
        tx = waf.snapshots.restore(forged)
    except SnapshotError:
        return
    finish(tx, Exchange())  # whatever could be restored can go on


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60))
@example(b"\x81\x90\x00")
@example(b"\x91" * 600)
@example(b"\xdf\xff\xff\xff\xff")
def test_any_bytes_with_a_right_check_sum_are_refused(waf: WAF, content: bytes):
    with pytest.raises(SnapshotError):
        waf.snapshots.restore(sealed(waf, content))
