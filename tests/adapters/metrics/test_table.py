from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.metrics.table import BY_NAME, CATEGORIES, CATEGORY_NAMES, METRICS, Kind, Metric, markdown
from waf_engine.runtime.match import SEVERITIES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def test_the_page_shows_this_table():
    """To renew it: python -c 'from adapters.metrics.table import markdown; print(markdown())'."""
    assert markdown() in PAGE.read_text("utf-8")


def test_names_are_unique():
    assert len(BY_NAME) == len(METRICS)
    families = [metric.name.removesuffix("_total") for metric in METRICS]  # as OpenMetrics has them
    assert len(set(families)) == len(families)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_and_units_are_as_prometheus_asks(metric: Metric):
    assert re.fullmatch(r"(spoa_waf|coraza_(waf|handle))_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.help.endswith(".")
    assert metric.application in ("", "engine", "application")


@pytest.mark.parametrize("metric", [each for each in METRICS if not each.made], ids=lambda metric: metric.name)
def test_labels_of_what_is_written_are_bounded(metric: Metric):
    assert all(values and len(set(values)) == len(values) for _, values in metric.labels)


def test_the_old_histogram_is_as_coraza_spoa_has_it():
    metric = BY_NAME["coraza_handle_spoe_duration_seconds"]

    assert (metric.kind, metric.application, metric.labels) == (Kind.HISTOGRAM, "", ())
    assert metric.buckets == (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def test_the_contracts_buckets_are_among_those_of_the_score():
    buckets = BY_NAME["coraza_waf_request_anomaly_score"].buckets

    assert {0, 5, 10, 15, 20, 30, 40, 50, 75, 100} <= set(buckets)


def test_categories_and_severities():
    assert set(CATEGORIES.values()) | {"other"} == set(CATEGORY_NAMES)
    labels = dict(BY_NAME["coraza_waf_blocked_requests_total"].labels)
    assert [each.lower() for each in labels["severity"]] == [*SEVERITIES, "none"]
