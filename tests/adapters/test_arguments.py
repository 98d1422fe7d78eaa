"""Arguments by their usual names and in any type."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.arguments import ALIASES, MAX_ID, address, exchange_id, headers_of, number, read_arguments, size_of
from adapters.troubles import Reason, TroubleError
from spop_proto import Message


def test_usual_names() -> None:
    message = Message("m", (("unique-id", "x"), ("req.hdrs", b"a: b\r\n\r\n"), ("src", None), ("mine", 5)))

    assert read_arguments(message) == {"id": "x", "headers": b"a: b\r\n\r\n", "src-ip": None, "mine": 5}
    assert not set(ALIASES) & set(ALIASES.values())


def test_modsecuritys_have_no_names() -> None:
    message = Message("m", tuple(("", value) for value in ("x", "GET", "/", None)))

    assert read_arguments(message) == {"id": "x", "method": "GET", "path": "/", "query": None}


def test_the_last_of_a_repeated_name_counts() -> None:
    assert read_arguments(Message("m", (("id", "x"), ("unique-id", "y")))) == {"id": "y"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ()),
        ({"headers": "a: b\r\nodd line\r\nc:  d \r\n\r\n"}, ((b"a", b"b"), (b"odd line", b""), (b"c", b" d "))),
        ({"headers": b"\x01a\x01b\0\0"}, ((b"a", b"b"),)),
        ({"headers_bin": b"\x01a\x01b\0\0", "headers": b"x: y\r\n"}, ((b"a", b"b"),)),
    ],
)
def test_headers_in_both_forms(arguments: dict[str, Any], expected: object) -> None:
    assert headers_of(arguments) == expected


def test_headers_that_are_cut() -> None:
    with pytest.raises(TroubleError) as caught:
        headers_of({"headers_bin": b"\x09a"})

    assert caught.value.reason is Reason.BAD_MESSAGE


@given(st.binary(max_size=600))
def test_ids_are_bounded_and_told_apart(value: bytes) -> None:
    key = exchange_id({"id": value})

    assert len(key.encode("utf-8", "surrogateescape")) <= MAX_ID
    assert exchange_id({"id": value + b"x"}) != key
    assert exchange_id({"id": value}) == key


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), ("80", 80), (b"-1", -1), (True, 1), (None, 0), ("x", 0), ("", 0), (b"9" * 30, 0), ("\u0665", 0)],
)
def test_numbers(value: Any, expected: int) -> None:
    assert number(value) == expected


def test_addresses() -> None:
    assert address(IPv4Address("192.0.2.1")) == "192.0.2.1"
    assert address(IPv6Address("2001:db8::1")) == "2001:db8::1"
    assert address(b"192.0.2.1") == "192.0.2.1"
    assert address(None) == ""


def test_the_size_is_that_of_what_can_be_long() -> None:
    assert size_of({"headers": b"12345", "body": "123", "query": None, "id": "x", "status": 200}) == 8
