"""All connections in one event loop. Run it by `python with_anyio.py 127.0.0.1:9100`; `trio` may follow."""

import logging
import signal
import sys

import anyio
from reputation import reputation

from adapters.anyio_agent import AnyioAgent
from adapters.bind import parse_bind
from adapters.sockets import listen


async def main(address: str) -> None:
    """Serve until TERM or INT."""
    agent = AnyioAgent(listen(parse_bind(address)), reputation, logging.getLogger("reputation"))
    async with anyio.create_task_group() as tasks:
        await tasks.start(agent.serve)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await anext(aiter(signals))
        agent.stop()


logging.basicConfig(level=logging.INFO)
anyio.run(main, sys.argv[1], backend=sys.argv[2] if len(sys.argv) > 2 else "asyncio")
