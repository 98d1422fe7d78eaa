"""Operators on addresses.

Holds no name service and no data base of places (``lookup.py``). Networks are looked up by prefix length: one set for
each length that occurs, so that 10,000 networks cost as much as their few lengths.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from waf_engine.operators._registry import operators
from waf_engine.operators.phrase import data_lines
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from waf_engine.types import Captures, CompileContext, Test, TransactionView

MAX_ADDRESS: Final = 45
"""Bytes of the longest text of an address: an IPv6 address that ends in an IPv4 address."""

_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
"""What stands before an IPv4 address in its IPv6 form (RFC 4291, 2.5.5.2)."""

Tables = dict[int, list[tuple[int, set[int]]]]
"""By bytes of an address (4, 16): how far to shift it to the right, and the networks that are then left."""


@operators.register("ipMatch")
def ip_match(argument: str, context: CompileContext) -> Test:
    """The value is an address in one of these networks.

    Argument: IPv4 and IPv6 addresses and networks (``10.0.0.0/8``), with commas between. What is no network is left
        out with a warning.
    Matches: an address in one of them.
    Example: @ipMatch 10.0.0.0/8,::1
        matches "10.1.2.3"
        not "11.1.2.3"
    """
    return networks_test(argument.split(","), context)


@operators.register("ipMatchFromFile", "ipMatchF")
def ip_match_from_file(argument: str, context: CompileContext) -> Test:
    """The value is an address in one of the networks of a file.

    Argument: the file's name, looked for beside the rule's file; a network a line, ``#`` begins a comment.
    Matches: an address in one of them.
    Example: @ipMatchFromFile networks.data
        matches "192.168.7.7"
        not "11.1.2.3"
    """
    lines = data_lines(context.read_data(argument.strip()))
    return networks_test((line.partition(b"#")[0].decode("latin-1") for line in lines), context)


@operators.register("ipMatchFromDataset")
def ip_match_from_dataset(argument: str, context: CompileContext) -> Test:
    """The value is an address in one of the networks of a ``SecDataset``.

    Argument: the data set's name.
    Matches: an address in one of them.
    Example: @ipMatchFromDataset networks
        matches "192.168.7.7"
        not "11.1.2.3"
    """
    return networks_test((line.decode("latin-1") for line in context.dataset(argument.strip())), context)


def networks_test(networks: Iterable[str], context: CompileContext) -> Test:
    """The test for some networks; what is none is reported and left out."""
    tables: dict[int, dict[int, set[int]]] = {4: {}, 16: {}}
    for text in networks:
        if not text.strip():
            continue
        parsed = parse_network(text.strip())
        if parsed is None:
            context.warn(f"{text.strip()[:60]!r} is not a network, and left out", "such as 10.0.0.0/8 or 2001:db8::/32")
            continue
        packed, shift = parsed
        tables[len(packed)].setdefault(shift, set()).add(int.from_bytes(packed) >> shift)
    # The shortest prefix first: where networks overlap, the widest decides.
    of_four, of_sixteen = (sorted(tables[size].items(), reverse=True) for size in (4, 16))

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        packed = parse_address(value)
        if packed is None:
            return None
        number = int.from_bytes(packed)
        for shift, prefixes in of_four if len(packed) == 4 else of_sixteen:
            if number >> shift in prefixes:
                return MATCHED
        return None

    return test


def parse_address(text: bytes) -> bytes | None:
    """The 4 or 16 bytes of an address, or None; an IPv4 address in IPv6 form gives 4."""
    if len(text) > MAX_ADDRESS:
        return None
    try:
        if b":" not in text:
            return socket.inet_pton(socket.AF_INET, text.decode("ascii"))
        packed = socket.inet_pton(socket.AF_INET6, text.decode("ascii"))
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def parse_network(text: str) -> tuple[bytes, int] | None:
    """The address and the number of its free bits, or None when the text is no network."""
    address, slash, length = text.partition("/")
    packed = parse_address(address.encode("ascii", "replace"))
    if packed is None:
        return None
    bits = 8 * len(packed)
    if not slash:
        return packed, 0
    if not (length.isascii() and length.isdigit() and len(length) <= 3):
        return None
    free = (128 if ":" in address else 32) - int(length)
    return (packed, free) if 0 <= free <= bits else None
