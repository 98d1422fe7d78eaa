"""Alert rules and dashboard speak of metrics and labels that exist, in expressions that Prometheus can read.

promtool is not at hand: this is a reader of as much PromQL as these files use, stricter than the language.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.metrics.table import BY_NAME, METRICS, Kind, Metric

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
DASHBOARD: dict[str, Any] = json.loads((CONTRIB / "grafana" / "dashboard.json").read_text("utf-8"))
ALERTS: list[dict[str, Any]] = yaml.safe_load((CONTRIB / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
RULES = [rule for group in ALERTS for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

FUNCTIONS = {"rate", "increase", "changes", "histogram_quantile", "time"}
AGGREGATES = {"sum", "min", "max", "topk"}
FROM_PROMETHEUS = {"instance", "job"}
TOKEN = re.compile(
    r"""\s*(?:(?P<string>"[^"]*")|(?P<number>\d+(?:\.\d+)?(?![smhd\w]))|(?P<range>\[\d+[smhd]\])"""
    r"""|(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<operator>==|!=|=~|!~|>=|<=|[-+*/><=(){},]))"""
)


class BadExpressionError(Exception):
    pass


def tokens(expression: str) -> list[tuple[str, str]]:
    found, place = [], 0
    text = expression.replace("$__rate_interval", "5m").replace("$__range", "6h").strip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise BadExpressionError(f"cannot read {text[place:]!r}")
        place = match.end()
        found.append((match.lastgroup or "", match[match.lastgroup or 0]))
    return found


def labels_of(metric: Metric) -> set[str]:
    names = {name for name, _ in metric.labels} | FROM_PROMETHEUS
    if metric.application == "engine":
        names |= {"engine", "namespace", "driver_type"}
    elif metric.application:
        names.add(metric.application)
    return names


def metric_of(name: str) -> tuple[Metric, set[str]]:
    """The metric that a series belongs to, and its labels."""
    if name in BY_NAME and BY_NAME[name].kind is not Kind.HISTOGRAM:
        return BY_NAME[name], labels_of(BY_NAME[name])
    base, _, suffix = name.rpartition("_")
    if base in BY_NAME and BY_NAME[base].kind is Kind.HISTOGRAM and suffix in ("bucket", "sum", "count"):
        return BY_NAME[base], labels_of(BY_NAME[base]) | ({"le"} if suffix == "bucket" else set())
    raise BadExpressionError(f"there is no metric {name}")


class Reader:
    """Reads an expression; what it meets is left in the attributes."""

    def __init__(self, expression: str) -> None:
        self.left = tokens(expression)
        self.metrics: list[str] = []
        self.known: set[str] = set()
        self.grouped: set[str] = set()
        self.expression()
        if self.left:
            raise BadExpressionError(f"more than an expression: {self.left}")
        if self.grouped - self.known:
            raise BadExpressionError(f"grouped by {self.grouped - self.known}, which no metric here has")

    def take(self, *wanted: str) -> str:
        if not self.left:
            raise BadExpressionError(f"ends where {wanted} should be")
        kind, text = self.left.pop(0)
        if wanted and text not in wanted and kind not in wanted:
            raise BadExpressionError(f"{text!r} stands where {wanted} should")
        return text

    def next(self) -> str:
        return self.left[0][1] if self.left else ""

    def expression(self) -> None:
        self.operand()
        while self.next() in ("+", "-", "*", "/", "==", "!=", ">", "<", ">=", "<="):
            self.take()
            self.operand()

    def operand(self) -> None:
        kind, text = self.left[0] if self.left else ("", "")
        if kind == "number":
            self.take()
        elif text == "(":
            self.take()
            self.expression()
            self.take(")")
        elif text in AGGREGATES:
            self.take()
            if self.next() == "by":
                self.take()
                self.grouped |= set(self.names())
            self.arguments()
        elif text in FUNCTIONS:
            self.take()
            self.arguments()
            if text in ("rate", "increase", "changes") and not self.ranged:
                raise BadExpressionError(f"{text} needs a range")
        else:
            self.selector()

    def names(self) -> list[str]:
        self.take("(")
        found = [self.take("name")]
        while self.next() == ",":
            self.take()
            found.append(self.take("name"))
        self.take(")")
        return found

    def arguments(self) -> None:
        self.take("(")
        while self.next() != ")":
            self.expression()
            if self.next() == ",":
                self.take()
        self.take(")")

    ranged = False

    def selector(self) -> None:
        name = self.take("name")
        if name == "up":
            labels = FROM_PROMETHEUS
        else:
            metric, labels = metric_of(name)
            self.metrics.append(metric.name)
        self.known |= labels
        if self.next() == "{":
            self.take()
            while self.next() != "}":
                label = self.take("name")
                if label not in labels:
                    raise BadExpressionError(f"{name} has no label {label}")
                operator, value = self.take("=", "!=", "=~", "!~"), self.take("string")[1:-1]
                self.value(name, label, operator, value)
                if self.next() == ",":
                    self.take()
            self.take("}")
        self.ranged = bool(self.left) and self.left[0][0] == "range"
        if self.ranged:
            self.take()
        elif name != "up" and metric_of(name)[0].kind is not Kind.GAUGE:
            raise BadExpressionError(f"the counter {name} without a range")

    def value(self, name: str, label: str, operator: str, value: str) -> None:
        """A value that the label never has is a mistake."""
        if "$" in value or label in FROM_PROMETHEUS:
            return
        allowed = dict(metric_of(name)[0].labels).get(label, ())
        for each in value.split("|") if operator in ("=~", "!~") else [value]:
            if allowed and each not in allowed:
                raise BadExpressionError(f"{label} of {name} is never {each!r}")


EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in RULES] + [
    (panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]
]


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_expressions(where: str, expression: str):
    assert Reader(expression).metrics or where == "SpoaWafGone"


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "sum(rate(spoa_waf_workers[5m])",
        "sum(rate(spoa_waf_workers[5m])))",
        "rate(spoa_waf_reloads_total)",
        "spoa_waf_reloads_total",
        "spoa_waf_no_such_thing",
        "coraza_handle_spoe_duration_seconds",
        'spoa_waf_workers{application="x"}',
        "sum by (phase) (spoa_waf_workers)",
        'rate(spoa_waf_reloads_total{result="maybe"}[5m])',
        'rate(spoa_waf_reloads_total{result=~"success|maybe"}[5m])',
        "spoa_waf_workers 5",
        "spoa_waf_workers ==",
        "median(spoa_waf_workers)",
        "spoa_waf_workers{instance=x}",
        "spoa_waf_workers; 1",
    ],
)
def test_what_is_refused(expression: str):
    with pytest.raises(BadExpressionError):
        Reader(expression)


def test_the_dashboard_shows_every_metric_of_ours():
    shown = {name for _, expression in EXPRESSIONS[len(RULES) :] for name in Reader(expression).metrics}
    variables = " ".join(each.get("definition", "") for each in DASHBOARD["templating"]["list"])
    ours = {metric.name for metric in METRICS if not metric.name.startswith("coraza_handle_")}

    # A load is a reload, or the start: the contract's counter says no more than ours.
    assert ours - shown - {"spoa_waf_build_info", "coraza_waf_plugin_loads_total"} == set()
    assert "spoa_waf_build_info" in variables


def test_the_dashboard_is_one_of_grafana_10():
    assert DASHBOARD["schemaVersion"] == 39
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "instance", "application"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) > 40
    known = {"row", "timeseries", "stat", "bargauge", "heatmap"}
    assert {panel["type"] for panel in DASHBOARD["panels"]} <= known
    for panel in PANELS:
        assert panel["targets"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_panels_do_not_overlap_and_fill_the_width():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len(taken) == 24 * (1 + max(y for _, y in taken))


def test_the_variables_of_the_dashboard_are_used():
    text = json.dumps(PANELS)

    assert all(f"${name}" in text or f"${{{name}}}" in text for name in ("datasource", "instance", "application"))
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)


def test_alerts_have_what_people_need():
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names) >= 15
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_texts_of_alerts_name_labels_that_are_there(rule: dict[str, Any]):
    texts = " ".join(rule["annotations"].values())
    reader = Reader(rule["expr"])
    there = reader.grouped or reader.known

    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= there
    assert texts.count("{{") == texts.count("}}")


def test_the_scrape_configuration():
    config = yaml.safe_load((CONTRIB / "prometheus" / "scrape.yml").read_text("utf-8"))

    (job,) = config["scrape_configs"]
    assert job["job_name"] == "spoa-waf"
    assert all(target.endswith(":9100") for each in job["static_configs"] for target in each["targets"])
    assert config["rule_files"] == ["alerts.yml"]
