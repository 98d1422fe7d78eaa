"""The client's address where requests come through proxies in front of HAProxy.

Here: which proxies' word is taken, and the reading of what they say (`X-Forwarded-For` and its kin, RFC 7239's
`Forwarded`). Not here: the PROXY protocol, which HAProxy reads itself (`accept-proxy`): its `src` is right then.

A client can write what it likes into such a header; each proxy appends what it saw itself. So the list is read from the
right, as long as the address that wrote it is a trusted proxy: the first that is none is the client. What is no address
ends the reading, and the last proxy that is known counts as the client: nobody can be pretended to be someone else.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, TypeAlias

from adapters.arguments import address as address_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from adapters.http_objects import ArgumentValue, Headers

Address: TypeAlias = IPv4Address | IPv6Address

DEFAULT_HEADER = "X-Forwarded-For"
MAX_HOPS = 32
"""Addresses that are read, from the right; nobody has so many proxies in front of his site."""
MAX_ELEMENT = 512
"""Bytes of one element of `Forwarded` that are looked at; beyond, it counts as no address."""
_REMEMBERED = 4096  # proxies and clients whose trust is known; in all some 400 KiB


class TrustedProxies:
    """Finds the client's address behind proxies that are trusted.

    Args:
        networks: the proxies' addresses.
        header: the header in which they say whom they serve; empty for `X-Forwarded-For`. `Forwarded` is read as
            RFC 7239 has it, any other as a list of addresses with commas.
    """

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network], header: str = DEFAULT_HEADER) -> None:
        self._networks = tuple(networks)
        self._header = (header or DEFAULT_HEADER).lower().encode("ascii", "replace")
        self._elements = _forwarded_elements if self._header == b"forwarded" else _list_elements
        # By text: hashing an address costs as much as looking for it in a short list of networks.
        self._trusts = lru_cache(maxsize=_REMEMBERED)(self._is_trusted)

    def client(self, source: ArgumentValue, headers: Headers) -> tuple[str, int] | None:
        """The client's address and port.

        Args:
            source: the address that HAProxy was called from (`src-ip`).
            headers: the request's.

        Returns:
            The address as text and its port, 0 when that was not said; None when it is `source`.
        """
        text = address_text(source)
        if not self._trusts(text):
            return None
        lines = [value for name, value in headers if name.lower() == self._header]
        found: tuple[str, int] | None = None
        hops = 0
        for line in reversed(lines):
            for element in self._elements(line):
                hops += 1
                node = None if hops > MAX_HOPS else read_node(element)
                if node is None:
                    return found
                found = node
                if not self._trusts(node[0]):
                    return found
        return found

    def _is_trusted(self, text: str) -> bool:
        address = _read_address(text)
        return address is not None and any(address in network for network in self._networks)


def read_node(node: bytes) -> tuple[str, int] | None:
    """Read an address with or without a port: ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1``, ``[2001:db8::1]:80``.

    Args:
        node: the text, blanks around it allowed.

    Returns:
        The address in its usual form (an IPv4 address within IPv6 as IPv4) and the port, 0 for none; None for what is
        no address, such as the names that RFC 7239 allows (``unknown``, ``_hidden``).
    """
    text = _text(node.strip(b" \t"))
    if len(text) > 60:
        return None
    port = ""
    if text.startswith("["):
        text, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in text or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] if rest else ""
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    address = _read_address(text)
    if address is None:
        return None
    is_port = port.isascii() and port.isdigit() and len(port) <= 5
    return str(address), int(port) if is_port and int(port) < 65_536 else 0


def _read_address(text: str) -> Address | None:
    try:
        if ":" not in text:
            return IPv4Address(text)
        address = IPv6Address(text)
    except AddressValueError:
        return None
    if address.scope_id:
        return None
    return address.ipv4_mapped or address


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _list_elements(line: bytes) -> Iterator[bytes]:
    """The elements of a list with commas, from the right; empty ones (RFC 9110, 5.6.1) left out."""
    end = len(line)
    while end >= 0:
        comma = line.rfind(b",", 0, end)
        element = line[comma + 1 : end]
        if element.strip(b" \t"):
            yield element
        end = comma


def _forwarded_elements(line: bytes) -> Iterator[bytes]:
    """The values of `for` in a `Forwarded` line, from the right; what has none, or two, comes as an empty text.

    A comma within quotes does not end an element. From the right that shows by the quotes being paired; what a client
    sent cannot unpair them for the proxy's own element, which stands to the right of it.
    """
    end = len(line)
    while end >= 0:
        comma = line.rfind(b",", 0, end)
        while comma >= 0 and _quotes(line, comma + 1, end) % 2 and end - comma <= MAX_ELEMENT:
            comma = line.rfind(b",", 0, comma)
        if end - comma > MAX_ELEMENT:
            yield b""
            return
        element = line[comma + 1 : end]
        if element.strip(b" \t"):
            yield _node_of(element)
        end = comma


def _quotes(line: bytes, start: int, end: int) -> int:
    """How many quotes that are not escaped stand in a part of a line."""
    count = 0
    at = line.find(b'"', start, end)
    while at >= 0:
        before = at
        while before > start and line[before - 1] == ord("\\"):
            before -= 1
        count += (at - before) % 2 == 0
        at = line.find(b'"', at + 1, end)
    return count


def _node_of(element: bytes) -> bytes:
    """The value of `for` in one element of `Forwarded`, unquoted; empty when there is not just one."""
    nodes = []
    for pair in _pairs(element):
        name, equals, value = pair.partition(b"=")
        if equals and name.strip(b" \t").lower() == b"for":
            nodes.append(_unquote(value.strip(b" \t")))
    return nodes[0] if len(nodes) == 1 else b""


def _pairs(element: bytes) -> list[bytes]:
    """The pairs of an element: cut at semicolons outside of quotes."""
    pairs: list[bytes] = []
    for piece in element.split(b";"):
        if pairs and _quotes(pairs[-1], 0, len(pairs[-1])) % 2:
            pairs[-1] += b";" + piece
        else:
            pairs.append(piece)
    return pairs


def _unquote(value: bytes) -> bytes:
    if len(value) < 2 or value[:1] != b'"' or value[-1:] != b'"':
        return value
    out, escaped = bytearray(), False
    for byte in value[1:-1]:
        if byte == ord("\\") and not escaped:
            escaped = True
        else:
            out.append(byte)
            escaped = False
    return bytes(out)
