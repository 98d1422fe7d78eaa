"""HAProxy with a site inside it, an agent of several processes, and fifty clients: what tests of workers run on."""

from __future__ import annotations

import http.client
import itertools
import os
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.adapters.harness import free_ports
from tests.adapters.proc import ESTABLISHED, children, sockets, tcp_sockets

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from pathlib import Path

    from tests.adapters.harness import Processes

FULL = os.environ.get("SPOA_WAF_FULL") == "1"
CLIENTS = 50
HAPROXY_THREADS = 2
ANSWER_SECONDS = 0.25

RULES = """\
SecRuleEngine On
SecRequestBodyAccess On
SecRule ARGS "@contains attack" "id:100,phase:2,deny,status:403,log,msg:'an attack',severity:CRITICAL"
SecRule RESPONSE_HEADERS:X-Leak "@streq secret" "id:101,phase:3,deny,status:403,log,msg:'a leak',severity:ERROR"
"""

CONFIG = """\
bind: 127.0.0.1:{agent}
workers: {workers}
drain_timeout_ms: 2000
log_level: info
log_file: agent.log
log_format: console
default_application: shop
applications:
  - name: shop
    directives: |
      Include rules.conf
    response_check: true
    transaction_ttl_ms: 20000
    log_level: info
    log_file: shop.log
    log_format: console
"""

HAPROXY_CFG = """\
global
    log stdout format raw local0 info
    maxconn 1000
    nbthread {threads}
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 30s

frontend test
    bind 127.0.0.1:{port}
    log global
    unique-id-format %[uuid()]
    filter spoe engine coraza config coraza.cfg
    http-request deny deny_status 504 hdr X-Error "%[var(txn.coraza.error)]" if {{ var(txn.coraza.error) -m int gt 0 }}
    http-response deny deny_status 504 hdr X-Error "%[var(txn.coraza.error)]" if {{ var(txn.coraza.error) -m int gt 0 }}
    http-request deny if {{ var(txn.coraza.fail) -m int eq 1 }}
    http-response deny if {{ var(txn.coraza.fail) -m int eq 1 }}
    log-format "%ST %Ta %[var(txn.coraza.error)]"
    default_backend site

backend site
    server site 127.0.0.1:{site}

frontend the_site
    bind 127.0.0.1:{site}
    http-request return status 200 hdr X-Leak secret content-type text/plain string leak if {{ path /leak }}
    http-request return status 200 content-type text/plain string hello

backend agents
    mode tcp
    timeout server 10m
    server agent 127.0.0.1:{agent}
"""

CORAZA_CFG = """\
[coraza]
spoe-agent coraza-agent
    messages coraza-req coraza-res
    option var-prefix coraza
    option set-on-error error
    timeout hello 30s
    timeout idle 10m
    timeout processing 30s
    use-backend agents
    log global
spoe-message coraza-req
    args id=unique-id src-ip=src method=method path=path query=query version=req.ver headers=req.hdrs body=req.body
    event on-frontend-http-request
spoe-message coraza-res
    args id=unique-id version=res.ver status=status headers=res.hdrs body=res.body
    event on-http-response
"""

TARGETS = (("/?q=hello", 200), ("/?q=an+attack+comes", 403), ("/leak", 502), ("/?q=other", 200))


@dataclass
class Answer:
    """What a client saw.

    Attributes:
        target: what was asked for.
        wanted: the status it must have.
        status: the status it has.
        error: the SPOE error, if there is one.
        at: when, on the monotonic clock.
        seconds: how long it took.
    """

    target: str
    wanted: int
    status: int
    error: str
    at: float
    seconds: float


@dataclass
class Clients:
    """Fifty clients, each on a connection of its own, until they are stopped."""

    port: int
    count: int = CLIENTS
    answers: list[Answer] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(number,)) for number in range(self.count)]

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        self._stop.set()
        for each in self._threads:
            each.join(90)
        assert not any(each.is_alive() for each in self._threads)

    def _client(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            for turn in itertools.count():
                if self._stop.is_set():
                    return
                target, wanted = TARGETS[(number + turn) % len(TARGETS)]
                begin = time.monotonic()
                connection.request("GET", target)
                response = connection.getresponse()
                response.read()
                now = time.monotonic()
                error = response.headers["X-Error"] or ""
                self.answers.append(Answer(target, wanted, response.status, error, now, now - begin))
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(repr(error))
        finally:
            connection.close()

    @property
    def wrong(self) -> list[Answer]:
        """Attacks that passed, clean requests that were blocked."""
        return [each for each in self.answers if each.status not in (each.wanted, 504)]

    @property
    def failed(self) -> list[Answer]:
        """Requests without a verdict."""
        return [each for each in self.answers if each.status == 504]


class Stand:
    """HAProxy, the site, and the agent."""

    def __init__(self, processes: Processes, binary: str) -> None:
        self.processes, self.binary = processes, binary
        self.port, self.agent_port, self.site_port = free_ports(3)

    @property
    def folder(self) -> Path:
        return self.processes.folder

    def start(
        self, *, workers: int = 4, config: str = CONFIG, rules: str = RULES, haproxy_threads: int = HAPROXY_THREADS
    ) -> None:
        self.start_agent(workers=workers, config=config, rules=rules)
        self.start_haproxy(haproxy_threads)

    def start_agent(self, *, workers: int = 4, config: str = CONFIG, rules: str = RULES) -> None:
        (self.folder / "rules.conf").write_text(rules)
        text = config.format(agent=self.agent_port, workers=workers)
        self.agent = self.processes.start_agent(text, self.agent_port)

    def start_haproxy(self, threads: int = HAPROXY_THREADS) -> None:
        (self.folder / "coraza.cfg").write_text(CORAZA_CFG)
        config = self.folder / "haproxy.cfg"
        ports = {"port": self.port, "site": self.site_port, "agent": self.agent_port}
        config.write_text(HAPROXY_CFG.format(**ports, threads=threads))
        self.processes.start_haproxy(self.binary, config, self.port)

    def log(self, name: str = "agent.log") -> str:
        return (self.folder / name).read_text()

    def signal(self, number: signal.Signals, *, wait_for: str = "") -> None:
        """Send a signal; return when the log says so once more."""
        before = self.log().count(wait_for)
        self.agent.send_signal(number)
        if wait_for:
            until(lambda: self.log().count(wait_for) > before, self.log)

    def tree(self) -> dict[int, list[int]]:
        """The generations, each with its workers."""
        return {child: children(child) for child in children(self.agent.pid)}

    def workers(self) -> list[int]:
        """The workers of all generations."""
        return [pid for pids in self.tree().values() for pid in pids]

    def connections(self) -> dict[int, int]:
        """How many connections of HAProxy each worker holds."""
        ends = tcp_sockets()
        inodes = {end.inode for end in ends if end.local == self.agent_port and end.state == ESTABLISHED}
        return {pid: len(inodes & sockets(pid)) for pid in self.workers()}

    def slow_answers(self) -> list[str]:
        """HAProxy's lines about answers that took too long: `SPOE: [agent] <EVENT> ... st=STATUS I/Q/W/R/ALL`."""
        slow = []
        for line in self.log("haproxy.out").splitlines():
            found = re.match(r"SPOE: .* st=\d+ (\d+)/(-?\d+)/(-?\d+)/(-?\d+)/(\d+) ", line)
            if found and int(found[5]) > ANSWER_SECONDS * 1000:
                slow.append(line)
        return slow


def until(done: Callable[[], object], about: Callable[[], str] = str, seconds: float = 60.0) -> None:
    """Return when it is so; the bound is for what never happens, on however busy a machine."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not happen within {seconds} s:\n{about()}")
        threading.Event().wait(0.02)
