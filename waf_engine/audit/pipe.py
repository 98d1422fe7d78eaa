"""A bounded queue with a thread behind it: the caller leaves an item and goes on, the thread writes.

Nothing of the caller waits for a disk or a network. What does not fit the queue is dropped and counted; what a
sink cannot write is counted; both are reported at most once a minute. The thread starts with the first item (so a
process may fork before) and is a daemon; what waits is written when the pipe is closed, collected, or the program ends.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Item_contra = TypeVar("Item_contra", contravariant=True)

MAX_ITEMS = 2000
"""Items that wait: what a busy agent blocks in a second or two."""
MAX_BYTES = 33_554_432
"""Bytes of the items that wait, 32 MiB: an attack with large bodies must not take the memory."""
REPORT_EVERY = 60.0
CLOSE_SECONDS = 2.0


class Sink(Protocol[Item_contra]):
    """What writes items; called from the pipe's thread only."""

    def write(self, item: Item_contra) -> None:
        """Write an item; may raise."""
        ...

    def reopen(self) -> None:
        """Let go of what is open, to open it anew with the next item."""
        ...

    def close(self) -> None:
        """Let go of what is open; another item may still come."""
        ...


class Pipe(Generic[T]):
    """A queue into a sink.

    Args:
        name: what the items are, for reports and the thread's name: ``audit log``.
        sink: what writes them.
        report: called from the thread, at most once a minute, with a text about items that were lost.
        max_items: items that wait at most.
        max_bytes: bytes of them at most.
        clock: seconds, for the minute.
    """

    def __init__(
        self,
        name: str,
        sink: Sink[T],
        report: Callable[[str], None],
        *,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = _Work(name, sink, report, max_items=max_items, max_bytes=max_bytes, clock=clock)
        # Not the pipe but its inside is what the thread holds, so that a forgotten pipe is written out and ends.
        weakref.finalize(self, self._work.stop, 0.0).atexit = False

    @property
    def dropped(self) -> int:
        """Items that did not fit the queue."""
        return self._work.dropped

    @property
    def failed(self) -> int:
        """Items that the sink could not write."""
        return self._work.failed

    @property
    def written(self) -> int:
        """Items that were written."""
        return self._work.written

    def put(self, item: T, size: int) -> bool:
        """Leave an item to be written; never waits for the writing.

        Args:
            item: the item.
            size: about how many bytes it holds.

        Returns:
            Whether there was room for it.
        """
        return self._work.put(item, size)

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait until everything is written; whether that was so before the time (in seconds) was over."""
        return self._work.flush(timeout)

    def reopen(self) -> None:
        """Have the sink open its files anew before the next item; returns at once."""
        self._work.reopen()

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what waits, for at most so many seconds, and let the sink close. May be used again."""
        self._work.stop(timeout)


class _Work(Generic[T]):
    """The queue, and the thread that empties it."""

    def __init__(
        self,
        name: str,
        sink: Sink[T],
        report: Callable[[str], None],
        *,
        max_items: int,
        max_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self.name, self.sink, self.report = name, sink, report
        self.max_items, self.max_bytes, self.clock = max_items, max_bytes, clock
        self.dropped = self.failed = self.written = 0
        self._reported = 0  # of the lost items
        self._last_report = float("-inf")
        self._last_error = ""
        self.begin()
        _ALL.add(self)

    def begin(self) -> None:
        """Start with an empty queue and no thread: at first, and in a forked child, which has no thread either."""
        self._changed = threading.Condition()
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self._stopping = self._reopening = self._busy = False

    def put(self, item: T, size: int) -> bool:
        with self._changed:
            if len(self._items) >= self.max_items or self._bytes + size > self.max_bytes:
                self.dropped += 1
                return False
            self._items.append((item, size))
            self._bytes += size
            self._stopping = False
            if self._thread is None:
                self._start()
            self._changed.notify_all()
            return True

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def flush(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._items and not self._busy, timeout)

    def reopen(self) -> None:
        with self._changed:
            self._reopening = True
            self._changed.notify_all()

    def stop(self, timeout: float) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._thread is None, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._items or self._stopping or self._reopening)
                reopening, self._reopening = self._reopening, False
                item, size = self._items.popleft() if self._items else (None, 0)
                self._bytes -= size
                self._busy = True
            if reopening:
                self._try(self.sink.reopen)
            if item is not None:
                self._write(item)
                self._report_losses()
            elif not reopening and self._ended():
                return

    def _write(self, item: T) -> None:
        try:
            self.sink.write(item)
        except Exception as error:  # noqa: BLE001  whatever a plug-in's writer does, the next entry is to be tried
            self.failed += 1
            self._last_error = f"{type(error).__name__}: {error}"
        else:
            self.written += 1

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  as above
            self._last_error = f"{type(error).__name__}: {error}"

    def _ended(self) -> bool:
        """Close the sink and leave, unless an item came meanwhile."""
        self._try(self.sink.close)
        self._report_losses(now=True)
        with self._changed:
            if self._items or not self._stopping:
                return False
            self._thread, self._busy = None, False
            self._changed.notify_all()
            return True

    def _report_losses(self, *, now: bool = False) -> None:
        lost = self.dropped + self.failed - self._reported
        time_now = self.clock()
        if not lost or (not now and time_now - self._last_report < REPORT_EVERY):
            return
        self._last_report = time_now
        self._reported += lost
        reason = f": {self._last_error}" if self._last_error else ": it cannot be written as fast as it grows"
        self._last_error = ""
        self._try(lambda: self.report(f"{self.name}: {lost} entries lost{reason}"))


_ALL: weakref.WeakSet[_Work[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    for work in list(_ALL):
        work.begin()
        work.reopen()


def _at_exit() -> None:
    for work in list(_ALL):
        work.stop(CLOSE_SECONDS)


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
