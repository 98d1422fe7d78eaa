"""Who the client is behind proxies: what trusted proxies say counts, what a client writes does not."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.client_address import MAX_HOPS, TrustedProxies, read_node

if TYPE_CHECKING:
    from collections.abc import Sequence

NETWORKS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
PROXY = IPv4Address("10.0.0.1")


def client(*lines: bytes, header: str = "", source: object = PROXY, name: bytes = b"") -> tuple[str, int] | None:
    """The client for these lines of the header."""
    proxies = TrustedProxies(NETWORKS, header)
    shown = name or (header or "x-forwarded-for").encode()
    headers = ((b"host", b"a"), *((shown, line) for line in lines))
    return proxies.client(source, headers)  # type: ignore[arg-type]  # also what is no address


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"203.0.113.7"], ("203.0.113.7", 0)),
        ([b"198.51.100.1, 203.0.113.7"], ("203.0.113.7", 0)),
        ([b"203.0.113.7, 10.1.1.1"], ("203.0.113.7", 0)),
        ([b"203.0.113.7,10.1.1.1 , fd00::1"], ("203.0.113.7", 0)),
        ([b"10.0.0.9, 10.0.0.8"], ("10.0.0.9", 0)),
        ([b"203.0.113.7:4711"], ("203.0.113.7", 4711)),
        ([b"2001:db8::1"], ("2001:db8::1", 0)),
        ([b"[2001:DB8::1]:443"], ("2001:db8::1", 443)),
        ([b"[2001:db8::1]"], ("2001:db8::1", 0)),
        ([b"::ffff:203.0.113.7"], ("203.0.113.7", 0)),
        ([b"203.0.113.7, ,, "], ("203.0.113.7", 0)),
        ([b"198.51.100.1", b"203.0.113.7"], ("203.0.113.7", 0)),
        ([b"203.0.113.7", b"10.0.0.3, 10.0.0.2"], ("203.0.113.7", 0)),
        ([b"198.51.100.1, nonsense, 10.0.0.2"], ("10.0.0.2", 0)),
        ([b"nonsense"], None),
        ([b"unknown"], None),
        ([b""], None),
        ([], None),
        ([b"203.0.113.7.evil"], None),
        ([b"fe80::1%eth0"], None),
        ([b"0x7f.1"], None),
        ([b"010.1.1.1"], None),
        ([b"1" * 10_000], None),
    ],
)
def test_the_list_is_read_from_the_right(lines: Sequence[bytes], expected: tuple[str, int] | None) -> None:
    assert client(*lines) == expected


@pytest.mark.parametrize(
    "source", [IPv4Address("192.0.2.1"), IPv6Address("2001:db8::9"), "192.0.2.1", b"", None, "nonsense", 5]
)
def test_nobody_else_is_believed(source: object) -> None:
    assert client(b"203.0.113.7", source=source) is None


@pytest.mark.parametrize("source", [PROXY, "10.0.0.1", b"10.0.0.1", IPv6Address("fd00::1"), "::ffff:10.0.0.1"])
def test_proxies_in_any_type(source: object) -> None:
    assert client(b"203.0.113.7", source=source) == ("203.0.113.7", 0)


def test_the_name_of_the_header_has_no_case_and_others_do_not_count() -> None:
    assert client(b"203.0.113.7", name=b"X-FORWARDED-For") == ("203.0.113.7", 0)
    assert client(b"203.0.113.7", header="X-Real-IP", name=b"x-real-ip") == ("203.0.113.7", 0)
    assert client(b"203.0.113.7", header="X-Real-IP", name=b"x-forwarded-for") is None


def test_the_number_of_hops_is_bounded() -> None:
    assert client(b"203.0.113.7" + b", 10.0.0.2" * (MAX_HOPS - 1)) == ("203.0.113.7", 0)
    assert client(b"203.0.113.7" + b", 10.0.0.2" * MAX_HOPS) == ("10.0.0.2", 0)
    assert client(*[b"10.0.0.2"] * 100_000) == ("10.0.0.2", 0)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"for=192.0.2.60;proto=http;by=203.0.113.43"], ("192.0.2.60", 0)),
        ([b'For="[2001:db8:cafe::17]:4711"'], ("2001:db8:cafe::17", 4711)),
        ([b'for="192.0.2.43:47011", for=10.0.0.2'], ("192.0.2.43", 47011)),
        ([b"for=192.0.2.43, for=198.51.100.17"], ("198.51.100.17", 0)),
        ([b"for=192.0.2.43", b'for=10.0.0.2;by="_x"'], ("192.0.2.43", 0)),
        ([b'proto=https ; for = "192.0.2.43" ;host="a,b;c"'], ("192.0.2.43", 0)),
        ([b'for="\\192.0.2.43"'], ("192.0.2.43", 0)),
        ([b"for=unknown, for=10.0.0.2"], ("10.0.0.2", 0)),
        ([b'for="_gazonk"'], None),
        ([b"proto=https"], None),
        ([b"for=192.0.2.43;for=192.0.2.44"], None),
        ([b'for="192.0.2.43'], None),
        ([b"192.0.2.43"], None),
        # What a client writes cannot hide what the proxy adds after it, nor can what the proxy quotes.
        ([b'for="evil, for=192.0.2.43'], ("192.0.2.43", 0)),
        ([b'for="a\\", for=192.0.2.43'], ("192.0.2.43", 0)),
        ([b'for=192.0.2.43;host="x, for=6.6.6.6"'], ("192.0.2.43", 0)),
        ([b'for=192.0.2.43;host="x, for=6.6.6.6;y="'], ("192.0.2.43", 0)),
        ([b'for=192.0.2.43;host="x\\",for=6.6.6.6;b=\\""'], ("192.0.2.43", 0)),
        ([b'for=192.0.2.43;host="x\\\\", for=10.0.0.2'], ("192.0.2.43", 0)),
        ([b'for=192.0.2.43;host="' + b"," * 10_000 + b'"'], None),
    ],
)
def test_forwarded_as_rfc_7239_has_it(lines: Sequence[bytes], expected: tuple[str, int] | None) -> None:
    assert client(*lines, header="Forwarded") == expected


QUOTED = st.binary(max_size=12).map(lambda text: text.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))


@given(before=st.binary(max_size=40), host=QUOTED)
def test_nothing_before_or_within_the_proxys_element_changes_it(before: bytes, host: bytes) -> None:
    """A proxy appends ``for=`` what it saw, and may quote what the client sent as Host."""
    line = before + b', for=192.0.2.43;host="' + host + b'"'

    assert client(line, header="Forwarded") == ("192.0.2.43", 0)


@given(st.binary(max_size=60), st.sampled_from(["", "Forwarded", "X-Real-IP"]))
def test_any_bytes_give_an_address_or_none(line: bytes, header: str) -> None:
    found = client(line, header=header)

    assert found is None or (str(ip_address(found[0])) == found[0] and 0 <= found[1] < 65_536)


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_every_address_is_read_back(address: IPv4Address | IPv6Address, port: int) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    text = f"[{address}]" if address.version == 6 else str(address)

    assert read_node(f"{text}:{port}".encode()) == (str(mapped or address), port)
    assert read_node(str(address).encode()) == (str(mapped or address), 0)
