"""The logs of a rule set: decides which transactions are recorded, builds the record, leaves it to a pipe.

The last step of a transaction on the request's path. Nothing here may raise or wait: a log must not hurt a request.
Source: engine.md 1.1 (SecAuditEngine, SecAuditLogRelevantStatus).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from waf_engine.audit.debug import DebugFile, debug_lines
from waf_engine.audit.entry import AuditEntry, entry_of
from waf_engine.audit.pipe import Pipe
from waf_engine.audit.registry import TargetError, WriterConfig
from waf_engine.patterns import LimitReachedError, compile_pattern
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.audit.registry import AuditFormat, AuditWriter, WriterFactory
    from waf_engine.registry import Registry
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.settings import Settings

_logger = logging.getLogger("waf_engine.audit")


class TransactionLog:
    """The audit log and the debug log of one rule set.

    Args:
        settings: what the directives say.
        formats: the formats that there are.
        writers: the writers that there are.
        writer: a writer in the place of the one that the settings name.
        report: called from a log's thread, at most once a minute, with a text about lost entries.

    Raises:
        TargetError: the audit log cannot be written where the settings say.

    Attributes:
        audit: the audit log's pipe; None where there is no audit log.
        debug: the debug log's pipe; None where there is no debug log.
    """

    def __init__(
        self,
        settings: Settings,
        formats: Registry[AuditFormat],
        writers: Registry[WriterFactory],
        writer: AuditWriter | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        report = report or _logger.warning
        self.audit: Pipe[AuditEntry] | None = None
        self.debug: Pipe[bytes] | None = None
        self.failed = 0
        self._report = report
        kind = formats.get(settings.audit_log_format)
        writer = writer or make_writer(settings, formats, writers)
        if writer is not None and kind is not None:
            self.audit = Pipe("audit log", _Rendered(kind, writer), report)
        if settings.debug_log:
            self.debug = Pipe("debug log", DebugFile(settings.debug_log, settings.audit_log_file_mode), report)
        status = settings.audit_log_relevant_status
        limit = settings.pcre_match_limit
        self._relevant = compile_pattern(encode_argument(status), limit).search if status else None

    def record(self, tx: Transaction) -> None:
        """Record a transaction whose phase 5 has run, if it is to be recorded. Never raises, never waits."""
        if (self.audit is None or tx.audit_engine == "Off") and (self.debug is None or not tx.debug_log_level):
            return
        try:
            if self.audit is not None and self.is_wanted(tx):
                entry = entry_of(tx)
                self.audit.put(entry, entry.size)
            if self.debug is not None and tx.debug_log_level:
                lines = debug_lines(tx, tx.debug_log_level)
                self.debug.put(lines, len(lines))
        except Exception:
            self.failed += 1
            if self.failed == 1:
                _logger.exception("a transaction could not be logged; this is said once")

    def is_wanted(self, tx: Transaction) -> bool:
        """Whether a transaction is to be in the audit log.

        With RelevantOnly: one that was interrupted, on which a rule with ``auditlog`` matched, or whose status fits
        SecAuditLogRelevantStatus.
        """
        if tx.audit_engine != "RelevantOnly":
            return tx.audit_engine == "On"
        if tx.interruption is not None or any(record.rule.auditlog for record in tx.records):
            return True
        if self._relevant is None:
            return False
        try:
            return self._relevant(tx.response.status) is not None
        except LimitReachedError:
            return True

    def reopen(self) -> None:
        """Have the files opened anew by their names; returns at once."""
        for pipe in (self.audit, self.debug):
            if pipe is not None:
                pipe.reopen()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait, for at most so many seconds, until everything is written; whether it was."""
        pipes = [pipe for pipe in (self.audit, self.debug) if pipe is not None]
        return all([pipe.flush(timeout) for pipe in pipes])  # noqa: C419  each is given its time

    def close(self) -> None:
        """Write what waits, for at most two seconds, and close the files."""
        for pipe in (self.audit, self.debug):
            if pipe is not None:
                pipe.close()


class _Rendered:
    """A writer with a format before it: what the audit log's pipe ends in."""

    def __init__(self, kind: AuditFormat, writer: AuditWriter) -> None:
        self._render, self._writer = kind.render, writer

    def write(self, entry: AuditEntry) -> None:
        self._writer.write(entry, self._render(entry))

    def reopen(self) -> None:
        self._writer.reopen()

    def close(self) -> None:
        self._writer.close()


def make_writer(
    settings: Settings, formats: Registry[AuditFormat], writers: Registry[WriterFactory]
) -> AuditWriter | None:
    """The writer that the settings name; None where they name no place to write to.

    Raises:
        TargetError: it cannot be written to. Not with SecAuditEngine Off, where there is no writer then.
    """
    factory, kind = writers.get(settings.audit_log_type), formats.get(settings.audit_log_format)
    serial = writers.canonical(settings.audit_log_type) == "Serial" if factory is not None else False
    nowhere = not settings.audit_log and (serial or settings.audit_engine == "Off")
    if factory is None or kind is None or nowhere:
        return None
    config = WriterConfig(
        target=settings.audit_log,
        second_target=settings.audit_log_2,
        storage_dir=settings.audit_log_storage_dir,
        dir_mode=settings.audit_log_dir_mode,
        file_mode=settings.audit_log_file_mode,
        mime=kind.mime,
    )
    try:
        return factory(config)
    except TargetError:
        if settings.audit_engine == "Off":
            return None
        raise
