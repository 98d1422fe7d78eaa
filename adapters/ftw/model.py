"""What a test file says: cases, their stages, what each sends and what it expects. YAML in, frozen cases out.

All fields of the schema (github coreruleset/ftw-tests-schema, up to 3.0) are read, those of old files too. A fault
has its file, line and column; all faults of all files are found at once. Not here: how a request is put together
(request.py) and what an expectation means (judge.py).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from adapters.ftw.documents import items, number, numbers, optional_boolean, read_document
from waf_engine.diagnostics import ArgumentError, Diagnostic, Severity, Span
from waf_engine.patterns import compile_re2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from adapters.yaml_reader import Faults, Section

SUFFIXES = (".yaml", ".yml")
DEFAULT_PORT = 80

_PAYLOAD = ("{{.Payload}}", "{{ .Payload }}", "{{.Payload }}", "{{ .Payload}}")
_IGNORED = ("protocol", "virtual_host_mode")
"""Keys of a stage's input that say how to reach a server over a network: there is none here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The response that a stage wants of the backend.

    Attributes:
        status: HTTP status.
        headers: names and values in order.
        body: the bytes of the body.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What a stage sends.

    Attributes:
        method: of the request line.
        uris: targets of the request line; one request is sent for each.
        version: ``HTTP/1.1``, or whatever else the test wants to send.
        headers: names and values, in the order of the file.
        data: the body, before anything is done to it.
        autocomplete: whether headers that clients send are added, see request.py.
        raw: the whole request as it is to be sent, instead of all of the above.
        server: the address that the request is sent to.
        port: the port that the request is sent to.
        follow_redirect: whether the target is the Location of the stage before.
        save_cookie: whether cookies that the response sets are sent by the stages after it.
        reply: what the backend is to answer; None: what it answers by itself.
    """

    method: str = "GET"
    uris: tuple[str, ...] = ("/",)
    version: str = "HTTP/1.1"
    headers: tuple[tuple[str, str], ...] = ()
    data: bytes = b""
    autocomplete: bool = True
    raw: bytes | None = None
    server: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    follow_redirect: bool = False
    save_cookie: bool = False
    reply: Reply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a stage expects; what is not set is not looked at.

    Attributes:
        statuses: one of these HTTP statuses.
        response_contains: a text somewhere in the response, headers included.
        expect_ids: rules that must be in the log.
        no_expect_ids: rules that must not be in the log.
        match_regex: a pattern (RE2, Go's syntax) for which one line of the log must match.
        no_match_regex: a pattern for which no line of the log may match.
        isolated: whether the log must have exactly one rule.
        expect_error: whether there must be no response at all (the connection is dropped).
        retry_once: whether a stage that fails is run a second time.
    """

    statuses: tuple[int, ...] = ()
    response_contains: str = ""
    expect_ids: tuple[int, ...] = ()
    no_expect_ids: tuple[int, ...] = ()
    match_regex: str = ""
    no_match_regex: str = ""
    isolated: bool = False
    expect_error: bool | None = None
    retry_once: bool = False

    @property
    def checks_something(self) -> bool:
        """Whether any outcome could fail this stage."""
        return self != Output(retry_once=self.retry_once)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One request of a test.

    Attributes:
        input: what is sent.
        output: what is expected.
        where: its place in the file.
        description: what it is for.
    """

    input: Input
    output: Output
    where: Span
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A test: stages that are run one after the other.

    Attributes:
        name: ``942100-1``: the rule's id and the test's.
        rule_id: the rule that it is about; 0 where the file names none.
        test_id: its number.
        stages: at least one.
        where: its place in the file.
        description: what it is for.
        tags: words of its author.
    """

    name: str
    rule_id: int
    test_id: int
    stages: tuple[Stage, ...]
    where: Span
    description: str = ""
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Loaded:
    """What was read.

    Attributes:
        cases: in the order of files and tests.
        diagnostics: faults and warnings; with an error among them the cases are not to be run.
        files: how many files had tests.
    """

    cases: list[Case] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    files: int = 0

    @property
    def errors(self) -> list[Diagnostic]:
        """The diagnostics that are no mere warnings."""
        return [fault for fault in self.diagnostics if fault.severity is Severity.ERROR]


def load_cases(paths: Iterable[Path]) -> Loaded:
    """Read test files.

    Args:
        paths: files, and folders, of which all ``*.yaml`` and ``*.yml`` at any depth are read (hidden ones, and those
            without tests in them, are not tests).

    Returns:
        The cases, and what is wrong with the files.
    """
    loaded = Loaded()
    names: dict[str, Case] = {}
    for path in paths:
        for file in _files(path):
            top, faults = read_document(file)
            is_test = "tests" in top
            if not is_test and not path.is_dir() and not faults.found:
                faults.add(
                    (1, 1), "no-tests", "the file has no `tests:`", "docs/testing-rules.md shows one to begin with"
                )
            cases = _read_file(top, file) if is_test else []
            for case in cases:
                if (first := names.setdefault(case.name, case)) is not case:
                    message = f"there is a test {case.name} already, at {first.where}"
                    faults.add((case.where.line, case.where.column), "same-name", message, warning=True)
            loaded.cases += cases
            loaded.files += is_test
            loaded.diagnostics += sorted(faults.found, key=lambda fault: (fault.span.line, fault.span.column))
    return loaded


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = (file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    return sorted(file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts))


def _read_file(top: Section, file: Path) -> list[Case]:
    rule_id = number(top, "rule_id", 0) or (int(file.stem) if file.stem.isdigit() and file.stem.isascii() else 0)
    top.raw("meta")  # authors and the like: nothing of it changes what a test does
    template = top.section("template") if "template" in top else None
    cases = []
    for index, test in enumerate(top.sections("tests"), 1):
        case = _read_test(test, index, rule_id or file.stem, template)
        if case is not None:
            cases.append(case)
    if template is not None:
        template.finish(strict=False)
    top.finish(strict=False)
    return cases


def _read_test(test: Section, index: int, rule: int | str, template: Section | None) -> Case | None:
    test_id = number(test, "test_id", 0) or number(test, "id", 0) or index
    stages = []
    if test.raw("payload") is not None:
        stages.append(_payload_stage(test, template))
    for entry in test.sections("stages"):
        inner = entry.section("stage") if "stage" in entry else entry
        stages.append(_read_stage(inner))
        inner.finish(strict=False)
        entry.finish(strict=False)
    title = test.text("test_title")
    case = Case(
        name=f"{rule}-{test_id}",
        rule_id=rule if isinstance(rule, int) else 0,
        test_id=test_id,
        stages=tuple(stages),
        where=_place(test),
        description=test.text("desc") or test.text("description") or title,
        tags=tuple(text for text, _ in test.texts("tags")),
    )
    test.finish(strict=False)
    if not stages:
        message = f"test {case.name} has no stages"
        test.faults.add(
            test.node or (1, 1), "no-stages", message, "a test has `stages:`, a list of `input:` and `output:`"
        )
        return None
    if not any(stage.output.checks_something for stage in stages):
        message = f"test {case.name} expects nothing: it cannot fail"
        hint = "such as `output: {log: {expect_ids: [942100]}}`"
        test.faults.add(test.node or (1, 1), "no-expectation", message, hint, warning=True)
    return case


def _payload_stage(test: Section, template: Section | None) -> Stage:
    """A test with a payload: the request is the file's template (and the test's) with the payload put in."""
    payload = test.text("payload")
    sections = [test.section("template")] if "template" in test else []
    own = list(sections)
    sections += [template] if template is not None else []

    def fill(text: str) -> str:
        for mark in _PAYLOAD:
            text = text.replace(mark, payload)
        return text

    stage = Stage(
        input=_read_input(sections, fill) if sections else Input(), output=_read_output(test), where=_place(test)
    )
    if not sections:
        test.faults.add(
            test.place("payload"), "no-template", "a payload needs a `template:` of the test or of the file"
        )
    for section in own:
        section.finish(strict=False)
    return stage


def _read_stage(stage: Section) -> Stage:
    if stage.raw("input") is None:
        stage.faults.add(stage.node or (1, 1), "no-input", "a stage has an `input:`, the request to send")
    section = stage.section("input")
    request = _read_input([section], str)
    section.finish(strict=False)
    return Stage(input=request, output=_read_output(stage), where=_place(stage), description=stage.text("description"))


def _read_input(sections: Sequence[Section], fill: Callable[[str], str]) -> Input:
    """The request that sections describe: each key is taken of the first section that has it."""

    def of(key: str) -> Section:
        return next((section for section in sections if section.raw(key) is not None), sections[-1])

    def text(key: str, default: str) -> str:
        return fill(of(key).text(key, default))

    for key in _IGNORED:
        of(key)
    uri = text("uri", "/")
    uris = tuple(fill(each) for each, _ in of("uris").texts("uris")) or (uri,)
    complete = optional_boolean(of("autocomplete_headers"), "autocomplete_headers")
    stop = optional_boolean(of("stop_magic"), "stop_magic")
    data = fill(of("data").text("data")).encode("utf-8", "surrogatepass")
    encoded = _decoded(of("encoded_data"), "encoded_data")
    raw = _decoded(of("encoded_request"), "encoded_request") or _decoded(of("raw_request"), "raw_request")
    if data and (encoded or raw):
        other = "encoded_data" if encoded else "encoded_request"
        section = of("data")
        section.faults.add(section.place("data"), "two-bodies", f"data and {other} exclude each other")
    return Input(
        method=text("method", "GET") or "GET",
        uris=uris,
        version=text("version", "HTTP/1.1"),
        headers=tuple((name, fill(value)) for name, value in _headers(sections)),
        data=encoded or data,
        autocomplete=complete if complete is not None else not stop,
        raw=raw or None,
        server=text("dest_addr", "127.0.0.1") or "127.0.0.1",
        port=number(of("port"), "port", DEFAULT_PORT, lowest=1, highest=65535),
        follow_redirect=of("follow_redirect").boolean("follow_redirect", default=False),
        save_cookie=of("save_cookie").boolean("save_cookie", default=False),
        reply=_read_reply(of("response").section("response")) if of("response").raw("response") else None,
    )


def _headers(sections: Sequence[Section]) -> list[tuple[str, str]]:
    """``ordered_headers``, or ``headers`` as a map, or (in templates) as a list."""
    for section in sections:
        for key, node in [(key, section.raw(key)) for key in ("ordered_headers", "headers")]:
            if isinstance(node, yaml.SequenceNode):
                found = []
                for entry in section.sections(key):
                    found.append((entry.text("name"), entry.text("value")))
                    entry.finish(strict=False)
                return found
            if node is not None:
                return [(name, value) for name, value, _ in items(section, key)]
    return []


def _read_reply(section: Section) -> Reply:
    body = _decoded(section, "encoded_body") or section.text("body").encode("utf-8", "surrogatepass")
    section.raw("log_message")  # a word for the log of a backend that this one has not
    reply = Reply(
        status=number(section, "status", 200, lowest=100, highest=999),
        headers=tuple((name, value) for name, value, _ in items(section, "headers")),
        body=body,
    )
    section.finish(strict=False)
    return reply


def _decoded(section: Section, key: str) -> bytes:
    text = section.text(key)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        section.faults.add(section.place(key), "bad-base64", f"{key} is not base64: {error}")
        return b""


def _read_output(parent: Section) -> Output:
    section = parent.section("output")
    log = section.section("log")
    output = Output(
        statuses=numbers(section, "status", lowest=0, highest=999),
        response_contains=section.text("response_contains"),
        expect_ids=numbers(log, "expect_ids"),
        no_expect_ids=numbers(log, "no_expect_ids"),
        match_regex=_pattern(log, "match_regex") or _pattern(section, "log_contains"),
        no_match_regex=_pattern(log, "no_match_regex") or _pattern(section, "no_log_contains"),
        isolated=section.boolean("isolated", default=False),
        expect_error=optional_boolean(section, "expect_error"),
        retry_once=section.boolean("retry_once", default=False),
    )
    log.finish(strict=False)
    section.finish(strict=False)
    return output


def _pattern(section: Section, key: str) -> str:
    text = section.text(key)
    if text:
        try:
            compile_re2(text.encode("utf-8", "surrogatepass"))
        except ArgumentError as error:
            section.faults.add(section.place(key), "bad-pattern", f"{key}: {error.message}", error.hint)
    return text


def read_override_output(parent: Section) -> Output:
    """The ``output`` of an override, which has the form of a stage's."""
    return _read_output(parent)


def _place(section: Section) -> Span:
    faults: Faults = section.faults
    return faults.span(section.node) if section.node is not None else faults.span((1, 1))
