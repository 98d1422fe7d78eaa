"""An agent for the load test: answers with length and checksum of each body. python echo_agent.py LOOP ADDRESS"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import zlib

import anyio

from adapters.answering import Reporter
from adapters.anyio_agent import AnyioAgent
from adapters.bind import parse_bind
from adapters.blocking import serve_connection
from adapters.sockets import listen
from adapters.threaded import ThreadedAgent
from spop_proto import Notify, Scope, SetVar


def checksum(notify: Notify) -> list[SetVar]:
    """`txn.echo.sum`: ``<id> <length of the body> <its CRC-32>``."""
    actions = []
    for message in notify.messages:
        args = dict(message.args)
        body = args["body"] or b""
        actions.append(SetVar(Scope.TRANSACTION, "sum", f"{args['id']} {len(body)} {zlib.crc32(body)}"))
    return actions


def blocking(address: str) -> None:
    """A process for each connection."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    (listener,) = listen(parse_bind(address))
    listener.setblocking(True)
    reporter = Reporter(logging.getLogger("echo"))
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            try:
                listener.close()
                serve_connection(connection, checksum, reporter)
            finally:
                os._exit(0)
        connection.close()


def threaded(address: str, workers: int = 0) -> None:
    """A thread for each connection."""
    agent = ThreadedAgent(listen(parse_bind(address)), checksum, logging.getLogger("echo"), workers=workers)
    signal.signal(signal.SIGTERM, lambda *_: agent.stop())
    agent.serve()


async def evented(address: str) -> None:
    """One event loop."""
    agent = AnyioAgent(listen(parse_bind(address)), checksum, logging.getLogger("echo"))
    async with anyio.create_task_group() as tasks:
        await tasks.start(agent.serve)
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            await anext(aiter(signals))
        agent.stop()


def main(loop: str, address: str) -> None:
    """Serve with one of the loops."""
    logging.basicConfig(level=logging.INFO)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    match loop:
        case "blocking":
            blocking(address)
        case "threaded":
            threaded(address)
        case "workers":
            threaded(address, workers=8)
        case _:
            anyio.run(evented, address, backend=loop)


if __name__ == "__main__":
    main(*sys.argv[1:])
