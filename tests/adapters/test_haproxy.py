"""The main job: real HAProxys ask the agent, with the configurations that its users have."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from adapters.bind import TcpBind
from adapters.sockets import listen
from adapters.threaded import ThreadedAgent
from tests.adapters.harness import Processes, Site, fetch, free_ports
from tests.adapters.proc import descendants
from tests.docs.pages import patient

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.haproxy, pytest.mark.slow]

ANSWER_SECONDS = 30.0
"""Far below `timeout processing`: an error that takes longer is one that nobody answered."""

HAPROXY_CFG = """\
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
    mode http
    bind 127.0.0.1:{port}
    unique-id-format %[uuid()]
    unique-id-header X-Unique-ID
    filter spoe engine coraza config coraza.cfg
    http-request deny if {{ var(txn.coraza.fail) -m int eq 1 }}
    http-response deny if {{ var(txn.coraza.fail) -m int eq 1 }}
    http-request deny deny_status 504 if {{ var(txn.coraza.error) -m int gt 0 }}
    http-response deny deny_status 504 if {{ var(txn.coraza.error) -m int gt 0 }}
    default_backend site

backend site
    server site 127.0.0.1:{site}

backend coraza-spoa
    mode tcp
    timeout server 1m
    server agent 127.0.0.1:{agent}
"""

CORAZA_CFG = """\
[coraza]
spoe-agent coraza-agent
    messages coraza-req coraza-res
    option var-prefix coraza
    option set-on-error error
    timeout hello {hello}
    timeout idle 2m
    timeout processing {processing}
    use-backend coraza-spoa
spoe-message coraza-req
    args id=unique-id src-ip=src method=method path=path query=query version=req.ver headers=req.hdrs body=req.body
    event on-frontend-http-request
spoe-message coraza-res
    args id=unique-id version=res.ver status=status headers=res.hdrs body=res.body
    event on-http-response
"""

RULES = """\
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecRule ARGS|REQUEST_HEADERS "@contains attack" "id:100,phase:2,deny,status:403,log,msg:'an attack',severity:CRITICAL"
SecRule RESPONSE_HEADERS:X-Leak "@streq secret" "id:101,phase:3,deny,status:403,log,msg:'a leak',severity:ERROR"
"""

FLAT = """\
log:
  level: info
  dir: ./logs
spoa:
  bind: 127.0.0.1:{agent}
  include:
    - rules/*.conf
  transaction_ttl: 60000
  transaction_active_limit: {limit}
"""


class Stand:
    """HAProxy with the configuration of coraza-spoa's first generation, and the site behind it."""

    def __init__(self, processes: Processes, binary: str, site: Site) -> None:
        self.processes, self.binary, self.site = processes, binary, site
        self.port, self.agent_port = free_ports(2)

    @property
    def folder(self) -> Path:
        return self.processes.folder

    def start_agent(self, *, limit: int = 100_000, rules: str = RULES) -> None:
        (self.folder / "rules").mkdir(exist_ok=True)
        (self.folder / "rules" / "site.conf").write_text(rules)
        # A limit of one is one for each worker.
        words = ["serve", "-c", "config.yml", *(("--workers", "1") if limit == 1 else ())]
        self.processes.start_agent(FLAT.format(agent=self.agent_port, limit=limit), self.agent_port, *words)

    def start_haproxy(self, *, patient: bool = True) -> None:
        """So patient that a busy machine costs no answer; or not, where it is to say that no agent is there."""
        hello, processing = ("30s", "5m") if patient else ("1s", "3s")
        (self.folder / "coraza.cfg").write_text(CORAZA_CFG.format(hello=hello, processing=processing))
        config = self.folder / "haproxy.cfg"
        config.write_text(HAPROXY_CFG.format(port=self.port, site=self.site.port, agent=self.agent_port))
        self.processes.start_haproxy(self.binary, config, self.port)

    def log(self, name: str = "error.log") -> str:
        return (self.folder / "logs" / name).read_text()


@pytest.fixture
def stand(processes: Processes, haproxy_binary: str, site: Site) -> Stand:
    return Stand(processes, haproxy_binary, site)


def test_the_flat_form_blocks_requests_and_responses_and_passes_the_rest(stand: Stand) -> None:
    stand.start_agent()
    stand.start_haproxy()

    clean = fetch(stand.port, "/?q=hello")
    posted = post_at_once(stand.port, b"a=b")
    in_query = fetch(stand.port, "/?q=an+attack+comes")
    in_header = fetch(stand.port, "/", headers={"X-Thing": "attack"})
    leak = fetch(stand.port, "/leak")

    # `http-response deny` without a deny_status answers 502 (configuration manual 4.2), `http-request deny` 403.
    assert [clean.status, posted, in_query.status, in_header.status, leak.status] == [200, 200, 403, 403, 502]
    assert clean.body == b"hello\n"
    assert b"root:" not in leak.body
    assert max(each.seconds for each in (clean, in_query, in_header, leak)) < ANSWER_SECONDS
    lines = stand.log().splitlines()
    assert [line.count('[id "100"]') for line in lines] == [1, 1, 0]
    assert '[id "101"]' in lines[2]
    assert '[client "127.0.0.1"]' in lines[0]


def test_an_attack_in_a_form_is_blocked(stand: Stand) -> None:
    stand.start_agent()
    stand.start_haproxy()

    # HAProxy sends what it has of the body by then; http.client would send it in a second packet.
    assert post_at_once(stand.port, b"q=hello") == 200
    assert post_at_once(stand.port, b"q=attack") == 403


def test_a_response_whose_request_was_evicted_is_a_504_at_once(stand: Stand) -> None:
    stand.start_agent(limit=1)
    stand.start_haproxy()
    replies: list[int] = []
    slow = threading.Thread(target=lambda: replies.append(fetch(stand.port, "/wait").status))
    slow.start()
    assert stand.site.waiting.acquire(timeout=60)

    second = fetch(stand.port, "/")
    stand.site.release.set()
    slow.join(60)

    assert second.status == 200
    assert replies == [504]
    assert "no verdict: transaction-not-found" in stand.log()
    assert "evicted" in stand.log()


def test_many_clients_at_once_all_get_their_own_verdict(stand: Stand) -> None:
    """HAProxy opens a connection for each concurrent request, and the responses come back over any of them."""
    stand.start_agent()
    stand.start_haproxy()
    wrong: list[tuple[str, int]] = []

    def client(number: int) -> None:
        for turn in range(20):
            target, wanted = (("/?q=hello", 200), ("/?q=attack", 403), ("/leak", 502))[(number + turn) % 3]
            status = fetch(stand.port, target).status
            if status != wanted:
                wrong.append((target, status))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(10)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert wrong == []
    assert "no verdict" not in stand.log()


def test_a_handler_that_raises_is_a_504_at_once(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> list[object]:
        raise RuntimeError("boom")

    logger = logging.getLogger("test")
    agent = ThreadedAgent(listen(TcpBind("127.0.0.1", stand.agent_port)), broken, logger)
    thread = threading.Thread(target=agent.serve)
    thread.start()
    stand.start_haproxy()

    reply = fetch(stand.port, "/")
    agent.stop()
    thread.join(10)

    assert reply.status == 504
    assert reply.seconds < ANSWER_SECONDS
    assert "boom" in caplog.text


def test_a_stopped_agent_is_a_504_and_a_new_one_takes_over(stand: Stand) -> None:
    stand.start_agent()
    stand.start_haproxy(patient=False)
    _until(lambda: fetch(stand.port, "/").status == 200)

    agent = stand.processes.started[0]
    agent.send_signal(signal.SIGTERM)
    status = agent.wait(60)
    without = fetch(stand.port, "/")
    stand.start_agent()

    assert status == 0
    assert without.status == 504
    _until(lambda: fetch(stand.port, "/").status == 200)
    _until(lambda: fetch(stand.port, "/?q=attack").status == 403)


def test_rules_are_reloaded_by_hup_and_faulty_ones_refused(stand: Stand) -> None:
    stand.start_agent()
    stand.start_haproxy()
    rules = stand.folder / "rules" / "site.conf"
    agent = stand.processes.started[0]
    assert fetch(stand.port, "/?q=word").status == 200
    old = descendants(agent.pid)

    rules.write_text(RULES.replace("contains attack", "contains word"))
    agent.send_signal(signal.SIGHUP)
    _until(lambda: fetch(stand.port, "/?q=word").status == 403)
    _until(lambda: not old & descendants(agent.pid))  # they serve their connections until they have read their order
    rules.write_text("SecRule ARGS nonsense")
    agent.send_signal(signal.SIGHUP)
    _until(lambda: "not reloaded" in stand.log())

    assert fetch(stand.port, "/?q=word").status == 403
    assert fetch(stand.port, "/?q=attack").status == 200


def test_logs_are_reopened_by_usr1(stand: Stand) -> None:
    stand.start_agent()
    stand.start_haproxy()
    fetch(stand.port, "/?q=attack")
    error_log = stand.folder / "logs" / "error.log"
    error_log.rename(error_log.with_suffix(".1"))

    stand.processes.started[0].send_signal(signal.SIGUSR1)
    asked = 1

    def is_in_the_new_one() -> bool:
        nonlocal asked
        asked += fetch(stand.port, "/?q=attack").status == 403
        return error_log.exists() and '[id "100"]' in error_log.read_text()

    _until(is_in_the_new_one)  # each worker does it when it has read its order
    texts = [path.read_text() for path in error_log.parent.glob("error*")]

    assert sum(text.count('[id "100"]') for text in texts) == asked


def test_without_include_the_embedded_rules_protect(stand: Stand) -> None:
    config = f"spoa: {{bind: '127.0.0.1:{stand.agent_port}'}}\nlog: {{level: info}}\n"
    stand.processes.start_agent(config, stand.agent_port)
    stand.start_haproxy()

    clean = fetch(stand.port, "/?q=hello", headers={"User-Agent": "Mozilla/5.0", "Accept": "*/*"})
    attack = fetch(stand.port, "/?id=1%27%20OR%20%271%27=%271%27%20UNION%20SELECT%20password%20FROM%20users--")

    assert (clean.status, attack.status) == (200, 403)
    assert "embedded rules" in stand.log("server.log")


LIST = """\
bind: 127.0.0.1:{agent}
log_level: info
log_file: agent.log
log_format: console
default_application: other
applications:
  - name: ftw
    directives: |
      SecRuleEngine On
      SecRequestBodyAccess On
      SecResponseBodyAccess On
      SecRule ARGS "@contains attack" "id:100,phase:2,deny,log,msg:'an attack',severity:CRITICAL"
      SecRule RESPONSE_BODY "@contains root:" "id:101,phase:4,deny,log,msg:'a leak',severity:ERROR"
    response_check: true
    transaction_ttl_ms: 60000
    log_level: info
    log_file: waf.log
    log_format: {form}
  - name: other
    directives: ""
    response_check: false
    transaction_ttl_ms: 60000
    log_level: info
    log_file: waf.log
    log_format: {form}
"""


@pytest.mark.corpora
@pytest.mark.parametrize("form", ["console", "json"])
def test_the_list_form_with_groups(
    processes: Processes, haproxy_binary: str, site: Site, corpora: Path, form: str
) -> None:
    port, agent_port = free_ports(2)
    tools = _patient_tools(corpora, processes.folder)
    processes.start_agent(LIST.format(agent=agent_port, form=form), agent_port)
    environment = {"FTW_PORT": port, "FTW_BACKEND_PORT": site.port, "FTW_AGENT_PORT": agent_port, "FTW_BUFSIZE": 65536}
    words = {name: str(value) for name, value in environment.items()}
    processes.start_haproxy(haproxy_binary, tools / "haproxy.cfg", port, FTW_DIR=str(tools), **words)

    clean = fetch(port, "/?q=hello")
    attack = fetch(port, "/?q=attack")
    form_attack = fetch(
        port, "/", method="POST", body=b"q=attack", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    leak = fetch(port, "/leak")

    assert [clean.status, attack.status, form_attack.status, leak.status] == [200, 403, 403, 403]
    lines = (processes.folder / "waf.log").read_text().splitlines()
    wanted = '[id "{}"]' if form == "console" else '"rule_id":{}'
    assert [wanted.format(number) in line for number, line in zip((100, 100, 101), lines, strict=True)] == [True] * 3


@pytest.mark.corpora
def test_the_list_form_with_the_embedded_rules(
    processes: Processes, haproxy_binary: str, site: Site, corpora: Path
) -> None:
    port, agent_port = free_ports(2)
    tools = _patient_tools(corpora, processes.folder)
    directives = "directives: |\n      Include @recommended.conf\n      Include @baseline/*.conf\n"
    config = LIST.format(agent=agent_port, form="console").replace('directives: ""', directives)
    processes.start_agent(config.replace("name: ftw", "name: unused"), agent_port)
    environment = {"FTW_PORT": port, "FTW_BACKEND_PORT": site.port, "FTW_AGENT_PORT": agent_port, "FTW_BUFSIZE": 65536}
    words = {name: str(value) for name, value in environment.items()}
    processes.start_haproxy(haproxy_binary, tools / "haproxy.cfg", port, FTW_DIR=str(tools), **words)
    browser = {"User-Agent": "Mozilla/5.0", "Accept": "*/*"}

    clean = fetch(port, "/?q=hello", headers=browser)
    attack = fetch(port, "/?file=../../../../etc/passwd", headers=browser)

    assert (clean.status, attack.status) == (200, 403)


def test_modsecurity_messages_are_understood(stand: Stand) -> None:
    stand.start_agent()
    (stand.folder / "coraza.cfg").write_text("""\
[modsecurity]
spoe-agent modsecurity-agent
    messages check-request
    option var-prefix modsec
    timeout hello 30s
    timeout idle 30s
    timeout processing 5m
    use-backend coraza-spoa
spoe-message check-request
    args unique-id method path query req.ver req.hdrs_bin req.body_size req.body
    event on-frontend-http-request
""")
    config = stand.folder / "haproxy.cfg"
    text = HAPROXY_CFG.format(port=stand.port, site=stand.site.port, agent=stand.agent_port)
    kept = [line for line in text.splitlines() if "txn.coraza" not in line]
    text = "\n".join(kept).replace(
        "engine coraza config coraza.cfg",
        "engine modsecurity config coraza.cfg\n    http-request deny if { var(txn.modsec.code) -m int gt 0 }",
    )
    config.write_text(text + "\n")
    stand.processes.start_haproxy(stand.binary, config, stand.port)

    assert fetch(stand.port, "/?q=hello").status == 200
    assert fetch(stand.port, "/?q=attack").status == 403
    assert fetch(stand.port, "/", headers={"X-Thing": "attack"}).status == 403


def post_at_once(port: int, form: bytes) -> int:
    """The status for a form whose head and body are in one packet."""
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(form)}\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode() + form)
        return int(client.makefile("rb").readline().split()[1])


def _patient_tools(corpora: Path, folder: Path) -> Path:
    """A copy of the configurations for go-ftw, whose times a busy machine does not exceed."""
    made = folder / "ftw"
    made.mkdir()
    for path in (corpora / "tools" / "ftw").glob("*.cfg"):
        (made / path.name).write_text(patient(path.read_text()))
    return made


def _until(condition: object, *, seconds: float = 60) -> None:
    deadline = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():  # type: ignore[operator]  # a function
            return
        deadline.wait(0.02)
    pytest.fail("it did not happen in time")
