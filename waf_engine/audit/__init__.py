"""The audit log and the debug log: what is kept of a finished transaction, in which form, and where it goes.

    transaction --entry.py--> immutable entry --pipe.py--> thread: format --> writer

The caller's thread builds the entry and puts it in a bounded queue, and does no more; formats and writers run in the
log's own thread. To add a format or a writer: a decorated function in a file of its own. Source: engine.md 1.10.
"""

from __future__ import annotations

from waf_engine.audit import files, https, json, native, ocsf, syslog
from waf_engine.audit.entry import AuditEntry
from waf_engine.audit.registry import AuditFormat, AuditWriter, WriterConfig, audit_formats, audit_writers

FAMILIES = (files, https, json, native, ocsf, syslog)
"""The files that fill the registries."""

__all__ = ["FAMILIES", "AuditEntry", "AuditFormat", "AuditWriter", "WriterConfig", "audit_formats", "audit_writers"]
