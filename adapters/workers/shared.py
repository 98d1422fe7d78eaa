"""What all processes of an agent have in common: made once by the supervisor, inherited by every fork."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from ctypes import CDLL

from adapters.workers.channels import Channel
from adapters.workers.directory import ROWS, Directory
from adapters.workers.status import Status
from waf_engine.shared_collections import SharedMemoryStore

GENERATIONS = 6
"""Generations that may live at a time: the one at work, its successor, and those that drain."""
MAX_SLOTS = 128
"""Slots of an agent with many workers: then fewer generations may live at a time, two at least, and each worker's page
of the directory is smaller."""
_PR_SET_CHILD_SUBREAPER = 36


class Shared:
    """The tables, the channels, and the line by which children notice the supervisor's death.

    Args:
        workers: how many a generation has.

    Attributes:
        status: what everyone does.
        directory: which worker knows which transaction.
        channels: by slot.
        collections: what rules of all workers count together; it outlives their generations.
        lifeline: readable, at its end, as soon as the supervisor is gone, however it went.
    """

    def __init__(self, workers: int) -> None:
        slots = max(workers * 2, min(workers * GENERATIONS, MAX_SLOTS))
        self.status = Status(slots)
        self.directory = Directory(self.status.slots, max(1024, min(ROWS, ROWS * MAX_SLOTS // _power_of_two(slots))))
        self.channels = tuple(Channel() for _ in self.status.slots)
        self.collections = SharedMemoryStore()
        self.lifeline, self._other_end = socket.socketpair()
        self.supervisor = os.getpid()

    def forked(self) -> None:
        """In a child, before anything else: only the supervisor holds the other end of its lifeline."""
        self._other_end.close()

    def close(self) -> None:
        """Let go of the sockets."""
        for channel in self.channels:
            channel.close()
        self.collections.close()
        self.lifeline.close()
        self._other_end.close()


def _power_of_two(number: int) -> int:
    """The smallest power of two that is not below a number."""
    return 1 << (number - 1).bit_length()


def adopt_orphans() -> None:
    """Have this process be the parent of whose parent dies below it, so that nobody is left unreaped. Linux."""
    with suppress(OSError, AttributeError):
        CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def leave_signals_to_the_supervisor() -> None:
    """In a child: a terminal and systemd send signals to all processes, but only the supervisor knows what they mean.

    It tells the others by their channels; a child that does not listen is killed.
    """
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
