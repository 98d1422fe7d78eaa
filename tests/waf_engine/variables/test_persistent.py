"""The persistent collections, and what the engine itself knows of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import exchange, load, values
from tests.waf_engine.variables.samples import sample

if TYPE_CHECKING:
    from tests.waf_engine.variables.samples import Row

ROWS: dict[str, list[Row]] = {
    name: [("persistent", [
        (b"key", key), (b"is_new", b"1"), (b"create_time", b"1700000000"), (b"last_update_time", b"1700000000"),
        (b"timeout", b"3600"), (b"update_counter", b"1"), (b"update_rate", b"1"), (member, value),
    ]), ("bare", [])]
    for name, key, member, value in (
        ("IP", b"192.0.2.7", b"a", b"1"), ("SESSION", b"sid", b"b", b"2"), ("USER", b"uid", b"c", b"3"),
        ("GLOBAL", b"g", b"d", b"4"), ("RESOURCE", b"rsc", b"e", b"5"),
    )
} | {
    "SESSIONID": [("persistent", [(b"", b"sid")]), ("bare", [(b"", b"")])],
    "USERID": [("persistent", [(b"", b"uid")]), ("bare", [(b"", b"")])],
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    exchanges = ROWS[name]

    assert {sample_name: values(sample(sample_name), name) for sample_name, _ in exchanges} == dict(exchanges)


def test_what_is_known_of_a_collection_follows_its_use():
    now = [1_000.0]
    waf = load('SecAction "id:1,phase:1,pass,initcol:global=g,setvar:global.n=+1"', clock=lambda: now[0])
    seen = []
    for _ in range(4):
        tx = exchange(waf)
        found = dict(values(tx, "GLOBAL"))
        seen.append(
            [int(found[name]) for name in (b"is_new", b"last_update_time", b"update_counter", b"update_rate", b"n")]
        )
        now[0] += 60

    # The rate is of updates a minute since the collection was made, the first minute taken as a whole one.
    assert seen == [[1, 1000, 1, 1, 1], [0, 1060, 2, 2, 2], [0, 1120, 3, 1, 3], [0, 1180, 4, 1, 4]]
    assert dict(values(tx, "GLOBAL"))[b"create_time"] == b"1000"


def test_a_member_that_a_rule_sets_takes_the_place_of_a_built_in_one():
    tx = exchange('SecAction "id:1,phase:1,pass,initcol:ip=x,setvar:ip.timeout=60,setvar:ip.key=mine"')

    assert dict(values(tx, "IP"))[b"timeout"] == b"60"
    assert dict(values(tx, "IP"))[b"key"] == b"mine"
