"""The JSON processor: both key styles, what is kept of a broken document, Python's parser as the measure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies import json as bodies_json
from waf_engine.bodies.json import process_json
from waf_engine.bodies.json_reader import JSONReader
from waf_engine.types import BodyContext, BodyLimits

if TYPE_CHECKING:
    from pathlib import Path

CORAZA = BodyContext()
MODSECURITY = BodyContext(json_keys="modsecurity")


@pytest.mark.parametrize(
    ("body", "coraza", "modsecurity"),
    [
        (b'{"a":"b"}', {b"json.a": b"b"}, {b"json.a": b"b"}),
        (
            b'{"a":[1,[true],{"b":null}]}',
            {
                b"json.a.0": b"1",
                b"json.a.1.0": b"true",
                b"json.a.1": b"1",
                b"json.a.2.b": b"",
                b"json.a": b"3",
            },
            {b"json.a.array_0": b"1", b"json.a.array_1.array_0": b"true", b"json.a.array_2.b": b""},
        ),
        (b"[5]", {b"json.0": b"5", b"json": b"1"}, {b"json.array_0": b"5"}),
        (b"5", {b"json.0": b"5", b"json": b"1"}, {b"json": b"5"}),
        (b' "x" ', {b"json.0": b"x", b"json": b"1"}, {b"json": b"x"}),
        (
            b'{"":1,"a":{"":2}}',
            {b"json.": b"1", b"json.a.": b"2"},
            {b"json.empty-key": b"1", b"json.a.empty-key": b"2"},
        ),
        (b'{"a":{},"b":[]}', {}, {}),
        (b'{"a.b":"%d"}', {b"json.a.b": b"%d"}, {b"json.a.b": b"%d"}),
        (b'{"%d":[1]}', {b"json.%d.0": b"1", b"json.%d": b"1"}, {b"json.%d.array_0": b"1"}),
        (
            b'{"n":[-0,1E400,1.50,123456789012345678901234567890]}',
            {
                b"json.n.0": b"-0",
                b"json.n.1": b"1E400",
                b"json.n.2": b"1.50",
                b"json.n.3": b"123456789012345678901234567890",
                b"json.n": b"4",
            },
            {
                b"json.n.array_0": b"-0",
                b"json.n.array_1": b"1E400",
                b"json.n.array_2": b"1.50",
                b"json.n.array_3": b"123456789012345678901234567890",
            },
        ),
    ],
)
def test_leaves_in_both_styles(body: bytes, coraza: dict[bytes, bytes], modsecurity: dict[bytes, bytes]):
    assert list(coraza.items()) == process_json(body, CORAZA).args
    assert list(modsecurity.items()) == process_json(body, MODSECURITY).args
    assert "" == process_json(body, CORAZA).error == process_json(body, MODSECURITY).error


def test_repeated_names_are_all_kept():
    """Coraza keeps the last one only, and many applications take the first."""
    assert process_json(b'{"a":1,"a":2}', CORAZA).args == [(b"json.a", b"1"), (b"json.a", b"2")]


def test_long_arrays_have_the_right_indices():
    args = process_json(json.dumps(list(range(300))).encode(), CORAZA).args

    assert [(b"json.%d" % i, b"%d" % i) for i in range(300)] == args[:-1]
    assert args[-1] == (b"json", b"300")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb"\"\\\/\b\f\n\r\t", b'"\\/\b\f\n\r\t'),
        (rb"\u0041\u00e9\u20ac", "Aé€".encode()),
        (rb"\ud83d\ude00", "😀".encode()),
        (rb"\uD83D\uDE00", "😀".encode()),
        (rb"\ud800", b"\xed\xa0\x80"),
        (rb"\ude00\ud83d", b"\xed\xb8\x80\xed\xa0\xbd"),
        (rb"\u0000", b"\x00"),
        (b"\xff\xc3", b"\xff\xc3"),
        (b"\xc3\xa9", b"\xc3\xa9"),
    ],
)
def test_strings_become_bytes(text: bytes, value: bytes):
    result = process_json(b'{"' + text + b'":"' + text + b'"}', CORAZA)

    assert ([(b"json." + value, value)], "") == (result.args, result.error)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"", []),
        (b" \n", []),
        (b'{"a":"b",}', [b"b"]),
        (b'{"a":"b"', [b"b"]),
        (b'{"a":"b', [b"b"]),
        (b'{"a":"b\\', [b"b\\"]),
        (b'["a","b",,"c"]', [b"a", b"b", b"c", b"3"]),
        (b'{"a":"b"}x', [b"b", b"x", b"1"]),
        (b'{"a":"b"}{"c":"d"}', [b"b", b"d"]),
        (b'{"a":"b"]', [b"b"]),
        (b'"a"]', [b"a", b"1"]),
        (b"{a:'b'}", [b"'b'"]),
        (b'// c\n{"a":"b"}', [b"//", b"1", b"c", b"1", b"b"]),
        (b'{"a" "b"}', [b"b"]),
        (b'{"a"}', [b""]),
        (b'{"a":}', [b""]),
        (b'{"a","b":1}', [b"", b"1"]),
        (b'{"a":1 "b":2}', [b"1", b"2"]),
        (b"[NaN]", [b"NaN", b"1"]),
        (b"[01]", [b"01", b"1"]),
        (b'["\\x41"]', [b"\\x41", b"1"]),
        (b'["\\u12"]', [b"\\u12", b"1"]),
        (b'["a\nb"]', [b"a\nb", b"1"]),
        (b'[:"a"]', [b"a", b"1"]),
        (b"{[1]}", [b"1", b"1"]),
        (b"]", []),
    ],
)
def test_of_a_broken_document_everything_is_kept(body: bytes, values: list[bytes]):
    result = process_json(body, CORAZA)

    assert values == [value for _, value in result.args]
    assert result.error


def test_a_name_without_a_value_is_a_name_all_the_same():
    assert process_json(b'{"<script>"}', CORAZA).args == [(b"json.<script>", b"")]


def test_the_raw_body_goes_to_tx_and_not_to_request_body():
    result = process_json(b'{"a":1}', CORAZA)

    assert (result.tx, result.expose_body) == ({b"json_request_body": b'{"a":1}'}, False)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
def test_other_encodings_are_read_and_reported(encoding: str):
    result = process_json('{"a":"é"}'.encode(encoding), CORAZA)

    assert [(b"json.a", "é".encode())] == result.args
    assert "the body is in utf-" in result.error


def test_a_byte_order_mark_of_utf_8_is_no_error():
    result = process_json(b'\xef\xbb\xbf{"a":"b"}', CORAZA)

    assert (result.args, result.error) == ([(b"json.a", b"b")], "")


def test_depth():
    context = BodyContext(limits=BodyLimits(depth=3))

    assert process_json(b'[[["a"]]]', context).error == ""
    assert process_json(b"[[[]]]", context).error == ""
    for body in (b'[[[["a"]]]]', b"[[[[]]]]"):
        assert process_json(body, context).error == "nested deeper than 3"
    assert b"a" in [value for _, value in process_json(b'[[[["a"]]]]', context).args]


def test_a_depth_beyond_python_s_recursion_is_read():
    body = b'{"a":' * 1000 + b'"x"' + b"}" * 1000
    result = process_json(body, CORAZA)

    assert b"x" in [value for _, value in result.args]
    assert result.error == "a path is longer than 1024 bytes"
    assert process_json(b"[" * 400 + b"]" * 400, CORAZA).error == ""


def test_long_paths_are_not_repeated_for_each_leaf():
    body = b'{"' + b"k" * 50_000 + b'":[' + b",".join([b"1"] * 5000) + b"]}"
    result = process_json(body, CORAZA)

    assert sum(len(name) for name, _ in result.args) < 8_000_000
    assert result.args[0] == (b"json." + b"k" * 50_000, b"")
    assert result.error == "a path is longer than 1024 bytes"


def test_leaves_are_bounded():
    context = BodyContext(limits=BodyLimits(leaves=5))

    assert process_json(b"[1,2,3,4]", context).error == ""
    result = process_json(b"[1,2,3,4,5,6,7]", context)
    assert result.error == "more than 5 values"
    assert [value for _, value in result.args][:5] == [b"1", b"2", b"3", b"4", b"5"]


def test_containers_without_leaves_are_bounded():
    context = BodyContext(limits=BodyLimits(leaves=5))
    body = b"[" + b"[]," * 200_000 + b"[]]"

    assert process_json(body, context).error == "more than 5 values and containers"


# Differential tests: what is valid is read as json.loads reads it, and the tolerant reader agrees with the fast way.

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def _leaves(value: Any, path: str) -> list[tuple[str, str]]:
    """The obvious definition of Coraza's names."""
    if isinstance(value, dict):
        return [leaf for name, member in value.items() for leaf in _leaves(member, f"{path}.{name}")]
    if isinstance(value, list):
        leaves = [leaf for index, member in enumerate(value) for leaf in _leaves(member, f"{path}.{index}")]
        return [*leaves, (path, str(len(value)))] if value else []
    return [(path, value if isinstance(value, str) else "" if value is None else json.dumps(value))]


@given(VALUES.filter(lambda value: isinstance(value, (dict, list))), st.booleans(), st.sampled_from([None, 1]))
def test_a_valid_document_is_read_as_python_reads_it(document: Any, ascii_only: bool, indent: int | None):
    body = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    result = process_json(body, CORAZA)

    expected = [
        (k.encode("utf-8", "surrogatepass"), v.encode("utf-8", "surrogatepass")) for k, v in _leaves(document, "json")
    ]
    assert (expected, "") == (result.args, result.error)


@pytest.mark.parametrize("style", ["coraza", "modsecurity"])
@given(document=VALUES)
def test_the_tolerant_reader_agrees_with_the_fast_way(style: str, document: Any):
    body = json.dumps(document).encode()
    names = bodies_json._STYLES[style]
    reader = JSONReader(names, depth=1024, leaves=10_000)
    reader.read(body)

    fast = bodies_json._read_fast(body, names, 1024)
    assert fast is None or fast == reader.entries
    assert reader.error == ""


PIECES = [b"{", b"}", b"[", b"]", b":", b",", b'"', b'"a"', b"1", b"null", b" ", b"\\", b"x", b"\xff", b"/*"]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_what_has_an_error_is_what_python_refuses(body: bytes):
    try:
        json.loads(body.decode("latin-1"), parse_constant=lambda _: 1 / 0)
    except ValueError:
        assert process_json(body, CORAZA).error
    else:
        assert not process_json(body, CORAZA).error


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_no_word_of_a_broken_document_is_lost(body: bytes):
    text = b"\n".join(b"\n".join(entry) for entry in process_json(body + b' "needle" ', CORAZA).args)

    assert b"needle" in text


WHOLE = b'{"a":[1,-2.5e+3,true,null,"b\\u00e9\\\\"],"c":{"d":"x\\"y"}} '


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_a_body_that_was_cut_before_it_came_is_no_error(end: int):
    """What is called malformed is refused by rule 200002; a body of which the rest never came is not (coraza#1453)."""
    result = process_json(WHOLE[:end], BodyContext(truncated=True, cut_before=True))

    assert result.error == ""
    if end > WHOLE.index(b"null"):
        assert result.args[:3] == process_json(WHOLE, CORAZA).args[:3]


@pytest.mark.parametrize("body", [b'{"a":1,}', b"{a", b'{"a" 1', b'{"a":"\\x', b'{"a":nil', b'{"a":01', b"}", b'"\nx'])
def test_a_cut_body_has_the_errors_before_its_end(body: bytes):
    assert process_json(body, BodyContext(truncated=True, cut_before=True)).error


@given(st.lists(st.sampled_from(PIECES)).map(b"".join), st.data())
def test_the_beginning_of_a_good_document_is_no_error(body: bytes, data: st.DataObject):
    if process_json(body, CORAZA).error:
        return
    cut = data.draw(st.integers(0, len(body)))

    assert process_json(body[:cut], BodyContext(truncated=True, cut_before=True)).error == ""


@pytest.mark.corpora
def test_truncatedjsonyaml(corpora: Path):
    """The body of Coraza's profile, cut at 40 bytes: what is there is read, and the error is set."""
    profiles = json.loads((corpora / "corpora/coraza-profiles/profiles.json").read_text())
    profile = next(p for p in profiles if p["Meta"]["Name"] == "truncatedjsonyaml")
    body = profile["Tests"][0]["Stages"][0]["Stage"]["Input"]["Data"].encode()[:40]
    result = process_json(body, BodyContext(truncated=True))

    expected = [(b"json.test", b"123"), (b"json.test2", b"456"), (b"json.test3.0", b"22"), (b"json.test3", b"1")]
    assert expected == result.args
    assert result.error == "the body ends too early"
