"""Sockets between the processes of an agent, made once, before any of them is forked.

Each slot has a pair of sockets that keep messages apart. Whoever gives something to a worker writes to the outer end:
the supervisor its connections and orders, other workers the connections by which they forward. The worker reads the
inner end, and by it gives connections back. Descriptors travel with the messages (SCM_RIGHTS). The queue belongs to the
slot and not to the process: when a worker dies, what it had not taken yet is taken by its successor.

Here: messages and the two ends. Not here: who sends what when.
"""

from __future__ import annotations

import array
import socket
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

MAX_MESSAGE = 8192
"""Bytes of a message: a HAPROXY-HELLO has 4 KiB at most."""


class Kind(IntEnum):
    """What a message is about; its first byte."""

    CONNECTION = 1
    """To a worker: a connection of HAProxy. From one that drains: such a connection, to go on elsewhere. With the
    number of the listener and the greeting."""
    PEER = 2
    """To a worker: a connection of another worker that forwards responses."""
    DRAIN = 3
    """To a worker: a new generation serves; give connections back, answer what waits, end."""
    STOP = 4
    """To a worker: the agent stops; end connections, end."""
    REOPEN = 5
    """To a worker: open the logs anew."""
    EASE = 6
    """To a worker: give back a connection that carries about this part of the work, in percent (the greeting's one
    byte); another worker has less to do."""


class Received(NamedTuple):
    """A message.

    Attributes:
        kind: what it is about.
        listener: the number of the listener of a connection.
        greeting: the HELLO that was answered on it, may be empty; or what an order says.
        sock: the connection; None for an order.
    """

    kind: Kind
    listener: int
    greeting: bytes
    sock: socket.socket | None


class Channel:
    """The two ends of one slot.

    Attributes:
        inner: the worker's end.
        outer: everybody else's end.
    """

    def __init__(self) -> None:
        self.outer, self.inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.outer, self.inner):
            end.setblocking(False)

    def order(self, kind: Kind, words: bytes = b"") -> bool:
        """Tell the worker something; whether its queue had room."""
        return send(self.outer, kind, greeting=words)

    def empty(self) -> list[Received]:
        """Take what nobody will read any more: the messages in it that bring connections of HAProxy."""
        left = []
        while (message := receive(self.inner)) is not None:
            if message.sock is not None and message.kind is Kind.CONNECTION:
                left.append(message)
            elif message.sock is not None:
                message.sock.close()
        return left

    def close(self) -> None:
        """Let go of both ends."""
        self.outer.close()
        self.inner.close()


def send(
    end: socket.socket, kind: Kind, sock: socket.socket | None = None, listener: int = 0, greeting: bytes = b""
) -> bool:
    """Send a message; never waits.

    Returns:
        Whether there was room for it and somebody to read it. The connection stays the sender's, to be closed.
    """
    message = bytes((kind, listener)) + greeting
    rights = [] if sock is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))]
    try:
        end.sendmsg([message], rights, socket.MSG_NOSIGNAL)
    except OSError:  # full, too many descriptors on their way, or nobody there
        return False
    return True


def receive(end: socket.socket) -> Received | None:
    """The next message, or None when there is none now.

    Raises:
        EOFError: nobody has the other end any more.
    """
    try:
        data, descriptors, _, _ = socket.recv_fds(end, MAX_MESSAGE, 1)
    except BlockingIOError:
        return None
    if not data:
        raise EOFError
    sock = None
    if descriptors:
        with suppress(OSError):  # cannot be one, but a descriptor that is no socket must not end a worker
            sock = socket.socket(fileno=descriptors[0])
    return Received(Kind(data[0]), data[1], data[2:], sock)
