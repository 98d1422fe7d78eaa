# Invariant: decoding takes one to ten bytes, gives a value below 2**64 that encodes to the very bytes it came from,
# and reads nothing before its place or behind its end. Allowed: RemoteProtocolError (more than 64 bits), IndexError
# (cut).
"""Fuzz target of SPOP's integers."""

from __future__ import annotations

import sys

from spop_proto import RemoteProtocolError
from spop_proto._varint import decode_varint, encode_varint


def fuzz(data: bytes) -> None:
    """Decode the integer behind the first byte."""
    if not data:
        return
    try:
        value, end = decode_varint(data, 1)
    except (RemoteProtocolError, IndexError):
        return
    assert 2 <= end <= min(len(data), 11)
    assert 0 <= value < 1 << 64
    assert encode_varint(value) == data[1:end]
    assert decode_varint(data[1:end], 0) == (value, end - 1)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
