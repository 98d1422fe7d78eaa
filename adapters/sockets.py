"""Listening sockets for the addresses of a configuration, and closing a connection so that its last frame arrives.

Not here: loops, protocol; what systemd passes on is in activation.py.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.activation import InheritedSocket, inherit
from adapters.bind import SystemdBind, TcpBind
from adapters.tls import secure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adapters.bind import Bind, UnixBind
    from adapters.config_model import Listener
    from adapters.tls import Contexts

BACKLOG = 1024  # connections that wait to be accepted: HAProxy up to 3.0 opens one for each concurrent request
MAX_DISCARDED = 64  # reads of 64 KiB at a close

_HINTS = {
    errno.EADDRINUSE: "another program listens there already, perhaps this agent: `ss -ltnp` shows which",
    errno.EACCES: "this user may not: ports below 1024 and other users' folders need rights",
    errno.EPERM: "this user may not; only root gives a socket to another user",
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
            Those to sockets that systemd passes on wait.

    Raises:
        ListenError: it is taken, or not allowed, or not there.
    """
    try:
        if isinstance(bind, SystemdBind):
            return inherit(bind.name)
        sockets = _bind_tcp(bind) if isinstance(bind, TcpBind) else [_bind_unix(bind)]
    except OSError as error:  # also socket.gaierror, a host name that cannot be resolved
        raise ListenError(bind, error) from error
    if start:
        start_listening(sockets)
    return sockets


def open_listeners(listeners: Iterable[Listener], contexts: Contexts) -> list[socket.socket]:
    """Sockets for all addresses of a configuration; connections are refused until `start_listening`.

    Args:
        listeners: the addresses.
        contexts: the TLS of those that have it (tls.make_contexts).

    Raises:
        ListenError: an address is taken, or not allowed, or not there. None is open then.
    """
    opened: list[socket.socket] = []
    try:
        for listener in listeners:
            plain = listen(listener.bind, start=False)
            opened += plain if listener.tls is None else secure(plain, listener.bind, contexts[listener.bind])
    except BaseException:
        for each in opened:
            remove_socket_file(each)
            each.close()
        raise
    return opened


def start_listening(sockets: Iterable[socket.socket]) -> None:
    """Let connections come."""
    for each in sockets:
        if not isinstance(each, InheritedSocket):  # those listen already, with the backlog of their unit
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
                # IPv4 has a socket of its own, with which this one would contend for the port; not so for [::], by
                # which Go's net, hence coraza-spoa, and HAProxy mean both families.
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, bind.host != "::")
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
        # Nobody can connect before it listens, so that nobody slips in with the umask's permissions.
        _set_owner(bind)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _set_owner(bind: UnixBind) -> None:
    try:
        user = _number(bind.user, lambda name: pwd.getpwnam(name).pw_uid)
        group = _number(bind.group, lambda name: grp.getgrnam(name).gr_gid)
        if (user, group) != (-1, -1):
            os.chown(bind.path, user, group)
        if bind.mode is not None:
            Path(bind.path).chmod(bind.mode)
    except BaseException:
        if not bind.path.startswith("@"):
            Path(bind.path).unlink()
        raise


def _number(name: str, look_up: Callable[[str], int]) -> int:
    """The number of a user or a group; -1, which leaves it as it is, for no name."""
    if not name:
        return -1
    try:
        return int(name) if name.isascii() and name.isdigit() else look_up(name)
    except KeyError:
        raise OSError(errno.EINVAL, f"there is no user or group {name} on this machine") from None


def _remove_stale(path: str) -> None:
    """Remove the socket file of a program that is gone; one that answers is left alone."""
    if not Path(path).is_socket():
        if os.path.lexists(path):
            raise OSError(errno.EEXIST, "there is a file of that name, which is no socket")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()


def remove_socket_file(listener: socket.socket) -> None:
    """Remove the file of a Unix socket that is no longer listened on; systemd's own stay."""
    if listener.family == socket.AF_UNIX and not isinstance(listener, InheritedSocket):
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
