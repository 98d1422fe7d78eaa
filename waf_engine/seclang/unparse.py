"""Tree to canonical rule text, so that ``parse(unparse(tree)) == tree``.

The form is that of CRS: a rule's actions one a line. Quotes are chosen as the text needs them. What no
quoting can express is refused, never written wrongly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from waf_engine.seclang.ast import (
    ActionRef,
    Directive,
    Node,
    OperatorRef,
    SecAction,
    SecDefaultAction,
    SecMarker,
    SecRule,
    VariableRef,
)
from waf_engine.seclang.lexer import closing_quote
from waf_engine.seclang.parser import parse
from waf_engine.seclang.parts import XPATH_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:@*%+=~^$&!?;(){}<>\[\]|,-]+", re.ASCII)
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@*%+=~^$&!?;(){}<>\[\]|-]+", re.ASCII)
_PLAIN_SELECTOR = re.compile(r"[A-Za-z0-9_.:@*%+=~^$&!?;(){}<>\[\]-][A-Za-z0-9_./:@*%+=~^$&!?;(){}<>\[\]-]*", re.ASCII)
_CONTINUE = ",\\\n    "


def unparse(nodes: Iterable[Node]) -> str:
    """The text of directives, one after the other.

    Args:
        nodes: directives, as `parse` gives them or made otherwise.

    Raises:
        ValueError: a node has a text that SecLang cannot express (a line break in an operator, say), or that
            is none for its place (a variable's name with a blank in it).
    """
    return "".join(_unparse_node(node) for node in nodes)


def _unparse_node(node: Node) -> str:
    if isinstance(node, SecRule):
        text = f"SecRule {_variables(node.variables)} {_quoted(_operator(node.operator))}"
        if node.actions:
            text += f" \\\n    {_actions(node.actions)}"
    elif isinstance(node, SecAction):
        text = f"SecAction \\\n    {_actions(node.actions)}"
    elif isinstance(node, SecDefaultAction):
        text = f"SecDefaultAction {_actions(node.actions, separator=',')}"
    elif isinstance(node, SecMarker):
        text = f"SecMarker {_quoted(node.label)}"
    else:
        text = _directive(node)
    text += "\n"
    # The grammar has corners (a backslash before a quote, a name that is none): reading the text again finds all.
    if parse(text, "")[0] != (node,):
        raise ValueError(f"SecLang cannot express {node!r}")
    return text


def _directive(node: Directive) -> str:
    words = [node.name]
    for argument in node.arguments:
        text = argument.text
        if "\n" in text:
            words.append(f"`\n{text}\n`")
        else:
            words.append(text if _PLAIN_WORD.fullmatch(text) else _quoted(text))
    return " ".join(words)


def _quoted(text: str) -> str:
    """The text in the first kind of quotes that can hold it."""
    for quote in "\"'":
        raw = text.replace(quote, "\\" + quote)
        if closing_quote(raw + quote, 0, quote) == len(raw):
            return f"{quote}{raw}{quote}"
    return f"`{text}`"


def _variables(variables: Iterable[VariableRef]) -> str:
    text = "|".join(_variable(variable) for variable in variables)
    return _quoted(text) if '"' in text or " " in text else text


def _variable(variable: VariableRef) -> str:
    text = "!" * variable.exclude + "&" * variable.count + variable.name
    selector = variable.selector
    if selector is None:
        return text
    if variable.is_regex:
        if re.search(r"""/[|, \t]|['"]""", selector):
            return f"{text}:'/{_escaped(selector)}/'"
        return f"{text}:/{selector}/"
    is_path = variable.name.lower() in XPATH_VARIABLES and not re.search(r"""[|,'" \t\\]""", selector)
    if is_path or _PLAIN_SELECTOR.fullmatch(selector):
        return f"{text}:{selector}"
    return f"{text}:'{_escaped(selector)}'"


def _operator(operator: OperatorRef) -> str:
    name = "!" * operator.negated + "@" + operator.name
    return f"{name} {operator.argument}" if operator.argument else name


def _actions(actions: Iterable[ActionRef], separator: str = _CONTINUE) -> str:
    # The quotes around the list are chosen before its lines are broken: a line break is never escaped.
    text = "\0".join(_action(action) for action in actions)
    if not text or "\n" in text:
        raise ValueError("a list of actions is empty or has a line break inside")
    return _quoted(text).replace("\0", separator)


def _action(action: ActionRef) -> str:
    value = action.value
    if value is None:
        return action.name
    return f"{action.name}:{value}" if _PLAIN_VALUE.fullmatch(value) else f"{action.name}:'{_escaped(value)}'"


def _escaped(text: str) -> str:
    return text.replace("'", "\\'")
