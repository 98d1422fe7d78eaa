"""What names of the CRS mean on this machine: ``@crs-setup.conf.example``, ``@owasp_crs/*.conf``, ``@crs-plugins/``.

Here: the choice among what is installed, and what to say when nothing is, or when rules log but do not block. Not here:
the embedded rules (`waf_engine.loaders.EMBEDDED`), changing what is installed (store.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.crs.plugins import current_plugins
from adapters.crs.store import DEBIAN, debian_version, stores
from waf_engine.diagnostics import Diagnostic, Severity, Span
from waf_engine.loaders import BEFORE_PARTS, EMBEDDED
from waf_engine.settings import EngineMode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adapters.crs.store import Version
    from waf_engine.compiler.plan import Plan

SETUP = "@crs-setup.conf.example"
RULES = "@owasp_crs/"
"""The names that coraza-spoa gave to its built-in CRS."""

PLUGINS = "@crs-plugins/"
"""Our name for the folder of the CRS's plug-ins, which coraza-spoa has not."""

CORAZA = "@coraza.conf-recommended"
"""Coraza's settings, which only detect."""

GET_IT = "`spoa-waf crs install` gets one, or Debian's package: `apt-get install modsecurity-crs`"


def current_version() -> Version | None:
    """The CRS to use: the pinned one, else the newest of the user's store, of the system's, else Debian's package.

    A version that is pinned but no longer there is not replaced by another behind the administrator's back.
    """
    for store in stores():
        pinned = store.pinned()
        if pinned == DEBIAN:
            return debian_version()
        if pinned:
            return store.get(pinned)
        if found := store.versions():
            return found[0]
    return debian_version()


def embedded_rules() -> Mapping[str, Path]:
    """What names that begin with ``@`` mean: the engine's own rules, and the CRS if there is one."""
    version = current_version()
    names = dict(EMBEDDED)
    if version is not None:
        names[RULES] = version.rules
        if version.setup is not None:
            names[SETUP] = version.setup
    plugins = current_plugins(None if version is None else version.rules)
    if plugins is not None:
        names[PLUGINS] = plugins.folder
    return names


def explain(fault: Diagnostic) -> Diagnostic:
    """A fault about a name of the CRS says how to get one; any other stays as it is."""
    if fault.code == "no-such-file" and PLUGINS in fault.message:
        name = fault.message.partition(PLUGINS)[2].split()[0]
        name = "NAME" if "*" in name else name.removesuffix(".conf")
        hint = f"`spoa-waf crs plugin install {name}` gets it, `spoa-waf crs plugin list` shows what there is"
        return replace(fault, message=f"{fault.message}: no such plug-in of the CRS is installed", hint=hint)
    if fault.code != "no-such-file" or not any(name in fault.message for name in (RULES, SETUP)):
        return fault
    pinned = next((name for store in stores() if (name := store.pinned())), "")
    version = current_version()
    if version is not None:
        return replace(fault, hint=f"the CRS in use is {version.name}, in {version.rules}")
    if pinned:
        message = f"{fault.message}: the pinned CRS {pinned} is not installed"
        return replace(fault, message=message, hint=f"`spoa-waf crs install {pinned}`, or pin another version")
    return replace(fault, message=f"{fault.message}: no OWASP CRS is installed", hint=GET_IT)


def detection_only(plan: Plan, directives: str, file: str) -> tuple[Diagnostic, ...]:
    """A warning when Coraza's recommended file leaves rules in a state in which they block nothing.

    Args:
        plan: the compiled rules.
        directives: the text that includes the file, to find the place in; may be empty.
        file: the name of that text for positions.
    """
    if plan.settings.rule_engine is not EngineMode.DETECTION_ONLY or CORAZA not in plan.files:
        return ()
    line, column = 1, 1
    for number, text in enumerate(directives.split("\n"), 1):
        if CORAZA in text and not text.lstrip().startswith("#"):
            line, column = number, text.index(CORAZA) + 1
            break
    message = f"these rules log but do not block: {CORAZA} says SecRuleEngine DetectionOnly"
    hint = f"write `SecRuleEngine On` after `Include {CORAZA}` when it is to block"
    return (Diagnostic(Severity.WARNING, "detection-only", message, Span(file, line, column), hint),)


def late_plugins(plan: Plan, directives: str, file: str) -> tuple[Diagnostic, ...]:
    """A warning when plug-ins stand after the CRS's rules, where their exclusions come too late.

    Args:
        plan: the compiled rules.
        directives: the text that includes both, to find the place in; may be empty.
        file: the name of that text for positions.
    """
    first = next((index for index, name in enumerate(plan.files) if name.startswith(f"{RULES}REQUEST-9")), None)
    if first is None or not any(
        name.startswith(PLUGINS) and name.endswith(BEFORE_PARTS) for name in plan.files[first:]
    ):
        return ()
    lines = directives.split("\n")
    found = [number for number, text in enumerate(lines, 1) if PLUGINS in text and not text.lstrip().startswith("#")]
    line = found[-1] if found else 1
    column = lines[line - 1].index(PLUGINS) + 1 if found else 1
    message = "a plug-in stands after the CRS's rules: its settings and exclusions come too late"
    hint = f"write `Include {PLUGINS}NAME` before `Include {RULES}*.conf`"
    return (Diagnostic(Severity.WARNING, "late-plugin", message, Span(file, line, column), hint),)
