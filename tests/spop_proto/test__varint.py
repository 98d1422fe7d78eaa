"""The integers of SPOP, against the table of spop.md 1.2."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spop_proto import RemoteProtocolError
from spop_proto._varint import decode_varint, encode_varint

VECTORS = {
    0: "00",
    127: "7f",
    239: "ef",
    240: "f000",
    241: "f100",
    255: "ff00",
    256: "f001",
    495: "ff0f",
    496: "f010",
    2287: "ff7f",
    2288: "f08000",
    4335: "ffff00",
    4336: "f08001",
    16380: "fcf006",
    65535: "fff01e",
    264431: "ffff7f",
    264432: "f0808000",
    33818863: "ffffff7f",
    33818864: "f080808000",
    2**31 - 1: "fff0fefe3e",
    2**32 - 1: "fff0fefe7e",
    2**32: "f0f1fefe7e",
    4328786160: "f08080808000",
    2**53: "f0f1fefefefefe7e",
    2**63 - 1: "fff0fefefefefefefe06",
    2**63: "f0f1fefefefefefefe06",
    2**64 - 1: "fff0fefefefefefefe0e",
    2**64 - 5: "fbf0fefefefefefefe0e",
}
FIRST_OF_LENGTH = (
    240,
    2288,
    264432,
    33818864,
    4328786160,
    554084600048,
    70922828777712,
    9078122083518704,
    1161999626690365680,
)


@pytest.mark.parametrize(("value", "encoded"), list(VECTORS.items()))
def test_vectors(value: Any, encoded: str):
    assert encode_varint(value).hex() == encoded
    assert decode_varint(bytes.fromhex(encoded), 0) == (value, len(encoded) // 2)


def test_there_are_as_many_vectors_as_in_the_table():
    assert len(VECTORS) == 28


@pytest.mark.parametrize(("length", "value"), list(enumerate(FIRST_OF_LENGTH, 2)))
def test_first_value_of_each_length(length: int, value: Any):
    assert len(encode_varint(value)) == length
    assert len(encode_varint(value - 1)) == length - 1


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_round_trip_inside_other_bytes(value: int, before: bytes, after: bytes):
    encoded = encode_varint(value)

    assert decode_varint(before + encoded + after, len(before)) == (value, len(before) + len(encoded))


@pytest.mark.parametrize("data", ["ff" + "ff" * 8 + "7f", "f0f1fefefefefefefe0f", "f0" + "80" * 12 + "00", "ff" * 11])
def test_more_than_64_bits_or_ten_bytes_is_the_peers_fault(data: Any):
    with pytest.raises(RemoteProtocolError, match="64 bits at offset 2"):
        decode_varint(b"ab" + bytes.fromhex(data), 2)


def test_the_first_value_above_64_bits_is_refused():
    assert decode_varint(bytes.fromhex("fff0fefefefefefefe0e"), 0)[0] == 2**64 - 1
    with pytest.raises(RemoteProtocolError):
        decode_varint(bytes.fromhex("f0f1fefefefefefefe0e"), 0)


@pytest.mark.parametrize("value", [240, 2288, 264432, 2**64 - 1])
def test_every_prefix_is_cut(value: Any):
    encoded = encode_varint(value)
    for length in range(len(encoded)):
        with pytest.raises(IndexError):
            decode_varint(encoded[:length], 0)


@given(st.binary(min_size=1, max_size=12))
def test_what_is_decoded_encodes_to_the_same_bytes(data: Any):
    """Bijective: there is no second encoding of any value."""
    try:
        value, end = decode_varint(data, 0)
    except (IndexError, RemoteProtocolError):
        return

    assert encode_varint(value) == data[:end]
