"""Addresses and networks, against the standard library's ipaddress."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waf_engine.operators.net import parse_address, parse_network
from waf_engine.types import MATCHED

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@pytest.mark.parametrize(
    "text",
    [b"", b"1", b"1.2.3", b"1.2.3.4.5", b"1.2.3.256", b"01.2.3.4", b" 1.2.3.4", b"1.2.3.4 ", b"1.2.3.4\0", b"::g", b":",
     b"1.2.3.4/8", b"\xd9\xa1.2.3.4", b"::1%eth0", b"0x7f.1", b"1" * 100_000, b":" * 46],
)  # fmt: skip
def test_what_is_no_address(text: bytes):
    assert parse_address(text) is None


@given(addresses)
def test_every_address_is_read(address: ipaddress.IPv4Address | ipaddress.IPv6Address):
    expected = getattr(address, "ipv4_mapped", None) or address

    assert parse_address(str(address).encode()) == expected.packed
    assert parse_address(address.exploded.encode()) == expected.packed


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "x", "/8", "::ffff:1.2.3.4/90"]
)
def test_what_is_no_network(text: str):
    assert parse_network(text) is None


def test_a_mapped_address_is_that_of_ipv4(bench: Any):
    test = bench.compile("ipMatch", "10.0.0.0/8")

    assert test(b"::ffff:10.1.2.3") is MATCHED
    assert bench.compile("ipMatch", "::ffff:10.0.0.0/104")(b"10.1.2.3") is MATCHED
    assert test(b"::ffff:11.1.2.3") is None


def test_what_is_no_network_is_left_out_with_a_warning(bench: Any):
    context = bench.Context()
    test = bench.compile("ipMatch", "10.0.0.0/8, nonsense ,,::1", context)

    assert len(context.warnings) == 1
    assert "'nonsense' is not a network" in context.warnings[0]
    assert test(b"::1") is MATCHED
    assert test(b"nonsense") is None


def test_comments_in_files(bench: Any):
    test = bench.compile("ipMatchF", "networks.data")

    assert test(b"192.168.1.1") is MATCHED
    assert test(b"fd12::1") is MATCHED
    assert test(b"10.0.0.1") is None


@given(networks=st.lists(st.tuples(addresses, st.integers(0, 128)), max_size=8), address=addresses)
@settings(deadline=None)
def test_networks_against_the_standard_library(
    bench: Any, networks: list[tuple[Any, int]], address: ipaddress.IPv4Address | ipaddress.IPv6Address
):
    known = [
        ipaddress.ip_network((one, length % (one.max_prefixlen + 1)), strict=False)
        for one, length in networks
        if getattr(one, "ipv4_mapped", None) is None
    ]
    test = bench.compile("ipMatch", ",".join(map(str, known)))
    for candidate in (address, *(one for one, _ in networks)):
        plain = getattr(candidate, "ipv4_mapped", None) or candidate
        expected = any(plain in network for network in known)

        assert (test(str(candidate).encode()) is not None) == expected


def test_ten_thousand_networks_cost_as_much_as_few(bench: Any):
    lines = b"\n".join(b"10.%d.%d.0/24" % (n >> 8, n & 255) for n in range(10_000))
    test = bench.compile("ipMatchFromFile", "many", bench.Context({"many": lines}))
    start = time.process_time()
    found = [test(b"10.%d.1.1" % (n & 255)) for n in range(1000)]

    assert time.process_time() - start < 0.1
    assert found.count(None) == sum((n & 255) * 256 + 1 >= 10_000 for n in range(1000))
