from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from adapters import anyio_agent
from adapters.activation import InheritedSocket
from adapters.anyio_agent import AnyioAgent
from adapters.bind import TcpBind, UnixBind
from adapters.config_model import ConfigError, Listener, TlsConfig
from adapters.sockets import ListenError, open_listeners, start_listening
from adapters.tls import (
    InheritedTlsListener,
    TlsListener,
    contexts_of,
    make_contexts,
    renew,
    same_addresses,
    secure,
    why_failed,
    wrap,
)
from spop_proto import AgentDisconnect, HAProxyHello
from tests.adapters.conformance import WAIT, Client, Running, echo, notify, recording_logger
from waf_engine.diagnostics import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.adapters.certificates import Certificates

ANYWHERE = TcpBind("127.0.0.1", 0)
PLACES = (Span("c.yaml", 3, 5), Span("c.yaml", 4, 5), Span("c.yaml", 5, 5))


def _listener(certificates: Certificates, *, mutual: bool = False, name: str = "agent") -> Listener:
    ca = certificates.path("ca.pem") if mutual else ""
    tls = TlsConfig(certificates.path(f"{name}.pem"), certificates.path(f"{name}.key"), ca, PLACES)
    return Listener(ANYWHERE, tls, Span("c.yaml", 2))


def _open(listener: Listener) -> list[socket.socket]:
    listeners = open_listeners([listener], contexts_of([listener]))
    start_listening(listeners)
    return listeners


class TlsClient(Client):
    """HAProxy's side of a connection with TLS."""

    def __init__(self, address: Any, context: ssl.SSLContext) -> None:
        super().__init__(address)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        except OSError:
            self.sock.close()
            raise


def _client_context(certificates: Certificates, name: str = "", ca: str = "ca") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates.path(f"{ca}.pem"))
    if name:
        context.load_cert_chain(certificates.path(f"{name}.both"))
    return context


@contextlib.contextmanager
def _serving(listeners: list[socket.socket], backend: str = "asyncio", **options: Any) -> Iterator[Running]:
    logger, lines = recording_logger()
    address = listeners[0].getsockname()
    with start_blocking_portal(backend) as portal:
        agent = AnyioAgent(listeners, echo, logger, **options)
        future, _ = portal.start_task(agent.serve)
        running = Running(address, lines, lambda: portal.call(agent.stop), lambda: future.result(WAIT))
        try:
            yield running
        finally:
            running.stop()
            running.join()


def _logged(running: Running, text: str) -> list[object]:
    """The reasons of the lines with this text."""
    return [line.fields.get("reason") for line in running.lines if line.getMessage() == text]  # type: ignore[attr-defined]  set by logs.event


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_agent_behind_tls(certificates: Certificates, backend: str):
    with _serving(_open(_listener(certificates)), backend) as running:
        client = TlsClient(running.address, _client_context(certificates))
        client.hello()
        assert client.ask(7, "a" * 10_000) == {"stream": 7, "value": "a" * 10_000}
        # More than a record of TLS and than the socket holds, both ways, in one breath.
        client.send(*(notify(number, "b" * 12_000) for number in range(1, 21)))
        assert [each["value"] for each in client.answers(20).values()] == ["b" * 12_000] * 20
        running.stop()
        assert client.rest() == [AgentDisconnect()]
        client.close()

    assert _logged(running, "no TLS with a client") == []


def _refused(address: Any, context: ssl.SSLContext) -> bool:
    """Whether an agent lets nobody in with this; with TLS 1.3 the client learns of it only when it reads."""
    try:
        client = TlsClient(address, context)
    except OSError:
        return True
    try:
        client.send(HAProxyHello())
        return client.next() is None
    except OSError:
        return True
    finally:
        client.close()


def test_mutual_tls(certificates: Certificates):
    with _serving(_open(_listener(certificates, mutual=True))) as running:
        client = TlsClient(running.address, _client_context(certificates, "client"))
        client.hello()
        assert client.ask(1) == {"stream": 1, "value": "x"}
        client.close()
        for name in ("", "stranger"):
            assert _refused(running.address, _client_context(certificates, name))

    assert _logged(running, "no TLS with a client") == [
        "the client showed no certificate: `crt` is missing on HAProxy's server line",
        "the client's certificate is not one that client_ca vouches for",
    ]


def test_who_does_not_speak_tls_is_told_of(certificates: Certificates):
    with _serving(_open(_listener(certificates))) as running:
        for data in (b"\0\0\0\x10" + b"x" * 16, b"GET / HTTP/1.1\r\n\r\n"):
            plain = Client(running.address)
            plain.sock.sendall(data)
            while plain.sock.recv(100):  # the alert
                pass
            plain.close()
        with pytest.raises(ssl.SSLError):
            TlsClient(running.address, _client_context(certificates, ca="other-ca"))

    assert _logged(running, "no TLS with a client") == [
        "what came is no TLS, perhaps plain SPOP: `ssl` is missing on HAProxy's server line",
        "HTTP instead of TLS",
        "HAProxy does not trust the agent's certificate: see `ca-file` on its server line",
    ]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_handshake_without_end_is_ended(certificates: Certificates, monkeypatch: pytest.MonkeyPatch, backend: str):
    monkeypatch.setattr(anyio_agent, "HANDSHAKE_SECONDS", 0.05)
    with _serving(_open(_listener(certificates)), backend) as running:
        silent = Client(running.address)
        assert silent.sock.recv(1) == b""
        half = Client(running.address)
        with contextlib.suppress(ConnectionError):  # it has ended already, on a busy machine
            half.sock.sendall(b"\x16\x03\x01\x02\x00\x01")
            assert half.sock.recv(1) == b""
        silent.close()
        half.close()

    # The second is held back: it is the same line within ten seconds.
    assert _logged(running, "no TLS with a client") == ["no handshake within 0.05 s"]


def test_a_stop_does_not_wait_for_a_handshake(certificates: Certificates):
    with _serving(_open(_listener(certificates)), drain_seconds=WAIT) as running:
        silent = Client(running.address)
        begun = TlsClient(running.address, _client_context(certificates))
        begun.hello()  # so that the one before it is accepted as well
        running.stop()
        assert silent.sock.recv(1) == b""
        assert begun.rest() == [AgentDisconnect()]
        silent.close()
        begun.close()

    assert _logged(running, "no TLS with a client") == []


def test_who_leaves_before_the_handshake_is_no_news(certificates: Certificates):
    with _serving(_open(_listener(certificates))) as running:
        Client(running.address).close()
        Client(running.address).reset()
        last = TlsClient(running.address, _client_context(certificates))
        last.hello()
        last.close()

    assert _logged(running, "no TLS with a client") == []


def test_certificates_are_exchanged_for_later_connections(certificates: Certificates):
    listener = _listener(certificates)
    listeners = _open(listener)
    other = Listener(
        ANYWHERE, TlsConfig(certificates.path("stranger.both"), certificates.path("stranger.both")), listener.where
    )
    with _serving(listeners) as running:
        old = TlsClient(running.address, _client_context(certificates))
        old.hello()
        renew(listeners, contexts_of([other]))
        new = TlsClient(running.address, _client_context(certificates, ca="other-ca"))
        new.hello()

        assert old.ask(1) == {"stream": 1, "value": "x"}
        assert new.ask(2) == {"stream": 2, "value": "x"}
        old.close()
        new.close()


def test_addresses_without_tls_stay_plain(certificates: Certificates, tmp_path: Path):
    plain = Listener(UnixBind(str(tmp_path / "plain.sock")), None, Span("c.yaml", 1))
    both = [plain, _listener(certificates)]
    opened = open_listeners(both, contexts_of(both))

    assert [type(each) for each in opened] == [socket.socket, TlsListener]
    renew(opened, {})  # an address that is gone keeps what it has
    assert isinstance(opened[1], TlsListener)
    assert isinstance(opened[1].context, ssl.SSLContext)
    for each in opened:
        each.close()


def test_when_one_address_cannot_be_had_none_is_kept(tmp_path: Path):
    path = tmp_path / "agent.sock"
    unix = Listener(UnixBind(str(path)), None, Span("c.yaml", 1))
    missing = Listener(UnixBind(str(tmp_path / "none" / "x")), None, Span("c.yaml", 2))
    with pytest.raises(ListenError):
        open_listeners([unix, missing], {})

    assert not path.exists()


def test_a_socket_of_systemd_stays_one(certificates: Certificates):
    context = contexts_of([_listener(certificates)])[ANYWHERE]
    (secured,) = secure([InheritedSocket(socket.AF_INET)], ANYWHERE, context)

    assert isinstance(secured, InheritedTlsListener)
    assert isinstance(secured, InheritedSocket)
    secured.close()


def test_a_connection_for_another_process_is_accepted_plainly(certificates: Certificates):
    (listener,) = _open(_listener(certificates))
    assert isinstance(listener, TlsListener)
    listener.setblocking(True)
    client = socket.create_connection(listener.getsockname())
    plain = listener.accept_plain()

    assert type(plain) is socket.socket
    wrapped = wrap(plain, listener.context)
    with pytest.raises(ssl.SSLWantReadError):
        wrapped.do_handshake()
    for each in (wrapped, client, listener):
        each.close()


def test_what_can_go_on_with_other_settings(certificates: Certificates):
    one = _listener(certificates)
    plain = Listener(one.bind, None, one.where)

    assert same_addresses([one], [_listener(certificates, mutual=True)])
    assert not same_addresses([one], [plain])
    assert not same_addresses([one], [one, one])


def test_reasons():
    assert why_failed(ConnectionResetError()) == ""
    assert why_failed(ssl.SSLEOFError()) == ""
    assert why_failed(ssl.SSLError("x")) == "the handshake failed"


def _fault(tls: TlsConfig) -> tuple[str, str]:
    """Place and message of the fault of some files."""
    contexts, (fault,) = make_contexts([Listener(ANYWHERE, tls, Span("c.yaml", 2))])
    assert contexts == {}
    assert fault.code == "tls"
    return str(fault.span), fault.message


def test_files_that_cannot_be_used(certificates: Certificates, tmp_path: Path):
    certificate, key = certificates.path("agent.pem"), certificates.path("agent.key")
    empty, large, damaged = (tmp_path / name for name in ("empty", "large", "damaged.pem"))
    empty.write_bytes(b"")
    large.write_bytes(b"x" * (4 << 20) + b"x")
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    shutil.copytree(certificates.folder, tmp_path / "copy")
    copy = type(certificates)(tmp_path / "copy")
    copy.encrypted("locked", "agent")
    none, locked = tmp_path / "none", copy.path("locked.key")
    expected = {
        (str(none), key, ""): (
            3,
            f"tls.certificate: {none} cannot be read: no such file or directory",
        ),
        (certificate, str(tmp_path), ""): (4, f"tls.key: {tmp_path} cannot be read: is a directory"),
        (certificate, key, "no-ca.pem"): (5, "tls.client_ca: no-ca.pem cannot be read: no such file or directory"),
        (str(empty), key, ""): (3, f"tls.certificate: {empty} holds no certificate in PEM"),
        (key, key, ""): (3, f"tls.certificate: {key} holds no certificate in PEM"),
        (certificate, certificate, ""): (4, f"tls.key: {certificate} holds no private key in PEM"),
        (str(large), key, ""): (3, f"tls.certificate: {large} has more than 4194304 bytes"),
        (certificate, certificates.path("client.key"), ""): (
            4,
            f"the key {certificates.path('client.key')} does not belong to the first certificate in {certificate}",
        ),
        (certificate, locked, ""): (4, f"the key {locked} has a passphrase, which nobody is asked for"),
    }
    for (a, b, c), (line, message) in expected.items():
        assert _fault(TlsConfig(a, b, c, PLACES)) == (f"c.yaml:{line}:5", message)
    place, message = _fault(TlsConfig(str(damaged), key, "", PLACES))
    assert (place, message.partition(": ")[0]) == ("c.yaml:3:5", f"{damaged} with {key} cannot be used")
    place, message = _fault(TlsConfig(certificate, key, str(damaged), PLACES))
    assert (place, message.partition(": ")[0]) == ("c.yaml:5:5", f"the authorities in {damaged} cannot be used")
    assert _fault(TlsConfig("none", "none"))[0] == "c.yaml:2:1"
    with pytest.raises(ConfigError, match="no-ca"):
        contexts_of([Listener(ANYWHERE, TlsConfig(certificate, key, "no-ca.pem"), Span("c.yaml", 2))])
