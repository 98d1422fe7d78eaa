"""From physical lines to directives, and from a directive to its words, every character with its place.

This file knows lines, comments, continuations, quotes and backticks. It does not know what a directive
means, nor any directive by its name, but for one thing: what a beginning of a directive looks like, so that
reading can go on behind a fault.

Rules (shared by Coraza and libmodsecurity where not said otherwise):

- A line whose first character is ``#`` is a comment, also inside a continued directive (Coraza).
- A backslash at the end of a line joins the next line that is neither empty nor a comment. Blanks at both
  ends of each line are dropped, those before the backslash stay (Coraza).
- ``"..."`` and ``'...'`` quote a word; the quote itself is written with a backslash before it. No other
  escape exists here: patterns are full of backslashes that must stay.
- ``name ` `` opens a block that reaches to the next backtick, over line ends (Coraza's SecDataset).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from waf_engine.diagnostics import Diagnostic, Severity, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

BLANKS = " \t\r\f\v"

MAX_DIRECTIVE = 1_000_000
"""Characters of one directive, continuation lines joined: the longest of CRS 4.28 has 12,500."""

MAX_LINES = 10_000
"""Lines of one directive: after a fault they are read anew, so that it must not be the whole of a large text."""

MAX_DIAGNOSTICS = 100
"""Faults reported of one text: whoever has more has named the wrong file (a binary, say)."""

Locate = Callable[[int], Span]
"""Gives the place in the original file of a character (counted from 0) of a piece of text."""

_DIRECTIVE_START = re.compile(r"(?:sec[a-z][a-z0-9]*|include)(?![^ \t\"'`])|</?[a-z]", re.IGNORECASE | re.ASCII)
_BLOCK_START = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[ \t]+[^ \t\"'`]+)*[ \t]+`[^`]*$", re.ASCII)
_WORD_END = re.compile(r"[ \t\r\f\v]")
_NOT_BLANK = re.compile(r"[^ \t\r\f\v\n]")

SMART_QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\uff02\uff07"
ODD_BLANKS = (
    "\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u202f\u205f\u3000\ufeff"
)

_LINE_ENDS = BLANKS + ODD_BLANKS  # dropped at both ends of a line, as Coraza does; elsewhere odd blanks are faults


class Report:
    """The faults of one text, collected."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self.errors = 0

    @property
    def full(self) -> bool:
        """Whether there are more faults than will be shown: reading on is of no use."""
        return len(self.found) > MAX_DIAGNOSTICS

    def error(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note a fault that refuses the rule set."""
        self.errors += 1
        self.found.append(Diagnostic(Severity.ERROR, code, message, span, hint))

    def warning(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note what is probably not meant."""
        self.found.append(Diagnostic(Severity.WARNING, code, message, span, hint))

    def result(self, lines: Sequence[str]) -> tuple[Diagnostic, ...]:
        """The faults in the order of the text, with their source lines, at most `MAX_DIAGNOSTICS` of them."""
        self.found.sort(key=lambda d: (d.span.line, d.span.column))
        kept = self.found[:MAX_DIAGNOSTICS]
        if self.full:
            message = f"more than {MAX_DIAGNOSTICS} faults, the rest is not shown"
            kept.append(replace(kept[-1], code="too-many-faults", message=message, hint=""))
        return tuple(d.with_source(lines) for d in kept)


class Statement:
    """One directive: its text with continuation lines joined, and where each piece of it came from.

    Attributes:
        text: the joined text.
        next: the index of the first line behind the directive.
        whole: False when it has more than `MAX_LINES` lines, and what is here is their beginning.
    """

    __slots__ = ("_file", "_pieces", "_starts", "next", "text", "whole")

    def __init__(
        self, file: str, text: str, pieces: list[tuple[int, int, int]], after: int, *, whole: bool = True
    ) -> None:
        """Make a directive of its pieces.

        Args:
            file: the name for positions.
            text: the joined text.
            pieces: for each line: where it begins in the text, its line and its column, both from 1.
            after: the index of the first line behind the directive.
            whole: see the class.
        """
        self._file, self.text, self._pieces, self.next, self.whole = file, text, pieces, after, whole
        self._starts = [piece[0] for piece in pieces]

    def at(self, offset: int) -> Span:
        """The place of a character of the text; one behind the last is allowed."""
        start, row, column = self._pieces[bisect_right(self._starts, offset) - 1]
        return Span(self._file, row, column + offset - start)

    def begins_a_line(self, offset: int) -> int | None:
        """The index of the line that begins at this character, if one but the first does."""
        start, row, _ = self._pieces[bisect_right(self._starts, offset) - 1]
        return row - 1 if 0 < start == offset else None

    def restart(self, offset: int) -> int | None:
        """The index of the first continued line from this character on that looks like a directive of its own."""
        for start, row, _ in self._pieces[1:]:
            if start >= offset and _DIRECTIVE_START.match(self.text, start):
                return row - 1
        return None


def looks_like_directive(text: str, offset: int = 0) -> bool:
    """Whether a directive (or an Apache section) begins here, judged by its look: ``Sec...``, ``Include``, ``<...``."""
    return _DIRECTIVE_START.match(text, offset) is not None


def read_statement(lines: Sequence[str], index: int, file: str, report: Report) -> Statement | None:
    """The directive that begins at a line or behind it, comments and empty lines left out.

    Args:
        lines: the lines of the text, without their ends.
        index: the line to begin with, from 0.
        file: the name for positions.
        report: takes warnings about odd continuations.

    Returns:
        The directive, or None when there is no more.
    """
    count = len(lines)
    while index < count:
        line = lines[index]
        text = line.strip(_LINE_ENDS)
        index += 1
        if not text or text[0] == "#":
            continue
        if text[-1] == "\\":
            statement = _read_continued(lines, index - 1, file, report)
            if statement.text:
                return statement
            index = statement.next
            continue
        column = line.index(text[0]) + 1
        if "`" in text and _BLOCK_START.match(text):
            return _read_block(lines, index - 1, file)
        return Statement(file, text, [(0, index, column)], index)
    return None


def _read_continued(lines: Sequence[str], index: int, file: str, report: Report) -> Statement:
    parts: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    length, continued = 0, True
    last = min(len(lines), index + MAX_LINES)
    while continued and index < last:
        line = lines[index]
        text = line.strip(_LINE_ENDS)
        index += 1
        if not text or text[0] == "#":
            continue
        column = line.index(text[0]) + 1
        continued = text[-1] == "\\"
        if continued:
            text = text[:-1]
            if line[-1] != "\\":
                place = Span(file, index, column + len(text))
                report.warning(
                    "blanks-after-backslash",
                    "blanks follow the backslash at the end of the line",
                    place,
                    "remove them: libmodsecurity joins the next line only if the backslash is the last character",
                )
        if text:  # a backslash alone adds nothing
            pieces.append((length, index, column))
            parts.append(text)
            length += len(text)
    whole = not continued or index == len(lines)
    if continued and whole and pieces:
        place = Span(file, pieces[-1][1], pieces[-1][2] + len(parts[-1]))
        report.warning(
            "nothing-to-join", "the text ends with a backslash that joins nothing", place, "remove the backslash"
        )
    return Statement(file, "".join(parts), pieces, index, whole=whole)


def _read_block(lines: Sequence[str], index: int, file: str) -> Statement:
    """A directive whose last word opens with a backtick: it ends with the line that has the next backtick."""
    first = lines[index].strip(_LINE_ENDS)
    parts, pieces = [first], [(0, index + 1, lines[index].index(first[0]) + 1)]
    length = len(first) + 1
    for row in range(index + 1, len(lines)):
        line = lines[row]
        pieces.append((length, row + 1, 1))
        parts.append(line)
        length += len(line) + 1
        if "`" in line:
            return Statement(file, "\n".join(parts), pieces, row + 1)
    return Statement(file, first, pieces[:1], index + 1)


@dataclass(slots=True)
class Word:
    """One argument of a directive.

    Attributes:
        raw: the text without its quotes, escapes kept.
        quote: the quote around it; empty for none.
        start: where it begins in the directive's text, its quote included.
        inner: where `raw` begins.
        end: where it ends, its quote included.
        closed: False when its closing quote is missing.
    """

    raw: str
    quote: str
    start: int
    inner: int
    end: int
    closed: bool = True

    @property
    def text(self) -> str:
        """The text as meant: without the backslash before a quote."""
        return self.raw.replace("\\" + self.quote, self.quote) if self.quote and self.quote in self.raw else self.raw

    def locate(self, at: Locate) -> Locate:
        """Places of the characters of `text`."""
        inner = self.inner
        if not self.quote or self.quote not in self.raw:
            return lambda offset: at(inner + offset)
        cuts = [m.start() - i for i, m in enumerate(re.finditer(re.escape("\\" + self.quote), self.raw))]
        return lambda offset: at(inner + offset + bisect_right(cuts, offset))


def skip_blanks(text: str, offset: int) -> int:
    """The first character from here on that is no blank, or the length of the text."""
    found = _NOT_BLANK.search(text, offset)
    return found.start() if found else len(text)


def read_word(text: str, offset: int) -> Word:
    """The word that begins at a character that is no blank.

    A word in quotes ends with its quote, any other at the next blank.
    """
    quote = text[offset]
    if quote in "\"'`":
        end = closing_quote(text, offset + 1, quote)
        if end < 0:
            return Word(text[offset + 1 :], quote, offset, offset + 1, len(text), closed=False)
        return Word(text[offset + 1 : end], quote, offset, offset + 1, end + 1)
    found = _WORD_END.search(text, offset)
    end = found.start() if found else len(text)
    return Word(text[offset:end], "", offset, offset, end)


def closing_quote(text: str, offset: int, quote: str) -> int:
    """Where the quote closes: before it stands an even number of backslashes. -1 if it does not.

    A backtick cannot be escaped.
    """
    end = text.find(quote, offset)
    while end > offset and quote != "`" and text[end - 1] == "\\":
        backslashes = 1
        while end - backslashes > offset and text[end - backslashes - 1] == "\\":
            backslashes += 1
        if backslashes % 2 == 0:
            break
        end = text.find(quote, end + 1)
    return end
