"""The sheets of all processes, living and ended, added up for Prometheus.

Here: a collector for prometheus_client, which makes the text. Not here: serving it (health.py), what is counted when.

A counter never goes back: what an ended process had counted is kept, under the names that it had. Gauges are of living
processes only.
"""

from __future__ import annotations

import math
import os
import platform
import threading
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from adapters.metrics.recorder import Recorder
from adapters.metrics.sheet import Sheet, places, series
from adapters.metrics.table import BY_NAME, DATABASES, HIT_OUTCOMES, METRICS, RULE_SLOTS, SEVERITIES, Kind, Metric
from adapters.workers.status import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from adapters.metrics.facts import Facts
    from adapters.workers.status import StatusReport

    Key = tuple[str, str, int]  # name of the metric, application, number of the series
    Hits = dict[tuple[str, int], list[float]]  # application and rule: severity, then matches by outcome

DRIVER = "spoa"
"""The contract's `driver_type`."""
NAMESPACE_VARIABLE = "POD_NAMESPACE"
"""The environment variable with the contract's `namespace`; Kubernetes' downward API sets it under this usual name."""


class Board(Collector):
    """All numbers of an agent, for prometheus_client.

    Args:
        status: tells of the agent's processes and reloads.

    Attributes:
        recorder: the observer of this process.
        refresh: called before numbers are read, for those of this process that are only set now and then.
    """

    def __init__(self, status: Callable[[], StatusReport]) -> None:
        self._status = status
        self.refresh: list[Callable[[], None]] = []
        self._facts: dict[str, Facts] = {}
        self._own = Sheet(())
        self.recorder = Recorder(self._own)
        self._sheets = [self._own]
        self._past: dict[Key, list[float]] = {}
        self._past_hits: Hits = {}
        self._named: dict[str, dict[int, None]] = {}
        self._lock = threading.Lock()  # one thread serves while another one reloads

    def configure(self, facts: Mapping[str, Facts]) -> None:
        """Take the applications of a configuration, at the start and after a reload.

        Args:
            facts: what is known of their rules, by their names.
        """
        with self._lock:
            self._facts = dict(facts)
            if self._own.applications != tuple(facts):
                old, self._own = self._own, Sheet(facts)
                self._sheets[self._sheets.index(old)] = self._own
                self._copy_gauges(old, self._own)
                self.recorder.use(self._own)
                self._keep(old)
            known = {*(name for sheet in self._sheets for name in sheet.applications), ""}
            self._past = {key: cells for key, cells in self._past.items() if key[1] in known}
            self._past_hits = {key: counts for key, counts in self._past_hits.items() if key[0] in known}
            self._named = {name: ids for name, ids in self._named.items() if name in known}
            self.recorder.loaded(facts, success=True)

    def update(self, facts: Mapping[str, Facts]) -> None:
        """Take newer facts of the same applications."""
        self._facts = dict(facts)

    def refused(self) -> None:
        """A reload brought nothing: the applications stay as they are."""
        self.recorder.loaded(self._facts, success=False)

    def new_sheet(self, applications: Iterable[str] | None = None) -> Sheet:
        """A sheet for a worker, or for several one after the other; it counts from now on.

        Args:
            applications: their names; None for those that were configured last.
        """
        with self._lock:
            sheet = Sheet(self._facts if applications is None else applications)
            self._sheets.append(sheet)
            return sheet

    def retire(self, sheet: Sheet) -> None:
        """Nobody will write to a sheet any more: what was counted on it stays."""
        with self._lock:
            self._sheets.remove(sheet)
            self._keep(sheet)

    def registry(self) -> CollectorRegistry:
        """A registry of this board and of what prometheus_client tells about this process and Python."""
        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry, pid=partial(int, os.getpid()))  # also when a fork of it is asked
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

    def settle(self) -> None:
        """Give names to the rules that matched since; before a fork that is to tell Prometheus and then forgotten."""
        with self._lock:
            for _ in self._hits(BY_NAME["coraza_waf_rule_hits_total"], self._totals()[1]):
                pass

    def collect(self) -> Iterator[Family]:
        """All metrics, as prometheus_client wants them."""
        for update in self.refresh:
            update()
        with self._lock:
            totals, hits = self._totals()
            families = [self._family(metric, totals, hits) for metric in METRICS]
        yield from families

    def describe(self) -> Iterator[Family]:
        """The metrics without their numbers, for the registry's look for names that occur twice."""
        for metric in METRICS:
            yield _empty(metric)

    # -- adding up ----------------------------------------------------------------------------------

    def _keep(self, sheet: Sheet) -> None:
        """Keep what a sheet counted, and let go of it."""
        for metric in METRICS:
            if metric.made or metric.kind is Kind.GAUGE:
                continue
            for application, number, cells in sheet.values(metric):
                _add(self._past, (metric.name, application, number), cells)
        _add_hits(self._past_hits, sheet)
        sheet.close()

    def _copy_gauges(self, old: Sheet, new: Sheet) -> None:
        for metric in METRICS:
            if metric.kind is Kind.GAUGE and not metric.made and not metric.application:
                for (_, _, (value,)), place in zip(old.values(metric), places(metric), strict=True):
                    new.cells[place] = value

    def _totals(self) -> tuple[dict[Key, list[float]], Hits]:
        totals = {key: list(cells) for key, cells in self._past.items()}
        hits = {key: list(counts) for key, counts in self._past_hits.items()}
        for sheet in self._sheets:
            for metric in METRICS:
                if not metric.made:
                    for application, number, cells in sheet.values(metric):
                        _add(totals, (metric.name, application, number), cells)
            _add_hits(hits, sheet)
        return totals, hits

    # -- families -----------------------------------------------------------------------------------

    def _family(self, metric: Metric, totals: Mapping[Key, list[float]], hits: Hits) -> Family:
        family = _empty(metric)
        if metric.made:
            for labels, value in self._made(metric, totals, hits):
                family.add_sample(metric.name, labels, value)
            return family
        combinations = series(metric)
        names = [name for name, _ in metric.labels]
        applications = [*dict.fromkeys(key[1] for key in totals if key[1])] if metric.application else [""]
        for application in applications:
            fixed = self._fixed(metric, application)
            for number, values in enumerate(combinations):
                cells = totals.get((metric.name, application, number))
                if cells is None or (metric.sparse and not any(cells)):
                    continue
                _add_series(family, metric, fixed | dict(zip(names, values, strict=True)), cells)
        return family

    def _fixed(self, metric: Metric, application: str) -> dict[str, str]:
        """The labels that name the application."""
        if metric.application == "engine":
            return {
                "engine": application,
                "namespace": os.environ.get(NAMESPACE_VARIABLE, ""),
                "driver_type": DRIVER,
            }
        return {metric.application: application} if metric.application else {}

    def _made(
        self, metric: Metric, totals: Mapping[Key, list[float]], hits: Hits
    ) -> Iterable[tuple[dict[str, str], float]]:
        """The series of a metric that nobody writes."""
        match metric.name:
            case "coraza_handle_spoe_count":
                return [({}, sum(totals["coraza_handle_spoe_duration_seconds", "", 0][:-1]))]
            case "coraza_handle_responses_severity":
                return _by_severity(hits)
            case "coraza_handle_responses_rules":
                return self._by_rule(hits)
            case "coraza_handle_version":
                versions = dict.fromkeys(each for facts in self._facts.values() for each in facts.versions)
                return [({"version": each}, 1) for each in versions]
            case "coraza_waf_rule_hits_total":
                return self._hits(metric, hits)
            case "coraza_waf_rule_overrides":
                return [
                    (self._fixed(metric, name) | {"rule_id": str(rule_id), "type": how}, 1)
                    for name, facts in self._facts.items()
                    for rule_id, how in facts.overrides
                ]
            case "coraza_waf_plugin_rule_count":
                return [(self._fixed(metric, name), facts.rules) for name, facts in self._facts.items()]
            case "spoa_waf_rules_ready":
                return [(self._fixed(metric, name), facts.ready) for name, facts in self._facts.items()]
            case "spoa_waf_databases":
                counts = {facts.databases for facts in self._facts.values()}
                return [
                    ({"how": how}, sum(each[1 + number] for each in counts)) for number, how in enumerate(DATABASES)
                ]
            case "spoa_waf_build_info":
                return [({"version": version("spoa-waf"), "python": platform.python_version()}, 1)]
            case "spoa_waf_worker_cpu_seconds_total" | "spoa_waf_worker_resident_memory_bytes":
                return self._of_processes(metric)
            case _:
                return _of_status(metric, self._status())

    def _of_processes(self, metric: Metric) -> Iterable[tuple[dict[str, str], float]]:
        """Processor time or memory of each process that answers."""
        source = {
            "spoa_waf_worker_cpu_seconds_total": "process_cpu_seconds_total",
            "spoa_waf_worker_resident_memory_bytes": "process_resident_memory_bytes",
        }[metric.name]
        found = []
        for worker in self._status().workers:
            for family in ProcessCollector(pid=partial(int, worker.pid), registry=None).collect():
                found += [
                    ({"worker": str(worker.slot)}, sample.value) for sample in family.samples if sample.name == source
                ]
        return found

    def _hits(self, metric: Metric, hits: Hits) -> Iterator[tuple[dict[str, str], float]]:
        """Matches by rule: once a rule of an application has series of its own, it keeps them."""
        others: dict[tuple[str, int, int], float] = {}
        for (application, rule_id), (severity, *counts) in sorted(hits.items(), key=_most_first):
            named = self._named.setdefault(application, {})
            known = rule_id > 0 and (rule_id in named or len(named) < RULE_SLOTS)
            if known:
                named[rule_id] = None
            for number, count in enumerate(counts):
                if not known:
                    key = application, int(severity), number
                    others[key] = others.get(key, 0.0) + count
                elif count:
                    yield self._hit(metric, application, str(rule_id), int(severity), number), count
        for (application, severity_number, number), count in others.items():
            if count:
                yield self._hit(metric, application, "other", severity_number, number), count

    def _hit(self, metric: Metric, application: str, rule: str, severity: int, outcome: int) -> dict[str, str]:
        labels = {"rule_id": rule, "severity": SEVERITIES[severity], "outcome": HIT_OUTCOMES[outcome]}
        return self._fixed(metric, application) | labels

    def _by_rule(self, hits: Hits) -> Iterator[tuple[dict[str, str], float]]:
        totals: dict[str, float] = {}
        for labels, count in self._hits(BY_NAME["coraza_waf_rule_hits_total"], hits):
            totals[labels["rule_id"]] = totals.get(labels["rule_id"], 0.0) + count
        for rule_id, count in totals.items():
            yield {"rule_id": rule_id}, count


def _of_status(metric: Metric, status: StatusReport) -> list[tuple[dict[str, str], float]]:
    """What the table of processes knows."""
    match metric.name:
        case "spoa_waf_workers":
            return [({}, sum(each.state is State.SERVING for each in status.workers))]
        case "spoa_waf_worker_restarts_total":
            counts: dict[str, float] = {"died": status.restarts - status.hangs, "hung": status.hangs}
            return [({"reason": reason}, count) for reason, count in counts.items()]
        case "spoa_waf_forwarded_responses_total":
            counts = {"answered": status.forwarded - status.forwards_failed, "failed": status.forwards_failed}
            return [({"result": result}, count) for result, count in counts.items()]
        case "spoa_waf_reloads_total":
            counts = {"success": status.reloads, "failure": status.reloads_failed}
            return [({"result": result}, count) for result, count in counts.items()]
        case "spoa_waf_last_reload_successful":
            return [({}, status.reloaded >= status.reload_failed)]
        case "spoa_waf_last_reload_success_timestamp_seconds":
            return [({}, status.reloaded or status.started)]
    raise KeyError(metric.name)


def _by_severity(hits: Hits) -> Iterator[tuple[dict[str, str], float]]:
    totals: dict[int, float] = {}
    for severity, *counts in hits.values():
        totals[int(severity)] = totals.get(int(severity), 0.0) + sum(counts)
    for number, count in sorted(totals.items()):
        yield {"severity": SEVERITIES[number].lower()}, count


def _most_first(item: tuple[tuple[str, int], list[float]]) -> tuple[str, float]:
    (application, _), (_, *counts) = item
    return application, -sum(counts)


def _add(totals: dict[Key, list[float]], key: Key, cells: list[float]) -> None:
    known = totals.get(key)
    if known is None:
        totals[key] = cells
    else:
        totals[key] = [a + b for a, b in zip(known, cells, strict=True)]


def _add_hits(hits: Hits, sheet: Sheet) -> None:
    for application in sheet.applications:
        for rule_id, severity, counts in sheet.hits(application):
            # Those without a slot are told apart by severity, as ids that no rule has.
            key = application, rule_id or -1 - severity
            known = hits.get(key, [severity] + [0.0] * len(HIT_OUTCOMES))
            hits[key] = [severity, *(a + b for a, b in zip(known[1:], counts, strict=True))]


def _empty(metric: Metric) -> Family:
    kind = "unknown" if metric.kind is Kind.UNTYPED else str(metric.kind)
    return Family(metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name, metric.help, kind)


def _add_series(family: Family, metric: Metric, labels: dict[str, str], cells: list[float]) -> None:
    if metric.kind is not Kind.HISTOGRAM:
        family.add_sample(metric.name, labels, cells[0])
        return
    *counts, total = cells
    so_far = 0.0
    for bound, count in zip((*metric.buckets, math.inf), counts, strict=True):
        so_far += count
        label = "+Inf" if bound == math.inf else repr(bound)  # as OpenMetrics wants it
        family.add_sample(f"{metric.name}_bucket", labels | {"le": label}, so_far)
    family.add_sample(f"{metric.name}_sum", labels, total)
    family.add_sample(f"{metric.name}_count", labels, so_far)
