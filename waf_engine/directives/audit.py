"""Directives on the audit log and the debug log (engine.md 1.1).

Where the logs go is checked when all directives are read, since a path means something only with its type: a folder
that does not exist or cannot be written to is a fault at the directive that names it. Nothing is opened or created
before the first entry, so that whoever checks a configuration leaves no file behind.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from waf_engine.audit.entry import PARTS
from waf_engine.audit.files import STANDARD, check_file
from waf_engine.audit.log import make_writer
from waf_engine.audit.registry import TargetError
from waf_engine.diagnostics import ArgumentError
from waf_engine.directives.registry import choice, directive, number, one
from waf_engine.patterns import compile_pattern
from waf_engine.settings import Settings
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from waf_engine.compiler.state import State
    from waf_engine.seclang.ast import Directive

_MODES = {"secauditlogdirmode": "audit_log_dir_mode", "secauditlogfilemode": "audit_log_file_mode"}
MAX_MODE, MAX_MODE_DIGITS = 0o7777, 8


@directive("SecAuditEngine")
def sec_audit_engine(state: State, node: Directive) -> None:
    """``SecAuditEngine On|Off|RelevantOnly``: which transactions are in the audit log."""
    state.settings["audit_engine"] = choice(node, ("On", "Off", "RelevantOnly"))
    _check_at_end(state, node)


@directive("SecAuditLogRelevantStatus")
def sec_audit_log_relevant_status(state: State, node: Directive) -> None:
    """``SecAuditLogRelevantStatus "^(?:5|4(?!04))"``: statuses that RelevantOnly keeps."""
    compile_pattern(encode_argument(one(node)), state.settings["pcre_match_limit"])
    state.settings["audit_log_relevant_status"] = one(node)


@directive("SecAuditLogParts")
def sec_audit_log_parts(state: State, node: Directive) -> None:
    """``SecAuditLogParts ABCFHZ``: what an entry holds; A and Z always."""
    text = one(node).upper()
    for offset, part in enumerate(text):
        if part not in PARTS:
            raise ArgumentError(f"there is no part {part!r}", hint=f"the parts are {PARTS}", offset=offset)
    state.settings["audit_log_parts"] = text


@directive("SecAuditLogFormat")
def sec_audit_log_format(state: State, node: Directive) -> None:
    """``SecAuditLogFormat Native|JSON|JsonLegacy|OCSF``."""
    state.settings["audit_log_format"] = choice(node, state.registries.audit_formats.names())


@directive("SecAuditLogType")
def sec_audit_log_type(state: State, node: Directive) -> None:
    """``SecAuditLogType Serial|Concurrent|HTTPS|Syslog``."""
    state.settings["audit_log_type"] = choice(node, state.registries.audit_writers.names())
    _check_at_end(state, node)


@directive("SecAuditLog")
def sec_audit_log(state: State, node: Directive) -> None:
    """``SecAuditLog /var/log/waf/audit.log``: a file, or the address for HTTPS and Syslog."""
    state.settings["audit_log"] = _place(state, node)
    _check_at_end(state, node)


@directive("SecAuditLog2")
def sec_audit_log_2(state: State, node: Directive) -> None:
    """``SecAuditLog2 PATH``: a second index of a Concurrent log."""
    state.settings["audit_log_2"] = _place(state, node)
    _check_at_end(state, node)


@directive("SecAuditLogStorageDir")
def sec_audit_log_storage_dir(state: State, node: Directive) -> None:
    """``SecAuditLogStorageDir /var/log/waf/audit``: the folder of a Concurrent log."""
    state.settings["audit_log_storage_dir"] = _place(state, node)
    _check_at_end(state, node)


@directive("SecAuditLogDirMode", "SecAuditLogFileMode")
def sec_audit_log_mode(state: State, node: Directive) -> None:
    """``SecAuditLogFileMode 0640``: an octal number, or ``default``."""
    text = one(node)
    name = _MODES[node.name.lower()]
    if text.lower() == "default":
        state.settings[name] = getattr(Settings(), name)
        return
    if not text or len(text) > MAX_MODE_DIGITS or set(text) - set("01234567") or int(text, 8) > MAX_MODE:
        raise ArgumentError(f"{node.name} takes an octal number such as 0640, got {text!r}")
    state.settings[name] = int(text, 8)


@directive("SecDebugLog")
def sec_debug_log(state: State, node: Directive) -> None:
    """``SecDebugLog /var/log/waf/debug.log``: where SecDebugLogLevel and ctl:debugLogLevel write."""
    path = _place(state, node)
    check_file(path, node.name)
    state.settings["debug_log"] = path


@directive("SecDebugLogLevel")
def sec_debug_log_level(state: State, node: Directive) -> None:
    """``SecDebugLogLevel 0..9``: nothing to everything."""
    state.settings["debug_log_level"] = number(node, most=9)


def _place(state: State, node: Directive) -> str:
    """The argument as an absolute path; relative ones begin at the rule's file, or at the root for rules without one.

    Raises:
        ArgumentError: it leaves the root.
    """
    text = one(node)
    if not text or "\0" in text:
        raise ArgumentError(f"{node.name} takes a path, got {text!r}")
    if "://" in text or text in STANDARD:
        return text
    file = node.span.file
    base = state.root or Path()
    if not file.startswith(("<", "@")):
        base = Path(file).parent
    path = (base / text).absolute()
    if state.root is not None and not path.resolve().is_relative_to(state.root.resolve()):
        raise ArgumentError(f"{text} lies outside of {state.root}", code="outside-root")
    return str(path)


def _check_at_end(state: State, node: Directive) -> None:
    """Have the audit log's place checked when all directives are read, and remember where this one stands."""
    places: dict[str, Directive] = getattr(state.at_end.get("audit"), "places", {})
    places = {**places, node.name.lower(): node}
    state.at_end["audit"] = _AuditCheck(state, places)


class _AuditCheck:
    """Tries the writer that the settings name, and reports what it refuses at the directive that named it."""

    def __init__(self, state: State, places: dict[str, Directive]) -> None:
        self.state, self.places = state, places

    def __call__(self) -> None:
        state = self.state
        if state.settings["audit_engine"] == "Off":
            return
        settings = replace(Settings(), **{k: v for k, v in state.settings.items() if k.startswith("audit_")})
        try:
            make_writer(settings, state.registries.audit_formats, state.registries.audit_writers)
        except TargetError as error:
            order = (error.directive, "SecAuditLog", "SecAuditLogType", "SecAuditEngine")
            node = next((self.places[name.lower()] for name in order if name.lower() in self.places), None)
            if node is not None:
                state.refuse(node.arguments[0].span if node.arguments else node.span, error)
        second = self.places.get("secauditlog2")
        if second is not None and state.settings["audit_log_type"] not in ("Concurrent", "Parallel"):
            state.warn(second.span, "no-effect", "SecAuditLog2 is a second index, which only Concurrent has")
        if "secauditengine" in self.places and not state.settings["audit_log"]:
            self._warn_of_nowhere()

    def _warn_of_nowhere(self) -> None:
        state, node = self.state, self.places["secauditengine"]
        if state.settings["audit_log_type"] == "Serial" and not node.span.file.startswith("@"):
            hint = "write SecAuditLog /path/to/file"
            state.warn(node.span, "no-audit-log", "no SecAuditLog says where the audit log goes: none is written", hint)
