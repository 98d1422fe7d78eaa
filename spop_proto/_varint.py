"""The variable-length integer of HAProxy's peers protocol, which SPOP uses for every length, id and number.

Pure functions, no state. Source: SPOE.txt 3.2 ("Variable-length integer"), spop.md 1.2. The code is bijective: no value
below 2**64 has two encodings, so "overlong" can only mean more than ten bytes or a value of 2**64 and above.
"""

from __future__ import annotations

from spop_proto._errors import RemoteProtocolError

MASK64 = (1 << 64) - 1
SINGLE_BYTE_LIMIT = 240
"""Values below it are one byte; hot loops inline that case and call `decode_varint` for the rest."""

_THREE_BYTES_FROM = 2288
MORE = 0x80
"""A byte after the first is the last one if it is below."""
_FURTHER = tuple((index, 7 * index - 3) for index in range(3, 10))
"""Index and shift of the fourth to the tenth byte."""
_SINGLE_BYTES = tuple(bytes((value,)) for value in range(SINGLE_BYTE_LIMIT))


def encode_varint(value: int) -> bytes:
    """Encode an integer.

    Args:
        value: From 0 to 2**64-1; the caller has checked it.

    Returns:
        One to ten bytes.
    """
    if value < SINGLE_BYTE_LIMIT:
        return _SINGLE_BYTES[value]
    if value < _THREE_BYTES_FROM:
        value -= SINGLE_BYTE_LIMIT
        return bytes((0xF0 | (value & 0x0F), value >> 4))
    encoded = bytearray(((value & 0xFF) | 0xF0,))
    value = (value - SINGLE_BYTE_LIMIT) >> 4
    while value >= 0x80:
        encoded.append((value & 0xFF) | 0x80)
        value = (value - 0x80) >> 7
    encoded.append(value)
    return bytes(encoded)


def decode_varint(data: bytes, position: int) -> tuple[int, int]:
    """Decode the integer that starts at a position.

    Args:
        data: The bytes of a frame.
        position: Index of the first byte of the integer.

    Returns:
        The value and the index after it.

    Raises:
        RemoteProtocolError: It has more than ten bytes or is 2**64 or above. HAProxy itself has no such bound (a shift
            beyond 63 is undefined in C), so what it would make of such a number is not defined either.
        IndexError: The data ends inside the integer; decoders catch it once for a whole payload.
    """
    value = data[position]
    if value < SINGLE_BYTE_LIMIT:
        return value, position + 1
    # Additions, not ors: the marker bits are part of the sum. That is what makes the code bijective.
    # Two and three bytes (up to 264,431: ports, lengths) are unrolled; a loop costs them twice as much.
    byte = data[position + 1]
    value += byte << 4
    if byte < MORE:
        return value, position + 2
    byte = data[position + 2]
    value += byte << 11
    if byte < MORE:
        return value, position + 3
    for index, shift in _FURTHER:
        byte = data[position + index]
        value += byte << shift
        if byte < MORE:
            if value > MASK64:
                break
            return value, position + index + 1
    raise RemoteProtocolError(f"integer of more than 64 bits at offset {position}")
