"""Clients that ask as fast as they are answered: keep-alive connections in one loop, prepared bytes.

One thread and a few system calls a request: about 30 microseconds, so that neither the client nor, beside it, HAProxy
is what is measured.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SILENCE = 20.0
"""Seconds without any answer after which it is no use to wait for one."""


@dataclass
class Outcome:
    """What a load has found.

    Attributes:
        seconds: how long it took.
        times: of each request, in seconds.
        statuses: how many answers had which status.
    """

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.times) / self.seconds

    def quantile(self, part: float) -> float:
        """The time that so large a part of the requests took at most, in seconds."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def load(port: int, clients: int, seconds: float, requests: Sequence[bytes]) -> Outcome:
    """Ask for some seconds, each request once (in turn again, should they not be enough).

    Raises:
        ConnectionError: a connection was closed, or nothing is answered.
    """
    outcome, asked = Outcome(), 0
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]
    poll = select.epoll()
    sent: dict[int, float] = {}
    by_number = {each.fileno(): each for each in connections}
    begun = time.perf_counter()
    end = begun + seconds
    try:
        for number, each in by_number.items():
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(number, select.EPOLLIN)
            sent[number] = time.perf_counter()
            each.sendall(requests[asked % len(requests)])
            asked += 1
        while sent:
            ready = poll.poll(SILENCE)
            if not ready:
                raise ConnectionError(f"no answer for {SILENCE:g} s")
            for number, _ in ready:
                connection = by_number[number]
                answer = connection.recv(65536)
                while not _is_whole(answer):
                    more = connection.recv(65536)
                    if not more:
                        raise ConnectionError(f"closed after {answer[:200]!r}")
                    answer += more
                now = time.perf_counter()
                outcome.times.append(now - sent.pop(number))
                outcome.statuses[int(answer[9:12])] += 1
                if now < end:
                    sent[number] = now
                    connection.sendall(requests[asked % len(requests)])
                    asked += 1
        outcome.seconds = time.perf_counter() - begun
    finally:
        poll.close()
        for each in connections:
            each.close()
    return outcome


def _is_whole(answer: bytes) -> bool:
    """Whether an answer with Content-Length is complete."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, _, after = head.lower().partition(b"\r\ncontent-length:")
    return len(body) >= int(after.partition(b"\r\n")[0])
