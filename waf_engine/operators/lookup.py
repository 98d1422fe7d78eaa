"""Operators that look an address up elsewhere: a data base of places, a DNS block list.

Holds no socket and no thread: a rule must never wait for the network. What answers for a block list is given by the
settings (`rbl_resolver`), and answers from what it knows; `waf_engine.rbl.RblCache` is a helper to write one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.operators.net import parse_address
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from waf_engine.types import Captures, CompileContext, Entry, Test, TransactionView

MAX_NAME: Final = 253
"""Characters of a name in DNS (RFC 1035, 2.3.4)."""

_ENGLISH: Final = ("names", "en")

GEO_FIELDS: Final[dict[bytes, tuple[str | int, ...]]] = {
    b"COUNTRY_CODE": ("country", "iso_code"),
    b"COUNTRY_NAME": ("country", *_ENGLISH),
    b"COUNTRY_CONTINENT": ("continent", "code"),
    b"REGION": ("subdivisions", 0, "iso_code"),
    b"CITY": ("city", *_ENGLISH),
    b"POSTAL_CODE": ("postal", "code"),
    b"LATITUDE": ("location", "latitude"),
    b"LONGITUDE": ("location", "longitude"),
    b"DMA_CODE": ("location", "metro_code"),
}
"""Members of GEO, and where a record of MaxMind's City and Country data bases has them."""


def _never(_value: bytes, _tx: TransactionView) -> Captures | None:
    return None


@operators.register("geoLookup")
def geo_lookup(_argument: str, context: CompileContext) -> Test:
    """The value is an address whose place is known.

    Argument: none; the data base is that of ``SecGeoLookupDb`` (MaxMind's MMDB format).
    Matches: an address that the data base has. The collection GEO then holds what it says of it.
    Example: @geoLookup
        matches "192.0.2.1"
        not "203.0.113.1"
    """
    database = context.setting("geo_database")
    if not database:
        context.warn("@geoLookup has no data base and never matches", "name an .mmdb file by SecGeoLookupDb")
        return hinted(_never, Kind.NEVER)
    find = _geo_database(database)

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        if parse_address(value) is None:
            return None
        record = find(value.decode("ascii"))
        if record is None:
            return None
        tx.set_collection("GEO", geo_entries(record))
        return MATCHED

    return test


def _geo_database(database: str | Callable[[str], Any]) -> Callable[[str], Any]:
    """What finds the record of an address.

    Raises:
        ArgumentError: it cannot be read, or the package is missing.
    """
    if not isinstance(database, str):
        return database
    try:
        import maxminddb  # noqa: PLC0415  an extra: only who uses the operator needs it
    except ImportError as error:
        raise ArgumentError(
            "@geoLookup needs the package maxminddb",
            hint="pip install 'spoa-waf[geo]', or pip install maxminddb",
            code="no-maxminddb",
        ) from error
    try:
        reader = maxminddb.open_database(database)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise ArgumentError(f"the data base {database} cannot be read: {error}", code="no-geo") from error

    def find(address: str) -> Any:
        try:
            return reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):  # an IPv6 address and a data base of IPv4, a damaged file
            return None

    return find


def geo_entries(record: Mapping[str, Any]) -> list[Entry]:
    """The members of GEO that a record has."""
    entries = []
    for name, path in GEO_FIELDS.items():
        found: Any = record
        for step in path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                found = None
                break
        if found is not None:
            entries.append((name, str(found).encode("utf-8", "replace")))
    return entries


@operators.register("rbl")
def rbl(argument: str, context: CompileContext) -> Test:
    """The value is an address on a DNS block list.

    Argument: the list's domain. The address is asked for as DNS block lists want it: reversed (RFC 5782).
    Matches: an address that the list is known to have; TX.0 is the list's answer. What is not known yet does not match.
    Example: @rbl rbl.example.org
        matches "192.0.2.1"
        not "203.0.113.1"
    """
    zone = argument.strip().strip(".")
    if not zone or len(zone) > MAX_NAME - 64 or not all(c.isascii() and (c.isalnum() or c in "-._") for c in zone):
        raise ArgumentError(f"{zone[:60]!r} is not the name of a domain", hint="such as zen.spamhaus.org")
    resolver = context.setting("rbl_resolver")
    if resolver is None:
        context.warn("@rbl is switched off and never matches", "the setting rbl_resolver turns it on")
        return hinted(_never, Kind.NEVER)
    ask: Callable[[str], str | None] = resolver

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        address = parse_address(value)
        if address is None:
            return None
        answer = ask(f"{reversed_name(address)}.{zone}")
        return (answer.encode("utf-8", "replace"),) if answer else None

    return test


def reversed_name(address: bytes) -> str:
    """The labels by which a block list knows an address: its bytes, or its hexadecimal digits, last first."""
    return ".".join(map(str, reversed(address)) if len(address) == 4 else reversed(address.hex()))
