"""chain, skip and skipAfter as the compiler takes them; how they run is in runtime/test_reference.py."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import faults, load

ROWS = {
    "chain": ("chain", None),
    "skip": ("skip:2", ("skip:0", 0)),
    "skipAfter": ("skipAfter:END", ("skipAfter:", -10)),
}
"""Action: what is accepted; what is refused, and the character of the value at fault (None: no value is taken)."""


def test_what_the_plan_holds():
    rules = load(
        'SecAction "id:1,phase:1,skip:3"\nSecAction "id:2,phase:1,skipAfter:END-X"\n'
        'SecAction "id:3,phase:1,chain"\nSecRule ARGS "@rx a" "t:none"\nSecMarker END-X'
    ).plan.rules

    assert [(r.id, r.skip, r.skip_after, r.marker, r.chain is not None) for r in rules] == [
        (1, 3, "", "", False), (2, 0, "END-X", "", False), (3, 0, "", "", True), (0, 0, "", "END-X", False)
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "100001", "٣"])
def test_skip_takes_a_number_of_rules(value: str):
    text = f'SecAction "id:1,phase:1,skip:{value}"'

    assert faults(text) == [("bad-argument", 1, text.index(value + '"') + 1)]
