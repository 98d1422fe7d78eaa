"""What the formats of the audit log share: times, lines, and bytes as text."""

from __future__ import annotations

import mimetypes
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from waf_engine.runtime.match import printable
from waf_engine.types import to_text

if TYPE_CHECKING:
    from waf_engine.audit.entry import AuditEntry, AuditFile

_REASONS = {int(status): status.phrase for status in HTTPStatus}
_CONTROLS = bytes(b for b in range(256) if b < 0x20 or b == 0x7F)


def timestamp(entry: AuditEntry) -> str:
    """``2026/11/22 21:02:00``, local time, as Coraza writes it."""
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(entry.started))


def reason(status: int) -> str:
    """The reason phrase of a status; empty for one that has none."""
    return _REASONS.get(status, "")


def headline(entry: AuditEntry) -> bytes:
    """The request line."""
    return one_line(b"%b %b %b" % (entry.method, entry.uri, entry.protocol))


def one_line(data: bytes, quoted: bytes = b"") -> bytes:
    r"""Bytes without control characters, written as ``\x0a``.

    Args:
        data: any bytes; what is not UTF-8 stays as it is.
        quoted: further characters to be written so.
    """
    bad = _CONTROLS + quoted
    if len(data.translate(None, bad)) == len(data):
        return data
    return b"".join(b"\\x%02x" % b if b in bad else bytes((b,)) for b in data)


def text(data: bytes) -> str:
    r"""Bytes as text for JSON; a byte that is not UTF-8 as ``\xNN``."""
    return printable(to_text(data))


def file_mime(file: AuditFile) -> bytes:
    """The part's own Content-Type, or what the name's extension says (Coraza knows only the latter)."""
    return file.content_type or (mimetypes.guess_type(to_text(file.name))[0] or "").encode()
