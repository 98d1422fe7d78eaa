"""TLS between HAProxy and the agent: contexts from the files of the configuration, and sockets that the loops can use.

Here: `ssl` made to look like the plain sockets that the loops know, and every way in which a certificate, a key or an
authority can be unusable, with its place in the configuration. Not here: addresses (sockets.py), waiting (the loops).

HAProxy's side is `server agent HOST:PORT ssl verify required ca-file FILE`, for mutual TLS with `crt FILE`.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from adapters.activation import InheritedSocket
from adapters.config_model import ConfigError
from waf_engine.diagnostics import Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _typeshed import ReadableBuffer

    from adapters.bind import Bind
    from adapters.config_model import Listener, TlsConfig
    from waf_engine.diagnostics import Span

    Contexts = dict[Bind, ssl.SSLContext]

HANDSHAKE_SECONDS = 5.0
"""From the accept to the end of the handshake. HAProxy's `timeout connect` is seldom above it."""
MAX_FILE = 4 << 20
"""Bytes of a PEM file; all the authorities of a system's store have some 250 KB."""

_REASONS = {
    "HTTP_REQUEST": "HTTP instead of TLS",
    "WRONG_VERSION_NUMBER": "what came is no TLS, perhaps plain SPOP: `ssl` is missing on HAProxy's server line",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client showed no certificate: `crt` is missing on HAProxy's server line",
    "CERTIFICATE_VERIFY_FAILED": "the client's certificate is not one that client_ca vouches for",
    "TLSV1_ALERT_UNKNOWN_CA": "HAProxy does not trust the agent's certificate: see `ca-file` on its server line",
    "SSLV3_ALERT_BAD_CERTIFICATE": "HAProxy refuses the agent's certificate: see `verifyhost` on its server line",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "HAProxy says that the agent's certificate has expired",
}


class TlsSocket(ssl.SSLSocket):
    """A connection with TLS that says, as a plain socket does, by BlockingIOError that it would have to wait."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """What has come; a whole record at least, so that nothing waits inside that the system does not know of.

        Raises:
            BlockingIOError: nothing has come yet.
            OSError: the connection is broken.
        """
        try:
            data = super().recv(buflen, flags)
            while len(data) < buflen and self.pending():
                data += super().recv(buflen - len(data), flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        return data

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send as much as goes; the rest must be sent next, as the same bytes.

        Raises:
            BlockingIOError: nothing can be sent yet.
            OSError: the connection is broken.
        """
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Say that nothing more comes, in TLS and then below it, without waiting for an answer."""
        self.setblocking(False)
        with suppress(OSError, ValueError):  # not sent, or answered later: the next line says it as well
            self.unwrap()
        super().shutdown(how)


class TlsListener(socket.socket):
    """A listening socket whose connections speak TLS.

    Attributes:
        address: as the configuration has it.
        context: for connections that are accepted from now on; may be exchanged.
    """

    address: Bind
    context: ssl.SSLContext

    def accept(self) -> tuple[socket.socket, object]:
        """A connection, whose handshake is still to come.

        Raises:
            OSError: as for any socket.
        """
        plain, address = super().accept()
        return wrap(plain, self.context), address

    def accept_plain(self) -> socket.socket:
        """A connection without TLS, for another process that is to `wrap` it.

        Raises:
            OSError: as for any socket.
        """
        return super().accept()[0]


class InheritedTlsListener(InheritedSocket, TlsListener):
    """The same, for a socket that somebody else has made."""


def wrap(plain: socket.socket, context: ssl.SSLContext) -> TlsSocket:
    """A connection as one with TLS, whose handshake is still to come; the plain one may not be used any more.

    Raises:
        ConnectionAbortedError: it is gone already.
    """
    plain.setblocking(False)
    try:
        plain.getpeername()  # `ssl` would take a connection that was reset for one that is still to be made
        return cast("TlsSocket", context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False))
    except OSError as error:
        plain.close()
        raise ConnectionAbortedError(error.errno, str(error)) from error


def secure(sockets: Sequence[socket.socket], bind: Bind, context: ssl.SSLContext) -> list[TlsListener]:
    """Listening sockets as such with TLS; the plain ones may not be used any more.

    Args:
        sockets: what listens on the address.
        bind: the address.
        context: what to begin with.
    """
    secured = []
    for plain in sockets:
        kind = InheritedTlsListener if isinstance(plain, InheritedSocket) else TlsListener
        listener = kind(plain.family, plain.type, plain.proto, plain.detach())
        listener.address, listener.context = bind, context
        listener.setblocking(False)
        secured.append(listener)
    return secured


def renew(sockets: Iterable[socket.socket], contexts: Contexts) -> None:
    """Have listening sockets use other certificates; connections that are open keep theirs."""
    for each in sockets:
        if isinstance(each, TlsListener):
            each.context = contexts.get(each.address, each.context)


def same_addresses(one: Sequence[Listener], other: Sequence[Listener]) -> bool:
    """Whether the sockets of one configuration can go on with another; certificates may differ."""
    return [(each.bind, each.tls is None) for each in one] == [(each.bind, each.tls is None) for each in other]


def why_failed(error: OSError) -> str:
    """The reason of a handshake that failed, for the log; empty when the client just went away."""
    if not isinstance(error, ssl.SSLError) or isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return ""
    reason = getattr(error, "reason", "") or ""
    return _REASONS.get(reason) or reason.replace("_", " ").lower() or "the handshake failed"


def contexts_of(listeners: Iterable[Listener]) -> Contexts:
    """Read certificates, keys and authorities: a context for each address that has TLS.

    Raises:
        ConfigError: some cannot be used.
    """
    contexts, faults = make_contexts(listeners)
    if faults:
        raise ConfigError(faults)
    return contexts


def make_contexts(listeners: Iterable[Listener]) -> tuple[Contexts, list[Diagnostic]]:
    """The same, with the faults beside the contexts of the addresses that have none."""
    contexts: Contexts = {}
    faults: list[Diagnostic] = []
    for listener in listeners:
        if listener.tls is not None:
            try:
                contexts[listener.bind] = _context(listener.tls, listener.where)
            except _FileError as fault:
                faults.append(fault.diagnostic)
    return contexts, faults


class _FileError(Exception):
    def __init__(self, where: Span, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(Severity.ERROR, "tls", message, where, hint)


class _NoPassphrase:
    """What OpenSSL is told in the place of asking on the terminal, and whether it was."""

    wanted = False

    def __call__(self) -> bytes:
        self.wanted = True
        return b""


def _context(tls: TlsConfig, where: Span) -> ssl.SSLContext:
    at_certificate, at_key, at_ca = tls.where or (where, where, where)
    _look(tls.certificate, "certificate", b"-----BEGIN CERTIFICATE-----", at_certificate)
    _look(tls.key, "key", b"PRIVATE KEY-----", at_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a `send` never has to read first
    context.sslsocket_class = TlsSocket
    passphrase = _NoPassphrase()
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=passphrase)
    except (OSError, ValueError) as error:
        if passphrase.wanted:
            hint = "openssl pkey -in OLD -out NEW removes it; let only the agent's user read the file"
            raise _FileError(at_key, f"the key {tls.key} has a passphrase, which nobody is asked for", hint) from error
        if getattr(error, "reason", "") in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            message = f"the key {tls.key} does not belong to the first certificate in {tls.certificate}"
            raise _FileError(
                at_key, message, "the agent's own certificate comes first, those above it follow"
            ) from error
        message = f"{_pair(tls)} cannot be used: {_said(error)}"
        raise _FileError(at_certificate, message, "both must be PEM") from error
    if tls.client_ca:
        _look(tls.client_ca, "client_ca", b"-----BEGIN CERTIFICATE-----", at_ca)
        try:
            context.load_verify_locations(tls.client_ca)
        except OSError as error:
            message = f"the authorities in {tls.client_ca} cannot be used: {_said(error)}"
            raise _FileError(at_ca, message) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _look(name: str, key: str, beginning: bytes, where: Span) -> None:
    """Whether a file can be read and looks right; `ssl` itself does not say which of the files it means."""
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", "") or str(error)).lower()
        hint = "" if Path(name).is_absolute() else f"relative names begin at the working directory, {Path.cwd()}"
        raise _FileError(where, f"tls.{key}: {name} cannot be read: {reason}", hint) from error
    if len(content) > MAX_FILE:
        raise _FileError(where, f"tls.{key}: {name} has more than {MAX_FILE} bytes")
    if beginning not in content:
        what = "private key" if key == "key" else "certificate"
        hint = "openssl x509 -inform DER makes PEM of DER" if content[:1] == b"\x30" else ""
        raise _FileError(where, f"tls.{key}: {name} holds no {what} in PEM", hint)


def _pair(tls: TlsConfig) -> str:
    return tls.certificate if tls.key == tls.certificate else f"{tls.certificate} with {tls.key}"


def _said(error: Exception) -> str:
    reason = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error)
    return str(reason).replace("_", " ").lower()
