"""A process for each connection. Run it by `python blocking.py 127.0.0.1:9100`."""

import logging
import os
import signal
import sys

from reputation import reputation

from adapters.answering import Reporter
from adapters.bind import parse_bind
from adapters.blocking import serve_connection
from adapters.sockets import listen

logging.basicConfig(level=logging.INFO)
reporter = Reporter(logging.getLogger("reputation"))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended children need not be waited for
listener, *_ = listen(parse_bind(sys.argv[1]))
listener.setblocking(True)
while True:
    connection, _ = listener.accept()
    if os.fork() == 0:
        try:
            listener.close()
            serve_connection(connection, reputation, reporter)
        finally:
            os._exit(0)
    connection.close()
