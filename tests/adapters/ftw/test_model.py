"""Test files to cases: every field, old forms, and all faults with their places."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ftw.model import Input, Output, Reply, load_cases
from adapters.ftw.request import build_request

if TYPE_CHECKING:
    from adapters.ftw.model import Case


def _write(tmp_path: Path, text: str, name: str = "rules.yaml") -> Path:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def _cases(tmp_path: Path, text: str) -> list[Case]:
    loaded = load_cases([_write(tmp_path, text)])

    assert [fault.render() for fault in loaded.diagnostics] == []
    return loaded.cases


def _one(tmp_path: Path, text: str) -> Case:
    (case,) = _cases(tmp_path, text)
    return case


def _input(tmp_path: Path, text: str) -> Input:
    return (
        _one(tmp_path, f"rule_id: 1\ntests: [{{stages: [{{input: {text}, output: {{status: 200}}}}]}}]").stages[0].input
    )


def _output(tmp_path: Path, text: str) -> Output:
    return _one(tmp_path, f"rule_id: 1\ntests: [{{stages: [{{input: {{}}, output: {text}}}]}}]").stages[0].output


ALL = """\
meta: {author: a, enabled: true, name: n, description: d, version: v, tags: [t]}
rule_id: 942100
tests:
  - test_id: 3
    desc: what it is
    tags: [x, y]
    stages:
      - description: first
        input:
          dest_addr: 192.0.2.1
          port: 8080
          protocol: https
          virtual_host_mode: true
          method: POST
          uri: /a?b
          version: HTTP/1.0
          headers:
            Host: localhost
            Content-Length: 7
            Empty:
          data: "a=\\x0e\\xe9"
          autocomplete_headers: false
          save_cookie: true
          follow_redirect: false
          response: {status: 500, headers: {A: b}, body: hello, log_message: none}
        output:
          status: 403
          response_contains: x
          isolated: true
          expect_error: false
          retry_once: true
          log:
            expect_ids: [1, 2]
            no_expect_ids: [3]
            match_regex: a.*b
            no_match_regex: c
"""


def test_every_field(tmp_path: Path):
    case = _one(tmp_path, ALL)
    stage = case.stages[0]

    assert (case.name, case.rule_id, case.test_id, case.description) == ("942100-3", 942100, 3, "what it is")
    assert (case.tags, case.where.line, stage.description, stage.where.line) == (("x", "y"), 4, "first", 8)
    assert stage.input == Input(
        method="POST",
        uris=("/a?b",),
        version="HTTP/1.0",
        headers=(("Host", "localhost"), ("Content-Length", "7"), ("Empty", "")),
        data=b"a=\x0e\xc3\xa9",
        autocomplete=False,
        server="192.0.2.1",
        port=8080,
        save_cookie=True,
        reply=Reply(status=500, headers=(("A", "b"),), body=b"hello"),
    )
    assert stage.output == Output(
        statuses=(403,),
        response_contains="x",
        expect_ids=(1, 2),
        no_expect_ids=(3,),
        match_regex="a.*b",
        no_match_regex="c",
        isolated=True,
        expect_error=False,
        retry_once=True,
    )


def test_what_is_not_said_is_what_go_ftw_takes(tmp_path: Path):
    assert _input(tmp_path, "{}") == Input()
    assert (Input().method, Input().uris, Input().version, Input().autocomplete) == ("GET", ("/",), "HTTP/1.1", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{autocomplete_headers: false}", Input(autocomplete=False)),
        ("{stop_magic: true}", Input(autocomplete=False)),
        ("{stop_magic: true, autocomplete_headers: true}", Input(autocomplete=True)),
        ("{uris: [/a, /b], uri: /c}", Input(uris=("/a", "/b"))),
        ("{uri: ''}", Input(uris=("",))),
        ("{version: ''}", Input(version="")),
        ("{headers: [{name: A, value: 1}, {name: A, value: 2}]}", Input(headers=(("A", "1"), ("A", "2")))),
        ("{ordered_headers: [{name: B, value: 1}], headers: {A: 2}}", Input(headers=(("B", "1"),))),
        ("{encoded_data: AP8=}", Input(data=b"\x00\xff")),
        ("{encoded_request: 'R0VU IC8='}", Input(raw=b"GET /")),
        ("{raw_request: R0VUIC8=}", Input(raw=b"GET /")),
        ("{response: {encoded_body: AP8=}}", Input(reply=Reply(body=b"\x00\xff"))),
        ("{follow_redirect: true}", Input(follow_redirect=True)),
    ],
)
def test_forms_of_the_input(tmp_path: Path, text: str, expected: Input):
    assert _input(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{status: [200, 404]}", Output(statuses=(200, 404))),
        ("{log_contains: 'id \"1\"'}", Output(match_regex='id "1"')),
        ("{no_log_contains: x}", Output(no_match_regex="x")),
        ("{log: {expect_ids: 5}}", Output(expect_ids=(5,))),
        ("{expect_error: true}", Output(expect_error=True)),
    ],
)
def test_forms_of_the_output(tmp_path: Path, text: str, expected: Output):
    assert _output(tmp_path, text) == expected


def test_names_come_of_the_file_and_the_position(tmp_path: Path):
    stages = "stages: [{input: {}, output: {status: 200}}]"
    by_name = load_cases([_write(tmp_path, f"tests: [{{{stages}}}, {{{stages}}}]", "920100.yaml")])
    by_word = load_cases([_write(tmp_path, f"tests: [{{id: 9, {stages}}}]", "my-rules.yml")])

    assert [case.name for case in by_name.cases] == ["920100-1", "920100-2"]
    assert [(case.name, case.rule_id) for case in by_word.cases] == [("my-rules-9", 0)]


def test_the_old_form_with_stage_inside_of_stages(tmp_path: Path):
    text = "rule_id: 1\ntests: [{test_title: old, stages: [{stage: {input: {uri: /x}, output: {status: 200}}}]}]"
    case = _one(tmp_path, text)

    assert (case.description, case.stages[0].input.uris) == ("old", ("/x",))


def test_a_payload_is_put_into_the_templates(tmp_path: Path):
    case, other = _cases(
        tmp_path,
        """\
rule_id: 1
template:
  method: POST
  uri: /?x={{ .Payload }}
  headers: [{name: X, value: "{{.Payload}}"}]
  data: file
tests:
  - payload: "a'b"
    output: {log: {expect_ids: [1]}}
  - payload: c
    template: {data: "own {{.Payload}}", method: PUT}
    output: {log: {expect_ids: [1]}}
""",
    )

    assert case.stages[0].input == Input(method="POST", uris=("/?x=a'b",), headers=(("X", "a'b"),), data=b"file")
    assert other.stages[0].input == Input(method="PUT", uris=("/?x=c",), headers=(("X", "c"),), data=b"own c")


def test_folders_are_searched_for_tests_and_nothing_else(tmp_path: Path):
    one = "rule_id: {}\ntests: [{{stages: [{{input: {{}}, output: {{status: 200}}}}]}}]"
    _write(tmp_path, one.format(2), "b/2.yaml")
    _write(tmp_path, one.format(1), "a/1.yml")
    _write(tmp_path, "test_overrides: []", "overrides.yaml")
    _write(tmp_path, "# all commented out\n", "empty.yaml")
    _write(tmp_path, one.format(3), ".hidden/3.yaml")
    _write(tmp_path, one.format(4), ".ftw.yml")
    _write(tmp_path, "nothing", "readme.txt")
    loaded = load_cases([tmp_path])

    assert [case.name for case in loaded.cases] == ["1-1", "2-1"]
    assert (loaded.diagnostics, loaded.files) == ([], 2)


FAULTY = """\
rule_id: none
tests:
  - test_id: 1
    stages:
      - input: {port: 70000, encoded_data: "%%%", data: x}
        output: {log: {expect_ids: [x], match_regex: "("}}
  - test_id: 2
  - stages: [{output: {status: 200}}]
  - payload: x
    output: {status: 200}
  - stages:
      - input: {data: a, encoded_request: R0VU}
        output: {status: 9999}
  - stages: [{input: {headers: {a: [1]}}, output: {status: 200}}]
"""


def test_all_faults_of_a_file_with_their_places(tmp_path: Path):
    loaded = load_cases([_write(tmp_path, FAULTY)])
    found = [(fault.span.line, fault.span.column, fault.code) for fault in loaded.errors]

    assert found == [
        (1, 10, "bad-number"),
        (5, 23, "bad-number"),
        (5, 44, "bad-base64"),
        (6, 37, "bad-number"),
        (6, 54, "bad-pattern"),
        (7, 5, "no-stages"),
        (8, 14, "no-input"),
        (9, 14, "no-template"),
        (12, 23, "two-bodies"),
        (13, 26, "bad-number"),
        (14, 36, "wrong-type"),
    ]


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("rule_id: 1\nx: 1\ntests: [{stages: [{input: {}, output: {status: 1}}]}]", "unknown-key", "'x'"),
        ("rule_id: 1\ntests: [{stages: [{input: {urri: /}, output: {status: 1}}]}]", "unknown-key", "'urri'"),
        ("rule_id: 1\ntests: [{stages: [{input: {}, output: {log: {expect_id: 1}}}]}]", "unknown-key", "'expect_id'"),
        ("rule_id: 1\ntests: [{stages: [{input: {}, output: {}}]}]", "no-expectation", "cannot fail"),
        (
            "rule_id: 1\ntests: [&a {id: 1, stages: [{input: {}, output: {status: 1}}]}, *a]",
            "same-name",
            "1-1",
        ),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(tmp_path: Path, text: str, code: str, word: str):
    loaded = load_cases([_write(tmp_path, text)])

    assert loaded.errors == []
    assert code in [fault.code for fault in loaded.diagnostics]
    assert any(word in fault.message for fault in loaded.diagnostics)


def test_a_stage_may_expect_nothing_if_another_one_does(tmp_path: Path):
    stages = "[{input: {}, output: {}}, {input: {}, output: {status: 200}}]"

    assert len(_one(tmp_path, f"rule_id: 1\ntests: [{{stages: {stages}}}]").stages) == 2


def test_a_named_file_without_tests_is_a_fault(tmp_path: Path):
    loaded = load_cases([_write(tmp_path, "rule_id: 1\n")])

    assert [fault.code for fault in loaded.errors] == ["no-tests"]


def test_base64_may_be_folded(tmp_path: Path):
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    text = base64.encodebytes(raw).decode().replace("\n", "\n ")

    assert _input(tmp_path, f"{{encoded_request: '{text}'}}").raw == raw


_KEYS = st.sampled_from(
    [
        "rule_id",
        "tests",
        "test_id",
        "stages",
        "stage",
        "input",
        "output",
        "log",
        "status",
        "headers",
        "data",
        "payload",
        "template",
        "uris",
        "encoded_data",
        "response",
        "expect_ids",
        "match_regex",
        "name",
        "value",
        "port",
        "<<",
    ]
)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(["(", "GET", "1"]))
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=5)),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(_TREES)
def test_any_tree_gives_cases_and_faults(tree: object):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "1.yaml"
        file.write_text(yaml.safe_dump({"tests": [{"stages": [{"input": tree, "output": tree}], "log": tree}, tree]}))
        loaded = load_cases([file])

    assert all(case.stages for case in loaded.cases)
    assert all(fault.span.line >= 1 and fault.span.column >= 1 for fault in loaded.diagnostics)
    for case in loaded.cases:
        for stage in case.stages:
            assert all(isinstance(build_request(stage.input, uri), bytes) for uri in stage.input.uris)
