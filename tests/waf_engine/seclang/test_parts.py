"""Variables, operators and actions, one argument at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.diagnostics import Severity, Span
from waf_engine.seclang.ast import ActionRef, OperatorRef, VariableRef
from waf_engine.seclang.lexer import MAX_DIAGNOSTICS, Locate, Report
from waf_engine.seclang.parts import MAX_ACTIONS, MAX_VARIABLES, read_actions, read_operator, read_variables

if TYPE_CHECKING:
    from collections.abc import Callable


def at(offset: int) -> Span:
    return Span("f", 1, offset)


def faults(report: Report) -> list[tuple[str, int]]:
    return [(d.code, d.span.column) for d in report.found]


def var(name: str, selector: str | None = None, flags: str = "") -> VariableRef:
    """A variable; flags: r is_regex, & count, ! exclude."""
    return VariableRef(name, selector, "r" in flags, "&" in flags, "!" in flags)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ARGS", [var("ARGS")]),
        ("args", [var("args")]),
        ("ARGS|REQUEST_URI", [var("ARGS"), var("REQUEST_URI")]),
        ("ARGS,REQUEST_URI", [var("ARGS"), var("REQUEST_URI")]),
        (" ARGS | REQUEST_URI ", [var("ARGS"), var("REQUEST_URI")]),
        ("ARGS:x", [var("ARGS", "x")]),
        ("ARGS:a:b", [var("ARGS", "a:b")]),
        ("ARGS:a/b", [var("ARGS", "a/b")]),
        ("REQUEST_HEADERS:User-Agent", [var("REQUEST_HEADERS", "User-Agent")]),
        ("&TX:x", [var("TX", "x", "&")]),
        ("ARGS|!ARGS:x", [var("ARGS"), var("ARGS", "x", "!")]),
        ("!ARGS:a,!ARGS:b", [var("ARGS", "a", "!"), var("ARGS", "b", "!")]),
        ("ARGS:/a|b/|XML:/*", [var("ARGS", "a|b", "r"), var("XML", "/*")]),
        ("ARGS:/a,b/,TX:x", [var("ARGS", "a,b", "r"), var("TX", "x")]),
        ("ARGS:/a/b/", [var("ARGS", "a/b", "r")]),
        (r"ARGS:/a\/|b/", [var("ARGS", r"a\/|b", "r")]),
        ("ARGS://", [var("ARGS", "", "r")]),
        ("ARGS:'/a|b/'|TX:x", [var("ARGS", "a|b", "r"), var("TX", "x")]),
        ("ARGS:'/a/|b/'", [var("ARGS", "a/|b", "r")]),
        ("ARGS:'a|b, c'", [var("ARGS", "a|b, c")]),
        (r"ARGS:'it\'s'", [var("ARGS", "it's")]),
        ("XML:/*|XML://@*", [var("XML", "/*"), var("XML", "//@*")]),
        ("XML:'/a|/b'", [var("XML", "/a|/b")]),
        ("REQUEST_XML:/*", [var("REQUEST_XML", "/*")]),
        ("!REQUEST_COOKIES:/^_ga(?:_\\w+)?$/", [var("REQUEST_COOKIES", "^_ga(?:_\\w+)?$", "r!")]),
    ],
)
def test_variables(text: str, expected: list[VariableRef]):
    report = Report()

    assert list(read_variables(text, at, report)) == expected
    assert report.found == []


def test_places_of_variables_and_selectors():
    found = read_variables("&TX:ab|ARGS:/x/|!ARGS:'y'|FILES", at, Report())

    assert [v.span.column for v in found] == [0, 7, 16, 26]
    assert [v.selector_span.column for v in found] == [4, 12, 22, 26]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("empty-variable", 0)]),
        ("ARGS||TX", [("empty-variable", 5)]),
        ("|ARGS", [("empty-variable", 0)]),
        ("ARGS|", [("empty-variable", 5)]),
        ("ARGS:", [("empty-selector", 5)]),
        ("ARGS:''", [("empty-selector", 5)]),
        ("ARGS:'x", [("unclosed-quote", 5)]),
        ("ARGS:/x|TX", [("unclosed-regex", 5)]),
        ("ARGS:'x'y", [("bad-variable", 8)]),
        ("ARGS.x", [("bad-variable", 4)]),
        ("ARGS TX", [("bad-variable", 5)]),
        ("!&ARGS", [("bad-variable", 0)]),
        ("!!ARGS", [("bad-variable", 0)]),
        ("1x|ARGS|:y", [("bad-variable", 0), ("bad-variable", 8)]),
        ("\u201cARGS\u201d", [("smart-quote", 0)]),
        ("ARGS|\u00a0TX", [("odd-blank", 5)]),
    ],
)
def test_faulty_variables(text: str, expected: list[tuple[str, int]]):
    report = Report()
    read_variables(text, at, report)

    assert faults(report) == expected


def test_what_is_right_beside_a_fault_is_kept():
    assert read_variables("ARGS||TX:x", at, Report()) == (var("ARGS"), var("TX", "x"))


def test_variables_are_bounded():
    report = Report()
    found = read_variables("|".join(["A"] * (MAX_VARIABLES + 1)), at, report)

    assert len(found) == MAX_VARIABLES
    assert faults(report) == [("too-many-variables", 2 * MAX_VARIABLES)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@rx a b", OperatorRef("rx", "a b")),
        ("  @rx  a ", OperatorRef("rx", "a")),
        ("@detectSQLi", OperatorRef("detectSQLi")),
        ("!@streq x", OperatorRef("streq", "x", negated=True)),
        ("! @rx x", OperatorRef("rx", "x", negated=True)),
        ("!foo", OperatorRef("rx", "foo", negated=True)),
        ("!", OperatorRef("rx", "", negated=True)),
        ("^a.*b$", OperatorRef("rx", "^a.*b$")),
        ("user@example.org", OperatorRef("rx", "user@example.org")),
        ("@pm\ta b", OperatorRef("pm", "a b")),
        ("@rx @rx", OperatorRef("rx", "@rx")),
    ],
)
def test_operators(text: str, expected: OperatorRef):
    report = Report()

    assert read_operator(text, at, report) == expected
    assert report.found == []


def test_places_of_operators():
    operator = read_operator(" !@rx  ab", at, Report())

    assert operator is not None
    assert (operator.span.column, operator.argument_span.column) == (1, 7)


def test_an_empty_operator_is_allowed_with_a_warning():
    report = Report()

    assert read_operator("", at, report) == OperatorRef("rx", "")
    assert [(d.severity, d.code) for d in report.found] == [(Severity.WARNING, "empty-operator")]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("!!@rx x", 1, "two '!' before the operator"),
        ("@!rx x", 0, "'@!' is not the beginning of an operator"),
        ("@", 0, "the operator's name is missing behind '@'"),
        ("@ rx x", 0, "'@ rx x' is not an operator"),
        ("@@rx x", 0, "'@@rx x' is not an operator"),
        ("@rx(x)", 3, "unexpected '(' behind @rx"),
        ("@rx:x", 3, "unexpected ':' behind @rx"),
    ],
)
def test_faulty_operators(text: str, column: int, message: str):
    report = Report()

    assert read_operator(text, at, report) is None
    assert [(d.code, d.span.column, d.message) for d in report.found] == [("bad-operator", column, message)]
    assert report.found[0].hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("deny", [("deny", None)]),
        ("id:1,deny", [("id", "1"), ("deny", None)]),
        (" id : 1 , deny ", [("id", "1"), ("deny", None)]),
        ("T:lowerCase,DENY", [("T", "lowerCase"), ("DENY", None)]),
        ("msg:'a, b'", [("msg", "a, b")]),
        ("msg:' a '", [("msg", " a ")]),
        ("msg:''", [("msg", "")]),
        ("msg:", [("msg", "")]),
        ("msg:a b", [("msg", "a b")]),
        (r"msg:'It\'s'", [("msg", "It's")]),
        (r"msg:'a\\',deny", [("msg", "a\\\\"), ("deny", None)]),
        (r"msg:'\d\'\x'", [("msg", r"\d'\x")]),
        (r"msg:a\,b,deny", [("msg", "a,b"), ("deny", None)]),
        (r"msg:a\\,deny", [("msg", r"a\\"), ("deny", None)]),
        ("setvar:tx.a='x,y',deny", [("setvar", "tx.a='x,y'"), ("deny", None)]),
        ("setvar:'tx.a=+%{tx.b}'", [("setvar", "tx.a=+%{tx.b}")]),
        ("ctl:ruleRemoveTargetById=1;ARGS:/a:b/", [("ctl", "ruleRemoveTargetById=1;ARGS:/a:b/")]),
        ("redirect:'https://x/?a=1,2'", [("redirect", "https://x/?a=1,2")]),
        ("msg:'say \"x\"'", [("msg", 'say "x"')]),
        ("skipAfter:END-X", [("skipAfter", "END-X")]),
    ],
)
def test_actions(text: str, expected: list[tuple[str, str | None]]):
    report = Report()

    assert read_actions(text, at, report) == tuple(ActionRef(name, value) for name, value in expected)
    assert report.found == []


def test_places_of_actions():
    found = read_actions("id:1, msg: 'x',deny", at, Report())

    assert [(a.span.column, a.value_span.column) for a in found] == [(0, 3), (6, 12), (15, 15)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("empty-actions", 0)]),
        ("  ", [("empty-actions", 0)]),
        ("id:1,,deny", [("empty-action", 5)]),
        (",id:1", [("empty-action", 0)]),
        ("id:1,", [("empty-action", 5)]),
        ("id:1, ", [("empty-action", 6)]),
        ("'deny'", [("bad-action", 0)]),
        ("id:1,5", [("bad-action", 5)]),
        ("setvar=tx.a", [("bad-action", 6)]),
        ("deny status:403", [("bad-action", 5)]),
        ("msg:'a'b,,x", [("text-after-quote", 7), ("empty-action", 9)]),
        ("msg:'It's bad',deny", [("text-after-quote", 8)]),
        ("msg:'a,deny", [("unclosed-quote", 4)]),
        ("msg:it's,id:1", [("unclosed-quote", 6)]),
        ("msg:\u2018a\u2019", [("smart-quote", 4)]),
        ("\u201cid:1", [("smart-quote", 0)]),
        ("id:1,\u00a0deny", [("odd-blank", 5)]),
    ],
)
def test_faulty_actions(text: str, expected: list[tuple[str, int]]):
    report = Report()
    read_actions(text, at, report)

    assert faults(report) == expected
    assert report.errors == len(expected)


@pytest.mark.parametrize(
    ("text", "value"), [("id:1,msg:'never closed", "never closed"), ("msg:it's, isn't it's", "it's, isn't it's")]
)
def test_an_unclosed_quote_that_swallows_no_action_only_warns(text: str, value: str):
    """Both engines take the rest as the value; Coraza's own test multipart_error has such a rule."""
    report = Report()
    found = read_actions(text, at, report)

    assert found[-1].value == value
    assert [(d.severity, d.code) for d in report.found] == [(Severity.WARNING, "unclosed-quote")]


def test_actions_are_bounded():
    report = Report()
    found = read_actions(",".join(["log"] * (MAX_ACTIONS + 1)), at, report)

    assert len(found) == MAX_ACTIONS
    assert faults(report) == [("too-many-actions", 4 * MAX_ACTIONS)]


@pytest.mark.parametrize("read", [read_variables, read_actions])
def test_faults_are_bounded(read: Callable[[str, Locate, Report], object]):
    report = Report()
    read("," * 100_000, at, report)

    assert len(report.found) == MAX_DIAGNOSTICS + 1


@given(st.text(alphabet="aA1:|,!&'/\\ \t@\"\u201c", max_size=40))
def test_nothing_raises_and_every_place_is_inside(text: str):
    report = Report()
    refs = [*read_variables(text, at, report), *read_actions(text, at, report)]
    operator = read_operator(text, at, report)
    spans = [ref.span for ref in refs] + [d.span for d in report.found] + ([operator.span] if operator else [])

    assert all(0 <= span.column <= len(text) for span in spans)
    assert operator is not None or report.errors
