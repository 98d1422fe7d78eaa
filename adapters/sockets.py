"""Listening sockets for the addresses of a configuration, and closing a connection so that its last frame arrives.

Not here: loops, protocol.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.bind import Bind, UnixBind

BACKLOG = 1024  # connections that wait to be accepted: HAProxy up to 3.0 opens one for each concurrent request
MAX_DISCARDED = 64  # reads of 64 KiB at a close

_HINTS = {
    errno.EADDRINUSE: "another program listens there already, perhaps this agent: `ss -ltnp` shows which",
    errno.EACCES: "this user may not: ports below 1024 and other users' folders need rights",
    errno.EPERM: "this user may not",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENOENT: "the folder of the socket does not exist",
}


class ListenError(Exception):
    """An address that cannot be listened on.

    Attributes:
        bind: the address.
        hint: what may help; may be empty.
    """

    def __init__(self, bind: Bind, error: OSError) -> None:
        self.bind = bind
        self.hint = _HINTS.get(error.errno or 0, "")
        reason = (error.strerror or str(error)).lower()
        super().__init__(f"cannot listen on {bind}: {reason}" + (f" ({self.hint})" if self.hint else ""))


def listen(bind: Bind, *, start: bool = True) -> list[socket.socket]:
    """Sockets that listen on an address, not blocking; a host name, or no host, may stand for several addresses.

    Args:
        bind: the address.
        start: False only takes the address; connections are refused until `start_listening`.

    Raises:
        ListenError: it is taken, or not allowed, or not there.
    """
    try:
        sockets = _bind_tcp(bind) if isinstance(bind, TcpBind) else [_bind_unix(bind)]
    except OSError as error:  # also socket.gaierror, a host name that cannot be resolved
        raise ListenError(bind, error) from error
    if start:
        start_listening(sockets)
    return sockets


def start_listening(sockets: Iterable[socket.socket]) -> None:
    """Let connections come."""
    for each in sockets:
        each.listen(BACKLOG)


def _bind_tcp(bind: TcpBind) -> list[socket.socket]:
    found = socket.getaddrinfo(bind.host or None, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    port = bind.port
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                listener = socket.socket(family, kind, protocol)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT:  # no IPv6 on this machine
                    continue
                raise
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # IPv4 has a socket of its own; without this the two would contend for the port.
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], port, *address[2:]))
            port = listener.getsockname()[1]  # port 0: the others take the one that the first was given
            listener.setblocking(False)
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return sockets


def _bind_unix(bind: UnixBind) -> socket.socket:
    abstract = bind.path.startswith("@")
    address = "\0" + bind.path[1:] if abstract else bind.path
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not abstract:
            _remove_stale(bind.path)
        listener.bind(address)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    """Remove the socket file of a program that is gone; one that answers is left alone."""
    if not Path(path).is_socket():
        return  # if there is another file, bind will say that the name is taken
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()


def remove_socket_file(listener: socket.socket) -> None:
    """Remove the file of a Unix socket that is no longer listened on."""
    if listener.family == socket.AF_UNIX:
        name = listener.getsockname()
        if isinstance(name, str) and name:
            with contextlib.suppress(OSError):
                Path(name).unlink()


def peer_name(connection: socket.socket) -> str:
    """The other end, for the log: ``192.0.2.1:5000``, or ``unix``."""
    try:
        name = connection.getpeername()
    except OSError:  # it is gone already
        return "unknown"
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return "unix"


def prepare(connection: socket.socket) -> None:
    """Make an accepted connection send each frame at once."""
    if connection.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # it is gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def close_gently(connection: socket.socket) -> None:
    """Close a connection, with what the peer has sent read first.

    Closing with unread bytes makes the kernel send a reset, which may overtake the DISCONNECT that was just written.
    """
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.setblocking(False)
        for _ in range(MAX_DISCARDED):
            if not connection.recv(65536):
                break
    connection.close()
