from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

import pytest

from adapters.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_what_is_told(systemd: socket.socket):
    notifier = Notifier()
    notifier.ready("4 workers\nand more")
    notifier.reloading()
    notifier.alive()
    notifier.status("x")
    notifier.stopping("drains")
    told = [systemd.recv(1000).decode() for _ in range(5)]

    assert told[0] == "READY=1\nSTATUS=4 workers and more"
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told[1])
    assert told[2:] == ["WATCHDOG=1", "STATUS=x", "STOPPING=1\nSTATUS=drains"]


def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"spoa-waf-test-notify-{os.getpid()}"
        sock.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Notifier().ready()

        assert sock.recv(100) == b"READY=1"


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    notifier = Notifier()
    notifier.ready()

    assert notifier.watchdog is None


@pytest.mark.usefixtures("systemd")
@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], seconds: float | None):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert Notifier().watchdog == seconds
