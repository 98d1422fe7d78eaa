"""A profile as people and programs read it."""

from __future__ import annotations

import json

from adapters.profile.report import Profile, as_json, as_text
from waf_engine import WAF
from waf_engine.profiling import CHAIN, OPERATOR, REST, RULE, Row

PLAN = WAF.from_directives('SecRule ARGS "@rx a" "id:7,phase:1,pass"', executor="reference").plan
ROWS = (
    Row(RULE, "7", 0.004, 40),
    Row(OPERATOR, "7 @rx", 0.003, 80),
    Row(CHAIN, "t:lowercase", 0.002, 8),
    Row(REST, "", 0.001, 10),
)
PROFILE = Profile(PLAN, "plan", 5, 2, ROWS)


def test_tables():
    text = as_text(PROFILE, 1)

    assert text.startswith("5 requests, each 2 times, executor plan: 1000 us each, their timing included\n")
    assert "      400.0   40.0%            4.0  7  (" in text
    assert "      200.0   20.0%            0.8  t:lowercase\n" in text
    assert "        0.0    0.0%            0.0  scans, by database\n" in text
    assert text.count("all else") == 1
    assert " more" not in text


def test_what_is_left_out_is_summed_up():
    rows = tuple(Row(CHAIN, f"t:{number}", 0.001, 1) for number in range(5))

    assert "      300.0   60.0%            0.3  3 more\n" in as_text(Profile(PLAN, "plan", 10, 1, rows), 2)


def test_json():
    found = json.loads(as_json(PROFILE))

    assert found["microseconds"] == 1000
    assert found["rows"][0]["name"] == "7"
    assert found["rows"][0]["place"].endswith(":1")
    assert found["rows"][3] == {"kind": "rest", "name": "", "microseconds": 100.0, "share": 0.1, "calls": 1.0}


def test_a_profile_of_nothing_is_no_fault():
    empty = Profile(PLAN, "plan", 1, 1, ())

    assert "0.0%" in as_text(empty, 3)
    assert json.loads(as_json(empty))["rows"] == []
