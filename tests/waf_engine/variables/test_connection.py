"""The connection, the server, and who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import exchange, matched, values
from tests.waf_engine.variables.samples import sample

if TYPE_CHECKING:
    from tests.waf_engine.variables.samples import Row

ROWS: dict[str, list[Row]] = {
    "REMOTE_ADDR": [("get", [(b"", b"192.0.2.7")])],
    "REMOTE_HOST": [("get", [(b"", b"192.0.2.7")])],
    "REMOTE_PORT": [("get", [(b"", b"50000")])],
    "SERVER_ADDR": [("get", [(b"", b"198.51.100.1")])],
    "SERVER_PORT": [("get", [(b"", b"80")])],
    "SERVER_NAME": [("get", [(b"", b"example.com")]), ("bare", [(b"", b"")])],
    "UNIQUE_ID": [("get", [(b"", b"T1")])],
    "AUTH_TYPE": [("get", [(b"", b"Basic")]), ("bare", [(b"", b"")])],
    "REMOTE_USER": [("get", [(b"", b"user")]), ("bare", [])],
    "MODSEC_BUILD": [("get", [(b"", b"030001500")])],
    "WEBSERVER_ERROR_LOG": [("get", [(b"", b"")])],
    "WEBAPPID": [("get", [(b"", b"shop")])],
    "GEO": [("geo", [(b"COUNTRY_CODE", b"DE")]), ("get", [])],
}


@pytest.mark.parametrize("name", ROWS)
def test_what_it_holds(name: str):
    exchanges = ROWS[name]

    assert {sample_name: values(sample(sample_name), name) for sample_name, _ in exchanges} == dict(exchanges)


@pytest.mark.parametrize(
    ("header", "kind", "user"),
    [
        (b"Basic dXNlcjpwYXNz", b"Basic", [(b"", b"user")]),
        (b"  basic   dXNlcg==", b"basic", [(b"", b"user")]),  # no password
        (b"Basic dXNlcjpwYXNz!", b"Basic", []),
        (b"Basic", b"Basic", [(b"", b"")]),
        (b"Bearer dXNlcjpwYXNz", b"Bearer", []),
    ],
)
def test_the_user_is_that_of_basic_authentication(header: bytes, kind: bytes, user: list[tuple[bytes, bytes]]):
    tx = exchange("SecRuleEngine On", headers=[("authorization", header)])

    assert (values(tx, "AUTH_TYPE"), values(tx, "REMOTE_USER")) == ([(b"", kind)], user)


def test_geo_is_what_the_operator_found():
    rules = 'SecRule REMOTE_ADDR "@geoLookup" "id:1,phase:1,pass"\nSecRule GEO:country_code "@streq DE" "id:2,phase:1"'
    find = {"192.0.2.7": {"country": {"iso_code": "DE"}}}.get

    assert matched(exchange(rules, settings={"geo_database": find})) == [1, 2]
