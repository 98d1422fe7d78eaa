"""The arguments: of the query string, of the body, of the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import values
from tests.waf_engine.variables.samples import sample

if TYPE_CHECKING:
    from tests.waf_engine.variables.samples import Row

ROWS: dict[str, list[Row]] = {
    "ARGS": [
        ("get", [(b"B", b"1%"), (b"a", b"%zz"), (b"B", b"2#top")]),  # order and case of the request; a fragment is kept
        ("form", [(b"get", b"0"), (b"a", b"1"), (b"b", b"2+"), (b"a", b"3")]),  # query string first
        ("bare", []),
    ],
    "ARGS_NAMES": [("form", [(b"get", b"get"), (b"a", b"a"), (b"b", b"b"), (b"a", b"a")])],
    "ARGS_GET": [("form", [(b"get", b"0")]), ("bare", [])],
    "ARGS_GET_NAMES": [("get", [(b"B", b"B"), (b"a", b"a"), (b"B", b"B")])],
    "ARGS_POST": [
        ("form", [(b"a", b"1"), (b"b", b"2+"), (b"a", b"3")]),
        ("multipart", [(b"field", b"value")]),
        ("bad json", [(b"json.a", b"")]),
        ("get", []),
    ],
    "ARGS_POST_NAMES": [("form", [(b"a", b"a"), (b"b", b"b"), (b"a", b"a")])],
    "ARGS_PATH": [("path", [(b"id", b"7")]), ("get", [])],
    "ARGS_COMBINED_SIZE": [("form", [(b"", b"11")]), ("bare", [(b"", b"0")])],
}


@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    exchanges = ROWS[name]

    assert {sample_name: values(sample(sample_name), name) for sample_name, _ in exchanges} == dict(exchanges)


def test_arguments_of_the_path_are_the_last():
    assert values(sample("path"), "ARGS") == [(b"q", b"1"), (b"id", b"7")]
