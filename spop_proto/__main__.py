"""``python -m spop_proto``: try an agent, read a capture, try an HAProxy configuration.

The only file of the package that does I/O, and only as a command: nothing imports it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import socketserver
import sys
import time
from typing import TYPE_CHECKING

from spop_proto import (
    Ack,
    AgentConnection,
    AgentHello,
    ConnectionFailed,
    HAProxyConnection,
    HAProxyHello,
    Notify,
    Scope,
    SetVar,
)
from spop_proto._dump import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spop_proto import Event

_READ = 65536
_LONGEST_TIMEOUT = 86400.0
_SHORTEST_TIMEOUT = 0.001
_LONGEST_ECHO = 512
_LONGEST_NAME = 40
_VARIABLE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line, without the program.

    Returns:
        The exit status: 0, or 1 if the agent did not answer well or the capture is broken.
    """
    parser = argparse.ArgumentParser(prog="python -m spop_proto", description="Tools for HAProxy's SPOP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="ask an agent whether it is well, as HAProxy's option spop-check does")
    check.add_argument("address", metavar="HOST:PORT", help="or the path of a Unix socket")
    check.add_argument("--timeout", type=_seconds, default=5.0, metavar="SECONDS", help="default %(default)s")
    check.set_defaults(run=lambda options: _check(options.address, options.timeout))

    decode = commands.add_parser("dump", help="decode a captured stream: a JSON object a line and frame")
    decode.add_argument("file", metavar="FILE", help="the TCP payload of one direction; - is the standard input")
    decode.set_defaults(run=lambda options: _dump(options.file))

    echo = commands.add_parser("serve-echo", help="an agent that prints each NOTIFY and sets a variable per argument")
    echo.add_argument(
        "address", metavar="HOST:PORT", nargs="?", default="127.0.0.1:9000", help="or a path; default %(default)s"
    )
    echo.set_defaults(run=lambda options: _serve_echo(options.address))

    options = parser.parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status  # noqa: TRY300  # what the flush raises is handled too
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`). What is left must not be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{address!r} is no HOST:PORT")
    if len(port) > len("65535") or int(port) > 65535:
        raise ValueError(f"{address!r}: ports go up to 65535")
    return host.strip("[]") or "localhost", int(port)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise ValueError(text)
    return seconds


def _check(address: str, timeout: float) -> int:
    connection = HAProxyConnection()
    connection.send(HAProxyHello(capabilities=(), healthcheck=True))
    deadline = time.monotonic() + timeout
    with _connect(address, timeout) as sock:
        sock.sendall(connection.data_to_send())
        events: list[Event] = []
        while not connection.should_close:
            sock.settimeout(max(deadline - time.monotonic(), _SHORTEST_TIMEOUT))
            data = sock.recv(_READ)
            if time.monotonic() > deadline:
                raise TimeoutError("timed out")
            events += connection.receive_data(data) if data else connection.receive_eof()
    answer = events[-1]
    if isinstance(answer, AgentHello):
        capabilities = ",".join(answer.capabilities) or "none"
        sys.stdout.write(f"ok: version {answer.version}, max-frame-size {answer.max_frame_size}, {capabilities}\n")
        return 0
    sys.stdout.write(f"failed: {answer}\n")
    return 1


def _connect(address: str, timeout: float) -> socket.socket:
    if "/" not in address:
        return socket.create_connection(_host_and_port(address), timeout)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect(address)
    return sock


def _dump(file: str) -> int:
    if file == "-":
        stream = sys.stdin.buffer.read()
    else:
        with open(file, "rb") as opened:  # noqa: PTH123  # this package does without pathlib
            stream = opened.read()
    status = 0
    for record in dump(stream):
        sys.stdout.write(json.dumps(record) + "\n")
        status |= "error" in record
    return status


def echo(notify: Notify, max_size: int) -> Ack:
    """The echo's answer: each argument as a variable ``txn.<name>``, if HAProxy takes such a name and value.

    Args:
        notify: What to answer.
        max_size: Of the ACK, in bytes; what does not fit is left out.
    """
    actions = []
    room = max_size // 2
    for message in notify.messages:
        for name, value in message.args:
            size = len(value) if isinstance(value, str | bytes) else 0
            variable = name.replace("-", "_")
            if 0 < len(variable) <= _LONGEST_NAME and _VARIABLE.issuperset(variable) and size <= _LONGEST_ECHO:
                room -= 4 * size + 64  # a character has at most four bytes
                if room > 0:
                    actions.append(SetVar(Scope.TRANSACTION, variable, value))
    return Ack(notify.stream_id, notify.frame_id, tuple(actions))


class _Echo(socketserver.BaseRequestHandler):
    """A connection of the echo."""

    def handle(self) -> None:
        connection = AgentConnection()
        with contextlib.suppress(OSError):  # a Unix socket has no such option
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while not connection.should_close:
                data = self.request.recv(_READ)
                for event in connection.receive_data(data) if data else connection.receive_eof():
                    self._receive(connection, event)
                while out := connection.data_to_send():
                    self.request.sendall(out)
        except OSError:
            return  # HAProxy resets connections as a matter of course

    def _receive(self, connection: AgentConnection, event: Event) -> None:
        sys.stdout.write(f"{event}\n")
        sys.stdout.flush()
        if isinstance(event, Notify) and not connection.should_close:
            connection.send(echo(event, connection.max_ack_size))
        elif isinstance(event, ConnectionFailed):
            sys.stderr.write(f"{self.client_address}: {event.reason}\n")
            time.sleep(event.delay)


class _EchoServer(socketserver.ThreadingTCPServer):
    """Listens for HAProxy."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int] | str, handler: type[_Echo]) -> None:
        if isinstance(address, str):
            self.address_family = socket.AF_UNIX
        elif ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)  # type: ignore[arg-type]  # typeshed does not know that a path will do


def _serve_echo(address: str) -> int:
    path = address if "/" in address else None
    with _EchoServer(path or _host_and_port(address), _Echo) as server:
        where = path or f"{address.rpartition(':')[0] or 'localhost'}:{server.socket.getsockname()[1]}"
        sys.stdout.write(f"listening on {where}\n")
        sys.stdout.flush()
        try:
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
        finally:
            if path is not None:
                os.unlink(path)  # noqa: PTH108  # this package does without pathlib
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
