"""One of the processes that answer: what it serves with, what it obeys, how it ends.

It accepts nothing itself: connections come by its channel, from the supervisor. It tells that it is alive by its slot
of the status table. Not here: how it is made (generation.py).
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import TYPE_CHECKING, Any

import anyio

from adapters.anyio_agent import CAPABILITIES, AnyioAgent
from adapters.assembly import make_handler, open_log, reopen_logs, wafs_of
from adapters.background import Background
from adapters.logs import event
from adapters.metrics.observer import Observer
from adapters.metrics.recorder import Recorder
from adapters.metrics.sampling import Sampler
from adapters.tls import wrap
from adapters.workers.channels import Kind, Received, receive, send
from adapters.workers.forwarding import LIMITS, Forwarding
from adapters.workers.status import State
from spop_proto import Capability

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from adapters.metrics.sheet import Sheet
    from adapters.transactions import TransactionStore
    from adapters.workers.generation import Loaded
    from adapters.workers.shared import Shared
    from spop_proto import HAProxyHello

BEAT_EVERY = 0.1
LINGER = 2.0
"""Seconds for which a worker that drains stays when nothing waits: it still knows which requests were blocked."""
ANOTHER = 255
"""The number of the listener of a connection that is past its handshake."""


def capabilities_for(hello: HAProxyHello) -> frozenset[Capability]:
    """What a connection offers: pipelining only to HAProxy <= 3.0, which is known by its being able to do async.

    From 3.1 on HAProxy puts up to 20 requests on one connection that does pipelining, which is one worker's, and does
    not open another one before; without it there is a connection for each request that runs, dealt out evenly. HAProxy
    <= 3.0 has one busy connection or two for each of its threads, and with pipelining half the waiting time (2.8, 50
    clients: p50 14 instead of 28 ms). Without it 2.6 now and then forgets requests in its queue, for good: seen in 3 of
    9 runs of 4 s, and in none of 6 with it.
    """
    legacy = Capability.ASYNC in hello.capabilities
    return frozenset({Capability.FRAGMENTATION, *((Capability.PIPELINING,) if legacy else ())})


class Worker:
    """A worker in its process.

    Args:
        loaded: configuration, rules and logs.
        slot: its place.
        shared: what the processes have in common.
        sheet: where it counts; None: nobody wants to know.
    """

    def __init__(self, loaded: Loaded, slot: int, shared: Shared, sheet: Sheet | None) -> None:
        self._loaded, self._shared, self._slot = loaded, shared, shared.status.slots[slot]
        self._inner = shared.channels[slot].inner
        self._observer: Observer = Observer() if sheet is None else Recorder(sheet)
        config = loaded.config
        self.logger, self._background = open_log(loaded.logs, config.log), Background()
        self.handler = make_handler(
            config,
            loaded.rule_sets,
            loaded.logs,
            {},
            share=loaded.workers,
            observer=self._observer,
            background=self._background,
        )
        page = shared.directory.page(slot)
        for application in self.handler.applications.values():
            application.store.register = page
        self._drain_seconds = config.drain_timeout
        self._leaving = anyio.Event()
        self._stopping = False
        self._give_up_at = math.inf

    def run(self) -> None:
        """Serve until told to end."""
        with self._loaded.options.profile(worker=True) as profile:
            anyio.run(self._main)
        profile.report(self.logger)
        for waf in wafs_of(self._loaded.rule_sets):
            waf.close()
        self._loaded.logs.close()

    async def _main(self) -> None:
        async with anyio.create_task_group() as tasks:
            forwarding = self._forwarding = Forwarding(self.handler, self._slot, self._shared, tasks)
            self._agent = AnyioAgent(
                (),
                forwarding,
                self.logger,
                drain_seconds=self._drain_seconds,
                capabilities=capabilities_for if self._loaded.workers > 1 else CAPABILITIES,
                observer=self._observer,
            )
            # What others forward is answered by the real handler: it is not forwarded again.
            self._peers = AnyioAgent((), self.handler, self.logger, limits=LIMITS, drain_seconds=1.0)
            self._agent.on_change = self._count_connections
            await tasks.start(self._agent.serve)
            await tasks.start(self._peers.serve)
            for each in (self._obey, self._beat, self._watch_supervisor, self._background.serve):
                tasks.start_soon(each)
            tasks.start_soon(Sampler(self._observer, self._stores, self._loaded.logs).run)
            self._slot.beat()
            self._slot.state = State.SERVING
            await self._leaving.wait()
            await self._leave()
            tasks.cancel_scope.cancel()
        self.handler.stop()

    def _stores(self) -> dict[str, TransactionStore[Any]]:
        return {name: application.store for name, application in self.handler.applications.items()}

    def _count_connections(self) -> None:
        self._slot.connections = self._agent.connections

    def _waiting(self) -> int:
        return sum(len(store) for store in self._stores().values())

    def _elsewhere(self) -> int:
        """How many of its transactions wait on a server; when the agent stops, others take them from there."""
        return 0 if self._stopping else sum(store.elsewhere for store in self._stores().values())

    async def _beat(self) -> None:
        expire_at = 0.0
        while True:
            self._slot.beat()
            self._slot.waiting, self._slot.busy = self._waiting(), time.process_time()
            self._forwarding.look()
            if time.monotonic() >= expire_at:
                self.handler.expire()
                self._agent.age()
                expire_at = time.monotonic() + 1
            await anyio.sleep(BEAT_EVERY)

    async def _watch_supervisor(self) -> None:
        """Nobody accepts connections or reloads any more, and a new supervisor wants to begin: end at once."""
        await anyio.wait_readable(self._shared.lifeline)
        event(self.logger, logging.ERROR, "the supervisor is gone: the worker ends", pid=os.getpid())
        for waf in wafs_of(self._loaded.rule_sets):
            waf.log.flush(0.5)
        os._exit(1)

    async def _obey(self) -> None:
        while True:
            while (message := receive(self._inner)) is not None:
                self._do(message)
                await anyio.lowlevel.checkpoint()
            await anyio.wait_readable(self._inner)

    def _do(self, message: Received) -> None:
        match message.kind:
            case Kind.CONNECTION if message.sock is not None:
                self._slot.count_adopted()
                self._adopt(message.sock, message.listener, message.greeting)
            case Kind.PEER if message.sock is not None:
                self._peers.adopt(message.sock)
            case Kind.REOPEN:
                reopen_logs(self.logger, self._loaded.logs, wafs_of(self._loaded.rule_sets))
            case Kind.EASE:
                self._agent.ease(message.greeting[0] / 100, self._give_back)
            case Kind.DRAIN:
                self._agent.hand_over(self._give_back)
                self._leaving.set()
            case Kind.STOP:
                if self._leaving.is_set():  # it drains for a reload, but now nobody asks for long what waits here
                    self._give_up_at = anyio.current_time() + self._drain_seconds
                self._stopping = True
                self._leaving.set()

    def _adopt(self, sock: socket.socket, listener: int, greeting: bytes) -> None:
        sock.setblocking(False)
        context = self._loaded.context_of(listener)
        if context is not None and not greeting:
            try:
                sock = wrap(sock, context)
            except ConnectionAbortedError:
                return
        self._agent.adopt(sock, greeting)

    def _give_back(self, sock: socket.socket, greeting: bytes) -> bool:
        """Let the supervisor hand a connection to another worker, of the new generation or with less to do."""
        return send(self._inner, Kind.CONNECTION, sock, ANOTHER, greeting)

    async def _leave(self) -> None:
        """Answer what is in hand, for as long as the configuration allows, then end."""
        self._slot.state = State.DRAINING
        deadline = anyio.current_time() + self._drain_seconds
        if self._stopping:
            await self._until(lambda: not self._waiting(), deadline)
        else:
            await self._until(lambda: not self._agent.connections, deadline)
        self._agent.stop()
        await self._until(lambda: not self._agent.connections, anyio.current_time() + self._drain_seconds + 1)
        if self._stopping and self._give_up_at == math.inf:
            return
        # The transactions that wait here are found and asked for by other workers until they are answered or expire.
        longest = max((application.store.ttl for application in self.handler.applications.values()), default=0.0)
        await self._until(lambda: False, anyio.current_time() + min(LINGER, longest))
        await self._until(lambda: not self._waiting() and not self._elsewhere(), anyio.current_time() + longest + 1)

    async def _until(self, done: Callable[[], bool], deadline: float) -> None:
        while not done() and anyio.current_time() < min(deadline, self._give_up_at):
            self._slot.waiting = self._waiting()
            await anyio.sleep(0.02)
