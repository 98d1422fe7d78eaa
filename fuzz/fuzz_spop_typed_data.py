# Invariant: what is decoded encodes to something that decodes to the same; a cut value is never longer than the data;
# the strict decoder and HAProxy's agree where both take it. Allowed: RemoteProtocolError (no such value), IndexError
# (cut).
"""Fuzz target of SPOP's values."""

from __future__ import annotations

import sys

from spop_proto import RemoteProtocolError
from spop_proto._typed_data import decode_value, decode_value_as_haproxy, encode_value


def fuzz(data: bytes) -> None:
    """Decode the value that the data begins with."""
    try:
        value, end = decode_value(data, 0)
    except (RemoteProtocolError, IndexError):
        value, end = None, 0
    try:
        theirs, their_end = decode_value_as_haproxy(data, 0)
    except (RemoteProtocolError, IndexError):
        assert end == 0
        return
    assert 0 < their_end <= len(data)
    if end == 0:
        return
    assert end == their_end
    encoded = encode_value(value)
    assert decode_value(encoded, 0) == (value, len(encoded))
    if isinstance(value, int) or data[0] == 0x08:
        assert theirs == value or (value >= 1 << 63 and theirs == value - (1 << 64))


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
