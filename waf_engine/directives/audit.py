"""Directives on the audit log and the debug log.

The engine of this version writes no audit log: what they set is checked, so that a typing error shows,
and has no effect but a warning where a log is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.directives.registry import choice, directive, number, one

if TYPE_CHECKING:
    from waf_engine.compiler.state import State
    from waf_engine.seclang.ast import Directive


@directive("SecAuditEngine")
def sec_audit_engine(state: State, node: Directive) -> None:
    """``SecAuditEngine On|Off|RelevantOnly``."""
    if choice(node, ("On", "Off", "RelevantOnly")) != "Off":
        state.warn(node.span, "no-audit-log", "this version writes no audit log; matched rules are in the log")


@directive("SecDebugLogLevel")
def sec_debug_log_level(_state: State, node: Directive) -> None:
    """``SecDebugLogLevel 0..9``."""
    number(node, most=9)


@directive(
    "SecAuditLog",
    "SecAuditLog2",
    "SecAuditLogParts",
    "SecAuditLogType",
    "SecAuditLogFormat",
    "SecAuditLogStorageDir",
    "SecAuditLogDirMode",
    "SecAuditLogFileMode",
    "SecAuditLogRelevantStatus",
    "SecDebugLog",
)
def sec_audit_setting(_state: State, node: Directive) -> None:
    """The other settings of these logs: one argument each."""
    one(node)
