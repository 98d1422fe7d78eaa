"""The debug log: what each level tells, and that it can be turned up for one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.audit.support import RULES, run
from tests.waf_engine.support import exchange
from waf_engine import WAF
from waf_engine.audit import debug
from waf_engine.audit.debug import debug_lines

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = {
    0: [],
    2: ["[2] deny, status 403, by rule 3"],
    3: [
        "[3] rule 1 matched in phase 2: SQL in ARGS:q",
        "[3] rule 2 matched in phase 2: not in the audit log",
        "[3] rule 3 matched in phase 3: no answer today",
        "[2] deny, status 403, by rule 3",
    ],
}


def texts(data: bytes) -> list[str]:
    return [line.partition("[TX-1] ")[2] for line in data.decode("utf-8", "surrogateescape").splitlines()]


@pytest.mark.parametrize("level", EXPECTED)
def test_levels(level: int):
    tx = run(WAF.from_directives(RULES))

    assert texts(debug_lines(tx, level)) == EXPECTED[level]


def test_higher_levels_tell_of_values_and_of_the_request():
    tx = run(WAF.from_directives(RULES))
    tx.set_tx(b"score", b"5")
    five, six, nine = (texts(debug_lines(tx, level)) for level in (5, 6, 9))

    assert "[5]   ARGS:q: union select" in five
    assert set(six) - set(five) == {"[6] TX:score=5"}
    assert {"[9] header Host: shop.example:443", "[9] argument x=1"} <= set(nine) - set(six)


def test_errors_come_first():
    tx = exchange(
        'SecRuleEngine On\nSecRequestBodyAccess On\nSecAction "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"',
        body=b'{"a":',
    )
    tx.note_limit("pcre")

    assert [text[:10] for text in (line.rpartition("] ")[2] for line in debug_lines(tx, 1).decode().splitlines())] == [
        "body: JSON",
        "limit pcre",
    ]


def test_lines_are_bounded_and_stay_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(debug, "MAX_LINES", 5)
    tx = exchange("SecRuleEngine On", b"/?a=%0a" + b"x" * 5000 + b"&b" * 50, headers=[("n", "v\nw")])
    lines = debug_lines(tx, 9).split(b"\n")

    assert len(lines) == 6
    assert max(map(len, lines)) < 1200
    assert rb"header n: v\x0aw" in lines[1]


def test_the_file(tmp_path: Path):
    log = tmp_path / "debug.log"
    waf = WAF.from_directives(f"{RULES}\nSecDebugLog {log}\nSecDebugLogLevel 2")
    run(waf)
    waf.close()

    assert texts(log.read_bytes()) == EXPECTED[2]


def test_no_file_without_a_level(tmp_path: Path):
    log = tmp_path / "debug.log"
    waf = WAF.from_directives(f"{RULES}\nSecDebugLog {log}")
    run(waf)
    waf.close()

    assert not log.exists()
