"""Sockets from systemd: tested in a child, since descriptor 3 of this process is pytest's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from adapters.activation import inherit
from tests.adapters.harness import ROOT, as_systemd, out_of_the_way

if TYPE_CHECKING:
    from pathlib import Path

SHOW = """
import os
from adapters.activation import inherit
try:
    for each in inherit({name!r}):
        print(each.getsockname(), each.getblocking(), os.get_inheritable(3), each.get_inheritable())
except OSError as error:
    print(error)
"""


def child(*sockets: socket.socket, name: str = "", **variables: str) -> list[str]:
    """What a child with these sockets as descriptors 3, 4, ... prints."""
    done = subprocess.run(
        as_systemd(sockets, [sys.executable, "-c", SHOW.format(name=name)], **variables),
        pass_fds=[each.fileno() for each in sockets],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def tcp() -> socket.socket:
    return out_of_the_way(socket.create_server(("127.0.0.1", 0)))


def test_all_sockets_are_taken_and_kept_from_children(tcp: socket.socket, tmp_path: Path) -> None:
    unix = out_of_the_way(socket.socket(socket.AF_UNIX))
    with tcp, unix:
        unix.bind(str(tmp_path / "x"))
        unix.listen()

        assert child(tcp, unix) == [f"{tcp.getsockname()} False False False", f"{tmp_path / 'x'} False False False"]


def test_only_those_of_a_name(tcp: socket.socket) -> None:
    with tcp, out_of_the_way(socket.create_server(("127.0.0.1", 0))) as other:
        assert child(tcp, other, name="waf", LISTEN_FDNAMES="metrics:waf") == [
            f"{other.getsockname()} False False False"
        ]
        assert child(tcp, other, name="unknown", LISTEN_FDNAMES="metrics") == [
            f"{other.getsockname()} False False False"
        ]
        assert "systemd passed no socket named x" in child(tcp, other, name="x", LISTEN_FDNAMES="metrics:waf")[0]


@pytest.mark.parametrize("process", ["1", "x", ""])
def test_sockets_meant_for_another_process_are_left(tcp: socket.socket, process: str) -> None:
    with tcp:
        assert "systemd passed no socket" in child(tcp, LISTEN_PID=process)[0]


@pytest.mark.parametrize("count", ["0", "-1", "x"])
def test_counts_that_are_none(tcp: socket.socket, count: str) -> None:
    with tcp:
        assert "systemd passed no socket" in child(tcp, LISTEN_FDS=count)[0]


def test_what_is_no_listening_stream_socket_is_refused(tcp: socket.socket) -> None:
    with (
        tcp,
        out_of_the_way(socket.socket(type=socket.SOCK_DGRAM)) as datagrams,
        out_of_the_way(socket.socket()) as deaf,
    ):
        assert "descriptor 4 is no stream socket that listens" in child(tcp, datagrams)[0]
        assert "descriptor 3 is no stream socket that listens" in child(deaf)[0]


def test_a_descriptor_that_is_not_there(tcp: socket.socket) -> None:
    with tcp:
        assert "Bad file descriptor" in child(tcp, LISTEN_FDS="9")[0]


def test_started_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_PID", raising=False)
    with pytest.raises(OSError, match="passed no socket"):
        inherit()
