"""What the current form says of the agent as a process: workers, draining, metrics, caches, shared store, log files.

Here: those keys of the top of the file, with their bounds and contradictions. Not here: addresses to listen on
(config_listen.py), applications (config_application.py), and anything that the settings lead to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from adapters.bind import BindError, TcpBind, parse_bind
from adapters.config_model import (
    DEFAULT_DRAIN_MS,
    DEFAULT_SHARED_PREFIX,
    DEFAULT_SHARED_TIMEOUT_MS,
    DEFAULT_WORKERS,
    FLAT_ROTATION,
    MAX_DRAIN_MS,
    MAX_KEEP,
    MAX_ROTATION_DAYS,
    MAX_ROTATION_MB,
    MAX_SHARED_PREFIX,
    MAX_SHARED_TIMEOUT_MS,
    MAX_WORKERS,
    Rotation,
    SharedConfig,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.bind import Bind
    from adapters.config_model import Listener
    from adapters.yaml_reader import Section

OWN_KEYS = (
    "listen",
    "plugins",
    "workers",
    "autoreload",
    "drain_timeout_ms",
    "metrics",
    "cache_folder",
    "serve_while_compiling",
    "shared",
    "log_rotation",
)
"""The keys at the top that coraza-spoa does not know."""

_SHARED_SCHEMES = ("redis", "rediss", "unix")
_EVERYWHERE = {"", "::", "0.0.0.0"}  # noqa: S104  compared with, not listened on
_HOST = re.compile(r"[A-Za-z0-9._:-]*\Z")


def read_process(top: Section, listeners: Sequence[Listener]) -> dict[str, Any]:
    """The settings of the process, as the arguments of `Config` that they are."""
    return {
        "plugins": top.boolean("plugins", default=True),
        "workers": _workers(top),
        "autoreload": top.boolean("autoreload", default=False),
        "drain_timeout": top.integer(
            "drain_timeout_ms", DEFAULT_DRAIN_MS, lowest=0, highest=MAX_DRAIN_MS, unit="milliseconds"
        )
        / 1000,
        "metrics": _metrics(top, [listener.bind for listener in listeners]),
        "cache_folder": _path(top, "cache_folder") or None,
        "cache_folder_at": top.faults.span(top.place("cache_folder")) if "cache_folder" in top else None,
        "serve_while_compiling": top.boolean("serve_while_compiling", default=True),
        "shared": _shared(top),
        "rotation": _rotation(top),
    }


def _workers(top: Section) -> int:
    """0 for ``auto``."""
    if getattr(top.raw("workers"), "value", None) == "auto":
        return 0
    return top.integer("workers", DEFAULT_WORKERS, lowest=1, highest=MAX_WORKERS, unit="processes, or auto")


def _metrics(top: Section, binds: Sequence[Bind]) -> TcpBind | None:
    text = top.text("metrics")
    if not text:
        return None
    place, hint = top.place("metrics"), "such as metrics: 127.0.0.1:9100"
    try:
        bind = parse_bind(text)
    except BindError as error:
        top.faults.add(place, "bad-address", f"metrics: {error.message}", hint)
        return None
    if not isinstance(bind, TcpBind):
        top.faults.add(place, "bad-address", "metrics must be HOST:PORT, which Prometheus can ask", hint)
        return None
    if bind.port and any(isinstance(each, TcpBind) and _same_port(each, bind) for each in binds):
        message = f"metrics and the agent cannot both listen on {bind}"
        top.faults.add(place, "contradiction", message, hint)
    return bind


def _same_port(one: TcpBind, other: TcpBind) -> bool:
    return one.port == other.port and (one.host == other.host or bool({one.host, other.host} & _EVERYWHERE))


def _path(section: Section, key: str) -> str:
    text = section.text(key)
    if "\0" in text or (text and not text.strip()):
        section.faults.add(section.place(key), "bad-value", f"{key} is not a path")
        return ""
    return text


def _shared(top: Section) -> SharedConfig | None:
    section = top.section("shared")
    if "shared" not in top:
        return None
    url = section.text("url")
    if section.node is None or (section.is_map and not url):
        hint = 'shared: {url: "redis://127.0.0.1:6379/0"}'
        top.faults.add(top.place("shared"), "no-url", "shared has no url: where is the server?", hint)
    elif url and (wrong := _wrong_url(url)):
        hint = "redis://HOST:PORT/NUMBER, rediss:// for TLS, or unix:///PATH"
        top.faults.add(section.place("url"), "bad-address", f"shared.url {wrong}", hint)
    timeout = section.integer(
        "timeout_ms", DEFAULT_SHARED_TIMEOUT_MS, lowest=1, highest=MAX_SHARED_TIMEOUT_MS, unit="milliseconds"
    )
    prefix = section.text("prefix", DEFAULT_SHARED_PREFIX)
    if len(prefix) > MAX_SHARED_PREFIX or not prefix.isprintable() or " " in prefix:
        message = f"shared.prefix must be at most {MAX_SHARED_PREFIX} characters without blanks"
        top.faults.add(section.place("prefix"), "bad-value", message, f"such as {DEFAULT_SHARED_PREFIX}")
    where = top.faults.span(section.place("url"))
    section.finish(strict=True)
    return SharedConfig(url, timeout / 1000, prefix, where)


def _wrong_url(url: str) -> str:
    """What is wrong with the URL of a Redis or Valkey, without repeating it: it may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL: its host or its port cannot be read"
    if parts.scheme not in _SHARED_SCHEMES or not url.partition(":")[2].startswith("//"):
        return f"must begin with {', '.join(scheme + '://' for scheme in _SHARED_SCHEMES)}"
    if not url.isprintable() or " " in url:
        return "holds a blank or a control character"
    if parts.scheme == "unix":
        return "" if len(parts.path) > 1 else "names no path of a socket"
    if not parts.hostname or not _HOST.match(parts.hostname):
        return "names no host"
    if port == 0:
        return "has the port 0"
    number = parts.path.strip("/")
    return "" if not number or (number.isascii() and number.isdigit()) else "must end with the number of a database"


def _rotation(top: Section) -> Rotation | None:
    section, usual = top.section("log_rotation"), FLAT_ROTATION
    if "log_rotation" not in top:
        return None
    if section.node is None:
        message = "log_rotation says nothing: are log files to be set aside, or not?"
        hint = "log_rotation: {size_mb: 128, keep: 30, days: 7, compress: true}, or no such key"
        top.faults.add(top.place("log_rotation"), "wrong-type", message, hint)
    rotation = Rotation(
        size=section.integer("size_mb", usual.size >> 20, lowest=1, highest=MAX_ROTATION_MB, unit="MiB") << 20,
        keep=section.integer("keep", usual.keep, lowest=0, highest=MAX_KEEP, unit="files"),
        days=section.integer("days", usual.days, lowest=0, highest=MAX_ROTATION_DAYS, unit="days"),
        compress=section.boolean("compress", default=usual.compress),
    )
    section.finish(strict=True)
    return rotation
