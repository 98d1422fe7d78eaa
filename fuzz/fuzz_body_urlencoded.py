# Invariant: nothing raises; decoding is urllib's; a limit only cuts the list; no byte is made up: names and values
# together are never longer than the text.
"""Fuzz target of urlencoded bodies, query strings and request targets.

With atheris: ``python fuzz/fuzz_body_urlencoded.py fuzz/corpus/body_urlencoded``;
without it: tests/waf_engine/test_fuzz_targets.py.
"""

from __future__ import annotations

import sys
from urllib.parse import unquote_to_bytes

from waf_engine.bodies.cookies import parse_cookies
from waf_engine.bodies.uri import split_uri
from waf_engine.bodies.urlencoded import parse_urlencoded, percent_decode, process_urlencoded
from waf_engine.types import BodyContext, BodyLimits

PIECES = [b"a", b"%", b"%41", b"%4", b"+", b"&", b"=", b";", b"?", b"/", b"\\", b"#", b"http://h", b"\x00", b"\xff"]


def fuzz(content: bytes) -> None:
    """Read some bytes as a form, as a request target and as cookies, and hold the invariant."""
    pairs, bad = parse_urlencoded(content)
    assert sum(len(name) + len(value) for name, value in pairs) <= len(content)
    assert parse_urlencoded(content, b"&", 2)[0] == pairs[:3]
    assert percent_decode(content)[0] == unquote_to_bytes(content)
    result = process_urlencoded(content, BodyContext(limits=BodyLimits(arguments=2)))
    assert (result.error != "") == (len(pairs) > 2)
    assert result.args == pairs[:2]
    assert "URLENCODED_ERROR" not in result.flags or bad
    parts = split_uri(content)
    assert parts.arguments == content.partition(b"?")[2]
    assert all(name for name, _ in parse_cookies(content))


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
