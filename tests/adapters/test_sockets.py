from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from adapters.bind import SystemdBind, TcpBind, UnixBind
from adapters.sockets import ListenError, close_gently, listen, peer_name, prepare, remove_socket_file

if TYPE_CHECKING:
    from pathlib import Path


def _connect(address: object, family: int = socket.AF_INET) -> socket.socket:
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(5)
    client.connect(address)  # type: ignore[arg-type]  # an address of that family
    return client


def test_tcp() -> None:
    (listener,) = listen(TcpBind("127.0.0.1", 0))
    with listener, _connect(listener.getsockname()) as client:
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            prepare(accepted)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert peer_name(accepted) == f"127.0.0.1:{client.getsockname()[1]}"


def test_no_host_is_every_address_of_both_families_on_one_port() -> None:
    listeners = listen(TcpBind("", 0))
    try:
        ports = {each.getsockname()[1] for each in listeners}
        assert len(ports) == 1
        _connect(("127.0.0.1", ports.pop())).close()
        assert {each.family for each in listeners} <= {socket.AF_INET, socket.AF_INET6}
    finally:
        for each in listeners:
            each.close()


def test_the_ipv6_wildcard_takes_ipv4_too_as_coraza_spoa_does() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    (listener,) = listen(TcpBind("::", 0))
    with listener:
        port = listener.getsockname()[1]
        _connect(("127.0.0.1", port)).close()
        _connect(("::1", port), socket.AF_INET6).close()


@pytest.mark.parametrize(
    ("bind", "text"),
    [
        (TcpBind("192.0.2.1", 0), "no such address"),
        (TcpBind("no-such-host.invalid", 0), "cannot listen on no-such-host.invalid:0"),
        (UnixBind("/no/such/folder/x.sock"), "folder of the socket does not exist"),
        (SystemdBind(), "systemd passed no socket: start the agent by its .socket unit"),
    ],
)
def test_addresses_that_cannot_be_had(bind: SystemdBind | TcpBind | UnixBind, text: str) -> None:
    with pytest.raises(ListenError, match=text) as caught:
        listen(bind)
    assert caught.value.bind == bind


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    path.write_text("precious")

    with pytest.raises(ListenError, match="a file of that name, which is no socket"):
        listen(UnixBind(str(path)))
    assert path.read_text() == "precious"


def test_a_port_that_is_taken() -> None:
    (listener,) = listen(TcpBind("127.0.0.1", 0))
    with listener, pytest.raises(ListenError, match="another program listens there already"):
        listen(TcpBind("127.0.0.1", listener.getsockname()[1]))


def test_a_unix_socket_and_its_stale_file(tmp_path: Path) -> None:
    path = str(tmp_path / "x.sock")
    (first,) = listen(UnixBind(path))
    with pytest.raises(ListenError, match="already"):
        listen(UnixBind(path))
    first.close()  # as after a kill: the file stays

    (second,) = listen(UnixBind(path))
    with second, _connect(path, socket.AF_UNIX):
        accepted, _ = second.accept()
        with accepted:
            prepare(accepted)
            assert peer_name(accepted) == "unix"
        remove_socket_file(second)
        assert not (tmp_path / "x.sock").exists()
        remove_socket_file(second)


def test_mode_and_owner_of_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    group = str(os.getegid())
    (listener,) = listen(UnixBind(str(path), 0o620, user=str(os.geteuid()), group=group))
    with listener:
        found = path.stat()

    assert stat.S_IMODE(found.st_mode) == 0o620
    assert (found.st_uid, str(found.st_gid)) == (os.geteuid(), group)


def test_a_unix_socket_for_another_user(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    path = tmp_path / "x.sock"
    (listener,) = listen(UnixBind(str(path), user="nobody", group="12345"))
    listener.close()

    assert path.owner() == "nobody"
    assert path.stat().st_gid == 12345


def test_a_user_that_is_not_there_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with pytest.raises(ListenError, match="no user or group no-such-user"):
        listen(UnixBind(str(path), user="no-such-user"))

    assert not path.exists()


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    path.write_text("precious")
    with pytest.raises(ListenError):
        listen(UnixBind(str(path)))

    assert path.read_text() == "precious"


def test_an_abstract_unix_socket(tmp_path: Path) -> None:
    name = f"spoa-waf-test-{tmp_path.name}-{id(tmp_path)}"
    (listener,) = listen(UnixBind(f"@{name}"))
    with listener:
        _connect(f"\0{name}", socket.AF_UNIX).close()
        remove_socket_file(listener)


def test_closing_gently_lets_the_last_bytes_arrive() -> None:
    """Unread bytes would make the kernel reset the connection, perhaps before the peer has read its answer."""
    ours, theirs = socket.socketpair()
    theirs.sendall(b"x" * 100_000)
    ours.sendall(b"last words")
    close_gently(ours)

    assert theirs.recv(100) == b"last words"
    assert theirs.recv(100) == b""
    theirs.close()
    close_gently(theirs)


def test_the_name_of_a_peer_that_is_gone() -> None:
    with socket.socket() as unconnected:
        assert peer_name(unconnected) == "unknown"
