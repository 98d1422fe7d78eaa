"""What a format and a writer of the audit log are, and the registries of both.

A format is a pure function from an entry to bytes. A writer is made once, opens nothing until its first entry, and
is only ever called from the log's thread (`pipe.py`); it may block and may raise. Plug-ins add to copies of the
registries. Source: engine.md 1.10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from waf_engine.diagnostics import ArgumentError
from waf_engine.registry import Registry

if TYPE_CHECKING:
    from waf_engine.audit.entry import AuditEntry


@dataclass(frozen=True, slots=True)
class AuditFormat:
    """A form of entries.

    Attributes:
        name: as SecAuditLogFormat has it.
        mime: the media type, for writers that send it.
        render: an entry to bytes, without a line end after the last line.
    """

    name: str
    mime: str
    render: Callable[[AuditEntry], bytes]


class AuditWriter(Protocol):
    """Where entries go."""

    def write(self, entry: AuditEntry, data: bytes) -> None:
        """Write one entry.

        Args:
            entry: the entry.
            data: the entry as its format renders it.

        Raises:
            OSError: it could not be written; it is counted and reported, and not tried again.
        """
        ...

    def reopen(self) -> None:
        """Let go of what is open; the next entry opens it anew, by its name."""
        ...

    def close(self) -> None:
        """Let go of what is open. Another entry may still come, and opens it again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterConfig:
    """What a writer is made from.

    Attributes:
        target: SecAuditLog: an absolute path or an address; may be empty.
        second_target: SecAuditLog2; may be empty.
        storage_dir: SecAuditLogStorageDir, absolute; may be empty.
        dir_mode: the mode of folders it makes.
        file_mode: the mode of files it makes.
        mime: the media type of what it is given to write.
    """

    target: str = ""
    second_target: str = ""
    storage_dir: str = ""
    dir_mode: int = 0o750
    file_mode: int = 0o640
    mime: str = "application/octet-stream"


class TargetError(ArgumentError):
    """A target that a writer refuses.

    Attributes:
        directive: the directive that named it.
    """

    def __init__(self, message: str, *, directive: str = "SecAuditLog", hint: str = "") -> None:
        super().__init__(message, hint=hint, code="audit-log")
        self.directive = directive


WriterFactory = Callable[[WriterConfig], AuditWriter]
"""Makes a writer, without opening anything. Raises `TargetError` for what cannot be written to."""

audit_formats: Registry[AuditFormat] = Registry("audit log format")
audit_writers: Registry[WriterFactory] = Registry("audit log type")


def audit_format(name: str, mime: str) -> Callable[[Callable[[AuditEntry], bytes]], Callable[[AuditEntry], bytes]]:
    """Register a function as a format."""

    def register(function: Callable[[AuditEntry], bytes]) -> Callable[[AuditEntry], bytes]:
        audit_formats.add(AuditFormat(name, mime, function), name)
        return function

    return register
