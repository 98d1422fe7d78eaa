"""Syslog: what sockets on this machine receive, by datagram and by stream."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from waf_engine.audit import syslog
from waf_engine.audit.registry import TargetError, WriterConfig
from waf_engine.audit.syslog import SyslogWriter, message_of, parse_address

if TYPE_CHECKING:
    from waf_engine.audit import AuditEntry

HEAD = rb"<(\d+)>Sep 22 12:00:00 \S+ com\.coraza\.waf\[%d\]: " % os.getpid()
Listen = Callable[[int, int], tuple[socket.socket, str]]


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listen]:
    """Opens a socket of a family and a kind; gives it and its address for SecAuditLog."""
    monkeypatch.setattr(syslog, "TIMEOUT", 60.0)  # a busy machine may take longer
    opened: list[socket.socket] = []
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is too long for a socket's path

        def make(family: int, kind: int) -> tuple[socket.socket, str]:
            server = socket.socket(family, kind)
            opened.append(server)
            server.settimeout(60)
            server.bind(f"{folder}/log" if family == socket.AF_UNIX else ("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                server.listen()
            if family == socket.AF_UNIX:
                return server, f"{folder}/log"
            scheme = "tcp" if kind == socket.SOCK_STREAM else "udp"
            return server, f"{scheme}://127.0.0.1:{server.getsockname()[1]}"

        yield make
    for each in opened:
        each.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_datagrams(listen: Listen, finished: AuditEntry, family: int):
    server, address = listen(family, socket.SOCK_DGRAM)
    writer = SyslogWriter(WriterConfig(target=address))
    writer.write(finished, b'{"a":1}')
    writer.write(replace(finished, interruption=None), b"two\nlines")
    writer.close()
    messages = [server.recv(65536), server.recv(65536)]

    found = [re.fullmatch(HEAD + rb"(.*)", message, re.DOTALL) for message in messages]
    # LOCAL0 is 16: 16 * 8 + err (3), 16 * 8 + info (6).
    assert [match.groups() if match else None for match in found] == [(b"131", b'{"a":1}'), (b"134", b"two\nlines")]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_streams_have_a_line_for_each_entry(listen: Listen, finished: AuditEntry, family: int):
    server, address = listen(family, socket.SOCK_STREAM)
    writer = SyslogWriter(WriterConfig(target=address))
    writer.write(finished, b"one")
    writer.write(finished, b"two\nlines\n")
    connection, _ = server.accept()
    writer.close()
    with connection:
        data = b""
        while piece := connection.recv(65536):
            data += piece

    lines = data.split(b"\n")
    assert [re.sub(HEAD, b"", line) for line in lines] == [b"one", b"two#012lines", b""]


def test_a_reader_that_is_gone_is_an_error_and_a_new_one_is_found(listen: Listen, finished: AuditEntry):
    server, address = listen(socket.AF_INET, socket.SOCK_STREAM)
    writer = SyslogWriter(WriterConfig(target=address))
    writer.write(finished, b"one")
    server.accept()[0].close()
    with pytest.raises(OSError, match=r"Broken pipe|reset"):  # noqa: PT012  the first ones are lost without a word
        for _ in range(10_000):
            writer.write(finished, b"lost" * 1000)
    writer.write(finished, b"two")
    connection, _ = server.accept()
    writer.reopen()

    with connection:
        assert connection.recv(65536).endswith(b"two\n")


def test_nobody_listens(finished: AuditEntry):
    with pytest.raises(FileNotFoundError):
        SyslogWriter(WriterConfig(target="/nonexistent/log")).write(finished, b"x")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/dev/log", ("unix", "/dev/log")),
        ("unix:///run/log", ("unix", "/run/log")),
        ("udp://a", ("udp", ("a", 514))),
        ("tcp://[::1]:601", ("tcp", ("::1", 601))),
    ],
)
def test_addresses(target: str, expected: object):
    assert parse_address(target) == expected


@pytest.mark.parametrize("target", ["a:514", "http://a", "udp://", "tcp://a:x", "log"])
def test_what_is_no_address(target: str):
    with pytest.raises(TargetError, match="no address of a syslog"):
        SyslogWriter(WriterConfig(target=target))


def test_without_a_target_it_is_the_systems_log():
    writer = SyslogWriter(WriterConfig())

    assert (writer._network, writer._address) == ("unix", "/dev/log")


def test_an_entry_that_is_not_utf8_is_sent_as_it_is(finished: AuditEntry):
    assert message_of(finished, b"\xff").endswith(b": \xff")
