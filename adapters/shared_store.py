"""Transactions that wait for their response where several agents find them: in Redis or Valkey.

Here: what is kept there under which name, how long, whose it is, and what happens when the server is slow or gone. Not
here: how it is asked (redis_courier.py), what a snapshot is (waf_engine/runtime/snapshot.py).

A request's transaction waits here at first, as without sharing. Its snapshot goes to the server before the request is
answered, and when it has arrived, the transaction is let go: from then on whichever agent gets the response takes it
from there, this one too. What became of a request that waits for nothing (blocked, on a skip list) is kept there as a
word. The agent that had the request remembers its id, and when the time is over it takes the transaction back, if it is
still there, to run its last phase and write its log.

When the server does not answer, transactions stay where they are: a response finds its own if it comes to the same
agent, else it is answered with `transaction-not-found`. No request waits for the server longer than three time-outs,
and none at all while the breaker is open.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import anyio

from adapters.arguments import exchange_id, read_arguments
from adapters.evaluation import FIXED_BYTES, PER_BYTE, Exchange
from adapters.logs import Occasional, event
from adapters.redis_courier import UNREACHABLE, Courier
from adapters.transactions import DEFAULT_BYTES, Gone, TransactionStore
from adapters.waf_handler import WafHandler
from waf_engine.runtime.snapshot import SnapshotError, leave

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator, Mapping

    from adapters.answering import Action
    from adapters.applications import Application
    from adapters.config_model import SharedConfig
    from spop_proto import Notify

SPARE_SECONDS: Final = 5.0
"""How much longer than its time to live a transaction stays on the server, for its agent to take it back."""
SECOND_LOOK: Final = 0.01
"""Seconds after which an id that was not there is looked for once more: its request may be on its way."""
TAKEN_BACK: Final = 1024
"""Transactions that are taken back at a time."""
WORDS: Final = (Gone.INTERRUPTED, Gone.SKIPPED, Gone.FAILED)
SOUGHT: Final = (Gone.UNKNOWN, Gone.LOST, Gone.UNANSWERED)
"""Unknown here, or known to a worker that has died or does not answer: the server may have it."""
_TRANSACTION, _WORD = b"T", b"W"


@dataclass(slots=True)
class SharedCounters:
    """What happened since the start.

    Attributes:
        stored: transactions that went to the server.
        kept: those that stayed here because the server did not answer.
        too_large: those that stayed here because of their size.
        fetched: transactions that came from the server for a response.
        words: requests without a transaction of which the server knew the end.
        missing: responses of which the server knew nothing.
        unreachable: responses for which the server did not answer.
        other_rules: transactions of an agent with other rules.
        damaged: what could not be read.
        taken_back: transactions whose response nobody saw, for their last phase.
        bytes_out: bytes of transactions that went to the server.
        bytes_in: bytes of transactions that came from it.
    """

    stored: int = 0
    kept: int = 0
    too_large: int = 0
    fetched: int = 0
    words: int = 0
    missing: int = 0
    unreachable: int = 0
    other_rules: int = 0
    damaged: int = 0
    taken_back: int = 0
    bytes_out: int = 0
    bytes_in: int = 0


class ExchangeCodec:
    """The codec of one application's exchanges.

    Attributes:
        applications: whose rules an exchange may have: the application at work, and the one before the last reload.
    """

    def __init__(self) -> None:
        self.applications: tuple[Application, ...] = ()

    def serve(self, application: Application) -> None:
        """Take what comes from now on for this application, and what comes from before for its predecessor."""
        self.applications = (application, *self.applications[:1])
        application.waf.snapshots.fingerprint  # noqa: B018  made now: it takes longer than a request may

    def dump(self, transaction: Exchange) -> bytes:
        """The snapshot of an exchange's transaction."""
        return transaction.application.waf.snapshots.take(transaction.transaction)

    def load(self, key: str, data: bytes) -> Exchange:
        """The exchange of a snapshot."""
        for application in self.applications:
            options = {} if application.budget is None else {"budget": application.budget}
            try:
                transaction = application.waf.snapshots.restore(data, **options)
            except SnapshotError as error:
                if not error.other_rules or application is self.applications[-1]:
                    raise
            else:
                path = transaction.request.uri_raw.partition(b"?")[0]
                size = FIXED_BYTES + PER_BYTE * len(data)
                return Exchange(key, application, transaction, path, size, logged=len(transaction.records))
        raise SnapshotError("there is no such application any more", other_rules=True)

    def leave(self, transaction: Exchange) -> None:
        """Let go of an exchange that goes on elsewhere."""
        leave(transaction.transaction)


class SharedRoom:
    """What the applications of one process share with other agents: the server, and the names of keys.

    Made before or after a fork; it connects when it is first asked something.

    Args:
        config: the server, the time-out, the prefix of names.
        logger: the agent's log.

    Attributes:
        counters: see `SharedCounters`.
        courier: asks the server.
    """

    def __init__(self, config: SharedConfig, logger: logging.Logger) -> None:
        self.config, self.logger = config, logger
        self.counters = SharedCounters()
        self.courier = Courier(config.url, config.timeout, self._changed)
        self._occasional = Occasional()
        self._prefix = f"{config.prefix}tx:".encode()
        self.stores: dict[str, SharedStore] = {}

    def store(self, name: str, limit: int, ttl: float, clock: Callable[[], float]) -> SharedStore:
        """A store for an application."""
        return SharedStore(limit, ttl, clock, room=self, name=name, codec=ExchangeCodec())

    def serve(self, applications: Mapping[str, Application]) -> None:
        """Work for these applications from now on; their stores are of this room, or of none."""
        self.stores = {name: each.store for name, each in applications.items() if isinstance(each.store, SharedStore)}
        for name, store in self.stores.items():
            store.codec.serve(applications[name])

    def name(self, key: str) -> bytes:
        """The name under which the server keeps what belongs to an id."""
        return self._prefix + key.encode("utf-8", "surrogateescape")

    def knows(self, key: str) -> bool:
        """Whether this process knows what became of an id, so that the server need not be asked."""
        return any(store.is_settled(key) for store in self.stores.values())

    async def fetch(self, key: str) -> None:
        """Take what the server has of an id into the store of its application."""
        name = self.name(key)
        found = await self.courier.ask("GETDEL", name)
        if found is None:
            await anyio.sleep(SECOND_LOOK)
            found = await self.courier.ask("GETDEL", name)
        if isinstance(found, bytes):
            self._received(key, found)
            return
        counters = self.counters
        if found is None:
            counters.missing += 1
            return
        counters.unreachable += 1
        for store in self.stores.values():
            store.note(key, Gone.UNREACHABLE)

    def _received(self, key: str, data: bytes) -> None:
        store, content = self._opened(data)
        if store is None:
            self.counters.damaged += 1
        elif data[:1] == _WORD:
            self.counters.words += 1
            store.note(key, Gone(content.decode("ascii")))
        else:
            store.receive(key, data, content)

    def _opened(self, data: bytes) -> tuple[SharedStore | None, bytes]:
        """Whose something is that came from the server, and what it holds."""
        size = data[1] if len(data) > 1 else 0
        store = self.stores.get(data[2 : 2 + size].decode("utf-8", "replace"))
        content = data[2 + size :]
        if data[:1] == _WORD and content not in [gone.encode() for gone in WORDS]:
            store = None
        return store if data[:1] in (_WORD, _TRANSACTION) else None, content

    async def close(self) -> None:
        """Let go of the connections."""
        await self.courier.close()

    def say(self, text: str, level: int = logging.WARNING, **fields: object) -> None:
        """Log something that may come often."""
        held = self._occasional.due(text)
        if held is not None:
            event(self.logger, level, text, **fields, **({"repeated": held} if held else {}))

    def _changed(self, reachable: bool, why: str) -> None:
        if reachable:
            self.say("the shared store answers again", logging.INFO)
        else:
            self.say("the shared store does not answer: transactions stay with their agent", reason=why)


class SharedStore(TransactionStore[Exchange]):
    """The store of one application: here what the server has not, or not yet; see `TransactionStore`.

    Args:
        limit: how many may wait here; as many ids of those that wait on the server are remembered.
        ttl: see `TransactionStore`.
        clock: see `TransactionStore`.
        limit_bytes: see `TransactionStore`.
        room: what it shares.
        name: of the application; at most 255 bytes of it count.
        codec: of the transactions.
    """

    def __init__(
        self,
        limit: int,
        ttl: float,
        clock: Callable[[], float],
        *,
        limit_bytes: int = DEFAULT_BYTES,
        room: SharedRoom,
        name: str,
        codec: ExchangeCodec,
    ) -> None:
        super().__init__(limit, ttl, clock, limit_bytes=limit_bytes)
        self.room, self.codec, self._courier = room, codec, room.courier
        label = name.encode("utf-8", "replace")[:255]
        self._head = bytes([len(label)]) + label
        self._begun: list[asyncio.Future[Any]] = []
        self._owned: OrderedDict[str, float] = OrderedDict()
        self._left: list[tuple[Exchange, Gone]] = []

    def put(self, key: str, transaction: Exchange, size: int = 0) -> list[tuple[Exchange, Gone]]:
        """Let a transaction wait, here until its snapshot has arrived on the server."""
        dropped = super().put(key, transaction, size)
        try:
            data = self.codec.dump(transaction)
        except SnapshotError as error:
            self.room.counters.too_large += 1
            self.room.say("a transaction cannot be shared: it waits here", reason=str(error))
            return dropped
        self._send(key, _TRANSACTION + self._head + data, partial(self._sent, key, transaction, len(data)))
        return dropped

    def remember(self, key: str, gone: Gone) -> None:
        """Note the end of a transaction that was never put here, on the server too."""
        super().remember(key, gone)
        if gone in WORDS:
            self._send(key, _WORD + self._head + gone.encode())

    def is_settled(self, key: str) -> bool:
        """Whether a transaction of this id waits here, or what became of it is known."""
        with self._lock:
            return key in self._waiting or self._why_gone(key) not in SOUGHT

    def note(self, key: str, gone: Gone) -> None:
        """As `remember`, for this process alone."""
        super().remember(key, gone)

    def receive(self, key: str, data: bytes, content: bytes) -> None:
        """Let a transaction that came from the server wait for the response that is already here.

        Args:
            key: its id.
            data: what the server had.
            content: the snapshot in it.
        """
        counters = self.room.counters
        try:
            transaction = self.codec.load(key, content)
        except SnapshotError as error:
            if error.other_rules:
                counters.other_rules += 1
                self._send(key, data)  # whose rules they are will take it back
            else:
                counters.damaged += 1
            self.note(key, Gone.UNREADABLE)
            self.room.say("a transaction of another agent cannot be read", reason=str(error))
            return
        counters.fetched += 1
        counters.bytes_in += len(data)
        self._owned.pop(key, None)
        self._left += super().put(key, transaction, transaction.size)

    @property
    def elsewhere(self) -> int:
        """How many transactions of requests that came here may wait on the server."""
        return len(self._owned)

    def begun(self) -> list[asyncio.Future[Any]]:
        """What is on its way to the server since the last call; each ends in bounded time, and never fails."""
        begun, self._begun = self._begun, []
        return begun

    def expire(self) -> list[tuple[Exchange, Gone]]:
        """As `TransactionStore.expire`; what waits on the server is taken back, and given by a later call."""
        left, self._left = self._left, []
        due: list[str] = []
        now = self._clock()
        while self._owned and len(due) < TAKEN_BACK:
            key, deadline = next(iter(self._owned.items()))
            if deadline > now:
                break
            del self._owned[key]
            due.append(key)
        for key in due:
            self._courier.ask("GETDEL", self.room.name(key)).add_done_callback(partial(self._came_back, key))
        return left + super().expire()

    def drain(self) -> list[tuple[Exchange, Gone]]:
        """As `TransactionStore.drain`; what waits on the server goes on waiting there, for another agent."""
        left, self._left = self._left, []
        return left + super().drain()

    def _send(self, key: str, data: bytes, arrived: Callable[[asyncio.Future[Any]], None] | None = None) -> None:
        milliseconds = int((self.ttl + SPARE_SECONDS) * 1000)
        future = self._courier.ask("SET", self.room.name(key), data, "PX", milliseconds)
        if arrived is not None:
            future.add_done_callback(arrived)
        self._begun.append(future)

    def _sent(self, key: str, transaction: Exchange, size: int, future: asyncio.Future[Any]) -> None:
        counters = self.room.counters
        answer = None if future.cancelled() else future.result()
        if answer != b"OK":
            counters.kept += 1
            if answer is not UNREACHABLE:
                self.room.say("the shared store refused a transaction: it waits here", reason=str(answer))
            return
        counters.stored += 1
        counters.bytes_out += size
        with self._lock:
            waiting = self._waiting.get(key)
            here = waiting is not None and waiting.transaction is transaction
            if here:
                self._pop(key)
        if not here:  # its response was quicker
            self._courier.ask("UNLINK", self.room.name(key))
            return
        self._owned[key] = self._clock() + self.ttl
        if len(self._owned) > self.limit:
            self._owned.popitem(last=False)
        self.codec.leave(transaction)

    def _came_back(self, key: str, future: asyncio.Future[Any]) -> None:
        data = None if future.cancelled() else future.result()
        if not isinstance(data, bytes) or data[:1] != _TRANSACTION:
            return  # another agent had its response
        try:
            transaction = self.codec.load(key, data[1 + len(self._head) :])
        except SnapshotError as error:
            self.room.counters.damaged += 1
            self.room.say("a transaction that came back cannot be read", reason=str(error))
            return
        self.room.counters.taken_back += 1
        self._left.append((transaction, Gone.EXPIRED))


def open_room(config: SharedConfig, previous: Mapping[str, Application], logger: logging.Logger) -> SharedRoom:
    """What applications share with other agents: the room of those at work, or a new one."""
    for application in previous.values():
        if isinstance(application.store, SharedStore):
            return application.store.room
    return SharedRoom(config, logger)


class SharedHandler(WafHandler):
    """A handler whose transactions may be elsewhere: it fetches them first, and answers when they have arrived there.

    Args:
        room: what the applications share.
        applications: see `WafHandler`.
        default_application: see `WafHandler`.
        logger: see `WafHandler`.
        options: see `WafHandler`.
    """

    def __init__(
        self,
        room: SharedRoom,
        applications: Mapping[str, Application],
        default_application: str | None,
        logger: logging.Logger,
        **options: Any,
    ) -> None:
        super().__init__(applications, default_application, logger, **options)
        self.room = room
        room.serve(applications)

    def __call__(self, notify: Notify) -> Any:
        """The answer, or what is to be awaited for it."""
        wanted = self._wanted(notify)
        if wanted:
            return _Later(partial(self._fetch_first, notify, wanted))
        answer = super().__call__(notify)
        begun = self._begun()
        return _Later(partial(_when_arrived, answer, begun)) if begun else answer

    def _begun(self) -> list[asyncio.Future[Any]]:
        return [future for store in self.room.stores.values() for future in store.begun()]

    def _wanted(self, notify: Notify) -> list[str]:
        """The ids of responses that this process knows nothing of."""
        found = []
        for message in notify.messages:
            if message.name == "coraza-res":
                key = exchange_id(read_arguments(message))
                if key and not self.room.knows(key):
                    found.append(key)
        return found

    async def _fetch_first(self, notify: Notify, wanted: list[str]) -> list[Action]:
        for key in wanted:
            await self.room.fetch(key)
        return await _when_arrived(super().__call__(notify), self._begun())


class _Later:
    """An answer to be awaited. Unlike a coroutine it may be dropped without a warning."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, list[Action]]:
        return cast("Generator[Any, Any, list[Action]]", self._work().__await__())


async def _when_arrived(answer: list[Action], begun: list[asyncio.Future[Any]]) -> list[Action]:
    for future in begun:
        await future
    return answer
