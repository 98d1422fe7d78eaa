"""The three arguments of a rule: its variables, its operator, its actions.

Each function takes the argument's text without quotes and a way to find the place of its characters; it
reports all faults and returns what could be read. Names are not looked up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from waf_engine.seclang.ast import ActionRef, OperatorRef, VariableRef
from waf_engine.seclang.lexer import BLANKS, ODD_BLANKS, SMART_QUOTES, closing_quote, skip_blanks

if TYPE_CHECKING:
    from waf_engine.diagnostics import Span
    from waf_engine.seclang.lexer import Locate, Report

MAX_VARIABLES = 1000
"""Variables of one rule or update; CRS has at most 14 in one rule."""

MAX_ACTIONS = 1000
"""Actions of one rule; CRS has at most 34 (crs-setup.conf, with every setting in use)."""

XPATH_VARIABLES = frozenset({"xml", "request_xml", "response_xml", "json"})
"""Variables whose selector is a path: ``XML:/*`` is no regular expression."""

_VARIABLE_HEAD = re.compile(r"([!&]*)([A-Za-z_][A-Za-z0-9_]*)(:?)", re.ASCII)
_OPERATOR = re.compile(r"@([A-Za-z][A-Za-z0-9_]*)(?![^ \t\r\f\v])[ \t\r\f\v]*", re.ASCII)
# The usual action, whole; whatever does not fit goes the slow way, which knows what to say.
_ACTION = re.compile(
    r"[ \t]*(?P<name>[A-Za-z][A-Za-z0-9_]*)[ \t]*"
    r"(?P<colon>:[ \t]*(?:'(?P<quoted>[^'\\]*(?:\\.[^'\\]*)*)'[ \t]*(?=,|\Z)|(?P<plain>[^',\\]*)))?(?:,|\Z)",
    re.ASCII | re.DOTALL,
)
_ACTION_HEAD = re.compile(r"([A-Za-z][A-Za-z0-9_]*)[ \t]*(:?)[ \t]*", re.ASCII)
_SWALLOWED = re.compile(r",[ \t]*[A-Za-z][A-Za-z0-9_]*(?:[:,]|[ \t]*\Z)", re.ASCII)
_ESCAPE = re.compile(r"\\([,'])|\\\\")


def read_variables(text: str, at: Locate, report: Report) -> tuple[VariableRef, ...]:
    """Read ``ARGS|!ARGS:x|&TX:/re/``.

    Variables stand between ``|``, or ``,`` as in ModSecurity's SecRuleUpdateTarget...; both are part of a selector
    inside ``/.../`` and ``'...'``.
    """
    found: list[VariableRef] = []
    offset, length = 0, len(text)
    while offset <= length and not report.full:
        while offset < length and text[offset] in BLANKS:
            offset += 1
        if len(found) >= MAX_VARIABLES:
            report.error("too-many-variables", f"more than {MAX_VARIABLES} variables", at(offset))
            break
        head = _VARIABLE_HEAD.match(text, offset)
        if head is None:
            offset = _bad_variable(text, offset, at, report)
            continue
        prefix, name, colon = head.groups()
        end = head.end()
        selector, is_regex, selector_at = None, False, offset
        if colon:
            selector_at = end
            selector, is_regex, end = _read_selector(text, end, name, at, report)
        while end < length and text[end] in BLANKS:
            end += 1
        if end < length and text[end] not in "|,":
            end = _after_variable(text, end, name, at, report)
        elif prefix in ("", "!", "&"):
            found.append(
                VariableRef(name, selector, is_regex, prefix == "&", prefix == "!", at(offset), at(selector_at))
            )
        else:
            report.error(
                "bad-variable",
                f"{prefix!r} before {name}, expected one '!' (leave it out) or one '&' (count it) at most",
                at(offset),
            )
        offset = end + 1
    return tuple(found)


def _bad_variable(text: str, offset: int, at: Locate, report: Report) -> int:
    """Report what is no variable; gives where to go on."""
    end = _next_separator(text, offset)
    piece = text[offset:end].strip(BLANKS)
    if not piece:
        hint = "write variables like this: ARGS|REQUEST_HEADERS:User-Agent"
        report.error("empty-variable", "a variable's name is missing here", at(offset), hint)
    elif piece[0] in SMART_QUOTES:
        smart_quote(piece[0], at(offset), report)
    elif piece[0] in ODD_BLANKS:
        odd_blank(piece[0], at(offset), report)
    else:
        hint = "a name has letters, digits and '_', with '!' or '&' before it and ':selector' behind it"
        report.error("bad-variable", f"{_shown(piece)} is not a variable", at(offset), hint)
    return end + 1


def _after_variable(text: str, offset: int, name: str, at: Locate, report: Report) -> int:
    """Report what stands between a variable and the next separator; gives the separator."""
    end = _next_separator(text, offset)
    rest = text[offset:end]
    hint = "put '|' between two variables"
    if rest[0] == ".":
        hint = f"a selector follows a colon: {name}:{rest[1:].strip()}"
    elif text[offset - 1] in "'/":
        hint = "the selector ends at its closing quote or slash; put '|' between two variables"
    report.error("bad-variable", f"unexpected {_shown(rest)} behind the variable {name}", at(offset), hint)
    return end


def _next_separator(text: str, offset: int) -> int:
    ends = [end for end in (text.find("|", offset), text.find(",", offset)) if end >= 0]
    return min(ends, default=len(text))


def _read_selector(text: str, offset: int, name: str, at: Locate, report: Report) -> tuple[str, bool, int]:
    """Read what follows the colon: the selector, whether it is a regular expression, and where it ends."""
    first = text[offset : offset + 1]
    takes_regex = name.lower() not in XPATH_VARIABLES
    if first == "'":
        end = closing_quote(text, offset + 1, "'")
        if end < 0:
            hint = f"write {name}:'...' with a quote at the end"
            report.error("unclosed-quote", "this quote of the selector is never closed", at(offset), hint)
            return "", False, len(text)
        selector = text[offset + 1 : end].replace("\\'", "'")
        if takes_regex and len(selector) > 1 and selector[0] == selector[-1] == "/":
            return selector[1:-1], True, end + 1
        if not selector:
            report.error("empty-selector", f"the selector of {name} is empty", at(offset))
        return selector, False, end + 1
    if first == "/" and takes_regex:
        end = _closing_slash(text, offset + 1)
        if end < 0:
            hint = f"write {name}:/.../ with a slash at the end, or {name}:'...' for a name that begins with a slash"
            report.error("unclosed-regex", "this regular expression is never closed", at(offset), hint)
            return "", True, len(text)
        return text[offset + 1 : end], True, end + 1
    end = _next_separator(text, offset)
    selector = text[offset:end].rstrip(BLANKS)
    if not selector:
        hint = f"write {name} for all of it, or {name}:key for one member"
        report.error("empty-selector", f"a selector is missing behind {name}:", at(offset), hint)
    return selector, False, end


def _closing_slash(text: str, offset: int) -> int:
    """The slash that ends a regular expression: no backslash before it, a separator, a blank or the end behind it."""
    while True:
        end = closing_quote(text, offset, "/")
        if end < 0 or end + 1 == len(text) or text[end + 1] in "|, \t":
            return end
        offset = end + 1


def read_operator(text: str, at: Locate, report: Report) -> OperatorRef | None:
    """Read ``@name argument``, ``!@name argument``, or a pattern for ``rx`` with or without ``!``.

    Blanks around the argument are dropped, as in Coraza.
    """
    start = len(text) - len(text.lstrip(BLANKS))
    body = start
    negated = text.startswith("!", body)
    if negated:
        body = skip_blanks(text, body + 1)
    if text.startswith("!", body):
        report.error("bad-operator", "two '!' before the operator", at(body), "write one '!' to negate, or none")
        return None
    if not text.startswith("@", body):
        argument = text[body:].strip(BLANKS)
        if not argument and not negated:
            hint = 'if that is meant, write "@unconditionalMatch"'
            report.warning("empty-operator", "an empty operator is an @rx that matches every value", at(start), hint)
        return OperatorRef("rx", argument, negated, at(start), at(body))
    match = _OPERATOR.match(text, body)
    if match is None:
        _bad_operator(text, body, at, report)
        return None
    argument = text[match.end() :].rstrip(BLANKS)
    return OperatorRef(match[1], argument, negated, at(start), at(match.end()))


def _bad_operator(text: str, offset: int, at: Locate, report: Report) -> None:
    name = re.match(r"@+[ \t]*([A-Za-z0-9_]*)", text[offset:])
    word = name[1] if name else ""
    behind = text[offset + name.end() : offset + name.end() + 1] if name else ""
    if text.startswith("@!", offset):
        message, hint = "'@!' is not the beginning of an operator", "the '!' comes first: !@rx"
    elif not word:
        message, hint = "the operator's name is missing behind '@'", 'write "@rx pattern", say'
    elif behind and behind not in BLANKS:
        message, hint = (
            f"unexpected {behind!r} behind @{word}",
            f"put a blank between the operator and its argument: @{word} ...",
        )
        offset += name.end() if name else 0
    else:
        message, hint = f"{_shown(text[offset:])} is not an operator", f"write @{word}"
    report.error("bad-operator", message, at(offset), hint)


def read_actions(text: str, at: Locate, report: Report) -> tuple[ActionRef, ...]:
    r"""Read ``id:1,phase:2,deny,msg:'It\'s blocked'``.

    Commas separate, but not inside single quotes or behind a backslash. Values lose the blanks and the quotes
    around them, ``\'`` and ``\,`` their backslash; other backslashes stay.
    """
    found: list[ActionRef] = []
    offset, length = 0, len(text)
    if not text.strip(BLANKS):
        hint = 'a rule needs an id at the least: "id:1000,phase:2,pass"'
        report.error("empty-actions", "the list of actions is empty", at(0), hint)
        return ()
    match_action = _ACTION.match
    while not report.full:
        if len(found) >= MAX_ACTIONS:
            report.error("too-many-actions", f"more than {MAX_ACTIONS} actions", at(offset))
            break
        match = match_action(text, offset)
        value = None
        if match is None:
            offset, action = _read_odd_action(text, offset, at, report)
            if action is not None:
                found.append(action)
            if offset > length:
                break
            continue
        name, colon, quoted, plain = match.groups()
        span = at(match.start("name"))
        if colon is None:
            found.append(ActionRef(name, None, span, span))
        elif quoted is not None:
            value = quoted.replace("\\'", "'") if "\\" in quoted else quoted
            found.append(ActionRef(name, value, span, at(match.start("quoted"))))
        else:
            value = plain.rstrip(BLANKS)
            if value and value[0] in SMART_QUOTES:
                smart_quote(value[0], at(match.start("plain")), report)
            found.append(ActionRef(name, value, span, at(match.start("plain"))))
        offset = match.end()
        if offset == length and text[offset - 1] != ",":
            break
    return tuple(found)


def _read_odd_action(text: str, offset: int, at: Locate, report: Report) -> tuple[int, ActionRef | None]:
    """Read an action that is faulty, or has an escape or a quote inside its value.

    Returns:
        Where the next action begins (behind the end of the text: there is none), and the action.
    """
    length = len(text)
    while offset < length and text[offset] in BLANKS:
        offset += 1
    head = _ACTION_HEAD.match(text, offset)
    if head is None or (not head[2] and text[head.end() : head.end() + 1] not in ("", ",")):
        return _bad_action(text, offset, head, at, report), None
    value_at = head.end()
    if text[value_at : value_at + 1] == "'":
        closing = closing_quote(text, value_at + 1, "'")
        if closing < 0:
            _unclosed_quote(text, value_at, at, report)
            value = text[value_at + 1 :].rstrip(BLANKS).replace("\\'", "'")
            return length + 1, ActionRef(head[1], value, at(offset), at(value_at + 1))
        hint = "write \\' for an apostrophe inside the text, and a comma behind its closing quote"
        behind = closing + 1
        report.error(
            "text-after-quote", f"unexpected {_shown(text[behind:])} behind the closing quote", at(behind), hint
        )
        return _action_end(text, behind)[0] + 1, None
    end, open_quote = _action_end(text, value_at)
    if open_quote >= 0:
        _unclosed_quote(text, open_quote, at, report)
    value = text[value_at:end].rstrip(BLANKS)
    value = _ESCAPE.sub(lambda match: match[1] or match[0], value)  # two backslashes are a pair and stay
    return end + 1, ActionRef(head[1], value, at(offset), at(value_at))


def _bad_action(text: str, offset: int, head: re.Match[str] | None, at: Locate, report: Report) -> int:
    """Report what is no action; gives where the next one begins."""
    end = _action_end(text, offset)[0]
    piece = text[offset:end].strip(BLANKS)
    if not piece:
        comma = "after the last comma" if offset >= len(text) else "before this comma"
        hint = "take the surplus comma away" if offset or len(text) > 1 else ""
        report.error("empty-action", f"an action is missing {comma}", at(offset), hint)
    elif piece[0] in SMART_QUOTES:
        smart_quote(piece[0], at(offset), report)
    elif piece[0] in ODD_BLANKS:
        odd_blank(piece[0], at(offset), report)
    elif head is not None:
        hint = "put a comma between two actions"
        if text[head.end()] == "=":
            hint = f"a value follows a colon: {head[1]}:..."
        report.error(
            "bad-action",
            f"unexpected {_shown(text[head.end() : end])} behind the action {head[1]}",
            at(head.end()),
            hint,
        )
    elif piece[0] == "'":
        report.error("bad-action", "an action's name is not quoted", at(offset), "quote the value only: msg:'text'")
    else:
        hint = "actions look like this: id:1,phase:2,deny,msg:'text'"
        report.error("bad-action", f"{_shown(piece)} is not an action", at(offset), hint)
    return end + 1


def _action_end(text: str, offset: int) -> tuple[int, int]:
    """Where the action ends: the next comma outside quotes; and the quote that stays open, or -1."""
    quote = -1
    length = len(text)
    while offset < length:
        char = text[offset]
        if char == "\\":
            offset += 1
        elif char == "'":
            quote = offset if quote < 0 else -1
        elif char == "," and quote < 0:
            return offset, -1
        offset += 1
    return length, quote


def _unclosed_quote(text: str, offset: int, at: Locate, report: Report) -> None:
    """Report a single quote without its counterpart.

    Both engines take the rest of the list as the value. That is harmless at its end (Coraza's own tests have it),
    but not when it swallows actions.
    """
    message = "this single quote is never closed"
    if _SWALLOWED.search(text, offset):
        hint = "end the text with a single quote; write \\' for an apostrophe inside it"
        report.error("unclosed-quote", message + ": the actions behind it would be part of the text", at(offset), hint)
    else:
        report.warning("unclosed-quote", message, at(offset), "end the text with a single quote")


def smart_quote(char: str, span: Span, report: Report) -> None:
    """Report a typographic quote."""
    report.error(
        "smart-quote",
        f"{char} is a typographic quote, as web pages and word processors make them",
        span,
        "type the quotes anew: \" around arguments, ' around values",
    )


def odd_blank(char: str, span: Span, report: Report) -> None:
    """Report a blank that is none for SecLang."""
    message = f"a special blank (U+{ord(char):04X}), as web pages and word processors make them"
    report.error("odd-blank", message, span, "type it anew as a plain blank")


def _shown(text: str) -> str:
    """A piece of rule text for a message, cut to 40 characters."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
