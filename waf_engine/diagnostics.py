"""What is wrong with a rule file, and where: spans, diagnostics, and the error that carries them.

A diagnostic is made where the fault is found and shown by whoever called; nothing here reads a file.
The form (position, caret, hint) is that of compilers: ``file:line:column: error: message``, the source
line, a caret under the column, and a line that says what would be right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_SOURCE_LINE = 160  # characters of the source line that are shown: CRS has lines of 12,000


class Severity(StrEnum):
    """How bad a diagnostic is: an error refuses the rule set, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a source text.

    Attributes:
        file: the name by which the text was loaded (a path, ``@baseline/...``, or ``<directives>``).
        line: the line, from 1.
        column: the character in that line, from 1.
    """

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault of a rule file (or of a configuration file) at one place.

    Attributes:
        severity: error or warning.
        code: a short stable name of the kind of fault, such as ``unknown-operator``.
        message: what came and what was expected, lower case, without position.
        span: where.
        hint: what would be right; may be empty.
        source_line: the text of the line, without its end; may be empty.
    """

    severity: Severity
    code: str
    message: str
    span: Span
    hint: str = ""
    source_line: str = ""

    def with_source(self, lines: Sequence[str]) -> Diagnostic:
        """The same diagnostic with its source line, taken from the lines of its file."""
        if self.source_line or not 1 <= self.span.line <= len(lines):
            return self
        return replace(self, source_line=lines[self.span.line - 1])

    def render(self) -> str:
        """The text for people: position, message, source line, caret, hint."""
        parts = [f"{self.span}: {self.severity}: {self.message} [{self.code}]"]
        if self.source_line:
            text, column = _window(self.source_line, self.span.column)
            parts += [f"    {text}", "    " + " " * (column - 1) + "^"]
        if self.hint:
            parts.append(f"  hint: {self.hint}")
        return "\n".join(parts)

    def to_dict(self) -> dict[str, str | int]:
        """The fields by name, for JSON output."""
        return {
            "severity": str(self.severity),
            "code": self.code,
            "message": self.message,
            "file": self.span.file,
            "line": self.span.line,
            "column": self.span.column,
            "hint": self.hint,
        }


def _window(line: str, column: int) -> tuple[str, int]:
    """The part of a long line around a column, and the column in that part; tabs count as one blank."""
    start = max(0, min(column - MAX_SOURCE_LINE // 2, len(line) - MAX_SOURCE_LINE))
    shown = line[start : start + MAX_SOURCE_LINE]
    text = "".join(" " if c == "\t" else c if c.isprintable() else "?" for c in shown)
    return text, min(column - start, len(text) + 1)


def render_all(diagnostics: Iterable[Diagnostic]) -> str:
    """All diagnostics as text, a blank line between two."""
    return "\n\n".join(d.render() for d in diagnostics)


class SecLangError(Exception):
    """A rule set that cannot be used, with every fault that was found.

    Attributes:
        diagnostics: the faults, errors and warnings, in the order of the source.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that refuse the rule set, without the warnings."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.ERROR)

    def __str__(self) -> str:
        count = len(self.errors)
        return f"{count} error{'s' if count != 1 else ''} in the rules\n\n{render_all(self.diagnostics)}"


class ArgumentError(ValueError):
    """An argument that an operator, action, variable or directive refuses at load time.

    The compiler knows where the argument stands and turns this into a `Diagnostic`.

    Attributes:
        message: what came and what was expected.
        hint: what would be right; may be empty.
        offset: the character of the argument at fault, from 0.
        code: the diagnostic's code.
    """

    def __init__(self, message: str, *, hint: str = "", offset: int = 0, code: str = "bad-argument") -> None:
        super().__init__(message)
        self.message, self.hint, self.offset, self.code = message, hint, offset, code
