"""The arguments of SPOE messages: their names, of which there are many, and their values, which come in any type.

Here: what an argument is called by its usual name, and the reading of single ones (id, number, address, headers). Not
here: what is done with them.

Source: compatibility.md 3.2.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address, IPv6Address
from socket import inet_ntoa
from typing import TYPE_CHECKING, TypeAlias, cast

from adapters.http_objects import BadHeadersError, as_bytes, parse_headers_binary, parse_headers_text
from adapters.troubles import Reason, TroubleError

if TYPE_CHECKING:
    from adapters.http_objects import ArgumentValue, Headers
    from spop_proto import Message

    Arguments: TypeAlias = dict[str, ArgumentValue]

ALIASES = {
    "hdrs": "headers",
    "req.hdrs": "headers",
    "res.hdrs": "headers",
    "hdrs_bin": "headers_bin",
    "req.hdrs_bin": "headers_bin",
    "res.hdrs_bin": "headers_bin",
    "unique-id": "id",
    "unique_id": "id",
    "req.ver": "version",
    "res.ver": "version",
    "req.body": "body",
    "res.body": "body",
    "src": "src-ip",
    "src_port": "src-port",
    "dst": "dst-ip",
    "dst_port": "dst-port",
}
"""Other names of arguments that are in use: ModSecurity's agent, older examples of coraza-spoa."""

MODSECURITY_ORDER = ("id", "method", "path", "query", "version", "headers_bin", "body_size", "body")
"""The arguments of `check-request` of spoa-modsecurity, which have no names."""

MAX_ID = 256
"""Bytes of an id that are kept as they came. An id may hold what a client sent (`unique-id-format`), and 100,000
transactions wait for their response under theirs; a longer one is shortened by a hash."""


def read_arguments(message: Message) -> Arguments:
    """The arguments by their usual names; a NULL is kept, the last of a repeated name counts."""
    args = cast("tuple[tuple[str, ArgumentValue], ...]", message.args)  # `Typed` is only ever sent
    if args and not args[0][0]:
        return dict(zip(MODSECURITY_ORDER, (value for _, value in args), strict=False))
    return {ALIASES.get(name, name): value for name, value in args}


def headers_of(arguments: Arguments) -> Headers:
    """The headers, in whichever form they came.

    Raises:
        TroubleError: they are in none.
    """
    binary = arguments.get("headers_bin")
    text = as_bytes(arguments.get("headers")) if binary is None else b""
    try:
        if binary is not None:
            return parse_headers_binary(as_bytes(binary))
        if text.endswith(b"\0\0"):  # `headers=req.hdrs_bin`: text ends with an empty line, so this cannot be text
            return parse_headers_binary(text)
        return parse_headers_text(text)
    except BadHeadersError as error:
        raise TroubleError(Reason.BAD_MESSAGE, f"headers: {error}") from error


def exchange_id(arguments: Arguments) -> str:
    """The id that joins a response to its request, of 256 bytes at most; empty when there is none."""
    value = as_bytes(arguments.get("id"))
    if len(value) > MAX_ID:
        value = value[: MAX_ID - 65] + b"#" + hashlib.sha256(value).hexdigest().encode()
    return value.decode("utf-8", "surrogateescape")


def address(value: ArgumentValue) -> str:
    """An address as text, as HAProxy sent it."""
    if isinstance(value, IPv4Address):
        return inet_ntoa(value.packed)  # a third of the time of str
    return str(value) if isinstance(value, IPv6Address) else as_bytes(value).decode("utf-8", "surrogateescape")


def number(value: ArgumentValue) -> int:
    """An integer argument; what is none counts as 0, as in coraza-spoa."""
    if isinstance(value, int):
        return int(value)
    text = as_bytes(value)
    return int(text) if text.removeprefix(b"-").isdigit() and len(text) < 20 else 0


def size_of(arguments: Arguments) -> int:
    """About how many bytes the arguments hold."""
    size = 0
    for name in ("headers", "headers_bin", "body", "query", "path"):  # what can be long
        value = arguments.get(name)
        if isinstance(value, (bytes, str)):
            size += len(value)
    return size
