"""Every metric as data: name, kind, labels, help, buckets. docs/metrics.md is made of it.

Labels are bounded: their values are in this table, or are applications of the configuration and ids of its rules;
nothing that a request brings becomes one. Not here: how numbers are kept, or read.

Sources: compatibility.md 1.1 (the names that others gave), the driver metrics contract of coraza-kubernetes-operator
(`coraza_waf_*`), pull request 283 of coraza-spoa.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adapters.transactions import Gone
from adapters.troubles import Reason
from spop_proto import StatusCode


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    UNTYPED = "untyped"
    """Counts up like a counter, under a name that others gave it and that does not end in ``_total``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus shows it; a histogram without ``_bucket``, ``_sum``, ``_count``.
        kind: what it is.
        help: one sentence for its users.
        application: the label that names the application; empty: it is the agent's as a whole. With ``engine`` the
            labels ``namespace`` and ``driver_type`` stand beside it.
        labels: further labels, each with all its values; none where only `made` tells them.
        buckets: upper bounds of a histogram.
        sparse: what never happened is left out, for there would be hundreds of zeros.
        made: it is made when Prometheus asks, of other numbers or of what is known since the start; nobody writes it.
    """

    name: str
    kind: Kind
    help: str
    application: str = ""
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    buckets: tuple[float, ...] = ()
    sparse: bool = False
    made: bool = False


OUTCOMES = ("pass", "block", "detect", "redirect", "error")
HIT_OUTCOMES = ("pass", "block", "detect")
SEVERITIES = ("EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG", "none")
"""By number; the last for rules without one."""
PHASES = ("request-headers", "request-body", "response-headers", "response-body", "logging")

CATEGORIES = {
    "attack-sqli": "sqli",
    "attack-xss": "xss",
    "attack-rce": "rce",
    "attack-lfi": "lfi",
    "attack-rfi": "rfi",
    "attack-command-injection": "command_injection",
    "attack-protocol": "protocol_attack",
    "attack-session-fixation": "session_fixation",
    "attack-fixation": "session_fixation",
    "attack-java": "java_attack",
    "attack-injection-java": "java_attack",
    "attack-injection-php": "php_attack",
    "attack-injection-generic": "generic_injection",
    "attack-generic": "generic_injection",
    "attack-ssrf": "ssrf",
    "attack-ldap": "ldap",
    "attack-reputation-scanner": "scanner",
    "attack-disclosure": "disclosure",
    "attack-dos": "dos",
}
"""Tag of the CRS: category. The first words are the contract's, with the CRS's present tags beside them."""
CATEGORY_NAMES = (*dict.fromkeys(CATEGORIES.values()), "other")

RULE_SLOTS = 200
"""Rules of one application that have series of their own; the contract allows no more. The first that match."""

LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Go's default buckets, which the histogram of coraza-spoa has."""
FINE = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
SCORES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 75.0, 100.0)
"""The contract's, and each score below the usual threshold (coraza#1103)."""

REASONS = tuple(reason.word for reason in Reason)
GONE = tuple(str(gone) for gone in Gone)
DROPPED = (Gone.EXPIRED, Gone.EVICTED, Gone.REPLACED, Gone.STOPPED)
FAILURES = (*(code.name.lower().replace("_", "-") for code in StatusCode if code), "other")
FRAMES_IN = ("haproxy-hello", "haproxy-disconnect", "notify", "other")
FRAMES_OUT = ("agent-hello", "agent-disconnect", "ack")
BUDGET_ACTIONS = ("pass", "deny", "error")
SKIPPED = ("path", "content-type")
FORWARDED = ("answered", "failed")
SHARED = ("ok", "timeout", "error", "refused")
DATABASES = ("compiled", "loaded")
RESTARTS = ("died", "hung")
DIRECTIONS = ("request", "response")

_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

METRICS = (
    # -- the names that coraza-spoa has, and those of its pull request 283
    Metric(
        name="coraza_handle_spoe_duration_seconds",
        kind=_HISTOGRAM,
        help="Time to answer a message (coraza-spoa's histogram).",
        buckets=LATENCY,
    ),
    Metric(name="coraza_handle_spoe_count", kind=Kind.UNTYPED, help="Messages answered.", made=True),
    Metric(
        name="coraza_handle_responses_severity",
        kind=Kind.UNTYPED,
        help="Matches of rules by severity.",
        labels=(("severity", ()),),
        made=True,
    ),
    Metric(
        name="coraza_handle_responses_rules",
        kind=Kind.UNTYPED,
        help="Matches of rules by id.",
        labels=(("rule_id", ()),),
        made=True,
    ),
    Metric(
        name="coraza_handle_version",
        kind=_GAUGE,
        help="1 for each version (ver) that rules say, such as OWASP_CRS/4.19.0.",
        labels=(("version", ()),),
        made=True,
    ),
    # -- the contract of coraza-kubernetes-operator
    Metric(
        name="coraza_waf_requests_total",
        kind=_COUNTER,
        help="Requests that were judged, by outcome.",
        application="engine",
        labels=(("outcome", OUTCOMES),),
    ),
    Metric(
        name="coraza_waf_rule_hits_total",
        kind=_COUNTER,
        help="Matches of rules that are logged, by the outcome of the transaction so far; "
        f"an application's first {RULE_SLOTS} rules by id, the rest as other.",
        application="engine",
        labels=(("rule_id", ()), ("severity", ()), ("outcome", HIT_OUTCOMES)),
        made=True,
    ),
    Metric(
        name="coraza_waf_blocked_requests_total",
        kind=_COUNTER,
        help="Requests that were blocked, once for each category that their matched rules have, "
        "with the highest severity in it.",
        application="engine",
        labels=(("category", CATEGORY_NAMES), ("severity", SEVERITIES)),
        sparse=True,
    ),
    Metric(
        name="coraza_waf_request_anomaly_score",
        kind=_HISTOGRAM,
        help="Inbound anomaly score of requests.",
        application="engine",
        buckets=SCORES,
    ),
    Metric(
        name="coraza_waf_rule_overrides",
        kind=_GAUGE,
        help="Rules that directives after them disabled or changed.",
        application="engine",
        labels=(("rule_id", ()), ("type", ())),
        made=True,
    ),
    Metric(
        name="coraza_waf_plugin_loads_total",
        kind=_COUNTER,
        help="Loads of rule sets, at the start and by reloads.",
        application="engine",
        labels=(("status", ("success", "failure")),),
    ),
    Metric(
        name="coraza_waf_plugin_rule_count",
        kind=_GAUGE,
        help="Rules in use, after all that remove or change rules.",
        application="engine",
        made=True,
    ),
    # -- verdicts and time
    Metric(
        name="spoa_waf_responses_total",
        kind=_COUNTER,
        help="Responses that were judged, by outcome.",
        application="application",
        labels=(("outcome", OUTCOMES),),
    ),
    Metric(
        name="spoa_waf_no_verdict_total",
        kind=_COUNTER,
        help="Messages answered with error and reason in the place of a verdict.",
        labels=(("reason", REASONS),),
    ),
    Metric(
        name="spoa_waf_phase_duration_seconds",
        kind=_HISTOGRAM,
        help="Time in the rules of a phase.",
        application="application",
        labels=(("phase", PHASES),),
        buckets=FINE,
    ),
    Metric(
        name="spoa_waf_budget_exceeded_total",
        kind=_COUNTER,
        help="Transactions that took more processor time than budget_ms, by what was done.",
        application="application",
        labels=(("action", BUDGET_ACTIONS),),
    ),
    Metric(
        name="spoa_waf_bodies_truncated_total",
        kind=_COUNTER,
        help="Bodies of which HAProxy sent only a part.",
        application="application",
        labels=(("direction", DIRECTIONS),),
    ),
    Metric(
        name="spoa_waf_skipped_total",
        kind=_COUNTER,
        help="Requests (path) and bodies (content-type) that a skip list spared.",
        application="application",
        labels=(("list", SKIPPED),),
    ),
    # -- transactions that wait for their response
    Metric(
        name="spoa_waf_transactions_waiting",
        kind=_GAUGE,
        help="Transactions that wait for their response.",
        application="application",
    ),
    Metric(
        name="spoa_waf_transactions_waiting_bytes",
        kind=_GAUGE,
        help="About how many bytes they hold.",
        application="application",
    ),
    Metric(
        name="spoa_waf_transactions_limit",
        kind=_GAUGE,
        help="How many may wait (transaction_active_limit), all workers together.",
        application="application",
    ),
    Metric(
        name="spoa_waf_transactions_dropped_total",
        kind=_COUNTER,
        help="Transactions that stopped waiting without a response, by reason.",
        application="application",
        labels=(("reason", tuple(str(gone) for gone in DROPPED)),),
    ),
    Metric(
        name="spoa_waf_transaction_misses_total",
        kind=_COUNTER,
        help="Responses whose transaction was not there, by what had become of it.",
        application="application",
        labels=(("reason", GONE),),
    ),
    # -- connections
    Metric(name="spoa_waf_open_connections", kind=_GAUGE, help="Connections of HAProxy that are open."),
    Metric(name="spoa_waf_connections_total", kind=_COUNTER, help="Connections of HAProxy that were accepted."),
    Metric(
        name="spoa_waf_connection_failures_total",
        kind=_COUNTER,
        help="Connections ended for what came on them, by SPOP status; frame-too-big is an oversized frame.",
        labels=(("status", FAILURES),),
    ),
    Metric(
        name="spoa_waf_frames_received_total",
        kind=_COUNTER,
        help="Frames received; a NOTIFY in fragments is one.",
        labels=(("type", FRAMES_IN),),
    ),
    Metric(
        name="spoa_waf_frames_sent_total",
        kind=_COUNTER,
        help="Frames sent.",
        labels=(("type", FRAMES_OUT),),
    ),
    Metric(name="spoa_waf_received_bytes_total", kind=_COUNTER, help="Bytes received from HAProxy."),
    Metric(name="spoa_waf_sent_bytes_total", kind=_COUNTER, help="Bytes sent to HAProxy."),
    Metric(
        name="spoa_waf_queue_delay_seconds",
        kind=_HISTOGRAM,
        help="How late the loop was with something due, looked at ten times a second: as long a frame has waited.",
        buckets=FINE,
    ),
    # -- processes
    Metric(name="spoa_waf_workers", kind=_GAUGE, help="Processes that answer.", made=True),
    Metric(
        name="spoa_waf_worker_restarts_total",
        kind=_COUNTER,
        help="Workers that died, or hung and were ended, and were replaced.",
        labels=(("reason", RESTARTS),),
        made=True,
    ),
    Metric(
        name="spoa_waf_worker_cpu_seconds_total",
        kind=_COUNTER,
        help="Processor time of each process that answers.",
        labels=(("worker", ()),),
        made=True,
    ),
    Metric(
        name="spoa_waf_worker_resident_memory_bytes",
        kind=_GAUGE,
        help="Memory of each process that answers; what they share counts in each.",
        labels=(("worker", ()),),
        made=True,
    ),
    Metric(
        name="spoa_waf_forwarded_responses_total",
        kind=_COUNTER,
        help="Responses passed on to the worker that keeps their transaction; failed: without an answer in time.",
        labels=(("result", FORWARDED),),
        made=True,
    ),
    Metric(
        name="spoa_waf_reloads_total",
        kind=_COUNTER,
        help="Reloads of configuration and rules.",
        labels=(("result", ("success", "failure")),),
        made=True,
    ),
    Metric(
        name="spoa_waf_last_reload_successful",
        kind=_GAUGE,
        help="Whether what was read last, at the start or by a reload, is in use.",
        made=True,
    ),
    Metric(
        name="spoa_waf_last_reload_success_timestamp_seconds",
        kind=_GAUGE,
        help="When what is in use was read.",
        made=True,
    ),
    Metric(
        name="spoa_waf_rules_ready",
        kind=_GAUGE,
        help="1 when the application's patterns are compiled; 0 while rules run plainly.",
        application="application",
        made=True,
    ),
    Metric(
        name="spoa_waf_databases",
        kind=_GAUGE,
        help="Databases of patterns in use: compiled by this process, or loaded from the cache folder.",
        labels=(("how", DATABASES),),
        made=True,
    ),
    # -- what is shared with other agents
    Metric(
        name="spoa_waf_shared_store_requests_total",
        kind=_COUNTER,
        help="Questions to the shared store (Redis, Valkey); refused: not asked, because it did not answer lately.",
        labels=(("result", SHARED),),
    ),
    Metric(
        name="spoa_waf_shared_store_duration_seconds",
        kind=_HISTOGRAM,
        help="Time of questions to the shared store.",
        buckets=FINE,
    ),
    # -- logs, version
    Metric(name="spoa_waf_log_lines_lost_total", kind=_COUNTER, help="Log lines that could not be written."),
    Metric(
        name="spoa_waf_build_info",
        kind=_GAUGE,
        help="1, with the versions of the agent and of Python.",
        labels=(("version", ()), ("python", ())),
        made=True,
    ),
)

BY_NAME = {metric.name: metric for metric in METRICS}


def markdown() -> str:
    """The table as it stands in docs/metrics.md."""
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for metric in METRICS:
        names = [f"`{metric.application}`"] if metric.application else []
        if metric.application == "engine":
            names += ["`namespace`", "`driver_type`"]
        for name, values in metric.labels:
            shown = f": {', '.join(values)}" if 0 < len(values) <= 15 else ""
            names.append(f"`{name}`{shown}")
        text = metric.help
        if metric.buckets:
            text += f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}"
        lines.append(f"| `{metric.name}` | {metric.kind} | {'; '.join(names)} | {text} |")
    return "\n".join(lines) + "\n"
