# Invariant: the frames cut out of a stream, and the error that ends it, do not depend on how the stream was cut;
# nothing is lost or added. The first byte of the data seeds the cuts. Allowed: none (RemoteProtocolError is part of
# what is compared).
"""Fuzz target of cutting a stream into frames."""

from __future__ import annotations

import sys

from spop_proto import RemoteProtocolError
from spop_proto._buffer import FrameBuffer

LARGEST = 300


def cut(pieces: list[bytes]) -> list[bytes | str]:
    """The frames of a stream that comes in pieces, and the reason of the error that ended it."""
    buffer = FrameBuffer()
    found: list[bytes | str] = []
    try:
        for piece in pieces:
            if buffer.add(piece):
                while (frame := buffer.next_frame(LARGEST)) is not None:
                    found.append(frame)
    except RemoteProtocolError as error:
        found.append(error.reason)
    else:
        found.append(f"{len(buffer)} left")
    return found


def fuzz(data: bytes) -> None:
    """Cut the data whole, byte by byte and in pieces of growing size."""
    if not data:
        return
    step, stream = data[0] % 13 + 1, data[1:]
    whole = cut([stream])
    assert cut([stream[at : at + 1] for at in range(len(stream))]) == whole
    pieces, position = [], 0
    while position < len(stream):
        size = 1 + (position * step) % 37
        pieces.append(stream[position : position + size])
        position += size
    assert cut(pieces) == whole
    read = sum(4 + len(frame) for frame in whole if isinstance(frame, bytes))
    assert whole[-1] == f"{len(stream) - read} left" or read <= len(stream) - 4


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
