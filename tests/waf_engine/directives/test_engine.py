"""Directives that set the engine as a whole."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import exchange, faults, load, matched
from waf_engine.settings import EngineMode

ROWS = {
    "SecRuleEngine": ("DetectionOnly", "Maybe"),
    "SecComponentSignature": ('"core/1"', "a b"),
    "SecServerSignature": ('"nginx"', ""),
    "SecSensorId": ("sensor-1", ""),
    "SecWebAppId": ("shop", "a b"),
    "SecCollectionTimeout": ("600", "0"),
    "SecPcreMatchLimit": ("1000", "none"),
    "SecGeoLookupDb": ("/usr/share/geo.mmdb", ""),
    "SecDataset": ("names `a\nb`", "names"),
}
"""Directive: an argument that is accepted, and one that is refused."""


@pytest.mark.parametrize(
    ("directive", "setting", "value"),
    [
        ("SecRuleEngine detectiononly", "rule_engine", EngineMode.DETECTION_ONLY),
        ("SecRuleEngine Off\nSecRuleEngine On", "rule_engine", EngineMode.ON),  # the later one counts
        ('SecComponentSignature "a/1"\nSecComponentSignature b', "component_signatures", ("a/1", "b")),
        ("SecServerSignature x", "server_signature", "x"),
        ("SecSensorId x", "sensor_id", "x"),
        ("SecWebAppId x", "web_app_id", "x"),
        ("SecCollectionTimeout 60", "collection_timeout", 60),
        ("SecPcreMatchLimit 5", "pcre_match_limit", 5),
        ("SecPcreMatchLimit 5\nSecPcreMatchLimitRecursion 7", "pcre_match_limit", 5),
        ("SecGeoLookupDb /x.mmdb", "geo_database", "/x.mmdb"),
    ],
)
def test_what_each_sets(directive: str, setting: str, value: object):
    assert getattr(load(directive).plan.settings, setting) == value


def test_a_dataset_is_a_list_of_lines_without_comments():
    rules = (
        "SecDataset names `\n  # people\n  alice\n\n  bob  \n`\n" + 'SecRule ARGS "@pmFromDataset names" "id:1,phase:1"'
    )

    assert [matched(exchange(rules, f"/?a={name}")) for name in ("alice", "bob", "people", "eve")] == [[1], [1], [], []]


def test_a_dataset_is_known_after_it_only():
    rules = 'SecRule ARGS "@pmFromDataset names" "id:1,phase:1"\nSecDataset names `a`'

    assert faults(rules) == [("no-dataset", 1, 30)]
