"""docs/writing-an-agent.md: its files are those of examples/ip_reputation, and do behind HAProxy what the page says."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from spop_proto import HAProxyConnection, HAProxyHello
from tests.adapters.conformance import Client, notify
from tests.adapters.harness import (
    ROOT,
    Processes,
    Site,
    as_systemd,
    free_ports,
    haproxy_binaries,
    out_of_the_way,
    wait_for_port,
)
from tests.docs.pages import patient
from tests.spop_proto.support import notify as notify_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs" / "writing-an-agent.md"
EXAMPLE = ROOT / "examples" / "ip_reputation"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
RUN = re.compile(r"<!-- run -->\n```python\n(.*?)```\n", re.DOTALL)
BYE = bytes.fromhex("00000025020000000100000b7374617475732d636f64650300076d65737361676508066e6f726d616c")
AGENTS = [("blocking.py",), ("threaded.py",), ("with_anyio.py", "asyncio"), ("with_anyio.py", "trio")]


def files() -> dict[str, str]:
    return dict(FILE.findall(PAGE.read_text()))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    made = Processes(tmp_path)
    yield made
    made.stop()


def test_the_example_is_the_page() -> None:
    there = {each.name: each.read_text() for each in EXAMPLE.iterdir() if each.is_file() and each.name != "README.md"}

    assert files() == there
    assert len(there) == 6


def test_an_agent_has_about_thirty_lines() -> None:
    found = files()
    for name in ("blocking.py", "threaded.py", "with_anyio.py"):
        code = [line for line in (found["reputation.py"] + found[name]).splitlines() if line.strip()]
        assert len(code) <= 40, name


@pytest.mark.haproxy
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["debian", "pypi"])
@pytest.mark.parametrize("command", AGENTS, ids=" ".join)
def test_behind_haproxy(processes: Processes, kind: str, command: tuple[str, ...]) -> None:
    binary = dict(haproxy_binaries()).get(kind)
    if binary is None:
        pytest.skip(f"no HAProxy of the kind {kind} on this machine")
    site = Site()
    site_port, (port, agent_port) = site.port, free_ports(2)
    config = processes.folder / "haproxy.cfg"
    text = config.read_text()
    for written, real in ((8000, site_port), (8080, port), (9100, agent_port)):
        assert text.count(f":{written}") == 1
        text = text.replace(f":{written}", f":{real}")
    config.write_text(text)
    for path in processes.folder.glob("*.cfg"):
        path.write_text(patient(path.read_text()))
    script, *rest = command
    with site, _serving(site):
        agent = processes.start([sys.executable, script, f"127.0.0.1:{agent_port}", *rest], "agent.out")
        wait_for_port(agent_port, agent)
        processes.start_haproxy(binary, config, port)
        statuses = [_status(port, address) for address in ("127.0.0.1", "127.0.0.66", "127.0.0.1")]

    assert statuses == [200, 403, 200]


@pytest.mark.slow
@pytest.mark.parametrize("command", AGENTS, ids=" ".join)
def test_with_a_socket_of_systemd(processes: Processes, command: tuple[str, ...]) -> None:
    """Each loop serves what it was passed, and the file of a Unix socket that systemd made stays when it ends."""
    path = processes.folder / "agent.sock"
    unix = out_of_the_way(socket.socket(socket.AF_UNIX))
    script, *rest = command
    with unix:
        unix.bind(str(path))
        unix.listen()
        agent = subprocess.Popen(
            as_systemd([unix], [sys.executable, script, "systemd", *rest]),
            cwd=processes.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=[unix.fileno()],
        )
    processes.started.append(agent)
    client = Client(str(path))
    client.hello()
    assert client.ask(1) == {}
    client.send(notify(3))
    assert client.answers(1) == {3: {}}
    client.close()
    processes.stop()

    assert path.exists()


def test_without_a_loop_of_this_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    serve, try_it = RUN.findall(PAGE.read_text())
    names: dict[str, Any] = {}
    exec(serve, names)
    exec(try_it, names)

    assert len(names["ack"].actions) == 1


def test_the_loop_of_ones_own_survives_what_haproxy_does() -> None:
    """A DISCONNECT, or what is not SPOP, in one packet with a NOTIFY; then the end of the stream; a reset."""
    names: dict[str, Any] = {}
    exec(RUN.findall(PAGE.read_text())[0], names)
    haproxy = HAProxyConnection()
    haproxy.send(HAProxyHello())
    hello = haproxy.data_to_send()
    for rest in (notify_frame(1) + BYE, notify_frame(1) + b"\0\0\0\0", b""):
        ours, theirs = socket.socketpair()
        with ours:
            ours.sendall(hello + rest)
            ours.shutdown(socket.SHUT_WR)
            names["serve"](theirs, lambda _: [])
            assert ours.recv(4096)
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(hello)
        client.close()
        names["serve"](accepted, lambda _: [])
        assert accepted.fileno() == -1


def _status(port: int, source: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


@contextlib.contextmanager
def _serving(site: Site) -> Iterator[None]:
    threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True).start()
    yield
    site.release.set()
    site.shutdown()
