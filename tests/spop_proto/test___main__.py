"""The commands, against each other."""

from __future__ import annotations

import io
import json
import os
import runpy
import socket
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from spop_proto import Ack, AgentConnection, HAProxyConnection, HAProxyHello, Message, Notify, Scope, SetVar, __main__
from tests.spop_proto.support import HELLO, flush, frame, notify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def echo_server(capsys: pytest.CaptureFixture[str]):  # noqa: ARG001  which ends after the last thread that prints
    with __main__._EchoServer(("127.0.0.1", 0), __main__._Echo) as server:
        server.daemon_threads = False  # so that they are waited for
        server.daemon_threads = False  # they are waited for, so that none writes into the next test's output
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address
        finally:
            server.shutdown()
            thread.join()


def serve_once(answer: bytes, family: Any = socket.AF_INET, address: str = ("127.0.0.1", 0)):
    """An agent that answers one connection with fixed bytes; its address."""
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.bind(address)
    listening.listen()

    def serve():
        with listening, listening.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread, listening.getsockname()


def test_check_of_an_agent_that_is_well(echo_server: tuple[str, int], capsys: pytest.CaptureFixture[str]):
    host, port = echo_server

    assert __main__.main(["check", f"{host}:{port}"]) == 0
    assert "ok: version 2.0, max-frame-size 16380, fragmentation\n" in capsys.readouterr().out


def test_check_names_no_capabilities(capsys: pytest.CaptureFixture[str]):
    agent = AgentConnection(capabilities=())
    hello = HAProxyConnection()
    hello.send(HAProxyHello(capabilities=(), healthcheck=True))
    agent.receive_data(flush(hello))
    thread, (host, port) = serve_once(flush(agent))

    assert __main__.main(["check", f"{host}:{port}"]) == 0
    assert capsys.readouterr().out == "ok: version 2.0, max-frame-size 16380, none\n"
    thread.join()


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"HTTP/1.1 400\r\n", "ConnectionFailed"), (b"", "ConnectionClosed"), (HELLO, "ConnectionFailed")],
)
def test_check_of_what_is_no_agent(answer: bytes, said: str, capsys: pytest.CaptureFixture[str]):
    thread, (host, port) = serve_once(answer)

    assert __main__.main(["check", f"{host}:{port}"]) == 1
    assert capsys.readouterr().out.startswith(f"failed: {said}(")
    thread.join()


def test_check_of_a_unix_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = str(tmp_path / "agent.sock")
    thread, _ = serve_once(b"", socket.AF_UNIX, path)

    assert __main__.main(["check", path]) == 1
    assert "closed before anything was received" in capsys.readouterr().out
    thread.join()


@pytest.mark.parametrize("address", ["nowhere", "host:", "127.0.0.1:1"])
def test_an_address_where_nothing_is(address: str, capsys: pytest.CaptureFixture[str]):
    assert __main__.main(["check", address, "--timeout", "1"]) == 1
    assert capsys.readouterr().err


def test_hosts_and_ports():
    assert __main__._host_and_port("[::1]:9000") == ("::1", 9000)
    assert __main__._host_and_port(":9000") == ("localhost", 9000)


def test_dump_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "capture.bin"
    file.write_bytes(HELLO + notify(1, 1))

    assert __main__.main(["dump", str(file)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["type"] for record in records] == ["HAPROXY-HELLO", "NOTIFY"]


def test_dump_of_the_standard_input_that_is_broken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(HELLO + b"\0")))

    assert __main__.main(["dump", "-"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[1])["offset"] == len(HELLO)


def test_dump_of_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert __main__.main(["dump", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err


def test_the_echo_sets_a_variable_for_each_argument():
    args = (("src-ip", 1), ("", 2), ("a/b", 3), ("x" * 41, 4), ("body", b"y" * 513), ("text", "z"))

    assert __main__.echo(Notify(1, 2, (Message("m", args), Message("n", (("k", None),)))), 16379) == Ack(
        1,
        2,
        (
            SetVar(Scope.TRANSACTION, "src_ip", 1),
            SetVar(Scope.TRANSACTION, "text", "z"),
            SetVar(Scope.TRANSACTION, "k", None),
        ),
    )


def test_the_echo_always_fits():
    args = tuple((f"v{number}", "\udcff" * 512) for number in range(200))
    agent = AgentConnection()
    agent.receive_data(HELLO)
    agent.receive_data(notify(1, 1))

    agent.send(__main__.echo(Notify(1, 1, (Message("m", args),)), 256))
    assert agent.in_flight == 0


def test_the_echo_serves(echo_server: tuple[str, int], capsys: pytest.CaptureFixture[str]):
    haproxy = HAProxyConnection()
    haproxy.send(HAProxyHello())
    with socket.create_connection(echo_server) as sock:
        sock.sendall(flush(haproxy))
        haproxy.receive_data(sock.recv(4096))
        haproxy.send(Notify(1, 1, (Message("m", (("a", "b"),)),)))
        sock.sendall(flush(haproxy))
        events = haproxy.receive_data(sock.recv(4096))

    assert events == [Ack(1, 1, (SetVar(Scope.TRANSACTION, "a", "b"),))]
    assert "Notify(stream_id=1" in capsys.readouterr().out


def test_the_echo_says_what_is_wrong(echo_server: tuple[str, int], capsys: pytest.CaptureFixture[str]):
    with socket.create_connection(echo_server) as sock:
        sock.sendall(frame(3, 1, 1, 1))
        assert sock.recv(4096)
        assert sock.recv(4096) == b""

    assert "frame type 3 in state WAIT_HELLO" in capsys.readouterr().err


def test_a_peer_that_resets_is_no_trouble(capsys: pytest.CaptureFixture[str]):
    class Reset:
        def setsockopt(self, *_: object):
            pass

        def recv(self, _: int):
            raise ConnectionResetError

    __main__._Echo(Reset(), ("127.0.0.1", 1), None)

    assert capsys.readouterr().err == ""


def test_serve_echo_listens_until_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(_: object):
        raise KeyboardInterrupt

    monkeypatch.setattr(__main__._EchoServer, "serve_forever", interrupted)

    assert __main__.main(["serve-echo", "127.0.0.1:0"]) == 0
    assert capsys.readouterr().out.startswith("listening on 127.0.0.1:")


def test_without_a_command_it_tells_them(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        __main__.main([])
    assert left.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["spop_proto", "dump", "/nowhere"])
    monkeypatch.delitem(sys.modules, "spop_proto.__main__")
    with pytest.raises(SystemExit) as left:
        runpy.run_module("spop_proto", run_name="__main__")

    assert left.value.code == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "family"), [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6), ("sock", socket.AF_UNIX)]
)
def test_where_the_echo_listens(
    address: str,
    family: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    address = str(tmp_path / address) if family == socket.AF_UNIX else address
    families = []

    def ask(server: Any):
        families.append(server.socket.family)
        with socket.socket(family) as client:
            client.connect(server.server_address)
            server.handle_request()
            client.sendall(HELLO)
            assert client.recv(4096)

    monkeypatch.setattr(__main__._EchoServer, "serve_forever", ask)
    monkeypatch.setattr(__main__._EchoServer, "daemon_threads", False)
    try:
        assert __main__.main(["serve-echo", address]) == 0
    except OSError:
        if family == socket.AF_INET6:
            pytest.skip("no IPv6 on this machine")
        raise
    out = capsys.readouterr().out

    assert families == [family]
    assert out.startswith(f"listening on {address.removesuffix('0')}")
    assert "HAProxyHello(" in out
    assert not (tmp_path / "sock").exists()


def test_who_has_seen_enough_of_a_dump_is_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "capture.bin"
    file.write_bytes(HELLO)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)

        assert __main__.main(["dump", str(file)]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("port", ["65536", "99999999999999999999999", "\u00b2", "\u0663", "-1", "+1"])
def test_what_is_no_port(port: str, capsys: pytest.CaptureFixture[str]):
    assert __main__.main(["check", f"127.0.0.1:{port}"]) == 1
    assert "127.0.0.1:" in capsys.readouterr().err
    assert __main__.main(["serve-echo", f"127.0.0.1:{port}"]) == 1


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x"])
def test_what_is_no_time(seconds: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        __main__.main(["check", "127.0.0.1:1", "--timeout", seconds])
    assert left.value.code == 2
    assert "--timeout" in capsys.readouterr().err


def test_an_agent_that_trickles_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    now = iter((0.0, 1.0, 4.9, 4.9, 5.1))
    monkeypatch.setattr(__main__, "time", SimpleNamespace(monotonic=lambda: next(now)))
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(__main__, "_connect", lambda *_: ours)
    with theirs:
        theirs.sendall(b"\0")

        def trickle(_: HAProxyConnection, data: bytes):
            assert data == b"\0"
            theirs.sendall(b"\0")
            return []

        monkeypatch.setattr(HAProxyConnection, "receive_data", trickle)
        assert __main__.main(["check", "127.0.0.1:1"]) == 1

    assert capsys.readouterr().err == "timed out\n"
