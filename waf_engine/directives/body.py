"""Directives on bodies, arguments and uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.diagnostics import ArgumentError
from waf_engine.directives.registry import choice, directive, number, on_off, one
from waf_engine.settings import LimitAction, Settings

if TYPE_CHECKING:
    from waf_engine.compiler.state import State
    from waf_engine.directives.registry import DirectiveHandler
    from waf_engine.seclang.ast import Directive

NUMBERS = {
    "SecRequestBodyLimit": ("request_body_limit", 1),
    "SecRequestBodyInMemoryLimit": ("request_body_in_memory_limit", 1),
    "SecRequestBodyNoFilesLimit": ("request_body_no_files_limit", 1),
    "SecRequestBodyJsonDepthLimit": ("json_depth_limit", 1),
    "SecArgumentsLimit": ("arguments_limit", 1),
    "SecResponseBodyLimit": ("response_body_limit", 1),
    "SecUploadFileLimit": ("upload_file_limit", 0),
}
"""Directive: the setting that its number goes to, and the least number."""


def _number(setting: str, least: int) -> DirectiveHandler:
    def handle(state: State, node: Directive) -> None:
        state.settings[setting] = number(node, least=least)

    return handle


for _name, (_setting, _least) in NUMBERS.items():
    directive(_name)(_number(_setting, _least))


@directive("SecRequestBodyAccess")
def sec_request_body_access(state: State, node: Directive) -> None:
    """``SecRequestBodyAccess On|Off``: whether phase 2 sees the body."""
    state.settings["request_body_access"] = on_off(node)


@directive("SecResponseBodyAccess")
def sec_response_body_access(state: State, node: Directive) -> None:
    """``SecResponseBodyAccess On|Off``: whether phase 4 sees the body."""
    state.settings["response_body_access"] = on_off(node)


@directive("SecRequestBodyLimitAction")
def sec_request_body_limit_action(state: State, node: Directive) -> None:
    """``SecRequestBodyLimitAction Reject|ProcessPartial``."""
    state.settings["request_body_limit_action"] = LimitAction(choice(node, LimitAction))


@directive("SecResponseBodyLimitAction")
def sec_response_body_limit_action(state: State, node: Directive) -> None:
    """``SecResponseBodyLimitAction Reject|ProcessPartial``."""
    state.settings["response_body_limit_action"] = LimitAction(choice(node, LimitAction))


@directive("SecResponseBodyMimeType")
def sec_response_body_mime_type(state: State, node: Directive) -> None:
    """``SecResponseBodyMimeType TYPE...``: the types whose bodies are kept; replaces the list (Coraza)."""
    if not node.arguments:
        raise ArgumentError("SecResponseBodyMimeType takes one type or more, such as text/html")
    types = []
    for argument in node.arguments:
        if "/" not in argument.text:
            state.fault(argument.span, "bad-argument", f"expected a type such as text/html, got {argument.text!r}")
        types.append(argument.text.lower())
    state.settings["response_body_mime_types"] = tuple(types)


@directive("SecResponseBodyMimeTypesClear")
def sec_response_body_mime_types_clear(state: State, node: Directive) -> None:
    """``SecResponseBodyMimeTypesClear``: keep no type."""
    if node.arguments:
        raise ArgumentError("SecResponseBodyMimeTypesClear takes no argument")
    state.settings["response_body_mime_types"] = ()


@directive("SecArgumentSeparator")
def sec_argument_separator(state: State, node: Directive) -> None:
    """``SecArgumentSeparator CHARACTER``: between two arguments of a query string or form."""
    text = one(node)
    if len(text) != 1 or not text.isascii():
        raise ArgumentError(f"SecArgumentSeparator takes one ASCII character, got {text!r}")
    default = Settings().argument_separator
    if text != default:
        state.warn(node.span, "separator", f"arguments will be split at {text!r} and not at {default!r}")
    state.settings["argument_separator"] = text
