"""Lines, comments, continuations, blocks and quotes, and the place of every character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.diagnostics import Severity, Span
from waf_engine.seclang.lexer import (
    MAX_DIAGNOSTICS,
    Report,
    Statement,
    closing_quote,
    looks_like_directive,
    read_statement,
    read_word,
    skip_blanks,
)


def statements(text: str) -> tuple[list[Statement], Report]:
    lines, report = text.split("\n"), Report()
    found, index = [], 0
    while (statement := read_statement(lines, index, "f", report)) is not None:
        found.append(statement)
        index = statement.next
    return found, report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n \n# only a comment\n\t# and another", []),
        ("A\nB", ["A", "B"]),
        ("  A  \t", ["A"]),
        ("A \\\n  B", ["A B"]),
        ("A\\\n  B", ["AB"]),
        ("\u00a0A \\\n\u00a0 \u00a0B\u00a0", ["A B"]),
        ("A \\\n# a comment\n  B", ["A B"]),
        ("A \\\n# a comment that ends with a backslash \\\n  B\nC", ["A B", "C"]),
        ("A \\\n\n  B", ["A B"]),
        ("A \\\n B \\\n C\nD", ["A B C", "D"]),
        ("A x\\\\\nB", ["A x\\B"]),
        ("A `\n one\n# two\n`\nB", ["A `\n one\n# two\n`", "B"]),
        ("A `one`\nB", ["A `one`", "B"]),
        ('A "a `"\nB', ['A "a `"', "B"]),
        ("A `never closed\nB", ["A `never closed", "B"]),
    ],
)
def test_lines_become_directives(text: str, expected: list[str]):
    found, report = statements(text)

    assert [statement.text for statement in found] == expected
    assert report.found == []


def test_blanks_behind_a_backslash_still_join_but_warn():
    found, report = statements("SecRule A \\  \nB")

    assert [statement.text for statement in found] == ["SecRule A B"]
    assert [(d.severity, d.code, d.span) for d in report.found] == [
        (Severity.WARNING, "blanks-after-backslash", Span("f", 1, 11))
    ]


def test_a_backslash_at_the_end_of_the_text_joins_nothing():
    found, report = statements("SecMarker A\\\n")

    assert [statement.text for statement in found] == ["SecMarker A"]
    assert [(d.code, d.span) for d in report.found] == [("nothing-to-join", Span("f", 1, 12))]


def test_every_character_of_a_joined_directive_has_its_place_in_the_file():
    text = "# first\n  SecRule ARGS \\\n# between\n\t  @rx  \\\n    end"
    [statement], _ = statements(text)
    lines = text.split("\n")

    assert statement.text == "SecRule ARGS @rx  end"
    for offset, char in enumerate(statement.text):
        span = statement.at(offset)

        assert lines[span.line - 1][span.column - 1] == char
    assert statement.at(len(statement.text)) == Span("f", 5, 8)


@given(st.text(alphabet="aS \t\\\n#`\"'|", max_size=60))
def test_places_agree_with_the_text(text: str):
    lines = text.split("\n")
    for statement in statements(text)[0]:
        for offset, char in enumerate(statement.text):
            span = statement.at(offset)
            line = lines[span.line - 1] + "\n"  # the line break inside a block is a character of its text

            assert line[span.column - 1] == char


def test_a_continued_line_that_looks_like_a_directive_is_found_for_recovery():
    [statement], _ = statements("SecRule A \\\n x \\\n SecMarker B \\\n Include c")

    assert statement.restart(0) == 2
    assert statement.restart(statement.text.index("SecMarker") + 1) == 3
    assert statement.begins_a_line(statement.text.index("SecMarker")) == 2
    assert statement.begins_a_line(statement.text.index("B")) is None
    assert statement.begins_a_line(0) is None


@pytest.mark.parametrize("text", ["SecRule ARGS", "secmarker", "Include x", "INCLUDE", "<IfModule x>", "</IfModule>"])
def test_looks_like_a_directive(text: str):
    assert looks_like_directive(text)


@pytest.mark.parametrize("text", ["Sec", "sector:1", "includes x", "id:1", '"SecRule"', "< 5", ""])
def test_does_not_look_like_a_directive(text: str):
    assert not looks_like_directive(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a b" c', ("a b", '"', 5)),
        ("'a b' c", ("a b", "'", 5)),
        ("`a\nb` c", ("a\nb", "`", 5)),
        ("a b", ("a", "", 1)),
        (r'"a\"b"', ('a"b', '"', 6)),
        (r'"a\\"b"', ("a" + 2 * "\\", '"', 5)),
        (r'"a\\\"b"', ("a" + 2 * "\\" + '"b', '"', 8)),
        (r'"a\d"', (r"a\d", '"', 5)),
        (r"`a\`", ("a\\", "`", 4)),
        ('""', ("", '"', 2)),
    ],
)
def test_words(text: str, expected: tuple[str, str, int]):
    word = read_word(text, 0)

    assert (word.text, word.quote, word.end) == expected
    assert word.closed


@pytest.mark.parametrize("text", ['"a', '"', r'"a\"', "'a", "`a"])
def test_unclosed_words(text: str):
    word = read_word(text, 0)

    assert not word.closed
    assert word.end == len(text)


def test_places_in_a_word_account_for_removed_backslashes():
    raw = r'"a\"b\"\\\"c"'
    word = read_word(raw, 0)
    locate = word.locate(lambda offset: Span("f", 1, offset))

    for offset, char in enumerate(word.text):
        assert raw[locate(offset).column] == char


@given(st.text(alphabet='a\\"', max_size=30))
def test_a_quote_closes_behind_an_even_number_of_backslashes(text: str):
    end = closing_quote(text, 0, '"')
    escaped, expected = False, -1
    for index, char in enumerate(text):
        if char == '"' and not escaped:
            expected = index
            break
        escaped = char == "\\" and not escaped

    assert end == expected


def test_skip_blanks_stops_at_the_end():
    assert skip_blanks("a \t\fb", 1) == 4
    assert skip_blanks("a  ", 1) == 3


def test_a_report_is_sorted_bounded_and_knows_its_source_lines():
    report = Report()
    for row in range(MAX_DIAGNOSTICS + 5, 0, -1):
        report.error("x", "fault", Span("f", row))
    lines = [f"line {row}" for row in range(1, 200)]
    found = report.result(lines)

    assert report.full
    assert len(found) == MAX_DIAGNOSTICS + 1
    assert [d.span.line for d in found[:3]] == [1, 2, 3]
    assert found[0].source_line == "line 1"
    assert (found[-1].code, found[-1].message) == ("too-many-faults", "more than 100 faults, the rest is not shown")
