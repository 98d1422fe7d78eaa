# Invariant: whatever a client sends, the planned executor does what the reference interpreter does: the same rules
# match on the same values in the same order, with the same TX, verdict and log lines; nothing raises.
"""Fuzz target of the plan: a raw request against rules made to be hard on it.

With atheris: ``python fuzz/fuzz_plan_equals_reference.py fuzz/corpus/plan_equals_reference``
without it: tests/waf_engine/test_fuzz_targets.py.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests' twins, whoever starts this

from tests.waf_engine.twins import HARD_RULES, Exchange, Twins

PIECES = [
    b"GET /?",
    b"POST /item/7/x?",
    b" HTTP/1.1\r\n",
    b"\r\n",
    b"&",
    b"=",
    b"; ",
    b"id",
    b"a",
    b"b",
    b"q",
    b"end",
    b"off",
    b"skip",
    b"key",
    b"level",
    b"Cookie: ",
    b"Content-Type: ",
    b"application/json",
    b"application/x-www-form-urlencoded",
    b"{",
    b"}",
    b'"a":"union select"',
    b"union%20select",
    b"<script>",
    b"%3c",
    b"deny2",
    b"allow",
    b"phase",
    b"laned",
    b"static",
    b"tag",
    b"three",
    b"both",
    b"score",
    b"3",
    b"x",
    b"/etc/x",
    b"\x0b",
    b"\xe9",
    b"\xff",
    b"%0a",
    b"%00",
    b"+",
    b"'or'1'='1",
]


@cache
def twins() -> Twins:
    """The rules, compiled once."""
    return Twins(HARD_RULES.read_text("utf-8"))


def fuzz(content: bytes) -> None:
    """Run some bytes as a request on both executors and hold the invariant."""
    head, _, body = content.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    method, _, rest = line.partition(b" ")
    target, _, _ = rest.rpartition(b" ")
    parted = [field.partition(b":") for field in fields]
    headers = tuple((name, value.strip(b" \t")) for name, _, value in parted)
    both = twins()
    both.forget()
    both.compare(Exchange(target, method, headers, body, (500, ((b"Content-Type", b"text/html"),), body)))


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
