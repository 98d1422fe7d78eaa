"""Addresses to listen on, as people write them in a configuration file.

Here: text to `TcpBind` or `UnixBind`, with what is wrong when it is neither. Not here: sockets, YAML.
Source: compatibility.md 3.1 (`bind`): all forms that coraza-spoa's users have, taken in the sense their author meant.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_UNIX_PATH = 107  # sun_path of Linux has 108 bytes, with the end mark
MAX_HOST = 255  # RFC 1035 2.3.4


class BindError(ValueError):
    """An address that cannot be listened on.

    Attributes:
        message: what came and what was expected.
        hint: what would be right; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class TcpBind:
    """A TCP address.

    Attributes:
        host: name or address; empty: every address of the machine, IPv4 and IPv6.
        port: 0 lets the system choose (for tests).
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixBind:
    """The path of a Unix socket; beginning with ``@``: a name in Linux's abstract name space."""

    path: str

    def __str__(self) -> str:
        return f"unix@{self.path}"


Bind = TcpBind | UnixBind

FORMS = (
    "127.0.0.1:9000, :9000, [::]:9000, localhost:9000, tcp://host:9000, unix:///run/spoa.sock or unix@/run/spoa.sock"
)


def parse_bind(text: str) -> Bind:
    """Read an address.

    Raises:
        BindError: the text is no address.
    """
    address = text.strip()
    if not address:
        raise BindError("the address is empty", f"one of: {FORMS}")
    if not address.isprintable():
        raise BindError("the address holds a control character", f"one of: {FORMS}")
    scheme, separator, rest = address.partition("://")
    if separator:
        return _with_scheme(scheme.lower(), rest)
    for prefix in ("unix@", "unix:"):
        if address.lower().startswith(prefix):
            return _unix(address[len(prefix) :])
    if address.startswith(("/", "./", "../")):
        return _unix(address)
    return _tcp(address)


def _with_scheme(scheme: str, rest: str) -> Bind:
    if scheme == "unix":
        return _unix(rest)
    if scheme in ("tcp", "tcp4", "tcp6", "spop"):
        return _tcp(rest.rstrip("/"))
    raise BindError(f"{scheme[:40]}:// is not a kind of address to listen on", "tcp:// or unix://")


def _unix(path: str) -> UnixBind:
    if path in ("", "@", "/") or path.endswith("/"):
        raise BindError(f"{path!r} is not the path of a Unix socket", "such as unix:///run/spoa-waf/agent.sock")
    size = len(path.encode("utf-8", "surrogateescape"))
    if size > MAX_UNIX_PATH:
        raise BindError(f"the path of a Unix socket has at most {MAX_UNIX_PATH} bytes, this one {size}")
    return UnixBind(path)


def _tcp(address: str) -> TcpBind:
    if address.isascii() and address.isdigit():
        raise BindError(
            f"{address[:40]!r} is only a port", f"a colon before it: :{address[:5]} listens on all addresses"
        )
    if address.startswith("["):
        host, bracket, port = address[1:].partition("]")
        if not bracket or not port.startswith(":"):
            raise BindError(f"{address[:60]!r} is not [IPv6]:port", "such as [::1]:9000")
        port = port[1:]
    else:
        host, colon, port = address.rpartition(":")
        if not colon:
            raise BindError(f"{address[:60]!r} has no port", f"such as {address[:60]}:9000")
        if ":" in host:
            raise BindError(
                f"{address[:60]!r} has more than one colon", "an IPv6 address stands in brackets: [::1]:9000"
            )
    if len(host) > MAX_HOST or any(char.isspace() or char in "/@?#" for char in host):
        raise BindError(f"{host[:60]!r} is not a host name or address", f"one of: {FORMS}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise BindError(f"{port[:40]!r} is not a port", "a number from 1 to 65535")
    return TcpBind("" if host == "*" else host, int(port))
