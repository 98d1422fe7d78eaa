"""What holds for every registered transformation, a new one too, without a line here."""

from __future__ import annotations

import inspect
import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.docstrings import docstring_of, source_of
from waf_engine.registry import Registry
from waf_engine.transformations import FAMILIES, MAKES, TRIGGERS, transformations, triggered_by
from waf_engine.transformations._registry import makes_of, triggers_of

if TYPE_CHECKING:
    from waf_engine.types import Transformation

EVERY = [
    (name, thing) for name in transformations.canonical_names() if (thing := transformations.get(name)) is not None
]
BY_NAME = dict(EVERY)
each = pytest.mark.parametrize(("name", "transformation"), EVERY, ids=[name for name, _ in EVERY])

SECLANG = {
    "base64Decode", "base64DecodeExt", "base64Encode", "cmdLine", "compressWhitespace", "cssDecode", "escapeSeqDecode",
    "hexDecode", "hexEncode", "htmlEntityDecode", "jsDecode", "length", "lowercase", "md5", "normalisePath",
    "normalisePathWin", "parityEven7bit", "parityOdd7bit", "parityZero7bit", "removeComments", "removeCommentsChar",
    "removeNulls", "removeWhitespace", "replaceComments", "replaceNulls", "sha1", "sqlHexDecode", "trim", "trimLeft",
    "trimRight", "uppercase", "urlDecode", "urlDecodeUni", "urlEncode", "utf8toUnicode",
}  # fmt: skip

IDEMPOTENT = {
    "cmdLine", "compressWhitespace", "lowercase", "normalisePath", "parityZero7bit", "removeNulls", "replaceComments",
    "replaceNulls", "trim", "trimLeft", "trimRight", "uppercase", "utf8toUnicode",
}  # fmt: skip

# Pieces that mean something to one transformation or another, so that what Hypothesis joins is often nearly valid.
PIECES = [
    b"%", b"%u", b"%U", b"+", b"\\", b"\\u", b"\\x", b"&", b"&#", b"&#x", b";", b"lt", b"eacute", b"0x", b"0X", b"/*",
    b"*/", b"<!--", b"-->", b"--", b"#", b"/", b"//", b".", b"..", b"./", b":", b"=", b"-", b"_", b" ", b"  ", b"\t",
    b"\r\n", b"\0", b"\x85", b"\xa0", b"\xc2\xa0", b"\xe2\x80\x89", b"\xc3\xa9", b"\xff", b"\xf0\x9f\x98\x80", b"0",
    b"4", b"1", b"00", b"ff", b"FF", b"7", b"8", b"u", b"x", b"a", b"A", b"z", b"'", b'"', b"^", b",", b"(",
    b"41", b"0041",
]  # fmt: skip
values = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join))

FILLINGS = [
    b"/*", b"*/", b"/**/", b"<!--", b"--", b"%", b"%41", b"%u", b"%u0041", b"+", b"&", b"&#", b"&#x41;", b"&#0",
    b"&lt;",
    b"&lt", b"\\", b"\\x41", b"\\1", b"\\n", b"\\u", b"../", b"a/../", b"./", b"/", b". ", b":", b"0x", b"0x41", b"0",
    b"#", b" ", b" a", b"\t", b"\0", b"\xc3\xa9", b"\xc3\xa9 ", b"\xff", b"\xc2\xa0", b"\xe2\x80\x89", b"A", b"!", b"=",
]  # fmt: skip


def examples(function: object) -> list[tuple[str, bytes, bytes]]:
    """The examples of a docstring: name, before, after. Only ``\\xHH`` is an escape in them."""
    found = re.findall(
        r"Example: t:(\w+) turns ``(.*?)`` into\s+``(.*?)``$", inspect.cleandoc(docstring_of(function)), re.MULTILINE
    )
    return [(name, _bytes(before), _bytes(after)) for name, before, after in found]


def _bytes(text: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())


def test_the_transformations_of_seclang_are_there():
    assert set(transformations.canonical_names()) >= SECLANG
    assert transformations.canonical("NORMALIZEPATHWIN") == "normalisePathWin"
    assert transformations.canonical("normalizePath") == "normalisePath"
    assert "none" not in transformations


def test_each_family_in_the_folder_is_imported():
    folder = source_of(triggered_by.__module__).parent
    modules = {file.stem for file in folder.glob("*.py") if not file.name.startswith("_")}

    assert {family.__name__.rpartition(".")[2] for family in FAMILIES} == modules


def test_a_declaration_of_triggers_is_found_again():
    @triggered_by(b"ab", makes=b"c")
    def declared(value: bytes) -> bytes:
        return value

    assert triggers_of(declared) == {0x61, 0x62}
    assert triggers_of(len) is None
    assert makes_of(declared) == {0x63}
    assert makes_of(len) is None


def test_there_are_triggers_for_each_name_and_none_where_any_value_may_change():
    assert list(TRIGGERS) == list(MAKES) == transformations.names()
    assert {name for name, needed in TRIGGERS.items() if needed is None} == {
        "base64Decode", "base64DecodeExt", "base64Encode", "hexEncode", "length", "md5", "sha1",
    }  # fmt: skip


def test_a_name_cannot_be_taken_twice():
    registry = transformations.copy()

    assert isinstance(registry, Registry)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("URLDECODE")(bytes.lower)


@each
def test_the_example_in_the_docstring_holds(name: str, transformation: Transformation):
    found = examples(transformation)

    assert [each_name for each_name, _, _ in found] == [name], "one example, in the form of the others"
    assert transformation(found[0][1]) == found[0][2]
    assert found[0][1] != found[0][2]


@each
@given(value=values)
@settings(max_examples=150, deadline=None)
def test_any_value_gives_bytes_and_what_does_not_change_is_the_same_object(
    name: str, transformation: Transformation, value: bytes
):
    result = transformation(value)

    assert type(result) is bytes
    if result == value and name != "length":  # the length of b"1" is b"1"
        assert result is value
    assert_makes(name, value, result)


def assert_makes(name: str, value: bytes, result: bytes) -> None:
    """Of bytes that were not there, only those came that are declared."""
    makes = MAKES[name]
    assert makes is None or makes.issuperset(set(result) - set(value)), (value, result)


@each
def test_each_byte_between_others(name: str, transformation: Transformation):
    for byte in range(256):
        for around in (b"%c", b"a%c/", b" %c.", b"/*%c*/", b"%c%c"):
            value = around.replace(b"%c", bytes((byte,)))
            assert_makes(name, value, transformation(value))


@each
def test_each_two_pieces_together(name: str, transformation: Transformation):
    """Chance seldom joins two that belong together, such as ``&`` and ``lt``; so here are all."""
    needed = TRIGGERS[name]
    changed = 0
    for value in (first + second for first in PIECES for second in PIECES):
        result = transformation(value)
        if result == value:
            assert result is value
        else:
            changed += 1
            assert needed is None or needed & set(value), value
            assert_makes(name, value, result)

    assert changed, "the pieces hold nothing for this transformation: add some"


@each
def test_a_long_value_without_a_trigger_is_the_same_object(name: str, transformation: Transformation):
    needed = TRIGGERS[name]
    if needed is None:
        return
    value = bytes(set(range(256)) - needed) * 100

    assert transformation(value) is value


@each
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_without_a_trigger_nothing_changes(name: str, transformation: Transformation, data: st.DataObject):
    needed = TRIGGERS[name]
    if needed is None:
        return
    value = data.draw(values).translate(None, bytes(needed))

    assert transformation(value) is value


@pytest.mark.parametrize("name", sorted(IDEMPOTENT))
@given(value=values)
@settings(max_examples=100, deadline=None)
def test_once_is_enough(name: str, value: bytes):
    once = BY_NAME[name](value)

    assert BY_NAME[name](once) == once


@each
def test_the_empty_value_is_no_special_case(name: str, transformation: Transformation):
    # The length and the digests of nothing are something; everything else leaves nothing as nothing.
    assert (transformation(b"") == b"") == (name not in {"length", "md5", "sha1"})


def cost(transformation: Transformation, value: bytes, calls: int) -> float:
    """Seconds of CPU for one call, the best of some."""
    best = float("inf")
    for _ in range(calls):
        start = time.process_time()
        transformation(value)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.slow
@each
def test_the_cost_is_linear_in_the_length(name: str, transformation: Transformation):
    for filling in FILLINGS:
        short = filling * (100_000 // len(filling))
        long = filling * (1_000_000 // len(filling))

        # Quadratic work takes 100 times as long. What takes less than 4 ms is measured too coarsely for a ratio alone.
        assert cost(transformation, long, 3) < 50 * max(cost(transformation, short, 3), 0.004), (name, filling)


@each
def test_the_cost_of_100_kb_is_bounded(name: str, transformation: Transformation):
    """The quick sibling of the test above: quadratic work on 100 kB would take seconds."""
    for filling in (b"/*", b"%", b"&", b"\\", b"../", b"0x", b" "):
        value = filling * (100_000 // len(filling))

        assert cost(transformation, value, 2) < 0.5, (name, filling)
