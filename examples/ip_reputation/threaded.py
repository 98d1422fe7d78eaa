"""A thread for each connection. Run it by `python threaded.py 127.0.0.1:9100`."""

import logging
import signal
import sys

from reputation import reputation

from adapters.bind import parse_bind
from adapters.sockets import listen
from adapters.threaded import ThreadedAgent

logging.basicConfig(level=logging.INFO)
agent = ThreadedAgent(listen(parse_bind(sys.argv[1])), reputation, logging.getLogger("reputation"))
signal.signal(signal.SIGTERM, lambda *_: agent.stop())
agent.serve()
