"""Questions to a Redis or Valkey from an event loop: in batches, each in bounded time, and with a breaker.

Here: connections, batches, what happens when the server is slow or gone. Not here: what is asked.

All questions that come up while a batch is on its way go out together as the next one, so that under load one costs a
fifth of what it costs alone. A question without an answer is asked once more, so questions must not mind that. None
waits longer than three time-outs. After `TOLERATED` batches in a row without an answer the breaker opens: every
question is answered with `UNREACHABLE` at once, and only a probe, twice a second, waits for the server. Connections
belong to the loop that asked first; after a fork a courier starts anew.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import RedisError, ResponseError

from adapters.metrics.observer import Observer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Command = tuple[bytes | str | int, ...]
    Asked = tuple[Command, asyncio.Future[Any], bool]
    """The question, its answer, whether it was asked before."""

MAX_BATCH: Final = 64
LANES: Final = 2
"""Batches on their way at a time, each on a connection of its own: one is read while another is answered."""
MAX_QUEUE: Final = 4096
"""Questions that may wait; a server that cannot keep up with more is as good as gone."""
TOLERATED: Final = 2
PROBE_EVERY: Final = 0.5


class Unreachable:
    """The answer when there is none."""

    def __repr__(self) -> str:
        return "UNREACHABLE"


UNREACHABLE: Final = Unreachable()


@dataclass(slots=True)
class CourierCounters:
    """What happened since the start."""

    commands: int = 0
    batches: int = 0
    failed: int = 0
    refused: int = 0
    opened: int = 0


class Courier:
    """Asks one server.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout: seconds that a batch may take, connecting included.
        on_change: called when the server becomes unreachable (False, and why) or reachable again (True). What it is
            told never holds the password.

    Attributes:
        counters: see `CourierCounters`.
        observer: is told how each question went.
    """

    def __init__(self, url: str, timeout: float, on_change: Callable[[bool, str], None] | None = None) -> None:
        self.counters = CourierCounters()
        self.observer = Observer()
        self._timeout, self._on_change = timeout, on_change
        self._pool = ConnectionPool.from_url(url)
        self._secrets = url_secrets(url)
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[Asked] = deque()
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = 0
        self._open = False

    @property
    def reachable(self) -> bool:
        """Whether questions are asked at all, as far as is known."""
        return not self._open

    def ask(self, *command: bytes | str | int) -> asyncio.Future[Any]:
        """Ask one question; to be called in the loop.

        Returns:
            A future that never fails: the server's answer, a `ResponseError` that it answered, or `UNREACHABLE`.
        """
        if self._loop is None or self._pid != os.getpid():
            self._begin()
        assert self._loop is not None
        future: asyncio.Future[Any] = self._loop.create_future()
        self.counters.commands += 1
        if self._open or len(self._queue) >= MAX_QUEUE:
            self.counters.refused += 1
            self.observer.shared("refused")
            future.set_result(UNREACHABLE)
        else:
            self._queue.append((command, future, False))
            self._work.set()
        return future

    async def close(self) -> None:
        """Ask what is still to be asked, then let go of the connections."""
        if self._loop is None or self._pid != os.getpid():
            return
        if waiting := [future for _, future, _ in self._queue]:
            await asyncio.wait(waiting, timeout=2 * self._timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._settle_queue()
        self._forget()

    def _begin(self) -> None:
        self._forget()
        self._loop = asyncio.get_running_loop()
        self._tasks = [self._loop.create_task(self._carry()) for _ in range(LANES)]

    async def _carry(self) -> None:
        """One lane: takes what waits, as one batch, again and again."""
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis is half typed
        try:
            while True:
                while not self._queue:
                    self._work.clear()
                    await self._work.wait()
                count = min(MAX_BATCH, len(self._queue))
                await self._deliver(connection, [self._queue.popleft() for _ in range(count)])
        finally:
            await _disconnect(connection)

    async def _deliver(self, connection: Connection, batch: list[Asked]) -> None:
        self.counters.batches += 1
        answered, why, begin = 0, "error", time.perf_counter()
        try:
            async with _patience(self._timeout):
                await _connect(connection)
                commands = [command for command, _, _ in batch]
                await connection.send_packed_command(connection.pack_commands(commands))
                for _, future, _ in batch:
                    answer = await _answer(connection)
                    answered += 1
                    if not future.done():  # its asker may have left
                        future.set_result(answer)
        except Exception as error:  # noqa: BLE001  whatever it is, the lane goes on
            why = "timeout" if isinstance(error, TimeoutError) else "error"
            await _disconnect(connection)
            self._failed(error)
        else:
            self._failures = 0
        finally:
            seconds = time.perf_counter() - begin
            for _ in batch[:answered]:
                self.observer.shared("ok", seconds)
            self._ask_again(batch[answered:], why, seconds)

    def _ask_again(self, batch: list[Asked], why: str, seconds: float) -> None:
        """Give questions without an answer one more chance, first of all; those that had it are answered."""
        for command, future, again in reversed(batch):
            if future.done():
                continue
            if again or self._open:
                self.counters.failed += 1
                self.observer.shared(why, seconds)
                future.set_result(UNREACHABLE)
            else:
                self._queue.appendleft((command, future, True))
        self._work.set()

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        if self._open or self._failures < TOLERATED:
            return
        self._open = True
        self.counters.opened += 1
        self._settle_queue()
        self._say(False, self._told(error))
        assert self._loop is not None
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(self._loop.create_task(self._recover()))

    def _settle_queue(self) -> None:
        while self._queue:
            future = self._queue.popleft()[1]
            if not future.done():
                future.set_result(UNREACHABLE)

    async def _recover(self) -> None:
        """Look for the server until it answers."""
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis is half typed
        try:
            while self._open:
                await asyncio.sleep(PROBE_EVERY)
                await self._probe(connection)
        finally:
            await _disconnect(connection)

    async def _probe(self, connection: Connection) -> None:
        try:
            async with _patience(self._timeout):
                await _connect(connection)
                await connection.send_command("PING")
                answer = await _answer(connection)
        except (RedisError, OSError, TimeoutError):
            await _disconnect(connection)
            return
        if not isinstance(answer, ResponseError):
            self._failures, self._open = 0, False
            self._say(True, "")

    def _say(self, reachable: bool, why: str) -> None:
        if self._on_change is not None:
            self._on_change(reachable, why)

    def _told(self, error: BaseException) -> str:
        """An error as it may be logged."""
        text = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, TimeoutError) and not str(error):
            text = f"no answer within {self._timeout * 1000:.0f} ms"
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def url_secrets(url: str) -> list[str]:
    """What a URL holds that must not be logged, as it stands there and as it is sent."""
    parts = urlsplit(url)
    found = parts.password or ""
    return sorted({found, unquote(found), parts.query} - {""}, key=len, reverse=True)


@asynccontextmanager
async def _patience(seconds: float) -> AsyncIterator[None]:
    """A time-out that counts only when the loop was there to see an answer.

    Under load one turn of the loop runs the rules for all requests that have come, which takes longer than a server
    does. An answer that came meanwhile is read in the next turn.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        now = loop.time()
        if now - due < seconds / 4:
            bound.reschedule(now)
        else:
            timer = loop.call_at(now + seconds / 2, lambda: bound.reschedule(loop.time()))

    due = loop.time() + seconds
    timer = loop.call_at(due, look)
    try:
        async with asyncio.timeout(None) as bound:
            yield
    finally:
        timer.cancel()


async def _connect(connection: Connection) -> None:
    if not connection.is_connected:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis is half typed


async def _disconnect(connection: Connection) -> None:
    with suppress(RedisError, OSError, TimeoutError, RuntimeError):
        await connection.disconnect(nowait=True)


async def _answer(connection: Connection) -> Any:
    """One answer; a refusal of the server is one, too."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
