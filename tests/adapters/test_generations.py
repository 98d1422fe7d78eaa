"""Configurations of every generation, as their users wrote them, and HAProxy as they wired it: all of them block.

The shapes are those of compatibility.md 3.1 and 3.2: A and B send messages by events and name transactions by
unique-id, C sends groups and gets the id back in a variable.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

import pytest

from tests.adapters.harness import Processes, Site, fetch, free_ports

pytestmark = [pytest.mark.haproxy, pytest.mark.slow]

RULES = """\
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecRule ARGS "@contains attack" "id:100,phase:2,deny,status:403,log,msg:'an attack',severity:CRITICAL"
SecRule ARGS "@contains elsewhere" "id:102,phase:2,redirect:http://127.0.0.1/waf,status:302,log,msg:'go away'"
SecRule RESPONSE_HEADERS:X-Leak "@streq secret" "id:101,phase:3,deny,status:403,log,msg:'a leak',severity:ERROR"
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
    unique-id-format %[uuid()]
    unique-id-header X-Unique-ID
    http-request set-var(txn.coraza.app) str(shop)
    filter spoe engine coraza config coraza.cfg
{verdicts}
    http-request deny deny_status 504 if {{ var(txn.coraza.error) -m int gt 0 }}
    http-response deny deny_status 504 if {{ var(txn.coraza.error) -m int gt 0 }}
    default_backend site

backend site
    server site 127.0.0.1:{site}

backend coraza-spoa
    mode tcp
    timeout server 1m
    server agent {agent}
"""

AGENT = """\
[coraza]
spoe-agent coraza-agent
    {sends}
    option var-prefix coraza
    option set-on-error error
    timeout hello 30s
    timeout idle 2m
    timeout processing 60s
    use-backend coraza-spoa
{messages}
"""

BY_FAIL = """\
    http-request deny if { var(txn.coraza.fail) -m int eq 1 }
    http-response deny deny_status 403 if { var(txn.coraza.fail) -m int eq 1 }"""
BY_ACTION = """\
    http-request redirect code 302 location %[var(txn.coraza.data)] if { var(txn.coraza.action) -m str redirect }
    http-request deny deny_status 403 hdr waf-block request if { var(txn.coraza.action) -m str deny }
    http-response deny deny_status 403 hdr waf-block response if { var(txn.coraza.action) -m str deny }
    http-request silent-drop if { var(txn.coraza.action) -m str drop }"""
BY_GROUP = "    http-request send-spoe-group coraza coraza-req\n" + BY_ACTION.replace(
    "    http-response deny", "    http-response send-spoe-group coraza coraza-res\n    http-response deny", 1
)

REQUEST = "method=method path=path query=query version=req.ver headers=req.hdrs body=req.body"
RESPONSE = "version=res.ver status=status headers=res.hdrs body=res.body"
PORTS = "src-ip=src src-port=src_port dst-ip=dst dst-port=dst_port"
EVENTS_A = f"""\
spoe-message coraza-req
    args id=unique-id src-ip=src {REQUEST}
    event on-frontend-http-request
spoe-message coraza-res
    args id=unique-id {RESPONSE}
    event on-http-response
"""
EVENTS_B = f"""\
spoe-message coraza-req
    args app=str(shop) id=unique-id {PORTS} {REQUEST}
    event on-frontend-http-request
spoe-message coraza-res
    args app=str(shop) id=unique-id {RESPONSE}
    event on-http-response
"""
GROUPS_C = f"""\
spoe-message coraza-req
    args app=var(txn.coraza.app) {PORTS} {REQUEST}
spoe-message coraza-res
    args app=var(txn.coraza.app) id=var(txn.coraza.id) {RESPONSE}
spoe-group coraza-req
    messages coraza-req
spoe-group coraza-res
    messages coraza-res
"""
SENDS_MESSAGES, SENDS_GROUPS = "messages coraza-req coraza-res", "groups coraza-req coraza-res"


@dataclass(frozen=True)
class Generation:
    """How a generation's users wrote the agent's file and HAProxy's."""

    config: str
    messages: str
    verdicts: str
    sends: str = SENDS_MESSAGES


A = Generation(
    """\
log:
  level: info
  dir: ./logs
spoa:
  bind: 127.0.0.1:{port}
  include:
    - rules/engine.conf
    - rules/site*.conf
  transaction_ttl: 60000
  transaction_active_limit: 100000
""",
    EVENTS_A,
    BY_FAIL,
)
B1 = Generation(
    """\
bind: 127.0.0.1:{port}
applications:
  shop:
    include:
      - {folder}/rules/engine.conf
      - {folder}/rules/site*.conf
    transaction_ttl: 60000
    transaction_active_limit: 100000
    log_level: info
    log_file: {folder}/waf.log
""",
    EVENTS_B,
    BY_ACTION,
)
B2 = Generation(
    """\
bind: 127.0.0.1:{port}
default_application: shop
applications:
  shop:
    rules:
      - Include {folder}/rules/engine.conf
      - Include {folder}/rules/site*.conf
    transaction_ttl: 60
    transaction_active_limit: 100000
    log_level: info
    log_file: {folder}/waf.log
""",
    EVENTS_B,
    BY_ACTION,
)
B3 = Generation(
    """\
bind: 0.0.0.0:{port}
default_application: sample_app
applications:
  sample_app:
    directives: |
      Include {folder}/rules/engine.conf
      Include {folder}/rules/site*.conf
    no_response_check: false
    transaction_ttl_ms: 60000
    transaction_active_limit: 100000
    log_level: info
    log_file: {folder}/waf.log
""",
    EVENTS_B,  # names an application that is none, as those did who followed one page for HAProxy and another for this
    BY_ACTION,
)
C = Generation(
    """\
bind: 0.0.0.0:{port}
log_level: info
log_file: /dev/stdout
log_format: console
applications:
  - name: shop
    directives: |
      Include {folder}/rules/engine.conf
      Include {folder}/rules/site*.conf
    response_check: true
    transaction_ttl_ms: 60000
    log_level: info
    log_file: {folder}/waf.log
    log_format: console
""",
    GROUPS_C,
    BY_GROUP,
    SENDS_GROUPS,
)
OURS = Generation(
    """\
listen:
  - 127.0.0.1:{port}
  - bind: unix:{folder}/agent.sock
    mode: 0660
log_file: {folder}/waf.log
default_application: shop
drain_timeout_ms: 1000
cache_folder: {folder}/cache
log_rotation: {{size_mb: 10, keep: 3}}
applications:
  - name: shop
    hosts: ["*.example.com"]
    directives: |
      Include {folder}/rules/engine.conf
      Include {folder}/rules/site*.conf
    response_check: true
    trusted_proxies: [192.0.2.0/24]
    budget_ms: 1000
""",
    GROUPS_C,
    BY_GROUP,
    SENDS_GROUPS,
)
GENERATIONS = {"A": A, "B1": B1, "B2": B2, "B3": B3, "C": C, "ours": OURS}


def _start(
    processes: Processes, binary: str, site: Site, generation: Generation, *, agent: str = "127.0.0.1:{port}"
) -> int:
    """Start both; HAProxy's port."""
    folder = processes.folder
    port, agent_port = free_ports(2)
    (folder / "rules").mkdir()
    engine, _, site_rules = RULES.partition("SecRule ARGS")
    (folder / "rules" / "engine.conf").write_text(engine)
    (folder / "rules" / "site-1.conf").write_text("SecRule ARGS" + site_rules)
    processes.start_agent(generation.config.format(port=agent_port, folder=folder), agent_port)
    (folder / "coraza.cfg").write_text(AGENT.format(sends=generation.sends, messages=generation.messages))
    text = HAPROXY.format(
        port=port, site=site.port, verdicts=generation.verdicts, agent=agent.format(port=agent_port, folder=folder)
    )
    (folder / "haproxy.cfg").write_text(text)
    processes.start_haproxy(binary, folder / "haproxy.cfg", port)
    return port


def _post(port: int, form: bytes) -> int:
    """A form in one packet: nothing here tells HAProxy to wait for one that comes after its head."""
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(form)}\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode() + form)
        return int(client.makefile("rb").readline().split()[1])


def _statuses(port: int) -> list[int]:
    """A clean request and a form, an attack in either, one to be redirected, a leak."""
    return [
        fetch(port, "/?q=hello").status,
        _post(port, b"a=b"),
        fetch(port, "/?q=an+attack+comes").status,
        _post(port, b"a=attack"),
        fetch(port, "/?q=elsewhere").status,
        fetch(port, "/leak").status,
    ]


@pytest.mark.parametrize("name", GENERATIONS)
def test_it_blocks_what_it_should(processes: Processes, haproxy_binary: str, site: Site, name: str) -> None:
    generation = GENERATIONS[name]
    port = _start(processes, haproxy_binary, site, generation)

    redirected = 403 if name == "A" else 302  # `fail` alone cannot say where to
    assert _statuses(port) == [200, 200, 403, 403, redirected, 403]
    log = processes.folder / ("logs/error.log" if name == "A" else "waf.log")
    lines = [line for line in log.read_text().splitlines() if '"rule_id":' in line or '[id "' in line]
    assert [number in line for number, line in zip(("100", "100", "102", "101"), lines, strict=True)] == [True] * 4


@pytest.mark.parametrize("name", GENERATIONS)
def test_what_migrate_makes_of_it_does_the_same(
    processes: Processes, haproxy_binary: str, site: Site, name: str
) -> None:
    from adapters.migrate import migrate  # noqa: PLC0415  not needed by the others

    generation, folder = GENERATIONS[name], str(processes.folder)
    (processes.folder / "logs").mkdir()
    config = migrate(generation.config.format(port=1, folder=folder)).replace("127.0.0.1:1", "127.0.0.1:{port}")
    config = config.replace("0.0.0.0:1", "0.0.0.0:{port}")
    marked = config.replace("{port}", "\0").replace("{", "{{").replace("}", "}}").replace("\0", "{port}")
    port = _start(processes, haproxy_binary, site, replace(generation, config=marked))

    assert _statuses(port) == [200, 200, 403, 403, 403 if name == "A" else 302, 403]


def test_over_a_unix_socket(processes: Processes, haproxy_binary: str, site: Site) -> None:
    port = _start(processes, haproxy_binary, site, OURS, agent="unix@{folder}/agent.sock")

    assert _statuses(port) == [200, 200, 403, 403, 302, 403]
    assert oct((processes.folder / "agent.sock").stat().st_mode & 0o777) == "0o660"
