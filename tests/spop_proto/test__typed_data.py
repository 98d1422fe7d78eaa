"""The values of SPOP, spop.md 1.3."""

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spop_proto import DataType, LocalProtocolError, RemoteProtocolError, Typed
from spop_proto._typed_data import decode_text, decode_value, decode_value_as_haproxy, encode_value

VECTORS = [
    (None, "00"),
    (True, "11"),
    (False, "01"),
    (0, "0400"),
    (42, "042a"),
    (40532, "04f4d612"),
    (239, "04ef"),
    (240, "04f000"),
    (-1, "04fff0fefefefefefefe0e"),
    (-5, "04fbf0fefefefefefefe0e"),
    (-(2**63), "04f0f1fefefefefefefe06"),
    (2**63 - 1, "04fff0fefefefefefefe06"),
    (2**63, "05f0f1fefefefefefefe06"),
    (2**64 - 1, "05fff0fefefefefefefe0e"),
    (IPv4Address("127.0.0.1"), "067f000001"),
    (IPv6Address("2001:db8::1"), "0720010db8000000000000000000000001"),
    ("", "0800"),
    ("GET", "0803474554"),
    ("str-é", "08067374722dc3a9"),
    ("\udcff", "0801ff"),
    (b"", "0900"),
    (b"\x00\xff", "090200ff"),
]


@pytest.mark.parametrize(("value", "encoded"), VECTORS)
def test_vectors(value: Any, encoded: str):
    assert encode_value(value).hex() == encoded
    assert decode_value(b"x" + bytes.fromhex(encoded) + b"y", 1) == (value, 1 + len(encoded) // 2)
    assert decode_value_as_haproxy(bytes.fromhex(encoded), 0)[1] == len(encoded) // 2


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (Typed(DataType.INT32, -1), "02fff0fefefefefefefe0e"),  # sign-extended to 64 bits, or HAProxy reads 4294967295
        (Typed(DataType.INT32, 2**31 - 1), "02fff0fefe3e"),
        (Typed(DataType.UINT32, 2**32 - 1), "03fff0fefe7e"),
        (Typed(DataType.INT64, -5), "04fbf0fefefefefefefe0e"),
        (Typed(DataType.UINT64, 7), "0507"),
    ],
)
def test_integers_of_a_given_width(value: Any, encoded: str):
    assert encode_value(value).hex() == encoded
    assert decode_value(bytes.fromhex(encoded), 0)[0] == value.value


class Number(IntEnum):
    SEVEN = 7


class Text(str):
    __slots__ = ()


def test_subclasses_go_out_as_what_they_are():
    assert encode_value(Number.SEVEN) == b"\x04\x07"
    assert encode_value(Text("a")) == b"\x08\x01a"


@pytest.mark.parametrize(
    "value",
    [
        2**64,
        -(2**63) - 1,
        1 << 4000,
        "\ud800",
        1.5,
        bytearray(b"x"),
        [],
        Typed(DataType.INT32, 2**31),
        Typed(DataType.INT32, -(2**31) - 1),
        Typed(DataType.UINT32, -1),
        Typed(DataType.UINT64, 2**64),
        Typed(DataType.STRING, 1),
    ],
)
def test_what_has_no_type_is_our_fault(value: Any):
    with pytest.raises(LocalProtocolError):
        encode_value(value)


def test_a_huge_integer_is_not_written_into_the_message():
    with pytest.raises(LocalProtocolError) as raised:
        encode_value(1 << 40000)

    assert raised.value.reason == "integer of 40001 bits does not fit in 64 bits"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        *((f"{kind:02x}00", f"reserved data type {kind} at offset 0") for kind in range(10, 16)),
        ("02fff0fefe7e", "4294967295 is outside INT32 at offset 1"),
        ("02f0f1fefe7e", "4294967296 is outside INT32 at offset 1"),
        ("03f0f1fefe7e", "4294967296 is outside UINT32 at offset 1"),
        ("04" + "ff" * 11, "integer of more than 64 bits at offset 1"),
    ],
)
def test_what_cannot_be_read_is_the_peers_fault(data: Any, reason: str):
    with pytest.raises(RemoteProtocolError) as raised:
        decode_value(bytes.fromhex(data), 0)

    assert raised.value.reason == reason


@pytest.mark.parametrize("encoded", [each for _, each in VECTORS])
def test_every_prefix_is_cut(encoded: str):
    data = bytes.fromhex(encoded)
    for length in range(len(data)):
        for decode in (decode_value, decode_value_as_haproxy):
            with pytest.raises(IndexError):
                decode(data[:length], 0)


def test_flags_of_other_types_are_ignored_and_a_boolean_reads_the_whole_nibble():
    assert decode_value(b"\x21", 0) == (False, 1)
    assert decode_value(b"\x18\x01a", 0) == ("a", 3)
    assert decode_value(b"\x14\x05", 0) == (5, 2)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("18026162", b"ab"),  # a STRING with flags is BINARY for HAProxy
        ("0a", None),  # a reserved type has no data and unsets the variable
        ("ff", None),
        ("02fff0fefe7e", 4294967295),
        ("05fff0fefefefefefefe0e", -1),
        ("21", False),
        ("08026162", "ab"),
    ],
)
def test_what_haproxy_makes_of_odd_values(data: Any, value: Any):
    assert decode_value_as_haproxy(bytes.fromhex(data), 0) == (value, len(data) // 2)


@given(st.binary())
def test_a_string_survives_whatever_its_bytes(raw: bytes):
    text = decode_text(raw)

    assert text.encode("utf-8", "surrogateescape") == raw
    assert decode_value(encode_value(text), 0)[0] == text


ADDRESSES = st.ip_addresses()
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary() | ADDRESSES


@given(VALUES | st.binary().map(decode_text))
def test_round_trip(value: Any):
    encoded = encode_value(value)

    assert decode_value(encoded, 0) == (value, len(encoded))
    assert type(decode_value(encoded, 0)[0]) is type(value)


@pytest.mark.parametrize("kind", [DataType.STRING, 77, None, []])
def test_typed_is_for_integers(kind: Any):
    with pytest.raises(LocalProtocolError, match="Typed is for INT32, UINT32, INT64 and UINT64, not for"):
        encode_value(Typed(kind, 1))


@pytest.mark.parametrize("value", ["x", 1.5, None])
def test_typed_is_of_integers(value: Any):
    with pytest.raises(LocalProtocolError, match=f"<DataType.INT32: 2> of a value of type {type(value).__name__}"):
        encode_value(Typed(DataType.INT32, value))
