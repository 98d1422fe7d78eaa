"""DNS block lists for ``@rbl``: names are resolved by a few threads of their own, never by whoever asks.

Holds the threads and the resolver of the system; what is remembered, and for how long, is `waf_engine.rbl`'s. The first
request from an address is judged without the list's answer; it is there for the next.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from functools import cache
from typing import TYPE_CHECKING

from waf_engine.rbl import RblCache

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 4
"""Names that are resolved at the same time; a name server that is gone holds each for the system's time-out."""


def look_up(name: str) -> str:
    """The first IPv4 address of a name; empty when it has none, or could not be resolved."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ""
    return str(found[0][4][0]) if found else ""


class BlockLists:
    """A setting `rbl_resolver` for the engine: answers at once from what it knows.

    Args:
        resolve: a name to its address, or an empty text; may take its time.
        threads: how many names are resolved at once. They are started with the first name.
    """

    def __init__(self, resolve: Callable[[str], str] = look_up, *, threads: int = THREADS) -> None:
        self._resolve = resolve
        self._threads = threads
        self._started = False
        self._lock = threading.Lock()
        self._names: queue.SimpleQueue[str] = queue.SimpleQueue()  # bounded by the cache's limit of pending names
        self._cache = RblCache(self._ask, time.monotonic)

    def __call__(self, name: str) -> str | None:
        """What is known of a name: its address, an empty text when it is not listed, None when it is not known yet."""
        return self._cache(name)

    def _ask(self, name: str) -> None:
        with self._lock:
            if not self._started:
                self._started = True
                for number in range(self._threads):
                    threading.Thread(target=self._work, name=f"block lists {number}", daemon=True).start()
        self._names.put(name)

    def _work(self) -> None:
        while True:
            name = self._names.get()
            self._cache.put(name, self._resolve(name))


@cache
def block_lists() -> BlockLists:
    """The block lists of this process: one memory for all rule sets, kept over reloads."""
    return BlockLists()
