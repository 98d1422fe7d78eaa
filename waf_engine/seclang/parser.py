"""Rule text to tree: `parse`, and the three smaller parsers that the compiler asks for.

The parser knows the shape of SecRule, SecAction, SecDefaultAction and SecMarker; anything else is a
`Directive` with its words. It looks no name up and touches no file. All faults of a text are
collected: after a fault it goes on at the next directive.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from waf_engine.diagnostics import Span
from waf_engine.seclang.ast import (
    ActionRef,
    Argument,
    Directive,
    Node,
    OperatorRef,
    SecAction,
    SecDefaultAction,
    SecMarker,
    SecRule,
    VariableRef,
)
from waf_engine.seclang.lexer import (
    BLANKS,
    MAX_DIRECTIVE,
    MAX_LINES,
    ODD_BLANKS,
    SMART_QUOTES,
    Locate,
    Report,
    Statement,
    Word,
    closing_quote,
    looks_like_directive,
    read_statement,
    read_word,
    skip_blanks,
)
from waf_engine.seclang.parts import odd_blank, read_actions, read_operator, read_variables, smart_quote
from waf_engine.source import SourceFile
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.diagnostics import Diagnostic

__all__ = ["parse", "parse_actions", "parse_operator", "parse_variables"]

EXAMPLE = 'SecRule ARGS "@rx pattern" "id:1000,phase:2,deny"'

MAX_ARGUMENTS = 10_000
"""Arguments of one directive: SecRuleRemoveById takes lists of ids."""

SHOWN = 40
"""Characters of rule text in a message."""

_ACTION_LIKE = re.compile(r"[A-Za-z]+[:,\"]", re.ASCII)
_ODD_BLANK_NEAR = re.compile(rf"[A-Za-z0-9_]*([{ODD_BLANKS}])", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?![^ \t\r\f\v\"'`])", re.ASCII)


def parse(text: str, file: str) -> tuple[tuple[Node, ...], tuple[Diagnostic, ...]]:
    """Parse a rule text.

    Args:
        text: the whole text, decoded as UTF-8 with ``surrogateescape``.
        file: the name that positions show.

    Returns:
        The directives without a fault, and all faults; never raises for what the text holds.
    """
    return parse_source(SourceFile(file, text))


def parse_source(source: SourceFile) -> tuple[tuple[Node, ...], tuple[Diagnostic, ...]]:
    """Parse a loaded text; see `parse`."""
    report = Report()
    if (place := _no_character(source)) is not None:
        report.error("bad-character", "half of a surrogate pair is no character, and stands for no byte", place)
        return (), report.result(source.lines)
    nodes = _Parser(source.name, source.lines, report).run()
    return tuple(nodes), report.result(source.lines)


def _no_character(source: SourceFile) -> Span | None:
    """The first character that no file can hold: a surrogate that no byte stands for. Only a given text has any."""
    try:
        encode_argument(source.text)
    except UnicodeEncodeError as error:
        wrong = source.text[error.start]
        row = next(row for row, line in enumerate(source.lines) if wrong in line)
        return Span(source.name, row + 1, source.lines[row].index(wrong) + 1)
    return None


def parse_variables(text: str, span: Span) -> tuple[tuple[VariableRef, ...], tuple[Diagnostic, ...]]:
    """Parse targets such as ``!ARGS:x|REQUEST_HEADERS``; ``,`` separates as ``|`` does.

    Args:
        text: the targets, without quotes around them.
        span: where the text begins.
    """
    report = Report()
    return read_variables(text, _from(span), report), report.result(())


def parse_operator(text: str, span: Span) -> tuple[OperatorRef | None, tuple[Diagnostic, ...]]:
    """Parse an operator with its argument, such as ``!@rx ^a``.

    Args:
        text: the operator, without quotes around it.
        span: where the text begins.

    Returns:
        The operator, None if it is faulty; and the faults.
    """
    report = Report()
    return read_operator(text, _from(span), report), report.result(())


def parse_actions(text: str, span: Span) -> tuple[tuple[ActionRef, ...], tuple[Diagnostic, ...]]:
    """Parse a list of actions such as ``id:1,phase:2,deny``.

    Args:
        text: the list, without quotes around it.
        span: where the text begins.
    """
    report = Report()
    return read_actions(text, _from(span), report), report.result(())


def _from(span: Span) -> Locate:
    return lambda offset: Span(span.file, span.line, span.column + offset)


class _Fault(Exception):  # noqa: N818  control flow inside this file, never seen outside
    """The directive cannot be read on; the report knows why.

    Attributes:
        restart: the index of the line to go on with; None for the line behind the directive.
    """

    def __init__(self, restart: int | None = None) -> None:
        super().__init__()
        self.restart = restart


class _Parser:
    """Parses one text."""

    def __init__(self, file: str, lines: Sequence[str], report: Report) -> None:
        self.file, self.lines, self.report = file, lines, report
        self.chained = False  # the rule before this directive has the action `chain`
        self.sections = 0  # Apache sections that are open

    def run(self) -> list[Node]:
        """All directives of the text."""
        nodes: list[Node] = []
        index, lost = 0, False
        report = self.report
        while not report.full and (statement := read_statement(self.lines, index, self.file, report)) is not None:
            index = statement.next
            # After a fault that may have torn a directive apart, its remains would only cause more faults.
            if lost and not looks_like_directive(statement.text):
                continue
            lost, errors = False, report.errors
            try:
                node = self.node(statement)
            except _Fault as fault:
                lost = True
                index = fault.restart or index
            else:
                if report.errors == errors and node is not None:
                    nodes.append(node)
        return nodes

    def node(self, statement: Statement) -> Node | None:
        """Read one directive; None for what is none, such as an Apache section.

        Raises:
            _Fault: it cannot be read to its end.
        """
        text = statement.text
        match = _NAME.match(text)
        if match is None:
            self.no_directive(statement)
            return None
        if not statement.whole:
            self.report.error("directive-too-long", f"a directive of more than {MAX_LINES} lines", statement.at(0))
            raise _Fault
        if len(text) > MAX_DIRECTIVE and "`" not in text:
            message = f"a directive of {len(text)} characters, at most {MAX_DIRECTIVE} are read"
            self.report.error("directive-too-long", message, statement.at(0))
            return None
        name = match[0]
        kind = name.lower()
        words = _Words(statement, name, match.end(), self.report)
        chained, self.chained = self.chained, False
        if kind == "secrule":
            return self.rule(words, chained=chained)
        if kind == "secmarker":
            return self.marker(words)
        if kind in ("secaction", "secdefaultaction"):
            return self.action(words, kind)
        return self.directive(words)

    def rule(self, words: _Words, *, chained: bool) -> SecRule:
        """Read ``SecRule VARIABLES OPERATOR [ACTIONS]``."""
        statement, report = words.statement, self.report
        if words.at_end():
            words.fault("missing-variables", "SecRule has no variables and no operator", f"write {EXAMPLE}")
        targets = words.variables()
        variables = read_variables(targets.text, targets.locate(statement.at), report)
        if words.at_end():
            words.fault("missing-operator", "SecRule has no operator behind its variables", f"write {EXAMPLE}")
        condition = words.next()
        if not condition.quote:
            self.check_plain_operator(condition, words)
        operator = read_operator(condition.text, condition.locate(statement.at), report)
        actions: tuple[ActionRef, ...] = ()
        if not words.at_end():
            listed = words.next()
            if not listed.quote:
                words.unquoted_actions(listed)
            words.end("SecRule takes variables, an operator and actions")
            # Coraza's own tests end chains with `""`; anywhere else it is a rule without an id.
            if listed.raw or not chained:
                actions = read_actions(listed.text, listed.locate(statement.at), report)
        self.chained = any(action.name.lower() == "chain" for action in actions)
        return SecRule(variables, operator or OperatorRef("rx"), actions, statement.at(0), statement.text)

    def check_plain_operator(self, word: Word, words: _Words) -> None:
        """An operator without quotes is one word; people write it with blanks, or blanks around ``|``."""
        at = words.statement.at
        if word.raw[0] in "|,":
            self.report.error(
                "blank-in-variables",
                "blanks between the variables",
                at(word.start),
                "write them as one word: ARGS|REQUEST_URI",
            )
            raise _Fault(words.restart())
        rest = words.peek()
        if rest is None or (rest.quote and word.raw.count('"') == 0):
            return
        hint = 'put the operator in double quotes: "@rx pattern"'
        if word.raw.endswith('"') or rest.raw.endswith('"'):
            self.report.error("missing-quote", "the quote before the operator is missing", at(word.start), hint)
        else:
            self.report.error("unquoted-operator", "an operator with blanks, without quotes", at(word.start), hint)
        raise _Fault(words.restart())

    def action(self, words: _Words, kind: str) -> SecAction | SecDefaultAction:
        """Read ``SecAction ACTIONS`` or ``SecDefaultAction ACTIONS``."""
        statement = words.statement
        if words.at_end():
            example = "id:1000,phase:1,pass,nolog" if kind == "secaction" else "phase:2,log,auditlog,pass"
            words.fault("missing-actions", f"{words.name} has no actions", f'write {words.name} "{example}"')
        listed = words.next()
        if not listed.quote:
            listed = words.rest(listed)
            if '"' in listed.raw:
                words.unquoted_actions(listed)
        words.end(f"{words.name} takes one list of actions")
        actions = read_actions(listed.text, listed.locate(statement.at), self.report)
        if kind == "secaction":
            self.chained = any(action.name.lower() == "chain" for action in actions)
            return SecAction(actions, statement.at(0), statement.text)
        return SecDefaultAction(actions, statement.at(0), statement.text)

    def marker(self, words: _Words) -> SecMarker:
        """Read ``SecMarker LABEL``."""
        hint = "write SecMarker END-OF-MY-RULES"
        if words.at_end():
            words.fault("missing-label", "SecMarker has no label", hint)
        label = words.next()
        if not label.raw:
            self.report.error("missing-label", "SecMarker has an empty label", words.statement.at(label.start), hint)
        words.end("SecMarker takes one label")
        return SecMarker(label.text, words.statement.at(0), words.statement.text)

    def directive(self, words: _Words) -> Directive:
        """Read any other directive."""
        statement = words.statement
        arguments: list[Argument] = []
        while not words.at_end():
            word = words.next()
            if len(arguments) == MAX_ARGUMENTS:
                self.report.error(
                    "too-many-arguments", f"more than {MAX_ARGUMENTS} arguments", statement.at(word.start)
                )
                break
            text = _block_text(word.raw) if word.quote == "`" and "\n" in word.raw else word.text
            arguments.append(Argument(text, statement.at(word.inner)))
        return Directive(words.name, tuple(arguments), statement.at(0), statement.text)

    def no_directive(self, statement: Statement) -> None:
        """Report a line that is no directive."""
        text, place = statement.text, statement.at(0)
        if text.startswith("</") and self.sections:
            self.sections -= 1
            return
        if text[0] == "<":
            self.sections += not text.startswith("</")
            word = text.split(None, 1)[0].rstrip(">")
            hint = "take this line and its counterpart away; what stands between them may stay"
            self.report.error(
                "apache-section", f"{word}> is a section of Apache's configuration, not SecLang", place, hint
            )
            return
        if text[0] in SMART_QUOTES:
            smart_quote(text[0], place, self.report)
        elif match := _ODD_BLANK_NEAR.match(text):
            odd_blank(match[1], statement.at(match.start(1)), self.report)
        else:
            hint = "a directive begins with its name, such as SecRule or Include"
            if place.line > 1 and (text[0] in "\"',@|!&" or _ACTION_LIKE.match(text)):
                hint = "does this line belong to the one above? Then that one must end with a backslash"
            shown = text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
            self.report.error("not-a-directive", f"expected a directive, got {shown!r}", place, hint)
        raise _Fault


class _Words:
    """The words of one directive behind its name, one after the other."""

    def __init__(self, statement: Statement, name: str, offset: int, report: Report) -> None:
        self.statement, self.name, self.report = statement, name, report
        self.offset = skip_blanks(statement.text, offset)
        self.count = 0

    def at_end(self) -> bool:
        """Whether there is no further word: the text ends, or a comment begins behind at least one word."""
        text = self.statement.text
        if self.offset < len(text) and text[self.offset] == "#" and self.count:
            self.offset = len(text)
        return self.offset >= len(text)

    def next(self) -> Word:
        """The next word.

        Raises:
            _Fault: its quote is not closed, or it is no word of this directive.
        """
        text = self.statement.text
        word = read_word(text, self.offset)
        if word.quote:
            self._check_quoted(word)
        else:
            self._check_plain(word)
        self._advance(word)
        return word

    def variables(self) -> Word:
        """The next word, read as variables: a blank inside a quoted selector does not end it.

        Raises:
            _Fault: see `next`.
        """
        text, start = self.statement.text, self.offset
        if text[start] in "\"'`":
            return self.next()
        end = start
        while end < len(text) and text[end] not in BLANKS and text[end] != '"':
            if text[end] == "'" and text[end - 1] == ":":
                closing = closing_quote(text, end + 1, "'")
                end = closing if closing > 0 else end
            end += 1
        word = Word(text[start:end], "", start, start, end)
        self._check_plain(word)
        if text[end : end + 1] == '"':
            place = self.statement.at(end)
            message = "a blank is missing between the variables and the operator"
            self.report.error("missing-blank", message, place, f'write {word.raw[:SHOWN]} "@rx pattern"')
        self._advance(word)
        return word

    def rest(self, word: Word) -> Word:
        """All that is left, from this unquoted word on, as one word."""
        text = self.statement.text
        self.offset = len(text)
        return Word(text[word.start :].rstrip(BLANKS), "", word.start, word.start, len(text))

    def peek(self) -> Word | None:
        """The next word, unchecked, without advancing."""
        return None if self.at_end() else read_word(self.statement.text, self.offset)

    def end(self, expected: str) -> None:
        """Nothing may follow.

        Raises:
            _Fault: something does.
        """
        if self.at_end():
            return
        word = self.next()
        shown = word.raw if len(word.raw) <= SHOWN else word.raw[: SHOWN - 3] + "..."
        hint = 'an argument with blanks stands in double quotes; a double quote inside them is written \\"'
        self.report.error("surplus-argument", f"unexpected {shown!r}: {expected}", self.statement.at(word.start), hint)
        raise _Fault(self.restart())

    def fault(self, code: str, message: str, hint: str) -> NoReturn:
        """Report what is missing at the end of the text.

        Raises:
            _Fault: always.
        """
        self.report.error(code, message, self.statement.at(len(self.statement.text.rstrip(BLANKS))), hint)
        raise _Fault

    def unquoted_actions(self, word: Word) -> NoReturn:
        """Report actions without their quotes.

        Raises:
            _Fault: always.
        """
        code, message = "unquoted-actions", "the actions are not in quotes"
        if self.statement.text.endswith('"'):
            code, message = "missing-quote", "the quote before the actions is missing"
        self.report.error(code, message, self.statement.at(word.start), 'write them like this: "id:1000,phase:2,deny"')
        raise _Fault(self.restart())

    def restart(self) -> int | None:
        """The line to go on with after a fault, if it is one of this very directive."""
        return self.statement.restart(self.offset)

    def _advance(self, word: Word) -> None:
        self.offset = skip_blanks(self.statement.text, word.end)
        self.count += 1

    def _check_quoted(self, word: Word) -> None:
        text, at = self.statement.text, self.statement.at
        if not word.closed:
            what = "backtick" if word.quote == "`" else "quote"
            hint = f"end the text with {word.quote}"
            if word.quote != "`":
                hint += "; each line that is continued ends with a backslash"
            self.report.error("unclosed-quote", f"this {what} is never closed", at(word.start), hint)
            raise _Fault(self.statement.restart(word.start))
        if word.end < len(text) and text[word.end] not in BLANKS and text[word.end] not in "\"'`":
            hint = f"write \\{word.quote} for a quote inside the text, and a blank behind its closing quote"
            char = text[word.end]
            self.report.error("text-after-quote", f"unexpected {char!r} behind the closing quote", at(word.end), hint)
            raise _Fault(self.statement.restart(word.end))

    def _check_plain(self, word: Word) -> None:
        first = word.raw[0]
        place = self.statement.at(word.start)
        if first in SMART_QUOTES:
            smart_quote(first, place, self.report)
            raise _Fault(self.statement.restart(word.start))
        odd = next((i for i, char in enumerate(word.raw) if char in ODD_BLANKS), -1) if not word.raw.isascii() else -1
        if odd >= 0:
            odd_blank(word.raw[odd], self.statement.at(word.start + odd), self.report)
            raise _Fault(self.statement.restart(word.start))
        row = self.statement.begins_a_line(word.start)
        if row is not None and looks_like_directive(self.statement.text, word.start):
            message = f"the directive {word.raw} is joined to the one above, whose last line ends with a backslash"
            self.report.error("stray-backslash", message, place, "take that backslash away")
            raise _Fault(row)


def _block_text(raw: str) -> str:
    """The lines of a block in backticks, trimmed, without comments and empty lines."""
    lines = (line.strip() for line in raw.split("\n"))
    return "\n".join(line for line in lines if line and line[0] != "#")
