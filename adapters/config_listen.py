"""Where the agent listens, as the configuration says it: `bind`, or several of `listen`, with owner and TLS.

Here: the two keys to `Listener`s, and what contradicts what. Not here: what an address may look like (bind.py), opening
sockets (sockets.py) or certificates (tls.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import yaml

from adapters.bind import FORMS, BindError, TcpBind, UnixBind, parse_bind, parse_mode, parse_owner
from adapters.config_model import DEFAULT_BIND, Listener, TlsConfig
from adapters.yaml_reader import Section, is_null

if TYPE_CHECKING:
    from adapters.bind import Bind

MAX_LISTENERS = 64
_OWNER_KEYS = ("mode", "owner", "group")


def read_listener(section: Section) -> Listener:
    """The one address of `bind`, as all generations have it."""
    where = section.faults.span(section.place("bind"))
    text = section.text("bind")
    if not text:
        place = section.place("bind")
        if section.raw("bind") is None or isinstance(place, yaml.ScalarNode):
            message = f"no bind: listening on {DEFAULT_BIND}"
            section.faults.add(place, "no-bind", message, "bind: HOST:PORT", warning=True)
        return Listener(DEFAULT_BIND, None, where)
    return Listener(_bind(section, "bind", text), None, where)


def read_listeners(top: Section) -> tuple[Listener, ...]:
    """The addresses of `listen`, or the one of `bind`; at least one."""
    node = top.raw("listen")
    if "listen" not in top:
        return (read_listener(top),)
    if top.raw("bind") is not None:
        message = "bind and listen are both set: which of them is meant?"
        top.faults.add(top.place("listen"), "contradiction", message, "move the address of bind into listen")
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        message = "listen must be a list of addresses"
        top.faults.add(top.place("listen"), "wrong-type", message, "such as `listen: [127.0.0.1:9000]`")
        return (Listener(DEFAULT_BIND, None, top.faults.span(top.place("listen"))),)
    if len(node.value) > MAX_LISTENERS:
        message = f"listen has {len(node.value)} addresses, at most {MAX_LISTENERS} are read"
        top.faults.add(node, "too-large", message)
    found: list[Listener] = []
    lines: dict[str, int] = {}
    for index, item in enumerate(node.value[:MAX_LISTENERS], 1):
        listener = _read_item(item, Section(None, top.faults, f"listen[{index}]"))
        if listener is None:
            continue
        address = str(_plain(listener.bind))
        if address in lines and not (isinstance(listener.bind, TcpBind) and listener.bind.port == 0):
            message = f"{address} is listened on already, by line {lines[address]}"
            top.faults.add(item, "duplicate-address", message)
        lines[address] = listener.where.line
        found.append(listener)
    return tuple(found) or (Listener(DEFAULT_BIND, None, top.faults.span(node)),)


def _read_item(item: yaml.Node, empty: Section) -> Listener | None:
    """An entry of `listen`: a text as `bind` has it, or a map."""
    faults = empty.faults
    if isinstance(item, yaml.ScalarNode) and not is_null(item):
        try:
            return Listener(parse_bind(item.value), None, faults.span(item))
        except BindError as error:
            faults.add(item, "bad-address", f"{empty.name}: {error.message}", error.hint)
            return None
    if not isinstance(item, yaml.MappingNode):
        hint = f"one of: {FORMS}; or a map with `bind`"
        faults.add(item, "wrong-type", f"{empty.name} must be an address, or a map with `bind`", hint)
        return None
    section = Section(item, faults, empty.name)
    errors, node, text = faults.errors, section.raw("bind"), section.text("bind")
    if node is None:
        faults.add(item, "no-bind", f"{section.name} has no bind", "bind: HOST:PORT")
    bind = _bind(section, "bind", text) if isinstance(node, yaml.ScalarNode) else DEFAULT_BIND
    usable = faults.errors == errors
    bind, tls = _owned(section, bind, usable=usable), _tls(section)
    section.finish(strict=True)
    return Listener(bind, tls, faults.span(section.place("bind"))) if usable else None


def _bind(section: Section, key: str, text: str) -> Bind:
    try:
        return parse_bind(text)
    except BindError as error:
        section.faults.add(section.place(key), "bad-address", f"{key}: {error.message}", error.hint)
        return DEFAULT_BIND


def _owned(section: Section, bind: Bind, *, usable: bool) -> Bind:
    """The address with `mode`, `owner` and `group` of the file of a Unix socket."""
    texts = {key: section.text(key) for key in _OWNER_KEYS}
    given = [key for key in _OWNER_KEYS if section.raw(key) is not None]
    if not given or not usable:
        return bind
    if not isinstance(bind, UnixBind) or bind.path.startswith("@"):
        message = f"{bind} has no file, so {given[0]} means nothing there"
        hint = "mode, owner and group are those of a Unix socket's file"
        section.faults.add(section.place(given[0]), "contradiction", message, hint)
        return bind
    twice = {"mode": bind.mode is not None, "owner": bool(bind.user), "group": bool(bind.group)}
    for key in given:
        if twice[key]:
            message = f"{key} is set twice: here, and in the address {str(bind)!r}"
            section.faults.add(section.place(key), "contradiction", message)
            continue
        try:
            if key == "mode":
                bind = replace(bind, mode=parse_mode(texts[key]))
            elif key == "owner":
                bind = replace(bind, user=parse_owner(texts[key], "user"))
            else:
                bind = replace(bind, group=parse_owner(texts[key], "group"))
        except BindError as error:
            section.faults.add(section.place(key), "bad-value", f"{section.name}.{key}: {error.message}", error.hint)
    return bind


def _tls(section: Section) -> TlsConfig | None:
    below = section.section("tls")
    if "tls" not in section:
        return None
    certificate, key, client_ca = (below.text(name) for name in ("certificate", "key", "client_ca"))
    if not certificate and (below.node is None or below.is_map):
        place = below.place("certificate") if below.node is not None else section.place("tls")
        hint = "tls: {certificate: FILE, key: FILE}"
        section.faults.add(place, "no-certificate", f"{section.name}.tls has no certificate", hint)
    if "client_ca" in below and not client_ca and below.is_map:
        message = f"{section.name}.tls.client_ca names no file: any client would be let in"
        section.faults.add(below.place("client_ca"), "bad-value", message, "leave the key out when that is meant")
    spans = tuple(section.faults.span(below.place(name)) for name in ("certificate", "key", "client_ca"))
    below.finish(strict=True)
    return TlsConfig(certificate, key or certificate, client_ca, spans)


def _plain(bind: Bind) -> Bind:
    """The address without what belongs to its file."""
    return UnixBind(bind.path) if isinstance(bind, UnixBind) else bind
