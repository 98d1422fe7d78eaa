"""What the current form says of an application beyond coraza-spoa's keys: its sites, its clients, what it leaves alone.

Here: those keys, with their bounds and contradictions, and that no two applications want the same site. Not here: rules
and logs of an application (config_forms.py), and how a request finds its application.
"""

from __future__ import annotations

import string
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from adapters.config_model import (
    BUDGET_ACTIONS,
    DEFAULT_ACTIVE_BYTES,
    DEFAULT_CLIENT_HEADER,
    MAX_ACTIVE_BYTES,
    MAX_BUDGET_MS,
    MAX_PATTERNS,
    MIN_ACTIVE_BYTES,
    Budget,
    Skip,
)

if TYPE_CHECKING:
    import yaml

    from adapters.yaml_reader import Section

OWN_KEYS = (
    "transaction_active_bytes",
    "hosts",
    "detect_only",
    "trusted_proxies",
    "client_address_header",
    "skip",
    "block_page",
    "budget_ms",
    "budget_action",
)
"""The keys of an application that coraza-spoa (0.2 and later) does not know."""

MAX_HOST = 253  # RFC 1035 2.3.4, without the last dot
MAX_PATTERN = 1000  # characters
_TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")  # RFC 9110 5.6.2
_TYPE = frozenset(string.ascii_letters + string.digits + "!#$&-^_.+*?")  # RFC 6838 4.2, and what stands for others
_LABEL = frozenset(string.ascii_lowercase + string.digits + "-_")
_MAPPED = IPv6Network("::ffff:0:0/96")

Hosts = dict[str, tuple[str, int]]
"""Which application has a name, and in which line it says so."""


def read_own(section: Section, name: str, hosts: Hosts) -> dict[str, Any]:
    """The settings, as the arguments of `ApplicationConfig` that they are.

    Args:
        section: the application.
        name: its name.
        hosts: the names that others before it have; those of this one are added.
    """
    proxies, header = _proxies(section), _header(section)
    return {
        "hosts": _hosts(section, name, hosts),
        "active_bytes": section.integer(
            "transaction_active_bytes",
            DEFAULT_ACTIVE_BYTES,
            lowest=MIN_ACTIVE_BYTES,
            highest=MAX_ACTIVE_BYTES,
            unit="bytes",
        ),
        "trusted_proxies": proxies,
        "client_address_header": header or (DEFAULT_CLIENT_HEADER if proxies else ""),
        "skip": _skip(section),
        **_verdicts(section),
    }


def _listed(section: Section, key: str) -> list[tuple[str, yaml.Node]]:
    """The entries of a list, at most `MAX_PATTERNS`, each without blanks at its ends."""
    entries = section.texts(key)
    if len(entries) > MAX_PATTERNS:
        message = f"{section.name}.{key} has {len(entries)} entries, at most {MAX_PATTERNS} are read"
        section.faults.add(section.place(key), "too-large", message)
    return [(text.strip(), node) for text, node in entries[:MAX_PATTERNS]]


def _hosts(section: Section, name: str, taken: Hosts) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text, node in _listed(section, "hosts"):
        host = text.lower().removesuffix(".")
        if wrong := _wrong_host(host):
            message, hint = wrong
            section.faults.add(node, "bad-value", f"{text[:80]!r} {message}", hint)
            continue
        if host in taken:
            owner, line = taken[host]
            whose = "this application" if owner == name else f"application {owner!r}"
            message = f"{host} belongs to {whose} already, by line {line}"
            section.faults.add(node, "duplicate-host", message)
            continue
        taken[host] = (name, section.faults.span(node).line)
        found[host] = None
    return tuple(found)


def _wrong_host(host: str) -> tuple[str, str] | None:
    """What is wrong with the name of a site, and what would be right."""
    usual = "such as shop.example.com or *.shop.example.com"
    if host == "*":
        return "is every host", "that is what default_application is for"
    if host.startswith("["):
        return (
            None if host.endswith("]") and _is_address(host[1:-1], 6) else ("is not an IPv6 address", "[2001:db8::1]")
        )
    if ":" in host or "/" in host:
        return "is not a host name: no scheme, no port, no path", usual
    if not host.isascii():
        try:
            return "is not in ASCII, as HAProxy hands it on", f"write {host.encode('idna').decode()}"
        except UnicodeError:
            return "is not a host name", usual
    labels = host.removeprefix("*.").split(".")
    if "*" in host.removeprefix("*."):
        return "has a * in its middle", "only `*.` at the beginning stands for something"
    if len(host) > MAX_HOST or not all(0 < len(label) <= 63 and _LABEL.issuperset(label) for label in labels):
        return "is not a host name", usual
    return None


def _is_address(text: str, version: int) -> bool:
    try:
        return ip_address(text).version == version
    except ValueError:
        return False


def _proxies(section: Section) -> tuple[IPv4Network | IPv6Network, ...]:
    found: dict[IPv4Network | IPv6Network, None] = {}
    for text, node in _listed(section, "trusted_proxies"):
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            hint = "such as 10.0.0.0/8, 192.0.2.7 or fd00::/8"
            section.faults.add(node, "bad-value", f"{text[:80]!r} is not an address or a network", hint)
            continue
        if "/" in text and not _is_exact(text):
            message = f"{text[:80]!r} is an address within a network: which of them is meant?"
            section.faults.add(node, "bad-value", message, f"{network}, or {text.partition('/')[0]}")
        if network.prefixlen == 0:
            message = f"{network} trusts everybody: any client can say that it has any address"
            section.faults.add(node, "trusts-all", message, "the addresses of your own proxies", warning=True)
        found[_unmapped(network)] = None
    return tuple(found)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """IPv4 written as IPv6 (RFC 4291 2.5.5.2) as what it is, for so addresses are compared."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96))
    return network


def _is_exact(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _header(section: Section) -> str:
    header = section.text("client_address_header")
    if not header:
        return ""
    place = section.place("client_address_header")
    if len(header) > MAX_HOST or not _TOKEN.issuperset(header):
        message = f"{section.name}.client_address_header must be the name of a header, not {header[:40]!r}"
        section.faults.add(place, "bad-value", message, f"such as {DEFAULT_CLIENT_HEADER}")
    elif section.raw("trusted_proxies") is None:
        message = "client_address_header without trusted_proxies: whose word is taken for it?"
        section.faults.add(place, "contradiction", message, "trusted_proxies: [ADDRESS of the proxy before HAProxy]")
    return header


def _skip(section: Section) -> Skip:
    below = section.section("skip")
    paths, types = [], []
    for text, node in _listed(below, "paths"):
        if text.strip("*") in ("", "/") and text != "/":
            below.faults.add(node, "skips-all", f"{text!r} skips every request", "leave the application out instead")
        elif len(text) > MAX_PATTERN or (wrong := _why_never(text)):
            wrong = wrong if len(text) <= MAX_PATTERN else f"it is longer than {MAX_PATTERN} characters"
            message = f"{text[:80]!r} is not a pattern of paths: {wrong}"
            below.faults.add(node, "bad-value", message, "such as /static/* or /**.png")
        else:
            paths.append(text)
    for text, node in _listed(below, "content_types"):
        kind, slash, rest = text.partition("/")
        if not (slash and kind and rest) or not _TYPE.issuperset(kind + rest) or len(text) > MAX_PATTERN:
            hint = "such as image/* or application/pdf, without parameters"
            below.faults.add(node, "bad-value", f"{text[:80]!r} is not a pattern of content types", hint)
        elif not text.strip("*/"):
            below.faults.add(node, "skips-all", f"{text!r} skips every body", "SecRequestBodyAccess Off says that")
        else:
            types.append(text.lower())
    below.finish(strict=True)
    return Skip(tuple(dict.fromkeys(paths)), tuple(dict.fromkeys(types)))


def _why_never(pattern: str) -> str:
    from adapters.skipping import why_never  # noqa: PLC0415  it loads RE2, which most configurations do not need

    return why_never(pattern)


def _verdicts(section: Section) -> dict[str, Any]:
    """What becomes of a verdict: `detect_only`, `block_page`, `budget_ms`, `budget_action`."""
    detect_only = section.boolean("detect_only", default=False)
    page = section.text("block_page")
    if page and detect_only:
        message = "detect_only with block_page: nobody is ever blocked, so nobody sees the page"
        section.faults.add(section.place("block_page"), "contradiction", message, "leave one of them out")
    errors = section.faults.errors
    milliseconds = section.number("budget_ms", 0, lowest=0, highest=MAX_BUDGET_MS, unit="milliseconds")
    action = section.choice("budget_action", BUDGET_ACTIONS, "pass")
    if section.raw("budget_action") is not None:
        place = section.place("budget_action")
        if not milliseconds and section.faults.errors == errors:
            message = "budget_action without budget_ms: there is no budget that could be exceeded"
            section.faults.add(place, "contradiction", message, "budget_ms: 50")
        elif detect_only and action != "pass":
            message = f"detect_only with budget_action {action}: this application never blocks"
            section.faults.add(place, "contradiction", message, "budget_action: pass")
    return {
        "detect_only": detect_only,
        "block_page": page,
        "block_page_at": section.faults.span(section.place("block_page")) if page else None,
        "budget": Budget(milliseconds, action),
    }
