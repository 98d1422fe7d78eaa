"""SecAuditLogType HTTPS: each entry is the body of a POST. Plain ``http://`` is taken as well, as by Coraza.

The connection is kept between entries. Redirects are not followed. Source: engine.md 1.10.
"""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from waf_engine.audit.registry import TargetError, audit_writers

if TYPE_CHECKING:
    from waf_engine.audit.entry import AuditEntry
    from waf_engine.audit.registry import WriterConfig

TIMEOUT = 1.0
"""Seconds for each step of an exchange, as in Coraza. It holds up the log's thread only."""
MAX_ANSWER = 65_536
USER_AGENT = "spoa-waf"


@audit_writers.register("HTTPS")
class HttpsWriter:
    """Sends entries to an HTTP server."""

    def __init__(self, config: WriterConfig) -> None:
        try:
            url = urlsplit(config.target)
            port = url.port
        except ValueError as error:
            raise TargetError(f"{config.target!r} is no URL: {error}") from error
        if url.scheme not in ("http", "https") or not url.hostname:
            raise TargetError(f"HTTPS needs a URL, got {config.target!r}", hint="write SecAuditLog https://host/path")
        if not (config.target.isascii() and config.target.isprintable()) or " " in config.target:
            raise TargetError(f"{config.target!r} has characters that a URL cannot have", hint="percent-encode them")
        self._host, self._port, self._mime = url.hostname, port, config.mime
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def write(self, _entry: AuditEntry, data: bytes) -> None:
        """Send an entry; raises `OSError` when there is no answer in time or its status is not 2xx."""
        reused = self._connection is not None
        try:
            status = self._send(data)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            if not reused:
                raise
            status = self._send(data)  # the server had closed the kept connection: that is no fault
        if not 200 <= status < 300:
            raise OSError(f"{self._host} answered with status {status}")

    def _send(self, data: bytes) -> int:
        try:
            connection = self._connect()
            headers = {"Content-Type": self._mime, "User-Agent": USER_AGENT}
            connection.request("POST", self._path, body=data, headers=headers)
            answer = connection.getresponse()
            answer.read(MAX_ANSWER)
            if not answer.isclosed():  # there is more: not worth waiting for
                self.close()
        except http.client.HTTPException as error:
            self.close()
            if isinstance(error, OSError):
                raise
            raise OSError(f"{self._host}: {type(error).__name__}: {error}") from error
        except BaseException:
            self.close()
            raise
        return answer.status

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            if self._tls is None:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
            else:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=TIMEOUT, context=self._tls
                )
        return self._connection

    def reopen(self) -> None:
        """Connect anew with the next entry."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
