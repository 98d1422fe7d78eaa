"""How faults are shown, and the errors that carry them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.diagnostics import (
    MAX_SOURCE_LINE,
    ArgumentError,
    Diagnostic,
    SecLangError,
    Severity,
    Span,
    render_all,
)

FAULT = Diagnostic(
    Severity.ERROR,
    "unknown-operator",
    "there is no operator 'rxx'",
    Span("my.conf", 3, 15),
    "did you mean 'rx'?",
    'SecRule ARGS "@rxx a"',
)


def test_a_fault_with_everything():
    assert FAULT.render() == (
        "my.conf:3:15: error: there is no operator 'rxx' [unknown-operator]\n"
        '    SecRule ARGS "@rxx a"\n'
        "                  ^\n"
        "  hint: did you mean 'rx'?"
    )


def test_a_warning_with_nothing_else():
    warning = Diagnostic(Severity.WARNING, "x", "odd", Span("f", 1))

    assert warning.render() == "f:1:1: warning: odd [x]"


def test_tabs_and_unprintable_characters_do_not_move_the_caret():
    fault = Diagnostic(Severity.ERROR, "x", "odd", Span("f", 1, 4), source_line="\t\x1b[mX\udcff")

    assert fault.render().split("\n")[1:] == ["     ?[mX?", "       ^"]


def test_the_caret_may_stand_behind_the_line_but_not_farther():
    for column in (5, 9):
        fault = Diagnostic(Severity.ERROR, "x", "odd", Span("f", 1, column), source_line="abcd")

        assert fault.render().split("\n")[2] == "        ^"


@given(st.integers(1, 2000), st.integers(1, 1000))
def test_a_long_line_is_cut_around_the_caret(column: int, length: int):
    line = "".join(chr(0x4E00 + index) for index in range(length))
    shown, caret = (
        Diagnostic(Severity.ERROR, "x", "odd", Span("f", 1, column), source_line=line).render().split("\n")[1:]
    )

    assert len(shown) - 4 == min(length, MAX_SOURCE_LINE)
    if column <= length:
        assert shown[caret.index("^")] == line[column - 1]
    else:
        assert 4 <= caret.index("^") <= len(shown)


def test_the_source_line_is_taken_from_the_file_s_lines_once():
    bare = Diagnostic(Severity.ERROR, "x", "odd", Span("f", 2))

    assert bare.with_source(["one", "two"]).source_line == "two"
    assert bare.with_source(["one"]) is bare
    assert FAULT.with_source(["a", "b", "c"]) is FAULT


def test_a_fault_as_a_mapping():
    assert FAULT.to_dict() == {
        "severity": "error",
        "code": "unknown-operator",
        "message": "there is no operator 'rxx'",
        "file": "my.conf",
        "line": 3,
        "column": 15,
        "hint": "did you mean 'rx'?",
    }


@pytest.mark.parametrize(("errors", "head"), [(1, "1 error in the rules"), (2, "2 errors in the rules")])
def test_the_exception_shows_all_faults_and_counts_the_errors(errors: int, head: str):
    warning = Diagnostic(Severity.WARNING, "x", "odd", Span("f", 1))
    error = SecLangError([warning] + [FAULT] * errors)

    assert str(error) == f"{head}\n\n{render_all(error.diagnostics)}"
    assert len(error.diagnostics) == errors + 1
    assert error.errors == (FAULT,) * errors


def test_two_faults_have_an_empty_line_between_them():
    assert render_all([FAULT, FAULT]) == f"{FAULT.render()}\n\n{FAULT.render()}"


def test_an_argument_s_error_carries_what_the_compiler_needs():
    error = ArgumentError("not a number", hint="write 5", offset=3)

    assert (str(error), error.message, error.hint, error.offset, error.code) == (
        "not a number",
        "not a number",
        "write 5",
        3,
        "bad-argument",
    )
    assert isinstance(error, ValueError)


def test_a_span_as_text():
    assert str(Span("my.conf", 3, 7)) == "my.conf:3:7"
    assert Span("my.conf", 3).column == 1


def test_a_caret_far_in_a_long_line_shows_its_neighbourhood():
    line = "a" * 1_000 + "\tb\0" + "c" * 1_000
    shown, caret = Diagnostic(Severity.ERROR, "x", "m", Span("f", 1, 1_002), source_line=line).render().split("\n")[1:3]

    assert (len(shown), shown[caret.index("^")]) == (4 + 160, "b")
    assert shown[caret.index("^") - 1 : caret.index("^") + 3] == " b?c"
