"""SecAuditLogType Syslog: each entry is a message to the system's log, or to one elsewhere.

The addresses are those of the standard library's SysLogHandler (a socket's path, a host and a port, UDP or TCP), which
itself cannot be used: it waits without bound, and writes its errors to standard error. Facility LOCAL0, tag
``com.coraza.waf``, priority err for an interrupted transaction and info for others (engine.md 1.10).
"""

from __future__ import annotations

import os
import socket
import time
from logging.handlers import SYSLOG_TCP_PORT, SYSLOG_UDP_PORT, SysLogHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from waf_engine.audit.registry import TargetError, audit_writers

if TYPE_CHECKING:
    from waf_engine.audit.entry import AuditEntry
    from waf_engine.audit.registry import WriterConfig

TAG = "com.coraza.waf"
"""Coraza's tag, which filters of existing set-ups look for."""
TIMEOUT = 1.0
DEFAULT_SOCKET = "/dev/log"


@audit_writers.register("Syslog")
class SyslogWriter:
    """Sends entries to a syslog: ``/dev/log``, ``udp://host:514``, ``tcp://host:601``."""

    def __init__(self, config: WriterConfig) -> None:
        self._network, self._address = parse_address(config.target or DEFAULT_SOCKET)
        self._socket: socket.socket | None = None

    def write(self, entry: AuditEntry, data: bytes) -> None:
        """Send an entry; raises `OSError`."""
        message = message_of(entry, data)
        try:
            if self._socket is None:
                self._socket = self._connect()
            # A stream has no messages: a line end after each, as syslog daemons expect it.
            stream = self._socket.type == socket.SOCK_STREAM
            self._socket.sendall(message.rstrip(b"\n").replace(b"\n", b"#012") + b"\n" if stream else message)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> socket.socket:
        if self._network == "tcp":
            assert isinstance(self._address, tuple)
            return socket.create_connection(self._address, timeout=TIMEOUT)
        if self._network == "unix":
            try:
                return _connected(socket.AF_UNIX, socket.SOCK_DGRAM, self._address)
            except OSError:
                return _connected(socket.AF_UNIX, socket.SOCK_STREAM, self._address)
        assert isinstance(self._address, tuple)
        host, port = self._address
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        return _connected(family, socket.SOCK_DGRAM, address)

    def reopen(self) -> None:
        """Connect anew with the next entry."""
        self.close()

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _connected(family: int, kind: int, address: Any) -> socket.socket:
    opened = socket.socket(family, kind)
    try:
        opened.settimeout(TIMEOUT)
        opened.connect(address)
    except BaseException:
        opened.close()
        raise
    return opened


def parse_address(target: str) -> tuple[str, str | tuple[str, int]]:
    """``/dev/log``, ``unix:///dev/log``, ``udp://host[:514]`` or ``tcp://host[:514]``: the network and its address.

    Raises:
        TargetError: it is something else.
    """
    if target.startswith("/"):
        return "unix", target
    hint = "write SecAuditLog /dev/log, udp://host:514 or tcp://host:514"
    try:
        url = urlsplit(target)
        port = url.port
    except ValueError as error:
        raise TargetError(f"{target!r} is no address of a syslog: {error}", hint=hint) from error
    if url.scheme in ("unix", "unixgram") and url.path:
        return "unix", url.path
    if url.scheme not in ("udp", "tcp") or not url.hostname:
        raise TargetError(f"{target!r} is no address of a syslog", hint=hint)
    return url.scheme, (url.hostname, port or (SYSLOG_UDP_PORT if url.scheme == "udp" else SYSLOG_TCP_PORT))


def message_of(entry: AuditEntry, data: bytes) -> bytes:
    """``<PRIORITY>TIME HOST TAG[PID]: ENTRY``, as RFC 3164 has it."""
    severity = SysLogHandler.LOG_ERR if entry.interruption is not None else SysLogHandler.LOG_INFO
    priority = SysLogHandler.LOG_LOCAL0 << 3 | severity
    at = time.strftime("%b %e %H:%M:%S", time.localtime(entry.started))
    return f"<{priority}>{at} {socket.gethostname()} {TAG}[{os.getpid()}]: ".encode() + data
