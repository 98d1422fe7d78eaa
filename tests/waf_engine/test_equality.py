"""The planned executor beside the reference interpreter on the OWASP CRS 4 and 3.3: generated and benchmark requests.

By default a few of each; with SPOA_WAF_FULL=1 20,000 generated ones and 200 of each kind. The CRS's own tests are run
so in runtime/test_planned.py, the rules made to be hard on the plan in compiler/test_program.py and by the fuzz target.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.engine import requests
from tests.conftest import absent
from tests.waf_engine.exchanges import FRAGMENTS, bodies, encoded, exchanges
from tests.waf_engine.test_crs import CRS3_SETTINGS
from tests.waf_engine.twins import HARD_RULES, Exchange, Twins

if TYPE_CHECKING:
    from collections.abc import Callable

FULL = os.environ.get("SPOA_WAF_FULL") == "1"
EXAMPLES = 20_000 if FULL else 60
VARIANTS = 200 if FULL else 3
SLOW_VARIANTS = 20 if FULL else 1
CRS4_SETTINGS = """
    SecRuleEngine On
    SecRequestBodyAccess On
    SecResponseBodyAccess On
    SecResponseBodyMimeType text/plain text/html
    SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" \\
        "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
    Include {crs}/crs-setup.conf
    SecAction "id:900000,phase:1,pass,nolog,t:none,setvar:tx.blocking_paranoia_level={level}"
    Include {crs}/rules/*.conf
"""

ODD = (
    b"%2527%20or%201=1",
    b"%c0%ae%c0%ae/",
    b"${jndi:ldap://x/a}",
    b"{{7*7}}",
    b"() { :;}; echo",
    b"php://filter/read=",
    b"Y2F0IC9ldGMvcGFzc3dk",
    b"\\u003cscript\\u003e",
    b"<?php system($_GET[0]);",
    b"`id`;cat /e'tc'/pa?swd",
    b"\xef\xbc\x9cscript\xef\xbc\x9e",
    b"a" * 300 + b"%00",
    b"0x31303235",
    b"javascript&colon;alert(1)",
    b"<svg/onload=&#97;lert(1)>",
    b"Set-Cookie:%0d%0aa=b",
    b"http://169.254.169.254/latest",
    b"__proto__",
    b"rO0ABXNy",
    b"../" * 9 + b"boot.ini",
)
"""Beside the fragments that the hard rules look for: what the CRS does."""

values = st.lists(st.sampled_from(FRAGMENTS + ODD) | st.binary(max_size=8), min_size=1, max_size=3).map(b"".join)
pairs = st.lists(st.tuples(st.sampled_from((b"id", b"q", b"x[]", b"json.a", b"")) | values, values), max_size=4)
header_names = st.sampled_from(
    (
        b"Host",
        b"User-Agent",
        b"Accept",
        b"Cookie",
        b"Referer",
        b"Range",
        b"X-Forwarded-For",
        b"Content-Length",
        b"Expect",
    )
)


@st.composite
def attacks(draw: st.DrawFn) -> Exchange:
    """A request in the manner of clients that mean harm, and the answer of a server that leaks."""
    content_type, body = draw(bodies())
    if draw(st.booleans()):
        content_type, body = b"application/x-www-form-urlencoded", encoded(draw(pairs), raw=draw(st.booleans()))
    headers = draw(st.lists(st.tuples(header_names, values | st.just(b"shop.example.org")), max_size=6))
    if content_type:
        headers.append((b"Content-Type", content_type))
    path = draw(st.sampled_from((b"/", b"/index.php", b"/wp-login.php", b"/a/..;/b", b"/x.bak"))) + draw(
        st.just(b"") | values
    )
    answer = draw(
        st.sampled_from((b"", b"ORA-01756: quoted string", b"<?php echo 1;", b"Index of /", b"Microsoft OLE DB"))
    )
    return Exchange(
        uri=path.replace(b" ", b"%20") + b"?" + encoded(draw(pairs), raw=draw(st.booleans())),
        method=draw(st.sampled_from((b"GET", b"POST", b"PUT", b"PROPFIND", b"get"))),
        headers=tuple(headers),
        body=body,
        response=(draw(st.sampled_from((200, 404, 500))), ((b"Content-Type", b"text/html"),), answer),
    )


def crs4(level: int) -> Callable[[Path], str]:
    return lambda corpora: CRS4_SETTINGS.format(crs=(corpora / "crs").resolve(), level=level)


@pytest.fixture(scope="module")
def twins4(corpora: Path) -> Twins:
    return Twins(crs4(4)(corpora))


@pytest.fixture(scope="module")
def twins3() -> Twins:
    """CRS 3.3 of Debian's package, installed, or unpacked below SPOA_WAF_CRS3; with its paranoia at the most."""
    root = Path(os.environ.get("SPOA_WAF_CRS3", "/"))
    rules, etc = root / "usr/share/modsecurity-crs/rules", root / "etc/modsecurity/crs"
    if not rules.is_dir():
        absent(f"no CRS 3.3 at {rules}: install modsecurity-crs, or unpack it and set SPOA_WAF_CRS3")
    text = CRS3_SETTINGS.format(etc=etc, rules=rules)
    level = 'SecAction "id:900000,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level=4"\n'
    return Twins(text.replace("    SecAction", f"    {level}    SecAction", 1))


@pytest.fixture(scope="module")
def hard() -> Twins:
    return Twins(HARD_RULES.read_text("utf-8"))


many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=not FULL)


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 900)
@many
@given(attacks())
def test_generated_requests_on_hard_rules(hard: Twins, exchange: Exchange):
    hard.forget()
    hard.compare(exchange)


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 900)
@many
@given(attacks() | exchanges())
def test_generated_requests_on_crs_4(twins4: Twins, exchange: Exchange):
    twins4.forget()
    twins4.compare(exchange)


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 900)
@many
@given(attacks() | exchanges())
def test_generated_requests_on_crs_3(twins3: Twins, exchange: Exchange):
    twins3.forget()
    twins3.compare(exchange)


def exchange_of(kind: str, number: int) -> Exchange:
    """A request of the benchmark, and a page as its answer."""
    request = requests.request(kind, number)
    headers = tuple((name.encode(), value.encode()) for name, value in request.headers)
    page = (200, ((b"Content-Type", b"text/html"),), b"<p>quiet</p>")
    return Exchange(request.target.encode(), request.method.encode(), headers, request.body, page)


def compare_kinds(twins: Twins) -> dict[str, int]:
    """All kinds of the benchmark; how many of each were blocked."""
    blocked = {}
    for kind in requests.KINDS:
        count = SLOW_VARIANTS if kind in requests.SLOW_KINDS else VARIANTS
        found = [twins.compare(exchange_of(kind, number)) for number in range(count)]
        blocked[kind] = sum(each["interruption"] is not None for each in found)
    return blocked


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 900)
@pytest.mark.parametrize("memory", [1 << 20, 0])
def test_the_benchmarks_requests_on_crs_4(corpora: Path, memory: int):
    blocked = compare_kinds(Twins(crs4(1)(corpora), memory=memory))

    assert blocked == {kind: VARIANTS if kind == "R6" else 0 for kind in requests.KINDS}


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 900)
def test_the_benchmarks_requests_on_crs_3(twins3: Twins):
    twins3.forget()

    assert compare_kinds(twins3)["R6"] == VARIANTS


@pytest.mark.corpora
@pytest.mark.slow
def test_long_values_and_bodies_on_crs_4(twins4: Twins):
    """Beyond what is remembered, and beyond what a scan is split for."""
    makers = (requests.arguments, requests.one_value, requests.form, requests.json_body, requests.upload)
    for make in makers:
        for size in (50, 3000, 30_000):
            request = make(size if make is not requests.arguments else size // 30 + 1, 1)
            headers = tuple((name.encode(), value.encode()) for name, value in request.headers)
            twins4.compare(Exchange(request.target.encode(), b"POST", headers, request.body))
