"""Addresses to listen on, as people write them in a configuration file.

Here: text to `TcpBind`, `UnixBind` or `SystemdBind`, with what is wrong when it is none. Not here: sockets, YAML.
Source: compatibility.md 3.1 (`bind`): all forms that coraza-spoa's users have, taken in the sense their author meant;
mode, user and group of a Unix socket as HAProxy's own `bind` has them (configuration manual 5.1).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_UNIX_PATH = 107  # sun_path of Linux has 108 bytes, with the end mark
MAX_HOST = 255  # RFC 1035 2.3.4
MAX_NAME = 255  # FDNAME_MAX of systemd, and more than names of users have
MAX_MODE = 0o777
MAX_ID = 2**32 - 2  # of a user or a group; the next one means none


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
    """A Unix socket.

    Attributes:
        path: where its file is; beginning with ``@``: a name in Linux's abstract name space.
        mode: permissions of the file; None leaves them to the umask.
        user: its owner, name or number; empty: who runs the agent.
        group: its group, name or number; empty: that of who runs the agent.
    """

    path: str
    mode: int | None = None
    user: str = ""
    group: str = ""

    def __str__(self) -> str:
        mode = "" if self.mode is None else f"{self.mode:03o}"
        options = (("mode", mode), ("user", self.user), ("group", self.group))
        return f"unix@{self.path}" + "".join(f" {name} {value}" for name, value in options if value)


@dataclass(frozen=True, slots=True)
class SystemdBind:
    """Sockets that systemd listens on and passes on (systemd.socket(5)).

    Attributes:
        name: the socket's `FileDescriptorName`; empty: every socket passed.
    """

    name: str = ""

    def __str__(self) -> str:
        return f"systemd:{self.name}" if self.name else "systemd"


Bind = TcpBind | UnixBind | SystemdBind

FORMS = (
    "127.0.0.1:9000, :9000, [::]:9000, localhost:9000, tcp://host:9000, unix:///run/spoa.sock, unix@/run/spoa.sock "
    "(with mode 660 user NAME group NAME after it) or systemd"
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
    scheme, separator, rest = address.partition(":")
    if scheme == "systemd" and not rest.isdigit():  # with a port it is a host of that name
        return _systemd(rest, named=bool(separator))
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


def _systemd(name: str, *, named: bool) -> SystemdBind:
    if (named and not name) or ":" in name or not name.isascii() or len(name) > MAX_NAME:
        raise BindError(f"{name[:60]!r} is not the FileDescriptorName of a systemd socket", "systemd or systemd:NAME")
    return SystemdBind(name)


def _unix(text: str) -> UnixBind:
    path, options = _split_options(text)
    if options and path.startswith("@"):
        raise BindError("a name in the abstract name space has no file: no mode, user or group", FORMS)
    mode = options.get("mode")
    return UnixBind(path, None if mode is None else parse_mode(mode), options.get("user", ""), options.get("group", ""))


def _split_options(text: str) -> tuple[str, dict[str, str]]:
    """The path, and the words after it: ``mode 660 user haproxy group haproxy``, any of them, in any order."""
    options: dict[str, str] = {}
    path = text.strip()
    while len(words := path.rsplit(None, 2)) == 3 and words[1] in ("mode", "user", "group"):
        path, option, value = words
        if option in options:
            raise BindError(f"{option} stands twice after the path of the Unix socket")
        options[option] = value if option == "mode" else parse_owner(value, option)
    return _path(path), options


def parse_owner(text: str, what: str) -> str:
    """The name or the number of a user or a group; whether there is one of it shows when the socket is opened.

    Args:
        text: what was written.
        what: ``user`` or ``group``, for the message.

    Raises:
        BindError: it is neither.
    """
    blank = not text or any(char.isspace() for char in text)
    if blank or len(text) > MAX_NAME or (text.isdigit() and not (text.isascii() and int(text) <= MAX_ID)):
        raise BindError(f"{text[:40]!r} is no {what}, neither its name nor its number")
    return text


def parse_mode(text: str) -> int:
    """The permissions of a file, in octal digits.

    Raises:
        BindError: they are none.
    """
    if not text or not text.isascii() or len(text) > 4 or text.strip("01234567") or int(text, 8) > MAX_MODE:
        raise BindError(f"{text[:40]!r} is not the mode of a file", "such as mode 660")
    return int(text, 8)


def _path(path: str) -> str:
    if path in ("", "@", "/") or path.endswith("/"):
        raise BindError(f"{path!r} is not the path of a Unix socket", "such as unix:///run/spoa-waf/agent.sock")
    size = len(path.encode("utf-8", "surrogateescape"))
    if size > MAX_UNIX_PATH:
        raise BindError(f"the path of a Unix socket has at most {MAX_UNIX_PATH} bytes, this one {size}")
    return path


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
