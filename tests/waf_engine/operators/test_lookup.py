"""Places and block lists: what is asked, what becomes of an answer, and what is refused or warned of at load."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators.lookup import geo_entries, reversed_name
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from pathlib import Path

RECORD = {
    "continent": {"code": "EU"},
    "country": {"iso_code": "CH", "names": {"en": "Switzerland", "de": "Schweiz"}},
    "subdivisions": [{"iso_code": "ZH"}, {"iso_code": "XX"}],
    "city": {"names": {"en": "Z\xfcrich"}},
    "location": {"latitude": 47.4, "longitude": 8.5},
    "traits": None,
}


class DamagedError(Exception):
    """The stand-in for maxminddb.InvalidDatabaseError."""


def test_the_members_of_geo():
    assert dict(geo_entries(RECORD)) == {
        b"COUNTRY_CODE": b"CH",
        b"COUNTRY_NAME": b"Switzerland",
        b"COUNTRY_CONTINENT": b"EU",
        b"REGION": b"ZH",
        b"CITY": "Z\xfcrich".encode(),
        b"LATITUDE": b"47.4",
        b"LONGITUDE": b"8.5",
    }
    assert geo_entries({"country": None, "subdivisions": [], "city": "?"}) == []


def test_the_collection_is_filled_when_the_address_is_known(bench: Any):
    tx = bench.Transaction()
    test = bench.compile("geoLookup")

    assert test(b"no address", tx) is None
    assert test(b"203.0.113.1", tx) is None
    assert tx.collections == {}
    assert test(b"192.0.2.1", tx) is MATCHED
    assert tx.collections == {"GEO": [(b"COUNTRY_CODE", b"CH")]}


def test_without_a_data_base_it_never_matches_and_is_warned_of(bench: Any):
    context = bench.Context(settings={})

    assert bench.compile("geoLookup", "", context)(b"192.0.2.1") is None
    assert len(context.warnings) == 1
    assert "SecGeoLookupDb" in context.warnings[0]


def test_without_the_package_it_is_refused(bench: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "maxminddb", None)

    with pytest.raises(ArgumentError, match="maxminddb") as refused:
        bench.compile("geoLookup", "", bench.Context(settings={"geo_database": "city.mmdb"}))
    assert "pip install" in refused.value.hint


def test_a_file_is_read_by_the_package(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A stand-in for the package, with the two calls and the errors of the real one."""

    def get(address: str) -> Any:
        if ":" in address:
            raise ValueError("an IPv6 address in a data base of IPv4")
        if address == "192.0.2.2":
            raise DamagedError
        return RECORD

    def open_database(path: str) -> Any:
        with open(path, "rb") as file:  # noqa: PTH123  as the package does
            if file.read() != b"good":
                raise DamagedError("not a data base")
        return SimpleNamespace(get=get)

    stand_in = SimpleNamespace(open_database=open_database, InvalidDatabaseError=DamagedError)
    monkeypatch.setitem(sys.modules, "maxminddb", stand_in)
    (tmp_path / "good").write_bytes(b"good")
    (tmp_path / "bad").write_bytes(b"bad")
    test = bench.compile("geoLookup", "", bench.Context(settings={"geo_database": str(tmp_path / "good")}))

    assert test(b"192.0.2.1") is MATCHED
    assert test(b"192.0.2.2") is None
    assert test(b"2001:db8::1") is None
    for bad in ("bad", "absent"):
        with pytest.raises(ArgumentError, match="cannot be read"):
            bench.compile("geoLookup", "", bench.Context(settings={"geo_database": str(tmp_path / bad)}))


def test_addresses_are_reversed():
    """RFC 5782, 2.1 and 2.4."""
    assert reversed_name(bytes([192, 0, 2, 99])) == "99.2.0.192"
    assert reversed_name(bytes.fromhex("20010db8000100020003000405060789")) == (
        "9.8.7.0.6.0.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2"
    )


def test_what_is_not_known_yet_does_not_match(bench: Any):
    asked: list[str] = []
    answers = {"1.2.0.192.bl.example": "127.0.0.2", "2.2.0.192.bl.example": ""}

    def resolver(name: str) -> str | None:
        asked.append(name)
        return answers.get(name)

    test = bench.compile("rbl", "bl.example.", bench.Context(settings={"rbl_resolver": resolver}))

    assert test(b"192.0.2.1") == (b"127.0.0.2",)
    assert test(b"192.0.2.2") is None
    assert test(b"192.0.2.3") is None
    assert test(b"example.org") is None
    assert asked == ["1.2.0.192.bl.example", "2.2.0.192.bl.example", "3.2.0.192.bl.example"]


def test_a_block_list_without_a_resolver_is_warned_of(bench: Any):
    context = bench.Context(settings={})

    assert bench.compile("rbl", "bl.example", context)(b"192.0.2.1") is None
    assert context.warnings == ["@rbl is switched off and never matches (the setting rbl_resolver turns it on)"]


@pytest.mark.parametrize("argument", ["", "a b", "\xe9.example", "x" * 200, "a/b"])
def test_what_is_no_domain_is_refused(bench: Any, argument: str):
    with pytest.raises(ArgumentError, match="not the name of a domain"):
        bench.compile("rbl", argument)
