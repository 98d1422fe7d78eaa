"""Exchanges that hypothesis builds of attack fragments, encodings and odd bytes."""

from __future__ import annotations

import json
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

from tests.waf_engine.twins import Exchange

FRAGMENTS = (
    b"union select",
    b"UNION\x0bSELECT",
    b"union/**/select",
    b"select",
    b"sleep",
    b"<script>alert(1)</script>",
    b"<img src=x>",
    b"1' or '1'='1",
    b"' OR 1=1-- -",
    b"DROP",
    b"D R O P",
    b"/etc/passwd",
    b"/a/../ETC/x",
    b"a.php",
    b"a.p^hp",
    b"on",
    b" on ",
    b"hello",
    b"a b",
    b"a\x0bb",
    b"a\xa0b",
    b"axb",
    b"x",
    b"xx",
    b"\nx\n",
    b"\xe9",
    b"\xc3\xa9",
    b"\xc9",
    b"\xff",
    b"\xffz",
    b"\x00",
    b"",
    b" ",
    b"\t",
    b"\r\n",
    b"7",
    b"42",
    b"12 34",
    b"aa",
    b"ab",
    b"6162",
    b"0x6161",
    b"PHNjcmlwdD4=",
    b"&lt;script&gt;",
    b"&#x6a;",
    b"\\x3cscript\\x3e",
    b"%41",
    b"%u0041",
    b"%",
    b"%zz",
    b"gated",
    b"level",
    b"score",
    b"K",
    b"\xe2\x84\xaa",
    b"x" * 300,
    b"union " * 60,
    b"<" * 70,
    b"a" * 5000,
)
"""What values are made of."""

ENDS = (b"allow", b"phase", b"request", b"deny1", b"deny2", b"deny3", b"deny4", b"deny5", b"redirect", b"drop")
OFFS = (
    b"laned",
    b"static",
    b"here",
    b"tag",
    b"target",
    b"pattern",
    b"tx",
    b"count",
    b"tagged-target",
    b"detect",
    b"off",
    b"late",
    b"nothing",
    b"marker",
)
SWITCHES = {
    b"end": ENDS,
    b"off": OFFS,
    b"skip": (b"one", b"three", b"both", b"nowhere"),
    b"level": (b"0", b"1", b"2", b"3"),
    b"key": (b"score", b"level", b"more", b"failed", b"block", b"0", b"absent", b"one_is_a"),
    b"hide": (b"1",),
}
"""Arguments that switch something in plan_rules.conf, with the values that do."""

NAMES = (
    b"id",
    b"a",
    b"b",
    b"c",
    b"d",
    b"q",
    b"quiet",
    b"qx",
    b"same",
    b"other",
    b"user",
    b"z",
    b"ID",
    b"union select",
    b"",
)

values = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), min_size=1, max_size=3).map(b"".join)
plain_arguments = st.tuples(st.sampled_from(NAMES) | st.binary(max_size=4), values)
switches = st.sampled_from(sorted(SWITCHES)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(SWITCHES[name]))
)
arguments = st.lists(plain_arguments | plain_arguments | switches, max_size=6)
headers = st.lists(
    st.tuples(
        st.sampled_from((b"Host", b"User-Agent", b"X-Odd", b"Cookie", b"Accept", b"Referer", b"x-absent", b"")),
        st.sampled_from((b"x", b"curl/8", b"a=1; b=union select; c", b"*/*")) | values,
    ),
    max_size=5,
)
HISTORIES = ((1, 2, 3, 4, 5),) * 4 + ((1, 2, 5), (1, 2, 3, 5), (1, 5), (2, 5), (2, 1, 5), (1, 3, 4), (5,), (1, 2, 4, 5))


def encoded(pairs: list[tuple[bytes, bytes]], *, raw: bool) -> bytes:
    """Pairs as a query string, escaped or as they are."""
    if raw:
        return b"&".join(name + b"=" + value for name, value in pairs)
    return "&".join(f"{quote_from_bytes(name)}={quote_from_bytes(value)}" for name, value in pairs).encode()


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A content type and a body."""
    pairs = draw(arguments)
    kind = draw(st.sampled_from(("none", "form", "form", "json", "xml", "any")))
    if kind == "form":
        return b"application/x-www-form-urlencoded", encoded(pairs, raw=draw(st.booleans()))
    if kind == "json":
        members = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        return b"application/json", json.dumps(members).encode()
    if kind == "xml":
        return b"text/xml", b"<r a='%s'>%s</r>" % (b"select", b" ".join(value for _, value in pairs))
    if kind == "any":
        return draw(st.sampled_from((b"application/json", b"text/xml", b"x/y"))), draw(values)
    return b"", b""


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """An exchange, mostly whole, sometimes with phases that are missing or out of order."""
    content_type, body = draw(bodies())
    found = list(draw(headers))
    if content_type:
        found.append((b"Content-Type", content_type))
    path = draw(st.sampled_from((b"/", b"/item/12/x", b"/item/x/y", b"/a.php", b"/%e9")))
    query = encoded(draw(arguments), raw=draw(st.booleans()))
    answer = draw(st.sampled_from((b"", b"hello", b"a stack-trace", b"SQL  Error at line 1")))
    response = (
        draw(st.sampled_from((200, 500))),
        ((b"Content-Type", draw(st.sampled_from((b"text/html", b"image/png")))), (b"X-Leak", b"leak")),
        answer,
    )
    return Exchange(
        uri=path + (b"?" + query if query else b""),
        method=draw(st.sampled_from((b"GET", b"POST", b"PUT"))),
        headers=tuple(found),
        body=body,
        response=response,
        phases=draw(st.sampled_from(HISTORIES)),
    )
