"""Variables of the connection, the server and the transaction itself."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from waf_engine.variables.registry import collection, scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry


@scalar("REMOTE_ADDR")
def remote_addr(tx: Transaction) -> bytes:
    """Address of the client."""
    return tx.connection.client_ip


@scalar("REMOTE_HOST")
def remote_host(tx: Transaction) -> bytes:
    """Address of the client: names are not looked up (ModSecurity)."""
    return tx.connection.client_ip


@scalar("REMOTE_PORT")
def remote_port(tx: Transaction) -> bytes:
    """Port of the client."""
    return tx.connection.client_port


@scalar("SERVER_ADDR")
def server_addr(tx: Transaction) -> bytes:
    """Address that the client connected to."""
    return tx.connection.server_ip


@scalar("SERVER_PORT")
def server_port(tx: Transaction) -> bytes:
    """Port that the client connected to."""
    return tx.connection.server_port


@scalar("SERVER_NAME")
def server_name(tx: Transaction) -> bytes:
    """The Host header without its port."""
    return tx.request.server_name


@scalar("UNIQUE_ID")
def unique_id(tx: Transaction) -> bytes:
    """The transaction's id."""
    return tx.id.encode("utf-8", "surrogateescape")


def _authorization(tx: Transaction) -> tuple[bytes, bytes]:
    for name, value in tx.request.headers:
        if name.lower() == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            return scheme, rest.strip()
    return b"", b""


@scalar("AUTH_TYPE")
def auth_type(tx: Transaction) -> bytes:
    """The scheme of the Authorization header; empty without one."""
    return _authorization(tx)[0]


@scalar("REMOTE_USER")
def remote_user(tx: Transaction) -> bytes | None:
    """The user of Basic authentication; no value without it."""
    scheme, credentials = _authorization(tx)
    if scheme.lower() != b"basic":
        return None
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[0]
    except binascii.Error:
        return None


@scalar("MODSEC_BUILD")
def modsec_build(_tx: Transaction) -> bytes:
    """The version of ModSecurity whose language this is, as its rules compare it: 3.0.15."""
    return b"030001500"


@scalar("WEBSERVER_ERROR_LOG")
def webserver_error_log(_tx: Transaction) -> bytes:
    """Always empty, as in libmodsecurity 3: an agent does not see the server's error log."""
    return b""


@scalar("WEBAPPID")
def webappid(tx: Transaction) -> bytes:
    """SecWebAppId."""
    return tx.plan.settings.web_app_id.encode("utf-8", "surrogateescape")


@collection("GEO", volatile=True)
def geo(tx: Transaction) -> Sequence[Entry]:
    """What ``@geoLookup`` found."""
    return tx.collections.get("GEO", ())
