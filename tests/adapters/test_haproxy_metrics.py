"""What /metrics says after requests through a real HAProxy: each of them, exactly once, whatever becomes of workers."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.adapters.harness import fetch, free_ports
from tests.adapters.proc import CLOSE_WAIT, children, tcp_sockets
from tests.adapters.test_haproxy import CORAZA_CFG, HAPROXY_CFG
from tests.adapters.workers.stand import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.harness import Processes, Site

pytestmark = [pytest.mark.haproxy, pytest.mark.slow]

CONFIG = """\
bind: 127.0.0.1:{agent}
workers: {workers}
metrics: 127.0.0.1:{metrics}
log_level: info
log_file: agent.log
log_format: console
default_application: shop
applications:
  - name: shop
    response_check: true
    log_level: info
    log_file: shop.log
    log_format: console
    directives: |
      SecRuleEngine On
      SecRequestBodyAccess On
      SecResponseBodyAccess On
      SecAction "id:1,phase:1,pass,nolog,setvar:tx.blocking_inbound_anomaly_score=0"
      SecRule ARGS "@contains odd" "id:90,phase:2,pass,log,severity:NOTICE,setvar:tx.blocking_inbound_anomaly_score=+2"
      SecRule ARGS "@contains attack" "id:100,phase:2,deny,log,msg:'an attack',severity:CRITICAL,tag:attack-sqli"
      SecRule RESPONSE_HEADERS:X-Leak "@streq secret" "id:101,phase:3,deny,status:403,log,msg:'a leak',severity:ERROR"
"""
ENGINE = {"engine": "shop", "namespace": "", "driver_type": "spoa"}
SHOP = {"application": "shop"}


class Stand:
    def __init__(self, processes: Processes, binary: str, site: Site, workers: int) -> None:
        self.folder: Path = processes.folder
        self.port, self.agent, self.metrics = free_ports(3)
        self.config = CONFIG.format(agent=self.agent, metrics=self.metrics, workers=workers)
        self.process = processes.start_agent(self.config, self.agent)
        cfg = HAPROXY_CFG.format(port=self.port, site=site.port, agent=self.agent)
        (self.folder / "haproxy.cfg").write_text(cfg)
        (self.folder / "coraza.cfg").write_text(CORAZA_CFG.format(hello="30s", processing="5m"))
        processes.start_haproxy(binary, self.folder / "haproxy.cfg", self.port)

    def send(self, clean: int = 0, odd: int = 0, attacks: int = 0, leaks: int = 0) -> None:
        targets = [("/", 200)] * clean + [("/?q=odd", 200)] * odd + [("/?q=attack", 403)] * attacks
        for target, status in [*targets, *[("/leak", 502)] * leaks]:
            assert fetch(self.port, target).status == status

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}{path}", timeout=60) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def value(self, name: str, **labels: str) -> float:
        text = self.get("/metrics")[1]
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def check(self, clean: int, odd: int, attacks: int, leaks: int) -> None:
        """All that is known of so many requests."""
        passed, requests = clean + odd + leaks, clean + odd + leaks + attacks
        messages = requests + passed  # a request that was denied has no response to be asked about
        assert self.value("coraza_waf_requests_total", **ENGINE, outcome="pass") == passed
        assert self.value("coraza_waf_requests_total", **ENGINE, outcome="block") == attacks
        assert self.value("coraza_waf_requests_total") == requests
        assert self.value("spoa_waf_responses_total", **SHOP, outcome="pass") == clean + odd
        assert self.value("spoa_waf_responses_total", **SHOP, outcome="block") == leaks
        assert self.value("coraza_waf_rule_hits_total", rule_id="90", severity="NOTICE", outcome="pass") == odd
        assert self.value("coraza_waf_rule_hits_total", rule_id="100", severity="CRITICAL", outcome="block") == attacks
        assert self.value("coraza_waf_rule_hits_total") == odd + attacks + leaks
        assert self.value("coraza_waf_blocked_requests_total", category="sqli", severity="CRITICAL") == attacks
        assert self.value("coraza_waf_request_anomaly_score_bucket", **ENGINE, le="1.0") == requests - odd
        assert self.value("coraza_waf_request_anomaly_score_sum", **ENGINE) == 2 * odd
        assert self.value("coraza_handle_spoe_duration_seconds_count") == messages
        assert self.value("coraza_handle_spoe_count") == messages
        assert self.value("coraza_handle_responses_rules", rule_id="100") == attacks
        assert self.value("coraza_handle_responses_severity", severity="notice") == odd
        assert self.value("spoa_waf_phase_duration_seconds_count", phase="request-headers") == requests
        assert self.value("spoa_waf_phase_duration_seconds_count", phase="response-headers") == passed
        assert self.value("spoa_waf_phase_duration_seconds_count", phase="logging") == requests
        assert self.value("spoa_waf_frames_received_total", type="notify") == messages
        assert self.value("spoa_waf_frames_sent_total", type="ack") == messages
        assert self.value("spoa_waf_no_verdict_total") == 0
        assert self.value("spoa_waf_transaction_misses_total") == 0


def test_one_process(haproxy_binary: str, site: Site, processes: Processes) -> None:
    stand = Stand(processes, haproxy_binary, site, 1)
    stand.send(clean=5, odd=3, attacks=4, leaks=2)
    stand.check(clean=5, odd=3, attacks=4, leaks=2)

    assert stand.value("spoa_waf_open_connections") >= 1
    assert stand.value("spoa_waf_workers") == 1
    assert stand.value("spoa_waf_transactions_waiting") == 0
    assert stand.value("spoa_waf_received_bytes_total") > 5000
    assert stand.get("/readyz") == (200, "ready\n")
    assert "an attack" in (stand.folder / "shop.log").read_text()
    assert (stand.folder / "shop.log").read_text().count('[id "101"]') == 2  # blocked responses are logged, cs#15

    # A reload sets nothing back, a bad one neither.
    stand.process.send_signal(signal.SIGHUP)
    until(lambda: stand.value("spoa_waf_reloads_total", result="success") == 1)
    stand.send(clean=1, attacks=1)
    stand.check(clean=6, odd=3, attacks=5, leaks=2)
    (stand.folder / "config.yml").write_text(stand.config.replace("SecRuleEngine On", "SecRuleEngine Maybe"))
    stand.process.send_signal(signal.SIGHUP)
    until(lambda: stand.value("spoa_waf_reloads_total", result="failure") == 1)
    assert stand.value("spoa_waf_last_reload_successful") == 0
    stand.check(clean=6, odd=3, attacks=5, leaks=2)


def test_four_workers_of_which_some_are_killed(haproxy_binary: str, site: Site, processes: Processes) -> None:
    stand = Stand(processes, haproxy_binary, site, 4)
    stand.send(clean=9, odd=6, attacks=6, leaks=3)
    stand.check(clean=9, odd=6, attacks=6, leaks=3)
    assert stand.value("spoa_waf_workers") == 4

    for restarts in (1, 2):
        os.kill(_worker_of(stand), signal.SIGKILL)
        until(lambda: stand.value("spoa_waf_worker_restarts_total", reason="died") == restarts)  # noqa: B023
        until(lambda: stand.value("spoa_waf_workers") == 4)
        until(lambda: not _half_closed(stand.agent))  # HAProxy knows it, too
        assert stand.value("coraza_waf_requests_total") == 24
    stand.send(clean=4, attacks=2)
    stand.check(clean=13, odd=6, attacks=8, leaks=3)

    stand.process.send_signal(signal.SIGHUP)
    until(lambda: stand.value("spoa_waf_reloads_total", result="success") == 1)
    stand.send(clean=2, attacks=1)
    stand.check(clean=15, odd=6, attacks=9, leaks=3)
    assert stand.get("/readyz") == (200, "ready\n")


def _half_closed(port: int) -> bool:
    """Whether there are connections to this port of which only the other end is closed."""
    return any(end.remote == port and end.state == CLOSE_WAIT for end in tcp_sockets())


def _worker_of(stand: Stand) -> int:
    """The process of a worker: a child of a child of the agent, that is."""
    (workers,) = [found for child in children(stand.process.pid) if (found := children(child))]
    return workers[0]
