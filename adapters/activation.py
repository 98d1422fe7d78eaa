"""Sockets that systemd listens on and passes to the agent, and the names it gives them.

Here: the protocol of sd_listen_fds(3), read from the environment: `LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`. Not
here: addresses, loops, sd_notify.
"""

from __future__ import annotations

import errno
import os
import socket

FIRST = 3
"""SD_LISTEN_FDS_START: the descriptors follow standard input, output and error."""


class InheritedSocket(socket.socket):
    """A listening socket that somebody else has made, and goes on listening on when the agent is gone."""


def inherit(name: str = "") -> list[socket.socket]:
    """The listening sockets passed to this process, not blocking.

    Each call makes sockets of their own, so that closing one harms no other; children do not inherit them.

    Args:
        name: only those with this `FileDescriptorName`; empty: all.

    Raises:
        OSError: there is none, or one of them is no stream socket that listens.
    """
    passed = _passed()
    for number, _ in passed:  # all of them before the first is copied, for the copy may take the place of a missing one
        os.set_inheritable(number, False)
    found: list[socket.socket] = []
    try:
        for number, its_name in passed:
            if name in ("", its_name):
                found.append(_socket(number))
    except BaseException:
        for each in found:
            each.close()
        raise
    if not found:
        which = f"socket named {name}" if name else "socket"
        raise OSError(errno.ENODATA, f"systemd passed no {which}: start the agent by its .socket unit")
    return found


def _passed() -> list[tuple[int, str]]:
    """Descriptor and name of each socket passed."""
    try:
        process, count = int(os.environ["LISTEN_PID"]), int(os.environ["LISTEN_FDS"])
    except (KeyError, ValueError):
        return []
    if process != os.getpid() or count < 1:  # meant for a parent of ours, which forgot to remove the variables
        return []
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    # sd_listen_fds_with_names(3): a socket without a name is called so.
    names += ["unknown"] * count
    return [(FIRST + index, names[index] or "unknown") for index in range(count)]


def _socket(number: int) -> socket.socket:
    with socket.socket(fileno=os.dup(number)) as passed:
        stream = passed.type == socket.SOCK_STREAM
        if not stream or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.EINVAL, f"descriptor {number} is no stream socket that listens (Accept=no is needed)")
        listener = InheritedSocket(passed.family, passed.type, passed.proto, passed.detach())
    listener.setblocking(False)
    return listener
