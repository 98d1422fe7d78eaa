"""Coraza's own engine profiles (corpora/coraza-profiles): rules, requests, and which rules must match.

Each stage is a transaction of its own on the profile's WAF, driven as Coraza's runner does: Content-Length is
added to a body, the response is that of the stage's output.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.waf_engine.support import matched
from waf_engine import WAF, Interruption

if TYPE_CHECKING:
    from pathlib import Path

    from waf_engine import Transaction

EXCEPTIONS: dict[tuple[str, str], str] = {}
"""(profile, test's title): why it is not fulfilled."""

STAGES = 95


def drive(waf: WAF, given: dict[str, Any], output: dict[str, Any]) -> Transaction:
    tx = waf.transaction()
    tx.process_connection("127.0.0.1", 0, "127.0.0.1", 80)
    tx.process_uri(given["URI"] or "/", given["Method"] or "GET", given["Version"] or "HTTP/1.1")
    headers = {**(given["Headers"] or {})}
    body = given["Data"].encode()
    if body and "content-length" not in {name.lower() for name in headers}:
        headers["content-length"] = str(len(body))
    for name, value in headers.items():
        tx.add_request_header(name, value)
    tx.process_request_headers()
    tx.write_request_body(body)
    tx.process_request_body()
    for name, value in (output["Headers"] or {}).items():
        tx.add_response_header(name, value)
    tx.process_response_headers(200, "HTTP/1.1")
    tx.write_response_body((output["Data"] or "").encode())
    tx.process_response_body()
    tx.process_logging()
    tx.close()
    return tx


def wrongs(tx: Transaction, output: dict[str, Any]) -> list[str]:
    """What is not as the output says; empty when all is."""
    ids, lines = matched(tx), [rule.coraza_line() for rule in tx.matched_rules]
    found = [f"rule {n} did not match" for n in output["TriggeredRules"] or () if n not in ids]
    found += [f"rule {n} matched" for n in output["NonTriggeredRules"] or () if n in ids]
    if (text := output["LogContains"]) and not any(text in line for line in lines):
        found.append(f"the log lacks {text!r}: {lines}")
    if (text := output["NoLogContains"]) and any(text in line for line in lines):
        found.append(f"the log has {text!r}")
    if wanted := output["Interruption"]:
        expected = Interruption(wanted["Action"], wanted["Status"], wanted["Data"], wanted["RuleID"])
        if tx.interruption != expected:
            found.append(f"{tx.interruption}, expected {expected}")
    return found


@pytest.mark.corpora
def test_all_profiles(corpora: Path):
    data = corpora / "corpora" / "coraza-misc" / "testing" / "testdata"
    profiles = json.loads((corpora / "corpora" / "coraza-profiles" / "profiles.json").read_bytes())
    stages, wrong = 0, {}
    for profile in profiles:
        waf = WAF.from_directives(profile["Rules"], root=data)
        for test in profile["Tests"]:
            for number, entry in enumerate(test["Stages"]):
                stage = entry["Stage"]
                stages += 1
                if found := wrongs(drive(waf, stage["Input"], stage["Output"]), stage["Output"]):
                    wrong.setdefault((profile["Meta"]["Name"], test["Title"]), []).append((number, found))

    assert stages == STAGES
    unexplained = {place: found for place, found in wrong.items() if place not in EXCEPTIONS}
    assert unexplained == {}
    assert set(wrong) == set(EXCEPTIONS)  # what has come to work leaves the table
