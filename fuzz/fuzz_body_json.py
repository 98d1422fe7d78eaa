# Invariant: nothing raises; the limits hold; where the fast way reads a document, the tolerant reader reads the same
# without an error; where Python's parser refuses one, there is an error.
"""Fuzz target of JSON bodies.

With atheris: ``python fuzz/fuzz_body_json.py fuzz/corpus/body_json``
without it: tests/waf_engine/test_fuzz_targets.py.
"""

from __future__ import annotations

import json
import sys

from waf_engine.bodies.json import process_json
from waf_engine.bodies.json_reader import JSONReader, KeyStyle
from waf_engine.types import BodyContext, BodyLimits

PIECES = rb"""{ } [ ] : , " "a" \ \u00e9 \ud800 \n 1 - 1.5e+3 true null NaN /* '""".split()
PIECES += [b" ", b"\n", b"\x00", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xff\xfe"]
STYLE = KeyStyle(item=b".%d", lengths=True)


def fuzz(content: bytes) -> None:
    """Read some bytes as JSON and hold the invariant."""
    limits = BodyLimits(depth=5, leaves=20)
    for style in ("coraza", "modsecurity"):
        result = process_json(content, BodyContext(json_keys=style, limits=limits))
        assert len(result.args) <= limits.leaves + limits.depth + 2
    whole = process_json(content, BodyContext())
    reader = JSONReader(STYLE, depth=1024, leaves=10_000)
    reader.read(content.removeprefix(b"\xef\xbb\xbf"))
    if not whole.error:
        assert (reader.entries, reader.error) == (whole.args, "")
    try:
        json.loads(content.removeprefix(b"\xef\xbb\xbf").decode("latin-1"), parse_int=str, parse_constant=int)
    except (ValueError, RecursionError):
        assert whole.error or content.count(b"[") + content.count(b"{") > 500


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
