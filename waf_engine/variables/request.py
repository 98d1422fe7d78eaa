"""Variables of the request line and the request's headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.variables.registry import collection, flag, scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry


@scalar("REQUEST_METHOD")
def request_method(tx: Transaction) -> bytes:
    """The method as received."""
    return tx.request.method


@scalar("REQUEST_PROTOCOL")
def request_protocol(tx: Transaction) -> bytes:
    """The version, such as ``HTTP/1.1``."""
    return tx.request.protocol


@scalar("REQUEST_LINE")
def request_line(tx: Transaction) -> bytes:
    """Method, target and version as received."""
    request = tx.request
    return b"%b %b %b" % (request.method, request.uri_raw, request.protocol)


@scalar("REQUEST_URI")
def request_uri(tx: Transaction) -> bytes:
    """The target, not decoded, without a fragment."""
    return tx.request.uri


@scalar("REQUEST_URI_RAW")
def request_uri_raw(tx: Transaction) -> bytes:
    """The target as received."""
    return tx.request.uri_raw


@scalar("REQUEST_FILENAME")
def request_filename(tx: Transaction) -> bytes:
    """The percent-decoded path."""
    return tx.request.path


@scalar("REQUEST_BASENAME")
def request_basename(tx: Transaction) -> bytes:
    """The last part of the path."""
    return tx.request.basename


@scalar("PATH_INFO")
def path_info(tx: Transaction) -> bytes:
    """The percent-decoded path, as ModSecurity has it."""
    return tx.request.path


@scalar("QUERY_STRING")
def query_string(tx: Transaction) -> bytes:
    """What follows the ``?``, not decoded."""
    return tx.request.query


@scalar("URLENCODED_ERROR", phase=2)
def urlencoded_error(tx: Transaction) -> bytes:
    """Whether the target, or an urlencoded body, holds a bad ``%`` escape."""
    return flag(tx.request.uri_error or tx.request.flags.get("URLENCODED_ERROR") == b"1")


@collection("REQUEST_HEADERS")
def request_headers(tx: Transaction) -> Sequence[Entry]:
    """The headers as received; repeated ones are several members."""
    return tx.request.headers


@collection("REQUEST_HEADERS_NAMES")
def request_headers_names(tx: Transaction) -> Sequence[Entry]:
    """The names of the headers, in the case they came in."""
    return [(name, name) for name, _ in tx.request.headers]


@collection("REQUEST_COOKIES")
def request_cookies(tx: Transaction) -> Sequence[Entry]:
    """The cookies; values as they came, not decoded."""
    return tx.request.cookies


@collection("REQUEST_COOKIES_NAMES")
def request_cookies_names(tx: Transaction) -> Sequence[Entry]:
    """The names of the cookies."""
    return [(name, name) for name, _ in tx.request.cookies]
