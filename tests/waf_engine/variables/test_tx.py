"""TX and ENV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import exchange, matched, values
from tests.waf_engine.variables.samples import sample

if TYPE_CHECKING:
    from tests.waf_engine.variables.samples import Row

ROWS: dict[str, list[Row]] = {
    "TX": [("rules", [(b"0", b"y"), (b"1", b"y"), (b"key", b"v")]), ("bare", [])],
    "ENV": [("rules", [(b"Name", b"w")]), ("bare", [])],
}


@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    exchanges = ROWS[name]

    assert {sample_name: values(sample(sample_name), name) for sample_name, _ in exchanges} == dict(exchanges)


def test_the_environment_of_the_process_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET", "x")

    assert matched(exchange('SecRule ENV:SECRET "@rx ." "id:1,phase:1"')) == []
