"""TYPED-DATA: the values of message arguments, of variables and of the items of HELLO and DISCONNECT.

Pure functions, no state. Source: SPOE.txt 3.2.1 (types), spop.md 1.3. The low nibble of the first byte is the type, the
high nibble the flags; the boolean is a flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from spop_proto._errors import LocalProtocolError, RemoteProtocolError
from spop_proto._varint import MASK64, SINGLE_BYTE_LIMIT, decode_varint, encode_varint


class DataType(IntEnum):
    """The type ids of TYPED-DATA. 10 to 15 are reserved: their length is unknown, so they cannot be skipped."""

    NULL = 0
    BOOL = 1
    INT32 = 2
    UINT32 = 3
    INT64 = 4
    UINT64 = 5
    IPV4 = 6
    IPV6 = 7
    STRING = 8
    BINARY = 9


@dataclass(frozen=True, slots=True)
class Typed:
    """An integer to send with a width of its own. A plain int goes out as INT64, or as UINT64 from 2**63 on.

    Received integers are plain ints whatever their width was: HAProxy makes a signed 64-bit number of each.
    """

    type: DataType
    """`INT32`, `UINT32`, `INT64` or `UINT64`."""
    value: int
    """In the range of the type."""


Value: TypeAlias = bool | int | str | bytes | IPv4Address | IPv6Address | Typed | None
"""NULL, BOOL, the four integers, STRING, BINARY, IPV4, IPV6; `Typed` only where we send.

A STRING is decoded as UTF-8 with surrogateescape: what is no UTF-8 (a request may hold any bytes) survives the way in
and out; ``text.encode("utf-8", "surrogateescape")`` gives the bytes as they were.
"""

TRUE_FLAG = 0x10

# Plain numbers for the decoder: an attribute of an enum class costs 0.1 us.
_NULL, _BOOL, _IPV4, _IPV6, _STRING, _BINARY = 0, 1, 6, 7, 8, 9
_SIZED = (_STRING, _BINARY)

_INT_RANGES = {
    DataType.INT32: (-(1 << 31), (1 << 31) - 1),
    DataType.UINT32: (0, (1 << 32) - 1),
    DataType.INT64: (-(1 << 63), (1 << 63) - 1),
    DataType.UINT64: (0, MASK64),
}
_SIGNED = frozenset({DataType.INT32, DataType.INT64})
_INT_HEADS = {kind: bytes((kind,)) for kind in _INT_RANGES}

_SMALL_INTS = tuple(bytes((DataType.INT64, value)) for value in range(SINGLE_BYTE_LIMIT))

# The two addresses of a request repeat (always the server's, often the client's); a hit costs a tenth of the object.
# Bounded.
ipv4_address = lru_cache(maxsize=1024)(IPv4Address)
ipv6_address = lru_cache(maxsize=1024)(IPv6Address)


def decode_text(raw: bytes) -> str:
    """The text of a STRING; bytes that are no UTF-8 become surrogate escapes."""
    try:
        return raw.decode()  # without arguments it is twice as fast as with an error handler
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape")


def decode_value(data: bytes, position: int) -> tuple[Value, int]:
    """Decode one TYPED-DATA.

    Args:
        data: The bytes of a frame.
        position: Index of the type byte.

    Returns:
        The value and the index after it.

    Raises:
        RemoteProtocolError: Reserved type, or an integer outside the range of its type.
        IndexError: The data ends inside the value.
    """
    tag = data[position]
    kind = tag & 0x0F
    position += 1
    if kind in _SIZED:
        length, position = decode_varint(data, position)
        raw = take(data, position, length)
        return (decode_text(raw) if kind == _STRING else raw), position + length
    if kind == _NULL:
        return None, position
    if kind == _BOOL:
        # HAProxy reads the whole nibble: 0x21 is false for it, and so for us.
        return (tag & 0xF0) == TRUE_FLAG, position
    if kind in _INT_RANGES:
        return _decode_int(DataType(kind), data, position)
    if kind == _IPV6:
        return ipv6_address(take(data, position, 16)), position + 16
    if kind == _IPV4:
        return ipv4_address(take(data, position, 4)), position + 4
    raise RemoteProtocolError(f"reserved data type {kind} at offset {position - 1}")


def _decode_int(kind: DataType, data: bytes, position: int) -> tuple[int, int]:
    value, end = decode_varint(data, position)
    if kind in _SIGNED and value > MASK64 >> 1:
        value -= 1 << 64
    smallest, largest = _INT_RANGES[kind]
    if not smallest <= value <= largest:
        # A negative INT32 is sign-extended to 64 bits on the wire; the 32-bit form is a broken encoder's (spop.md 0.3).
        raise RemoteProtocolError(f"{value} is outside {kind.name} at offset {position}")
    return value, end


def decode_value_as_haproxy(data: bytes, position: int) -> tuple[Value, int]:
    """Decode one TYPED-DATA of an action the way HAProxy does, which forgives more than `decode_value` (spop.md 1.3).

    Raises:
        RemoteProtocolError: An integer of more than 64 bits.
        IndexError: The data ends inside the value.
    """
    tag = data[position]
    kind = tag & 0x0F
    if kind > _BINARY:
        return None, position + 1  # a reserved type: no data, and the variable is unset
    if kind == _STRING and tag != _STRING:
        length, position = decode_varint(data, position + 1)
        return take(data, position, length), position + length
    if kind in _INT_RANGES:
        value, position = decode_varint(data, position + 1)
        return value - (1 << 64) if value > MASK64 >> 1 else value, position
    return decode_value(data, position)


def take(data: bytes, position: int, length: int) -> bytes:
    """A slice that is not cut short.

    Raises:
        IndexError: The data ends before it.
    """
    if position + length > len(data):
        raise IndexError
    return data[position : position + length]


def encode_string(raw: bytes) -> bytes:
    """A STRING without type byte: length and bytes."""
    return encode_varint(len(raw)) + raw


def encode_value(value: Value) -> bytes:
    """Encode a Python value as TYPED-DATA.

    Args:
        value: See `Value`. bytearray and memoryview are not taken: they may change before they are sent.

    Returns:
        The type byte and the data.

    Raises:
        LocalProtocolError: No type for it, an integer that does not fit, or text with unpaired surrogates.
    """
    if type(value) is str:
        raw = _encode_text(value)
        return b"\x08" + encode_varint(len(raw)) + raw
    if type(value) is int:
        if 0 <= value < SINGLE_BYTE_LIMIT:
            return _SMALL_INTS[value]
        return _encode_int(value)
    return _encode_other(value)


def _encode_other(value: Value) -> bytes:
    if value is None:
        return b"\x00"
    if isinstance(value, bool):
        return b"\x11" if value else b"\x01"
    if isinstance(value, bytes):
        return b"\x09" + encode_varint(len(value)) + value
    if isinstance(value, int):  # IntEnum and the like
        return _encode_int(int(value))
    if isinstance(value, str):
        raw = _encode_text(value)
        return b"\x08" + encode_varint(len(raw)) + raw
    if isinstance(value, IPv4Address):
        return b"\x06" + value.packed
    if isinstance(value, IPv6Address):
        return b"\x07" + value.packed
    if isinstance(value, Typed):
        return _encode_typed(value)
    raise LocalProtocolError(f"no SPOP type for a value of type {type(value).__name__}")
    # untyped callers


def _encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"text with an unpaired surrogate at index {error.start} cannot be sent") from None


def _encode_int(value: int) -> bytes:
    if 0 <= value <= MASK64:
        return (b"\x04" if value <= MASK64 >> 1 else b"\x05") + encode_varint(value)
    if -(1 << 63) <= value < 0:
        return b"\x04" + encode_varint(value & MASK64)
    raise LocalProtocolError(f"integer {_short(value)} does not fit in 64 bits")


def _encode_typed(value: Typed) -> bytes:
    if value.type not in tuple(_INT_RANGES):  # compared, not looked up: an untyped caller's may have no hash
        raise LocalProtocolError(f"Typed is for INT32, UINT32, INT64 and UINT64, not for {value.type!r}")
    if not isinstance(value.value, int):
        raise LocalProtocolError(f"{value.type!r} of a value of type {type(value.value).__name__}")
    smallest, largest = _INT_RANGES[value.type]
    if not smallest <= value.value <= largest:
        raise LocalProtocolError(f"{_short(value.value)} does not fit {value.type!r}")
    return _INT_HEADS[value.type] + encode_varint(value.value & MASK64)


def _short(value: int) -> str:
    return str(value) if value.bit_length() <= 128 else f"of {value.bit_length()} bits"
