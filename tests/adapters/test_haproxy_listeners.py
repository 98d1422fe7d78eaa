"""Listeners of every kind with a real HAProxy on the other side: TLS, mutual TLS, several, systemd's by name."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.adapters.harness import Processes, Site, as_systemd, fetch, free_ports, out_of_the_way, wait_for_port
from tests.adapters.proc import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.certificates import Certificates

pytestmark = [pytest.mark.haproxy, pytest.mark.slow]

CONFIG = """\
workers: {workers}
{listen}
log_level: debug
log_file: agent.log
default_application: shop
applications:
  - name: shop
    directives: |
      SecRuleEngine On
      SecRule ARGS "@contains attack" "id:100,phase:2,deny,log,msg:'an attack'"
"""

HAPROXY = """\
global
    log stdout format raw local0 info
defaults
    log global
    mode http
    option httplog
    timeout client 60s
    timeout server 60s
    timeout connect 30s

frontend test
    bind 127.0.0.1:{port}
    filter spoe engine coraza config coraza-{port}.cfg
    http-request deny deny_status 403 if {{ var(txn.coraza.action) -m str deny }}
    http-request deny deny_status 504 if {{ var(txn.coraza.error) -m int gt 0 }}
    default_backend site

backend site
    server site 127.0.0.1:{site}

backend coraza-spoa
    mode tcp
    timeout server 1m
    server agent {server}
"""

AGENT = """\
[coraza]
spoe-agent coraza-agent
    messages coraza-req
    option var-prefix coraza
    option set-on-error error
    timeout hello {hello}
    timeout idle 2m
    timeout processing {processing}
    use-backend coraza-spoa
spoe-message coraza-req
    args id=unique-id src-ip=src method=method path=path query=query version=req.ver headers=req.hdrs body=req.body
    event on-frontend-http-request
"""

CHECK = "check inter 200ms fall 1000"
"""Checks come often, and may fail on a busy machine: they are not to decide whether the agent is asked."""


def _haproxy(processes: Processes, binary: str, site: Site, server: str, *, patient: bool = True) -> int:
    """Start one more HAProxy with this `server` line; its port. With no patience, where it will wait in vain."""
    (port,) = free_ports(1)
    hello, processing = ("30s", "60s") if patient else ("1s", "3s")
    (processes.folder / f"coraza-{port}.cfg").write_text(AGENT.format(hello=hello, processing=processing))
    config = processes.folder / f"haproxy-{port}.cfg"
    config.write_text(HAPROXY.format(port=port, site=site.port, server=server))
    processes.start_haproxy(binary, config, port)
    return port


def _statuses(port: int) -> list[int]:
    return [fetch(port, "/?q=hello").status, fetch(port, "/?q=attack").status]


def _tls(certificates: Certificates, name: str = "agent", *, client_ca: bool = False) -> str:
    ca = f", client_ca: {certificates.path('ca.pem')}" if client_ca else ""
    return f"tls: {{certificate: {certificates.path(f'{name}.pem')}, key: {certificates.path(f'{name}.key')}{ca}}}"


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def workers(request: pytest.FixtureRequest) -> int:
    """How many processes answer: with several, the one that accepts is not the one that has the keys of TLS."""
    return int(request.param)


def test_tls(processes: Processes, haproxy_binary: str, site: Site, certificates: Certificates, workers: int) -> None:
    (agent,) = free_ports(1)
    listen = f"listen:\n  - bind: 127.0.0.1:{agent}\n    {_tls(certificates)}"
    processes.start_agent(CONFIG.format(listen=listen, workers=workers), agent)
    trusting = f"127.0.0.1:{agent} ssl verify required ca-file {certificates.path('ca.pem')}"
    port = _haproxy(processes, haproxy_binary, site, f"{trusting} verifyhost localhost {CHECK}")
    doubting = _haproxy(
        processes,
        haproxy_binary,
        site,
        f"127.0.0.1:{agent} ssl verify required ca-file {certificates.path('other-ca.pem')}",
        patient=False,
    )
    plain = _haproxy(processes, haproxy_binary, site, f"127.0.0.1:{agent}", patient=False)

    assert _statuses(port) == [200, 403]
    assert [fetch(each, "/?q=hello").status for each in (doubting, plain)] == [504, 504]
    assert _many(port) == []
    # HAProxy answers when it has seen the fault, which the agent learns of by what HAProxy tells it then.
    _until(lambda: "HAProxy does not trust the agent's certificate" in _log(processes))
    _until(lambda: "`ssl` is missing on HAProxy's server line" in _log(processes))


def test_mutual_tls(
    processes: Processes, haproxy_binary: str, site: Site, certificates: Certificates, workers: int
) -> None:
    (agent,) = free_ports(1)
    listen = f"listen:\n  - bind: 127.0.0.1:{agent}\n    {_tls(certificates, client_ca=True)}"
    processes.start_agent(CONFIG.format(listen=listen, workers=workers), agent)
    server = f"127.0.0.1:{agent} ssl verify required ca-file {certificates.path('ca.pem')}"
    known = _haproxy(processes, haproxy_binary, site, f"{server} crt {certificates.path('client.both')}")
    nobody = _haproxy(processes, haproxy_binary, site, server, patient=False)
    stranger = _haproxy(
        processes, haproxy_binary, site, f"{server} crt {certificates.path('stranger.both')}", patient=False
    )

    assert _statuses(known) == [200, 403]
    refused = [fetch(port, "/?q=hello") for port in (nobody, stranger)]
    assert [reply.status for reply in refused] == [504, 504]
    assert _statuses(known) == [200, 403]
    _until(lambda: "the client showed no certificate" in _log(processes))
    _until(lambda: "the client's certificate is not one that client_ca vouches for" in _log(processes))


def test_certificates_are_read_anew_by_hup(
    processes: Processes, haproxy_binary: str, site: Site, certificates: Certificates, workers: int
) -> None:
    (agent,) = free_ports(1)
    for end in ("pem", "key"):
        shutil.copy(certificates.path(f"agent.{end}"), processes.folder / f"live.{end}")
    listen = f"listen:\n  - bind: 127.0.0.1:{agent}\n    tls: {{certificate: live.pem, key: live.key}}"
    process = processes.start_agent(CONFIG.format(listen=listen, workers=workers), agent)
    server = f"127.0.0.1:{agent} ssl verify required ca-file"
    old = _haproxy(processes, haproxy_binary, site, f"{server} {certificates.path('ca.pem')}")
    assert _statuses(old) == [200, 403]

    (processes.folder / "live.key").write_text("nonsense")
    process.send_signal(signal.SIGHUP)
    _until(lambda: "not reloaded" in _log(processes))
    assert "tls.key: live.key holds no private key in PEM at=config.yml:4:39" in _log(processes)
    assert _statuses(old) == [200, 403]

    old_processes = descendants(process.pid)
    for end in ("pem", "key"):
        shutil.copy(certificates.path(f"stranger.{end}"), processes.folder / f"live.{end}")
    process.send_signal(signal.SIGHUP)
    _until(lambda: _log(processes).count("application ready") == 2)
    new = _haproxy(processes, haproxy_binary, site, f"{server} {certificates.path('other-ca.pem')}")
    _until(lambda: not old_processes & descendants(process.pid))  # with workers, the old ones go a little later
    assert _statuses(new) == [200, 403]


def test_several_at_once(  # noqa: PLR0917  fixtures
    processes: Processes,
    haproxy_binary: str,
    site: Site,
    certificates: Certificates,
    workers: int,
    passed: list[socket.socket],
) -> None:
    """TCP, a Unix socket, TLS, and sockets of systemd by their names, one with TLS."""
    first, second, third = free_ports(3)
    folder = processes.folder
    listen = f"""\
listen:
  - localhost:{first}
  - "tcp://127.0.0.1:{second}"
  - bind: unix:///{folder}/agent.sock
    mode: "0600"
  - bind: 127.0.0.1:{third}
    {_tls(certificates)}
  - systemd:plain
  - bind: systemd:secure
    {_tls(certificates)}
"""
    (folder / "config.yml").write_text(CONFIG.format(listen=listen, workers=workers))
    command = as_systemd(
        passed, [sys.executable, "-m", "adapters", "serve", "-c", "config.yml"], LISTEN_FDNAMES="plain:secure"
    )
    with subprocess.Popen(command, cwd=folder, pass_fds=[each.fileno() for each in passed]) as process:
        processes.started.append(process)
        wait_for_port(third, process)  # the last of those it opens
        ports = [each.getsockname()[1] for each in passed]
        secure = f"ssl verify required ca-file {certificates.path('ca.pem')}"
        servers = [
            f"127.0.0.1:{first}",
            f"127.0.0.1:{second}",
            f"unix@{folder}/agent.sock",
            f"127.0.0.1:{third} {secure}",
            f"127.0.0.1:{ports[0]}",
            f"127.0.0.1:{ports[1]} {secure}",
        ]
        statuses = [_statuses(_haproxy(processes, haproxy_binary, site, server)) for server in servers]
        processes.stop()

    assert statuses == [[200, 403]] * len(servers)
    assert not (folder / "agent.sock").exists()


@pytest.fixture
def passed() -> Iterator[list[socket.socket]]:
    """Two sockets that listen, as systemd has them."""
    sockets = [out_of_the_way(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
    yield sockets
    for each in sockets:
        each.close()


def _many(port: int) -> list[int]:
    """The wrong answers of several clients at once: their frames travel in records of any size."""
    wrong: list[int] = []

    def client(number: int) -> None:
        for turn in range(20):
            target, wanted = (("/?q=hello&p=" + "x" * 3000, 200), ("/?q=attack", 403))[(number + turn) % 2]
            status = fetch(port, target).status
            if status != wanted:
                wrong.append(status)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return wrong


def _log(processes: Processes) -> str:
    return (processes.folder / "agent.log").read_text()


def _until(condition: object, *, seconds: float = 60) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():  # type: ignore[operator]  # a function
            return
        pause.wait(0.02)
    pytest.fail("it did not happen in time")
