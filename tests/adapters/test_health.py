from __future__ import annotations

import gzip
import http.client
import logging
import os
import select
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from adapters import health
from adapters.bind import TcpBind
from adapters.health import Monitor, missing
from adapters.metrics.facts import Facts
from adapters.sockets import ListenError
from adapters.workers.status import State, Status
from tests.adapters.harness import free_ports
from tests.adapters.workers.stand import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.harness import Processes


@pytest.fixture(autouse=True)
def _ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOK_EVERY", 0.01)


@pytest.fixture
def status() -> Status:
    return Status(2)


@pytest.fixture
def monitor(status: Status) -> Iterator[Monitor]:
    made = Monitor(TcpBind("127.0.0.1", 0), status.report, logging.getLogger("test of health"))
    made.board.configure({"shop": Facts(rules=1)})
    made.open()
    made.start()
    yield made
    made.close()


def _get(monitor: Monitor, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*monitor.addresses[0], timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, dict(response.getheaders()), body


def _serve(status: Status) -> None:
    status.slots[0].begin(1)
    status.slots[0].born(os.getpid())
    status.slots[0].state = State.SERVING
    status.put_to_work(1, reload=False)


def test_metrics_in_both_forms(monitor: Monitor):
    code, headers, body = _get(monitor, "/metrics")
    assert (code, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b'coraza_waf_requests_total{driver_type="spoa",engine="shop",namespace="",outcome="pass"} 0.0' in body

    code, headers, body = _get(monitor, "/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_metrics_compressed_or_only_some(monitor: Monitor):
    _, headers, body = _get(monitor, "/metrics", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert b"spoa_waf_workers 0.0" in gzip.decompress(body)

    _, _, body = _get(monitor, "/metrics?name[]=spoa_waf_workers")
    assert [line for line in body.decode().splitlines() if not line.startswith("#")] == ["spoa_waf_workers 0.0"]


def test_alive_and_ready(monitor: Monitor, status: Status):
    assert _get(monitor, "/healthz")[::2] == (200, b"ok\n")
    assert _get(monitor, "/readyz")[::2] == (503, b"not ready: configuration and rules are not at work yet\n")
    _serve(status)
    assert _get(monitor, "/readyz")[::2] == (200, b"ready\n")
    status.stop()
    assert _get(monitor, "/readyz")[::2] == (503, b"not ready: it is stopping\n")
    assert _get(monitor, "/healthz")[0] == 200


def test_what_is_missing(status: Status):
    _serve(status)
    assert missing(status.report()) == []
    status.slots[0].state = State.DRAINING
    assert missing(status.report()) == ["no worker serves (draining)"]
    status.slots[0].gone(State.DEAD)
    assert missing(status.report()) == ["no worker serves (there is none)"]


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz/x", "/%00", "/favicon.ico"])
def test_other_paths(monitor: Monitor, path: str):
    code, _, body = _get(monitor, path)

    assert code == 404
    assert b"/metrics, /healthz and /readyz" in body


def test_only_get(monitor: Monitor):
    assert _get(monitor, "/metrics", "DELETE")[0] == 405


def test_a_fault_is_logged_and_answered(monitor: Monitor):
    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]  # as good as a class
    monitor.logger = logging.Logger("x")  # noqa: LOG001  nobody else is to have this handler
    monitor.logger.addHandler(handler)

    def fail() -> None:
        raise RuntimeError("no numbers")

    monitor.board.refresh.append(fail)

    assert _get(monitor, "/metrics")[0] == 500
    assert [line.getMessage() for line in lines] == ["metrics could not be told"]
    assert _get(monitor, "/healthz")[0] == 200


def test_an_address_that_is_taken_is_an_error_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = TcpBind("127.0.0.1", taken.getsockname()[1])
        monitor = Monitor(bind, Status(1).report, logging.getLogger("test of health"))
        with pytest.raises(ListenError, match=r"cannot listen on .*: address already in use"):
            monitor.open()


def test_who_asks_too_much_at_a_time_is_turned_away(monkeypatch: pytest.MonkeyPatch, status: Status):
    monkeypatch.setattr(health, "MAX_REQUESTS", 2)
    monkeypatch.setattr(health._Request, "timeout", 0.2)
    monitor = Monitor(TcpBind("127.0.0.1", 0), status.report, logging.getLogger("test of health"))
    monitor.open()
    monitor.start()
    idle = [socket.create_connection(monitor.addresses[0], 60) for _ in range(2)]
    third = socket.create_connection(monitor.addresses[0], 60)
    assert third.recv(10) == b""
    for each in idle:  # these say nothing, and are closed in time
        assert each.recv(10) == b""
        each.close()
    third.close()

    def is_served() -> bool:
        """The others' ends are seen a little before there is room again."""
        with suppress(ConnectionError, http.client.RemoteDisconnected):
            return _get(monitor, "/healthz")[0] == 200
        return False

    until(is_served)
    monitor.close()


def test_garbage_is_no_news(monitor: Monitor):
    for data in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n"):
        # It may be told off before all of it has come.
        with socket.create_connection(monitor.addresses[0], 60) as client, suppress(ConnectionError):
            client.sendall(data)
            with suppress(OSError):  # not connected any more
                client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass

    assert _get(monitor, "/healthz")[0] == 200


def test_in_a_worker_the_address_is_let_go():
    monitor = Monitor(TcpBind("127.0.0.1", *free_ports(1)), Status(1).report, logging.getLogger("test of health"))
    monitor.open()
    address = monitor.addresses[0]
    monitor.forget()

    socket.create_server(address).close()


def _forking(status: Status) -> tuple[Monitor, socket.socket]:
    monitor = Monitor(TcpBind("127.0.0.1", 0), status.report, logging.getLogger("test of health"))
    monitor.board.configure({"shop": Facts(rules=1)})
    monitor.open()
    (listener,) = monitor.listen()
    return monitor, listener


def _ask(monitor: Monitor, listener: socket.socket, request: bytes) -> bytes:
    with socket.create_connection(monitor.addresses[0], 60) as client:
        client.sendall(request)
        select.select([listener], [], [], 60)
        monitor.answer_by_fork(listener)
        reply = b""
        with suppress(ConnectionResetError):  # turned away with its request unread
            while data := client.recv(65536):
                reply += data
    return reply


def test_a_supervisor_has_a_fork_answer(status: Status):
    monitor, listener = _forking(status)
    monitor.board.recorder.opened()
    replies = [_ask(monitor, listener, b"GET /metrics HTTP/1.1\r\n\r\n") for _ in range(2)]
    assert all(b" 200 OK\r\n" in reply and b"\nspoa_waf_open_connections 1.0\n" in reply for reply in replies)
    assert b" 404 " in _ask(monitor, listener, b"GET / HTTP/1.1\r\n\r\n")
    assert len(monitor._forks) == 3
    for pid in tuple(monitor._forks):
        assert os.waitpid(pid, 0)[1] == 0
        monitor.ended(pid)
    monitor.ended(1)
    assert not monitor._forks
    monitor.close()


def test_forks_are_bounded(monkeypatch: pytest.MonkeyPatch, status: Status):
    monkeypatch.setattr(health, "MAX_REQUESTS", 1)
    monitor, listener = _forking(status)
    with socket.create_connection(monitor.addresses[0], 60):
        select.select([listener], [], [], 60)
        monitor.answer_by_fork(listener)
        assert _ask(monitor, listener, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
    (pid,) = monitor._forks
    os.waitpid(pid, 0)
    monitor.ended(pid)
    assert b"ok" in _ask(monitor, listener, b"GET /healthz HTTP/1.1\r\n\r\n")
    (pid,) = monitor._forks
    os.waitpid(pid, 0)
    monitor.close()


def test_a_readiness_without_anybody_who_asks(status: Status):
    monitor, listener = _forking(status)
    listener.setblocking(False)
    monitor.answer_by_fork(listener)

    assert not monitor._forks
    monitor.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_agent_does_not_start_without_its_metrics(processes: Processes, workers: int):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = f"""\
bind: 127.0.0.1:0
workers: {workers}
metrics: 127.0.0.1:{port}
log_level: info
log_file: agent.log
log_format: console
applications: [{{name: a, directives: SecRuleEngine On}}]
"""
        (processes.folder / "config.yml").write_text(config)
        agent = processes.start([sys.executable, "-m", "adapters", "serve", "-c", "config.yml"], "agent.out")

        assert agent.wait(120) == 1
        assert (
            f"cannot listen on 127.0.0.1:{port}: address already in use" in (processes.folder / "agent.out").read_text()
        )
