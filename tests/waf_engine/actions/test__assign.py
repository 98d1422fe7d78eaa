"""Assignments to TX, by themselves; what a rule makes of them: test_data.py."""

from __future__ import annotations

import pytest

from waf_engine import WAF
from waf_engine.actions._assign import Assignment, NamingAssignment

WAF_OF_ONE = WAF.from_directives('SecAction "id:1,phase:1,nolog,pass"', executor="reference")
RULE = WAF_OF_ONE.plan.rules[0]


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [(None, b"text", b"text"), (None, b"+5", b"5"), (b"7", b"-2", b"5"), (b"7", b"+x", b"+x"), (b"x", b"+1", b"x")],
)
def test_a_member_is_set_or_counted(before: bytes | None, value: bytes, after: bytes):
    tx = WAF_OF_ONE.transaction()
    if before is not None:
        tx.tx[b"score"] = before

    Assignment(b"score", lambda _tx: value)(tx, RULE)

    assert tx.tx[b"score"] == after
    assert tx.made_keys == []


def test_a_name_that_is_made_at_run_time_is_folded_and_remembered():
    tx = WAF_OF_ONE.transaction()
    assign = NamingAssignment(lambda _tx: b"Header_X", lambda _tx: b"+2")

    assign(tx, RULE)
    assign(tx, RULE)

    assert tx.tx[b"header_x"] == b"4"
    assert tx.made_keys == [b"header_x", b"header_x"]
