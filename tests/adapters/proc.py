"""What /proc tells tests of the processes that they have started, and of their connections."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ESTABLISHED, CLOSE_WAIT, LISTENS = "01", "08", "0A"
"""States of TCP sockets."""


class TcpSocket(NamedTuple):
    """A TCP socket of this machine.

    Attributes:
        local: its port.
        remote: the port of the other end; 0 when it listens.
        state: `ESTABLISHED`, `CLOSE_WAIT` (the other end is closed), `LISTENS` or another one.
        unread: bytes that have come and were not read yet.
        inode: by which it is found among the files of a process.
    """

    local: int
    remote: int
    state: str
    unread: int
    inode: str


def tcp_sockets() -> list[TcpSocket]:
    """All of them, of both families. To look at a port so is no event to whoever listens there."""
    found = []
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # there may be no IPv6
            for line in Path(f"/proc/net/{name}").read_text("ascii").splitlines()[1:]:
                words = line.split()
                local, remote = (int(word.rpartition(":")[2], 16) for word in words[1:3])
                found.append(TcpSocket(local, remote, words[3], int(words[4].partition(":")[2], 16), words[9]))
    return found


def children(pid: int) -> list[int]:
    """The processes that a process has forked."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def sockets(pid: int) -> set[str]:
    """The inodes of the sockets that a process has open."""
    found = set()
    with suppress(FileNotFoundError):  # it has ended meanwhile
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.add(str(each.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    with suppress(OSError):
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    return True


def descendants(pid: int) -> set[int]:
    """The processes that a process has forked, and those that they have; of one that is gone: none."""
    found = set(children(pid))
    return found.union(*map(descendants, found))
