"""Directives of ModSecurity 2 and of web servers that mean nothing to an agent, or that it will not obey.

A rule file that works elsewhere should load here; a person who relies on one of these should know: so some come with
a warning, and those that would bring rules which then are not there are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.directives.registry import directives

if TYPE_CHECKING:
    from waf_engine.compiler.state import State
    from waf_engine.directives.registry import DirectiveHandler
    from waf_engine.seclang.ast import Directive

IGNORED = {
    "SecCacheTransformations": "",
    "SecChrootDir": "an agent is confined by its service manager",
    "SecConnEngine": "HAProxy limits connections",
    "SecConnReadStateLimit": "HAProxy limits connections",
    "SecConnWriteStateLimit": "HAProxy limits connections",
    "SecContentInjection": "an agent cannot change a response's body",
    "SecCookieFormat": "",
    "SecCookieV0Separator": "",
    "SecDataDir": "",
    "SecDisableBackendCompression": "HAProxy decides about compression",
    "SecGsbLookupDb": "the service it used has ended",
    "SecGuardianLog": "",
    "SecHashEngine": "an agent cannot change a response's body",
    "SecHashKey": "",
    "SecHashMethodPm": "",
    "SecHashMethodRx": "",
    "SecHashParam": "",
    "SecHttpBlKey": "",
    "SecIgnoreRuleCompilationErrors": "rules with a fault are never left out in silence",
    "SecInterceptOnError": "",
    "SecRemoteRulesFailAction": "no rules are fetched over the network",
    "SecRulePerfTime": "",
    "SecRuleInheritance": "",
    "SecRxPreFilter": "",
    "SecStatusEngine": "",
    "SecStreamInBodyInspection": "",
    "SecStreamOutBodyInspection": "",
    "SecTmpSaveUploadedFiles": "",
    "SecUnicodeMap": "",
    "SecUnicodeMapFile": "",
    "SecXmlExternalEntity": "external entities are never read",
}
"""Directive: why it has no effect, for the warning; empty where none is needed (its ``Off`` never warns)."""


def _ignore(reason: str) -> DirectiveHandler:
    def handle(state: State, node: Directive) -> None:
        if reason and not any(argument.text.lower() == "off" for argument in node.arguments):
            state.warn(node.span, "no-effect", f"{node.name} has no effect here: {reason}")

    return handle


CODE_PAGE = "20127"
"""The code page by whose table, which is built in, `urlDecodeUni` decodes ``%uXXXX``."""


def _unicode_map(state: State, node: Directive) -> None:
    for argument in node.arguments:
        if argument.text.isdigit() and argument.text != CODE_PAGE:
            hint = f"%uXXXX is decoded by the table of code page {CODE_PAGE}"
            state.warn(
                node.span, "no-effect", f"{node.name} has no effect here: it names code page {argument.text}", hint
            )


for _name, _reason in IGNORED.items():
    directives.add(_unicode_map if _name.startswith("SecUnicodeMap") else _ignore(_reason), _name)

REFUSED = {
    "SecRuleScript": ("rules in Lua are not run", "write an operator in Python, as a plug-in"),
    "SecRemoteRules": ("no rules are fetched over the network", "fetch them with a timer, and Include the file"),
}
"""Directive: why it is refused, and what to do instead."""


def _refuse(reason: str, hint: str) -> DirectiveHandler:
    def handle(state: State, node: Directive) -> None:
        state.fault(node.span, "refused-directive", f"{node.name} is refused: {reason}", hint)

    return handle


for _name, (_reason, _hint) in REFUSED.items():
    directives.add(_refuse(_reason, _hint), _name)
