# Invariant: nothing raises; every value is a piece of the body, or decoded from one; the limits hold; an error is a
# strict error; a flag is 0 or 1 (MULTIPART_UNMATCHED_BOUNDARY: 2, too); a body that was cut is no worse than the whole.
"""Fuzz target of multipart bodies; the first line is the Content-Type.

With atheris: ``python fuzz/fuzz_body_multipart.py fuzz/corpus/body_multipart``
without it: tests/waf_engine/test_fuzz_targets.py.
"""

from __future__ import annotations

import sys

from waf_engine.bodies.multipart import FLAGS, process_multipart
from waf_engine.types import BodyContext, BodyLimits

PIECES = rb"""--B -- name=a filename*=UTF-8''%41 filename="f" ; " ' \ :""".split()
PIECES += [b" ", b"\r\n", b"\n", b"\x00", b"\xff", b"Content-Disposition: form-data; "]
PIECES += [b"multipart/form-data; boundary=B\n", b"Content-Transfer-Encoding: base64\r\n"]
PIECES += [b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n"]


def fuzz(content: bytes) -> None:
    """Read some bytes as a multipart body and hold the invariant."""
    content_type, _, body = content.partition(b"\n")
    limits = BodyLimits(arguments=5, parts=4, files=2, part_headers=200)
    result = process_multipart(body, BodyContext(content_type=content_type, limits=limits))
    assert set(result.flags) == set(FLAGS)
    assert all(value in (b"0", b"1") for name, value in result.flags.items() if name != "MULTIPART_UNMATCHED_BOUNDARY")
    assert not result.error or result.flags["MULTIPART_STRICT_ERROR"] == b"1"
    assert len(result.args) <= limits.arguments
    encoded = b"content-transfer-encoding" in body.lower()
    assert encoded or all(value in body for _, value in result.args)
    assert all(file.content in body for file in result.files)
    cut = process_multipart(body, BodyContext(content_type=content_type, limits=limits, truncated=True))
    assert not cut.error or result.error


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
