"""HTTPS: what a server on this machine receives, how long it is waited for, and what is refused."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from waf_engine.audit import https
from waf_engine.audit.https import HttpsWriter
from waf_engine.audit.registry import TargetError, WriterConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from waf_engine.audit import AuditEntry


class Collector(ThreadingHTTPServer):
    """Keeps what is posted, and answers with a status."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 204
        self.answer = b""
        self.keep = True
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/log?key=1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)
        self.close_connection = not self.server.keep

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are waited for as long as a busy machine lets them wait for a processor."""
    monkeypatch.setattr(https, "TIMEOUT", 60.0)


@pytest.fixture
def collector(patience: None) -> Iterator[Collector]:  # noqa: ARG001  for its effect
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_entry_is_the_body_of_a_post(collector: Collector, finished: AuditEntry):
    writer = HttpsWriter(WriterConfig(target=collector.url, mime="application/json"))
    writer.write(finished, b'{"a":1}')
    writer.write(finished, b"\xff")
    writer.close()

    path, headers, body = collector.got[0]
    assert (path, body) == ("/log?key=1", b'{"a":1}')
    assert (headers["content-type"], headers["user-agent"]) == ("application/json", "spoa-waf")
    assert collector.got[1][2] == b"\xff"
    assert collector.connections == 1  # kept


@pytest.mark.parametrize("status", [199 + 101, 302, 404, 500])
def test_another_status_is_an_error(collector: Collector, finished: AuditEntry, status: int):
    collector.status = status
    writer = HttpsWriter(WriterConfig(target=collector.url))
    with pytest.raises(OSError, match=f"status {status}"):
        writer.write(finished, b"x")
    collector.status = 200
    writer.write(finished, b"y")
    writer.close()

    assert [body for _, _, body in collector.got] == [b"x", b"y"]


def test_a_connection_that_the_server_has_closed_is_made_anew(collector: Collector, finished: AuditEntry):
    collector.keep = False
    writer = HttpsWriter(WriterConfig(target=collector.url))
    for body in (b"1", b"2", b"3"):
        writer.write(finished, body)
    writer.close()

    assert [body for _, _, body in collector.got] == [b"1", b"2", b"3"]


def test_a_long_answer_is_not_waited_for(collector: Collector, finished: AuditEntry):
    collector.status, collector.answer = 200, b"x" * 1_000_000
    writer = HttpsWriter(WriterConfig(target=collector.url))
    writer.write(finished, b"1")
    collector.answer = b""
    writer.write(finished, b"2")
    writer.close()

    assert [body for _, _, body in collector.got] == [b"1", b"2"]


def test_a_server_that_is_silent_is_left_after_the_timeout(monkeypatch: pytest.MonkeyPatch, finished: AuditEntry):
    assert https.TIMEOUT == 1.0
    monkeypatch.setattr(https, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        writer = HttpsWriter(WriterConfig(target=f"http://127.0.0.1:{silent.getsockname()[1]}/"))
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            writer.write(finished, b"x")

    assert time.monotonic() - began < 30  # seconds of a busy machine; the server would never answer


@pytest.mark.usefixtures("patience")
def test_a_server_that_speaks_no_http(finished: AuditEntry):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"what?\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        writer = HttpsWriter(WriterConfig(target=f"http://127.0.0.1:{server.getsockname()[1]}"))
        with pytest.raises(OSError, match="BadStatusLine"):
            writer.write(finished, b"x")
        thread.join()


def test_nobody_listens(finished: AuditEntry):
    with socket.socket() as server:  # it has the port, so that nobody else can listen there
        server.bind(("127.0.0.1", 0))
        writer = HttpsWriter(WriterConfig(target=f"http://127.0.0.1:{server.getsockname()[1]}/"))
        with pytest.raises(ConnectionRefusedError):
            writer.write(finished, b"x")
        writer.reopen()


@pytest.mark.parametrize(
    "target", ["", "/var/log/x", "ftp://a/", "https://", "http://a:port/", "http://a/b c", "http://a/é", "http://[a/"]
)
def test_what_is_no_url_is_refused(target: str):
    with pytest.raises(TargetError):
        HttpsWriter(WriterConfig(target=target))


def test_https_checks_certificates():
    writer = HttpsWriter(WriterConfig(target="https://log.example/"))

    assert writer._tls is not None
    assert writer._tls.check_hostname
