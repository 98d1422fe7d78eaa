"""The embedded rules: they load cleanly, each does what it says, attacks are blocked and people's texts are not."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
import yaml

from tests.waf_engine.rules.rule_table import DOCUMENT, replaced
from waf_engine import WAF

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FULL = os.environ.get("SPOA_WAF_FULL") == "1"  # every benign text, not every fourth
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RULES = ROOT / "waf_engine" / "rules"
BENIGN = ROOT / "tests" / "benign"
EXAMPLES: dict[int, dict[str, dict[str, Any]]] = yaml.safe_load((HERE / "examples.yaml").read_text("utf-8"))

DIRECTIVES = "Include @recommended.conf\nInclude @baseline/*.conf"
FIRST_ID, LAST_ID = 191000, 198999  # rules that judge; below are settings, above is the evaluation

HEADERS = {
    "Host": "www.example.com",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,*/*;q=0.8",
}
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "----WebKitFormBoundaryabcDEF123"


class Request(NamedTuple):
    """One request as an adapter gives it to the engine, and the text that the application would answer."""

    method: str
    uri: str
    version: str
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    response: bytes | None = None
    response_headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html; charset=utf-8"),)
    response_status: int = 200


class Verdict(NamedTuple):
    """What the rules made of a request: the status they answer with (0: it passes) and the ids that matched."""

    status: int
    ids: set[int]


@pytest.fixture(scope="module")
def waf() -> WAF:
    return WAF.from_directives(DIRECTIVES, executor="reference")


@pytest.fixture(scope="module")
def watching() -> WAF:
    """The same rules without blocking, so that rules of later phases are seen too."""
    return WAF.from_directives(f"{DIRECTIVES}\nSecRuleEngine DetectionOnly", executor="reference")


def run(waf: WAF, request: Request) -> Verdict:
    tx = waf.transaction()
    try:
        tx.process_connection("192.0.2.10", 40000, "192.0.2.1", 80)
        tx.process_uri(request.uri, request.method, request.version)
        for name, value in request.headers:
            tx.add_request_header(name, value)
        hit = tx.process_request_headers()
        if hit is None and request.body:
            hit = tx.write_request_body(request.body)
        if hit is None:
            hit = tx.process_request_body()
        if hit is None and request.response is not None:
            for header, content in request.response_headers:
                tx.add_response_header(header, content)
            hit = tx.process_response_headers(request.response_status, "HTTP/1.1")
            if hit is None:
                hit = tx.write_response_body(request.response)
            if hit is None:
                hit = tx.process_response_body()
        tx.process_logging()
        return Verdict(hit.status if hit else 0, {matched.rule.id for matched in tx.matched_rules})
    finally:
        tx.close()


def make(spec: dict[str, Any]) -> Request:
    """A request from an entry of examples.yaml."""
    headers = {**HEADERS, **spec.get("headers", {})}
    for name in spec.get("without", ()):
        del headers[name]
    method, uri, body = spec.get("method", "GET"), spec.get("uri", "/"), b""
    query = [("q", spec["arg"])] if "arg" in spec else []
    query += [(spec["name"], "1")] if "name" in spec else []
    if query:
        uri += "?" + urlencode(query)
    if "cookie" in spec:
        headers["Cookie"] = spec["cookie"]
    if "form" in spec:
        method, headers["Content-Type"], body = "POST", FORM, urlencode({"q": spec["form"]}).encode()
    if "file" in spec or "part" in spec:
        disposition = 'form-data; name="f"' + (f'; filename="{spec["file"]}"' if "file" in spec else "")
        part = f"Content-Disposition: {disposition}\r\n" + (f"{spec['part']}\r\n" if "part" in spec else "")
        method, headers["Content-Type"] = "POST", f"multipart/form-data; boundary={BOUNDARY}"
        body = f"--{BOUNDARY}\r\n{part}\r\nx\r\n--{BOUNDARY}--\r\n".encode()
    if "type" in spec:
        headers["Content-Type"], body = spec["type"], spec["body"].encode()
    if body or "type" in spec:
        headers["Content-Length"] = str(len(body))
    response = spec["response"].encode() if "response" in spec else None
    version = spec.get("version", "HTTP/1.1")
    return Request(method, uri, version, [(k.encode(), v.encode()) for k, v in headers.items()], body, response)


def rule_ids() -> list[int]:
    """The ids of all rules in the files that judge."""
    text = "".join(path.read_text("utf-8") for path in sorted(RULES.glob("[2-8]*.conf")))
    return [i for i in map(int, re.findall(r'"id:(\d+)', text)) if FIRST_ID <= i <= LAST_ID and i != SKIPPER]


SKIPPER = 198500  # leaves out the rules for answers, judges nothing


def test_loads_without_a_diagnostic(waf: WAF):
    assert not waf.plan.diagnostics


def test_are_many_and_their_ids_are_unique():
    ids = rule_ids()

    assert len(ids) >= 100
    assert [i for i, n in Counter(ids).items() if n > 1] == []


def test_each_rule_has_an_example_and_no_example_lacks_its_rule():
    assert sorted(EXAMPLES) == sorted(rule_ids())


@pytest.mark.parametrize("rule", sorted(EXAMPLES))
def test_rule_matches_its_attack_and_not_what_is_near_to_it(watching: WAF, rule: int):
    attack, near = (run(watching, make(EXAMPLES[rule][kind])) for kind in ("attack", "near"))

    assert rule in attack.ids
    assert rule not in near.ids


@pytest.mark.parametrize(
    ("values", "status"),
    [
        (["4294967296"], 0),
        (["4294967296", "http://127.0.0.1/"], 0),
        (["4294967296", "http://127.0.0.1/", "what does /etc/shadow hold?"], 403),
    ],
)
def test_three_kinds_of_hints_block_and_two_do_not(waf: WAF, values: list[str], status: int):
    uri = "/?" + urlencode([(f"a{i}", value) for i, value in enumerate(values)])

    assert run(waf, Request("GET", uri, "HTTP/1.1", make({}).headers)).status == status


def test_many_hints_of_one_kind_count_once(waf: WAF):
    uri = "/?" + urlencode([(f"a{i}", "select a from b") for i in range(20)])

    verdict = run(waf, Request("GET", uri, "HTTP/1.1", make({}).headers))

    assert verdict.status == 0
    assert 197140 in verdict.ids


def test_the_threshold_is_a_setting():
    before = 'SecAction "id:100001,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=2"\n'
    strict = WAF.from_directives(
        "Include @recommended.conf\n" + before + "Include @baseline/*.conf", executor="reference"
    )

    assert run(strict, make({"arg": "4294967296"})).status == 403


def test_an_exclusion_lets_a_parameter_pass(waf: WAF):
    spec = {"arg": "<script>alert(1)</script>"}
    after = "\n".join(f'SecRuleUpdateTargetById {i} "!ARGS:q"' for i in run(waf, make(spec)).ids if i < LAST_ID)
    excluded = WAF.from_directives(f"{DIRECTIVES}\n{after}", executor="reference")

    assert run(waf, make(spec)).status == 403
    assert run(excluded, make(spec)).status == 0


def test_an_exclusion_by_tag_lets_a_parameter_pass_on_one_path():
    action = "id:100011,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=attack-xss;ARGS:q"
    before = f'SecRule REQUEST_FILENAME "@streq /forum" "{action}"\n'
    directives = DIRECTIVES.replace("Include @baseline", before + "Include @baseline")
    excluded = WAF.from_directives(directives, executor="reference")
    attack = {"arg": "<script>alert(1)</script>"}

    assert run(excluded, make({"uri": "/forum", **attack})).status == 0
    assert run(excluded, make({"uri": "/other", **attack})).status == 403


@pytest.mark.parametrize(
    "spec",
    [
        {"arg": "1' OR '1'='1"},
        {"form": "x' UNION SELECT name, pass FROM users-- -"},
        {"arg": "<script>alert(document.cookie)</script>"},
        {"arg": "<svg/onload=alert(1)>"},
        {"arg": "../../../../etc/passwd"},
        {"uri": "/download?file=....//....//etc/passwd"},
        {"arg": "127.0.0.1; cat /etc/passwd"},
        {"form": "8.8.8.8 && whoami"},
        {"arg": "$(id)"},
        {"arg": "${jndi:ldap://203.0.113.5/x}"},
        {"arg": "{{7*7}}"},
        {"file": "shell.php"},
        {"uri": "/.git/config"},
        {"headers": {"User-Agent": "Nikto/2.5"}},
    ],
)
def test_plain_attacks_are_blocked(waf: WAF, spec: dict[str, Any]):
    assert run(waf, make(spec)).status == 403


# --- texts that people write


def benign_texts() -> list[tuple[str, str]]:
    """(name, text) of every text in tests/benign; `lines-*.txt` has one a line, the others are cut at %%%%."""
    texts = []
    for path in sorted(BENIGN.glob("*.txt")):
        whole = path.read_text("utf-8").strip("\n")
        parts = whole.split("\n%%%%\n") if path.stem in {"prose", "code", "data"} else whole.split("\n")
        texts += [(f"{path.stem} {i}", part.strip("\n")) for i, part in enumerate(parts, 1)]
    return texts


def posted(kind: str, body: bytes) -> Request:
    headers = {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}
    return Request("POST", "/contact", "HTTP/1.1", [(k.encode(), v.encode()) for k, v in headers.items()], body)


def multipart(fields: dict[str, str]) -> Request:
    parts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return posted(f"multipart/form-data; boundary={BOUNDARY}", f"{parts}--{BOUNDARY}--\r\n".encode())


def carriers(name: str, text: str) -> Iterator[tuple[str, Request]]:
    """Every way in which a text of this kind comes to a site."""
    kind = name.split(" ", maxsplit=1)[0]
    if kind == "user-agents":
        yield "User-Agent", make({"headers": {"User-Agent": text}})
    elif kind == "cookies":
        yield "Cookie", make({"cookie": text})
    elif kind == "paths":
        yield "address", make({"uri": text.split("#", maxsplit=1)[0]})
    else:
        lines = text.replace("\n", "\r\n")  # as browsers send a textarea
        yield "form", posted(FORM, urlencode({"title": "A question", "text": lines, "preview": text[:200]}).encode())
        yield "query", make({"arg": text})
        yield "multipart", multipart({"text": lines})
        yield "json", posted("application/json", json.dumps({"items": [{"text": text}]}).encode())
        yield "referer", make({"headers": {"Referer": "https://www.example.com/search?" + urlencode({"q": text})}})
        yield "cookie", make({"cookie": f"draft={quote(text[:1000], safe='')}"}) if kind == "prose" else make({})


def test_there_are_enough_benign_texts():
    assert len(benign_texts()) >= 1000


@pytest.mark.slow
def test_no_text_of_a_person_is_blocked(waf: WAF):
    share = 1 if FULL else 4
    blocked, count = [], 0
    for name, text in benign_texts()[::share]:
        for carrier, request in carriers(name, text):
            verdict = run(waf, request)
            count += 1
            if verdict.status:
                blocked.append((name, carrier, sorted(verdict.ids), text[:80]))

    assert blocked == []
    assert count >= 5000 / share


# --- the corpora


def load(folder: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"shared_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def parse(raw: bytes) -> Request:
    """A raw request taken apart as leniently as a proxy might, with the reflecting backend's answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, _, rest = first.decode("latin-1").partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/"):
        uri, version = rest, "HTTP/1.1"
    headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    request = Request(method, uri, version, headers, body)
    if method != "POST" or not uri.split("?")[0].rstrip("/").endswith("/reflect"):
        return request
    answer = json.loads(body)
    given = tuple((str(k), str(v)) for k, v in (answer.get("headers") or {}).items())
    return request._replace(
        response=(answer.get("body") or "").encode(),
        response_headers=given or (("Content-Type", "text/plain; charset=utf-8"),),
        response_status=int(answer.get("status") or 200),
    )


def reads_only_forms(request: Request) -> bool:
    return not any(k.lower() == b"content-type" and re.search(rb"xml|json", v) for k, v in request.headers)


@pytest.mark.corpora
@pytest.mark.slow
def test_block_rate_on_the_attacks_of_crs_regression(waf: WAF, corpora: Path):
    ftw = load(corpora / "tools", "crs_ftw")
    stages: Counter[str] = Counter()
    blocked: Counter[str] = Counter()
    for case in ftw.load_cases([corpora / "corpora" / "crs-regression"]):
        for stage in case.stages:
            if stage.expect_ids:
                request = parse(stage.request)
                stages["all"] += 1
                hit = run(waf, request).status != 0
                blocked["all"] += hit
                # Without bodies of XML and JSON: what the rules do for an application that has only forms.
                if reads_only_forms(request):
                    blocked["forms"] += hit

    assert stages["all"] == 3116
    assert blocked["forms"] >= 0.35 * stages["all"]
    assert blocked["all"] >= 0.60 * stages["all"]


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["R1", "R2", "R3", "R4", "R5", "R7"])
def test_no_request_of_the_benchmark_is_blocked(waf: WAF, corpora: Path, kind: str):
    requests = load(corpora / "bench", "corpus")
    count = {"R4": 50, "R7": 20}.get(kind, 200)  # the large ones take long
    blocked = 0
    for index in range(count):
        method, uri, version, headers, body = requests.split(requests.variant(kind, index))
        pairs = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers]
        blocked += run(waf, Request(method, uri, version, pairs, body)).status != 0

    assert blocked == 0


@pytest.mark.corpora
def test_the_attack_of_the_benchmark_is_blocked(waf: WAF, corpora: Path):
    requests = load(corpora / "bench", "corpus")
    blocked = 0
    for index in range(50):
        method, uri, version, headers, body = requests.split(requests.variant("R6", index))
        pairs = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers]
        blocked += run(waf, Request(method, uri, version, pairs, body)).status == 403

    assert blocked == 50


def test_the_table_in_the_documentation_is_of_today():
    """When it is not: python -m tests.waf_engine.rules.rule_table."""
    document = DOCUMENT.read_text("utf-8")

    assert replaced(document) == document
