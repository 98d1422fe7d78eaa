"""The tolerant JSON reader alone; what it shares with the fast way is tested in test_json.py."""

from __future__ import annotations

import pytest

from waf_engine.bodies.json_reader import MAX_PATH, JSONReader, KeyStyle

STYLE = KeyStyle(item=b"[%d]", lengths=False, empty_name=b"-", root=b"$")


def read(body: bytes, *, depth: int = 8, leaves: int = 100) -> JSONReader:
    reader = JSONReader(STYLE, depth=depth, leaves=leaves)
    reader.read(body)
    return reader


def test_the_style_names_the_leaves():
    assert read(b'{"a":[1,{"":2}],"b":null}').entries == [(b"$.a[0]", b"1"), (b"$.a[1].-", b"2"), (b"$.b", b"")]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the body holds no value"),
        (b"[1", "the body ends too early"),
        (b'["a', "a string has no end"),
        (b"[1,]", "an end where a value was expected"),
        (b'{"a":1,}', "an end where a name was expected"),
        (b'{"a"}', "an end where a colon was expected"),
        (b"[1}", "an end that does not match its beginning"),
        (b"1]", "an end without a beginning"),
        (b"[a]", "a word that is neither a number nor true, false or null"),
        (b"{1:2}", "a name without quotes"),
        (b"1 2", "a value where nothing more was expected"),
        (b"[1 2]", "a value where a comma or an end was expected"),
        (b"[,]", "a comma or an end where a value was expected"),
        (b"[:1]", "a colon where a value was expected"),
        (b'["\\q"]', "an escape that JSON does not have"),
        (b'["\x01"]', "a control character in a string"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(body: bytes, error: str):
    assert error == read(body).error


def test_the_first_error_stands():
    assert read(b"[a,").error == "a word that is neither a number nor true, false or null"


def test_what_is_too_deep_is_read_in_the_deepest_container():
    reader = read(b'{"a":{"b":{"c":"x"},"d":"y"},"e":"z"}', depth=2)

    assert reader.error == "nested deeper than 2"
    assert {b"x", b"y", b"z"} <= {value for _, value in reader.entries}
    assert reader.entries[-1] == (b"$.e", b"z")


def test_a_long_path_is_cut_for_its_members_but_stands_once():
    name = b"n" * (2 * MAX_PATH)
    reader = read(b'{"' + name + b'":[1]}')

    assert [(b"$." + name, b""), ((b"$." + name)[:MAX_PATH] + b"[0]", b"1")] == reader.entries
