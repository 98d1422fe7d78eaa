"""Our logged rules beside libmodsecurity's, on 2,000 generated requests, under CRS 4.28 at levels 1 and 4.

Each difference that is meant is a row of `ROWS`, and of docs/seclang.md; one without a row is a defect. Coraza's
verdicts are compared in test_crs.py, on the requests for which they were recorded.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from lxml import etree

from tests.waf_engine.generated import KINDS, Generated, generate
from waf_engine import WAF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from waf_engine.compiler.plan import CompiledRule, Plan

REQUESTS = 2_000
QUICK_STEP = 8
"""The quick form runs one request in so many."""

FULL = "SPOA_WAF_FULL"
"""Set this environment variable to run them all."""

LEVELS = (1, 4)
IDENTICAL = 0.97
"""The share of requests on which both must log the same rules, without any explanation."""

SUMMARY = 980170
"""Sums up in phase 5. libmodsecurity never logs it: there noauditlog silences the error log, too."""

SCORES = frozenset((949110,))
"""What follows from other rules: a difference here is explained with theirs."""

_ANY = None
_ID = re.compile(r'\[id "(\d+)"\]')
_FORM = b"application/x-www-form-urlencoded"


class Difference(NamedTuple):
    """Two verdicts on one request that are not the same.

    Attributes:
        request: the request.
        ours: rules that we alone log.
        theirs: rules that libmodsecurity alone logs.
        facts: what is known of the rules.
    """

    request: Generated
    ours: frozenset[int]
    theirs: frozenset[int]
    facts: Facts


@dataclass
class Facts:
    """Rules by what they look at and how, chains included."""

    readers: dict[str, frozenset[int]] = field(default_factory=dict)
    transformed: dict[str, frozenset[int]] = field(default_factory=dict)


def gather(plan: Plan) -> Facts:
    """The rules that read a variable or use a transformation, by its name."""
    readers: dict[str, set[int]] = {}
    transformed: dict[str, set[int]] = {}
    for starter in {rule.id: rule for phase in plan.phases for rule in phase}.values():
        member: CompiledRule | None = starter
        while member is not None:
            for target in member.targets:
                readers.setdefault(target.variable.name, set()).add(starter.id)
            for name, _ in member.transformations:
                transformed.setdefault(name.lower().replace("normalise", "normalize"), set()).add(starter.id)
            member = member.chain
    return Facts(
        {name: frozenset(ids) for name, ids in readers.items()},
        {name: frozenset(ids) for name, ids in transformed.items()},
    )


# What requests are like.


def content_type(request: Generated) -> bytes:
    return next((value for name, value in request.headers if name == b"Content-Type"), b"")


def all_bytes(request: Generated) -> bytes:
    """Everything of a request, percent-decoded as often as anything in it is encoded."""
    text = b"\n".join((request.target, *(value for _, value in request.headers), request.body))
    for _ in range(3):
        text = re.sub(rb"%([0-9a-fA-F]{2})", lambda m: bytes((int(m[1], 16),)), text)
    return text


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def xml_texts(request: Generated) -> list[str] | None:
    """The texts of an XML body; None for one that is not well-formed or has a document type."""
    if request.kind != "xml" or b"<!DOCTYPE" in request.body:
        return None
    try:
        return [text for text in etree.fromstring(request.body).itertext() if text.strip()]
    except etree.XMLSyntaxError:
        return None


def multipart_contents(request: Generated) -> list[bytes]:
    """What stands between the headers of each part and the line break before the next one."""
    if request.kind != "multipart":
        return []
    parts = re.split(rb"(?:^|\r?\n)--", request.body)
    return [content for part in parts for _, blank, content in [part.partition(b"\r\n\r\n")] if blank] or [request.body]


def is_json(body: bytes) -> bool:
    try:
        json.loads(body.decode())
    except ValueError:
        return False
    return True


# Where the two differ: the rows. Each is in docs/seclang.md, too.


class Row(NamedTuple):
    """One meant difference.

    Attributes:
        reason: why it is there.
        most: on how many verdicts of all the requests, both levels together, it may be needed.
        applies: whether it can play a part in a difference.
        ours, theirs: rules that it explains when only we, only they log them; None for any.
    """

    reason: str
    most: int
    applies: Callable[[Generated], bool]
    ours: Callable[[Facts], frozenset[int]] | None
    theirs: Callable[[Facts], frozenset[int]] | None


def _none(_facts: Facts) -> frozenset[int]:
    return frozenset()


def _only(*ids: int) -> Callable[[Facts], frozenset[int]]:
    return lambda _facts: frozenset(ids)


def _reading(*variables: str) -> Callable[[Facts], frozenset[int]]:
    return lambda facts: frozenset().union(*(facts.readers[name] for name in variables))


def _using(*transformations: str) -> Callable[[Facts], frozenset[int]]:
    return lambda facts: frozenset().union(*(facts.transformed[name] for name in transformations))


def _unread_body(request: Generated) -> bool:
    """A body for whose type no processor is chosen, or one that is not what the type says."""
    kind = content_type(request)
    if not request.body or kind.startswith((_FORM, b"multipart/")) or request.kind == "xml":
        return False
    return request.kind != "json" or kind == b"text/json"


def _cookie(request: Generated) -> bytes:
    return next((value for name, value in request.headers if name == b"Cookie"), b"")


ROWS = (
    Row(
        "REQUEST_URI is not percent-decoded here, as in Coraza; libmodsecurity decodes it",
        25, lambda r: b"%" in r.target, _none, _reading("REQUEST_URI"),
    ),
    Row(
        "REQUEST_FILENAME has no scheme and host here, as in Coraza; libmodsecurity keeps those of an absolute target",
        10, lambda r: b"://" in r.target, _none, _reading("REQUEST_FILENAME"),
    ),
    Row(
        "a fragment counts as arguments here, since some servers hand it on; both others drop it",
        10, lambda r: b"#" in r.target, _reading("ARGS"), _reading("ARGS"),
    ),
    Row(
        "a body of a type that nothing reads is read as a form here, as CRS's rule 901340 does in Coraza",
        20, _unread_body, None, _none,
    ),
    Row(
        "an XML body is read to its end here, faults and document type and all; libmodsecurity gives it up",
        20, lambda r: r.kind == "xml" and xml_texts(r) is None, _reading("XML"), _reading("XML"),
    ),
    Row(
        "XML:/* is every text by itself here, as in Coraza; libmodsecurity joins them to one",
        16, lambda r: len(xml_texts(r) or ()) > 1, _reading("XML"), _reading("XML"),
    ),
    Row(
        "a JSON body is read on behind a fault here; libmodsecurity stops",
        12, lambda r: r.kind == "json" and not is_json(r.body), None, _none,
    ),
    Row(
        "a byte order mark of UTF-8 before JSON is no fault here",
        4, lambda r: r.body.startswith(b"\xef\xbb\xbf"), None, _only(200002),
    ),
    Row(
        "a part without a name is read here, and the parts behind it; libmodsecurity stops there",
        8, lambda r: b'name=""' in r.body, None, _only(200002, 200003),
    ),
    Row(
        "a missing last boundary is no fault here, as in Coraza, and the last part is read",
        16, lambda r: r.kind == "multipart" and not r.body.rstrip(b"epilogue\r\n").endswith(b"--"), None, _only(200002),
    ),
    Row(
        "line breaks in a field of a multipart body are kept here; libmodsecurity loses them",
        20, lambda r: any(b"\n" in content for content in multipart_contents(r)), _reading("ARGS"), _reading("ARGS"),
    ),
    Row(
        "a name in single or odd quotes keeps them and is read on here; libmodsecurity takes them off, or stops",
        4, lambda r: b"name='" in r.body, None, _only(200002),
    ),
    Row(
        "blanks around a cookie's value are not part of it here, as in Coraza; libmodsecurity keeps those behind it",
        2, lambda r: b" ;" in _cookie(r), _reading("REQUEST_COOKIES"), _reading("REQUEST_COOKIES"),
    ),
    Row(
        "@validateUtf8Encoding refuses code points beyond U+10FFFF here, as in Coraza",
        8, lambda r: b"\xf4\x90" in all_bytes(r), _only(920250), _none,
    ),
    Row(
        "t:normalisePath takes .. for the parent only where it is a whole segment; libmodsecurity any segment's end",
        12, lambda r: re.search(rb"[^/\\.]\.\.|\.\.\.", all_bytes(r)) is not None,
        _using("normalizepath", "normalizepathwin"), _using("normalizepath", "normalizepathwin"),
    ),
    Row(
        r"\s takes no vertical tab here, as in Coraza; PCRE does",
        2, lambda r: b"\x0b" in all_bytes(r), _none, _only(932200),
    ),
    Row(
        "a macro that names what is not there leaves its name here, as in Coraza; libmodsecurity an empty text",
        4, lambda r: all(name != b"Host" for name, _ in r.headers), _only(931130, 931131), _none,
    ),
    Row(
        "t:utf8toUnicode keeps NUL and what is no UTF-8 here; libmodsecurity drops it, and takes overlong forms",
        40, lambda r: b"\0" in all_bytes(r) or not is_utf8(all_bytes(r)),
        _using("utf8tounicode"), _using("utf8tounicode"),
    ),
)  # fmt: skip


def explain(difference: Difference) -> list[Row] | None:
    """The rows that explain a difference; None for one that they do not explain whole."""
    ours, theirs = difference.ours, difference.theirs
    if ours | theirs != SCORES & (ours | theirs):
        ours, theirs = ours - SCORES, theirs - SCORES
    used = []
    for row in ROWS:
        if not row.applies(difference.request):
            continue
        mine = ours if row.ours is _ANY else ours & row.ours(difference.facts)
        yours = theirs if row.theirs is _ANY else theirs & row.theirs(difference.facts)
        if mine or yours:
            used.append(row)
            ours, theirs = ours - mine, theirs - yours
    return None if ours or theirs else used


# The two engines.


def unify(plan: Plan) -> str:
    """What makes the two comparable: REQUEST_BODY is compared for forms only.

    Here, as in Coraza, it holds nothing else; in libmodsecurity it is every body, and a rule or two would
    differ on nearly each of them.
    """
    ids = sorted(gather(plan).readers["REQUEST_BODY"])
    removals = "".join(f",ctl:ruleRemoveTargetById={rule};REQUEST_BODY" for rule in ids)
    return (
        'SecRule REQUEST_HEADERS:Content-Type "!@beginsWith application/x-www-form-urlencoded" '
        f'"id:1,phase:1,pass,nolog,t:none{removals}"\n'
    )


class Ours:
    """This engine."""

    def __init__(self, directives: str) -> None:
        self.waf = WAF.from_directives(directives, settings={"json_keys": "modsecurity"})

    def run(self, request: Generated) -> set[int]:
        tx = self.waf.transaction()
        tx.process_connection("127.0.0.1", 50000, "127.0.0.1", 80)
        tx.process_uri(request.target, request.method, request.version)
        for name, value in request.headers:
            tx.add_request_header(name, value)
        tx.process_request_headers()
        tx.write_request_body(request.body)
        tx.process_request_body()
        tx.process_response_headers(200, "HTTP/1.1")
        tx.process_response_body()
        tx.process_logging()
        tx.close()
        return {match.rule_id for match in tx.matched_rules if match.log}


class Theirs:
    """libmodsecurity."""

    def __init__(self, library: Any, directives: str) -> None:
        self.library = library
        self.lines: list[str] = []
        self.engine = library.ModSecurity()
        self.engine.set_log_callback(self.lines.append)
        self.rules = library.RulesSet()
        assert self.rules.load(directives) >= 0, self.rules.get_parser_error()

    def run(self, request: Generated) -> set[int]:
        self.lines.clear()
        tx = self.library.Transaction(self.engine, self.rules)
        tx.process_connection("127.0.0.1", 50000, "127.0.0.1", 80)
        tx.process_uri(request.target, request.method, request.version.removeprefix(b"HTTP/"))
        for name, value in request.headers:
            tx.add_request_header(name, value)
        tx.process_request_headers()
        if request.body:
            tx.append_request_body(request.body)
        tx.process_request_body()
        tx.process_response_headers(200, "HTTP/1.1")
        tx.process_response_body()
        tx.process_logging()
        return {int(found[1]) for line in self.lines if (found := _ID.search(line))}


@dataclass
class Outcome:
    """What a run came to: verdicts of both engines, the same or not."""

    identical: int = 0
    total: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unexplained: list[tuple[int, int, set[int], set[int]]] = field(default_factory=list)


def compare(directives: str, library: Any, level: int, step: int, outcome: Outcome) -> None:
    """Run the requests at a paranoia level through both engines."""
    text = directives.replace("blocking_paranoia_level=4", f"blocking_paranoia_level={level}")
    ours, theirs = Ours(text), Theirs(library, text)
    facts = gather(ours.waf.plan)
    try:
        for request in generate(REQUESTS, step=step):
            mine, yours = ours.run(request) - {SUMMARY}, theirs.run(request) - {SUMMARY}
            outcome.total += 1
            if mine == yours:
                outcome.identical += 1
                continue
            rows = explain(Difference(request, frozenset(mine - yours), frozenset(yours - mine), facts))
            if rows is None:
                outcome.unexplained.append((level, request.number, mine - yours, yours - mine))
            else:
                outcome.reasons.update(row.reason for row in rows)
    finally:
        theirs.engine.set_log_callback(None)


@pytest.fixture(scope="module")
def directives(corpora: Path) -> str:
    text = (corpora / "tools/ftw/directives.conf").read_text("utf-8")
    text = text.replace("CRS_DIR", str((corpora / "crs").resolve()))
    plan = WAF.from_directives(text, executor="reference").plan
    # In front of CRS's rules, but behind those that choose a body processor.
    first, include, rest = text.partition("Include ")
    return first + unify(plan) + include + rest


@pytest.fixture
def outcome(directives: str, capfd: pytest.CaptureFixture[str]) -> Iterator[Outcome]:
    """All verdicts, or a share of them; libxml2 in libmodsecurity writes its complaints to stderr."""
    library = pytest.importorskip("libmodsecurity")
    outcome = Outcome()
    for level in LEVELS:
        compare(directives, library, level, 1 if os.environ.get(FULL) else QUICK_STEP, outcome)
    capfd.readouterr()
    yield outcome
    print(f"{outcome.identical} of {outcome.total} identical")  # noqa: T201  the figures, with -s
    for reason, count in outcome.reasons.most_common():
        print(f"{count:5} {reason}")  # noqa: T201


@pytest.mark.corpora
@pytest.mark.slow
def test_the_logged_rules_are_libmodsecuritys_but_where_it_is_explained(outcome: Outcome):
    expected = len(LEVELS) * REQUESTS // (1 if os.environ.get(FULL) else QUICK_STEP)

    assert outcome.unexplained == []
    assert outcome.total == expected
    assert outcome.identical >= expected * IDENTICAL
    assert {row.reason for row in ROWS if outcome.reasons[row.reason] > row.most} == set()
    if os.environ.get(FULL):
        assert {row.reason for row in ROWS} == set(outcome.reasons)  # a row that explains nothing hides the next defect


def test_a_number_always_gives_the_same_request_and_all_kinds_occur():
    requests = list(generate(REQUESTS, step=QUICK_STEP))

    assert requests == list(generate(REQUESTS, step=QUICK_STEP))
    assert len(set(requests)) == REQUESTS // QUICK_STEP
    assert {request.kind for request in requests} == set(KINDS)


@pytest.mark.parametrize(
    ("target", "ours", "theirs", "explained"),
    [
        (b"/a%20b", (), (920460,), True),
        (b"/a%20b", (), (920460, 949110), True),  # the score follows
        (b"/a%20b", (920460,), (), False),  # the other way round it would be a defect
        (b"/a%20b", (), (942100,), False),
        (b"/ab", (), (920460,), False),
        (b"/ab", (), (949110,), False),
    ],
)
def test_a_row_explains_no_more_than_it_says(
    target: bytes, ours: tuple[int, ...], theirs: tuple[int, ...], explained: bool
):
    facts = Facts(defaultdict(frozenset, {"REQUEST_URI": frozenset((920460,))}), defaultdict(frozenset))
    request = Generated(0, "path", b"GET", target, b"HTTP/1.1", ((b"Host", b"a"),))

    assert (explain(Difference(request, frozenset(ours), frozenset(theirs), facts)) is not None) is explained
