"""The keys of the configuration file as one table, and the JSON schema for editors that is made from it.

Here: what each key of each generation is for and may hold. `python -m adapters.config_schema` prints the schema, which
is kept as docs/config.schema.json; a test holds table, file and config_forms.py together. Not here: reading a file.

A schema cannot say everything: that `default_application` must name an application, that an address is listened on
twice, or that a folder is there, only `spoa-waf check` tells. It refuses a little that is read all the same, such as a
level in mixed letters.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from adapters.config_listen import MAX_LISTENERS
from adapters.config_model import (
    BUDGET_ACTIONS,
    DEFAULT_ACTIVE_BYTES,
    DEFAULT_ACTIVE_LIMIT,
    DEFAULT_BIND,
    DEFAULT_CLIENT_HEADER,
    DEFAULT_DRAIN_MS,
    DEFAULT_SHARED_PREFIX,
    DEFAULT_SHARED_TIMEOUT_MS,
    DEFAULT_TTL_MS,
    DEFAULT_WORKERS,
    FLAT_ROTATION,
    MAX_ACTIVE_BYTES,
    MAX_ACTIVE_LIMIT,
    MAX_BUDGET_MS,
    MAX_DRAIN_MS,
    MAX_KEEP,
    MAX_PATTERNS,
    MAX_ROTATION_DAYS,
    MAX_ROTATION_MB,
    MAX_SHARED_PREFIX,
    MAX_SHARED_TIMEOUT_MS,
    MAX_TTL_MS,
    MAX_WORKERS,
    MIN_ACTIVE_BYTES,
)
from adapters.logs import LEVELS, LOG_FORMS

_BOOLEAN_WORDS = ("true", "yes", "on", "y", "false", "no", "off", "n")
_LEVEL_WORDS = (*LEVELS, "warning", "dpanic")
_WHOLE = r"^\+?[0-9][0-9_]*$"
_DECIMAL = r"^\+?[0-9_]*\.?[0-9_]*$"
_TCP = r"^\s*([^/@]*|(tcp[46]?|spop)://[^/@]*):[0-9]{1,5}/?\s*$"
_BOUNDED = ("hosts", "trusted_proxies", "paths", "content_types")
_BIND = r"^\s*(systemd(:[^:]+)?|[uU][nN][iI][xX][:@].+|(/|\./|\.\./).+|.*:[0-9]{1,5}/?)?\s*$"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        name: the key.
        holds: ``text``, ``boolean``, ``integer``, ``number``, ``texts`` (one or a list), ``level``, ``any level`` (what
            is none is taken as info), ``format``, ``bind``, ``metrics``, ``mode``, ``workers``, ``budget action``, or
            the name of a table of `TABLES`, with ``[]`` behind it for a list of such maps, ``{}`` for a map of them;
            with ``bind|`` before that, an entry may be an address as well.
        about: what it is for, one line, shown by editors.
        default: what holds without it; None where that is nothing or not one value.
        lowest: the least number.
        highest: the greatest number.
        required: whether the map is refused without it.
    """

    name: str
    holds: str
    about: str
    default: object = None
    lowest: int = 0
    highest: int = 0
    required: bool = False


_BIND_KEY = Key("bind", "bind", "Where to listen: HOST:PORT, unix@PATH or systemd.", str(DEFAULT_BIND))
_DEFAULT = Key("default_application", "text", "The application for messages that name none, or one there is not.")
_PLUGINS = Key("plugins", "boolean", "Whether installed plug-ins add to the rule language.", default=True)
_DIRECTIVES = Key("directives", "text", "The rules, in SecLang; Include in it reads files.")
_LIMIT_ABOUT = "How many requests may wait for their responses."
_LIMIT = Key(
    "transaction_active_limit", "integer", _LIMIT_ABOUT, DEFAULT_ACTIVE_LIMIT, lowest=1, highest=MAX_ACTIVE_LIMIT
)
_TTL_ABOUT = "Milliseconds that a request waits for its response; 0 is the default."
_TTL = Key("transaction_ttl_ms", "integer", _TTL_ABOUT, DEFAULT_TTL_MS, lowest=0, highest=MAX_TTL_MS)
_LOG_KEYS = (
    Key("log_level", "level", "The lowest level that is written.", "info"),
    Key("log_file", "text", "A file, /dev/stdout, /dev/stderr or /dev/null.", "/dev/stdout"),
    Key("log_format", "format", "The form of the lines.", "console"),
)

TABLES: dict[str, tuple[Key, ...]] = {
    "list": (
        _BIND_KEY,
        Key("listen", "bind|listener[]", "Where to listen, in the place of bind: several addresses, TLS."),
        *_LOG_KEYS,
        Key("log_rotation", "rotation", "When log files are set aside; without it, never."),
        _DEFAULT,
        Key("workers", "workers", "How many processes answer; auto is one for each core.", DEFAULT_WORKERS or "auto"),
        Key("autoreload", "boolean", "Whether a changed file is loaded without being told.", default=False),
        Key(
            "drain_timeout_ms",
            "integer",
            "Milliseconds that a stop or a reload waits for what is in hand.",
            DEFAULT_DRAIN_MS,
            highest=MAX_DRAIN_MS,
        ),
        Key("metrics", "metrics", "HOST:PORT of /metrics, /healthz and /readyz."),
        Key("cache_folder", "text", "Where compiled patterns are kept."),
        Key(
            "serve_while_compiling",
            "boolean",
            "Whether requests are answered, more slowly, while patterns are being compiled.",
            default=True,
        ),
        Key("shared", "shared", "The Redis or Valkey that several agents share."),
        _PLUGINS,
        Key("applications", "application[]", "The applications, each with its rules."),
    ),
    "application": (
        Key("name", "text", "What `app` says in HAProxy's messages.", required=True),
        _DIRECTIVES,
        Key("response_check", "boolean", "Whether responses are inspected as well.", default=False),
        _TTL,
        _LIMIT,
        Key(
            "transaction_active_bytes",
            "integer",
            "How many bytes requests that wait for their responses may hold.",
            DEFAULT_ACTIVE_BYTES,
            lowest=MIN_ACTIVE_BYTES,
            highest=MAX_ACTIVE_BYTES,
        ),
        Key("hosts", "texts", "Names of sites, *. before one for all below it, for messages without app."),
        Key("detect_only", "boolean", "Whether it never blocks, and evaluates after the answer.", default=False),
        Key("trusted_proxies", "texts", "Addresses and networks of the proxies before HAProxy."),
        Key("client_address_header", "text", f"Where they name the client; {DEFAULT_CLIENT_HEADER} with proxies."),
        Key("skip", "skip", "What is not inspected."),
        Key("block_page", "text", "The file with the page for those who are blocked."),
        Key(
            "budget_ms", "number", "Milliseconds of CPU that a transaction may take; 0: any.", 0, highest=MAX_BUDGET_MS
        ),
        Key("budget_action", "budget action", "What happens to one that takes more.", BUDGET_ACTIONS[0]),
        *_LOG_KEYS,
    ),
    "listener": (
        Key("bind", "bind", "Where to listen: HOST:PORT, unix@PATH or systemd.", required=True),
        Key("mode", "mode", "Permissions of the file of a Unix socket, such as 0660."),
        Key("owner", "text", "Its owner, name or number."),
        Key("group", "text", "Its group, name or number."),
        Key("tls", "tls", "TLS of this address."),
    ),
    "tls": (
        Key("certificate", "text", "The agent's certificate and those above it, PEM.", required=True),
        Key("key", "text", "Its private key, PEM; without it, in the certificate's file."),
        Key("client_ca", "text", "Who signs the certificates that clients must show (mutual TLS), PEM."),
    ),
    "shared": (
        Key("url", "text", "redis://HOST:PORT/NUMBER, rediss:// or unix://PATH.", required=True),
        Key(
            "timeout_ms",
            "integer",
            "Milliseconds that one question may take.",
            DEFAULT_SHARED_TIMEOUT_MS,
            lowest=1,
            highest=MAX_SHARED_TIMEOUT_MS,
        ),
        Key(
            "prefix",
            "text",
            f"What all names begin with, at most {MAX_SHARED_PREFIX} characters.",
            DEFAULT_SHARED_PREFIX,
        ),
    ),
    "rotation": (
        Key("size_mb", "integer", "MiB that a file grows to.", FLAT_ROTATION.size >> 20, 1, MAX_ROTATION_MB),
        Key("keep", "integer", "How many old files stay; 0: any.", FLAT_ROTATION.keep, highest=MAX_KEEP),
        Key("days", "integer", "How many days; 0: any.", FLAT_ROTATION.days, highest=MAX_ROTATION_DAYS),
        Key("compress", "boolean", "Whether old files are compressed.", FLAT_ROTATION.compress),
    ),
    "skip": (
        Key("paths", "texts", "Paths, such as /static/* or /**.png; such requests are not inspected."),
        Key("content_types", "texts", "Content types, such as image/*; such bodies are not inspected."),
    ),
    "map": (
        _BIND_KEY,
        _DEFAULT,
        _PLUGINS,
        Key("applications", "old_application{}", "The applications by their names (before coraza-spoa 0.2)."),
    ),
    "old_application": (
        Key("include", "texts", "Rule files and globs (2022); they come before directives."),
        _DIRECTIVES,
        Key("rules", "texts", "Lines of rules (2022 to 2024); they come after directives."),
        Key("no_response_check", "boolean", "Whether responses are left alone.", default=False),
        _TTL,
        Key(
            "transaction_ttl_seconds", "integer", "The same in seconds (2023).", DEFAULT_TTL_MS // 1000, highest=86_400
        ),
        Key(
            "transaction_ttl",
            "integer",
            "The same in milliseconds; below 1000 in seconds.",
            DEFAULT_TTL_MS,
            highest=MAX_TTL_MS,
        ),
        Key("transaction_active_limit", "integer", _LIMIT_ABOUT, DEFAULT_ACTIVE_LIMIT, highest=MAX_ACTIVE_LIMIT),
        Key("log_level", "any level", "The lowest level that is written.", "warn"),
        Key("log_file", "text", "A file, /dev/stdout, /dev/stderr or /dev/null.", "/dev/stdout"),
    ),
    "flat": (
        Key("log", "log", "Where the log goes."),
        Key("spoa", "spoa", "The one application, and where to listen."),
        _PLUGINS,
    ),
    "log": (
        Key("level", "level", "The lowest level that is written.", "warn"),
        Key("dir", "text", "The folder of server.log and error.log; made when missing.", "./logs"),
    ),
    "spoa": (
        _BIND_KEY,
        Key("include", "texts", "Rule files and globs; without any, the embedded rules."),
        Key(
            "transaction_ttl",
            "integer",
            "Milliseconds that a request waits for its response.",
            DEFAULT_TTL_MS,
            lowest=1,
            highest=MAX_TTL_MS,
        ),
        _LIMIT,
    ),
}
STRICT = ("list", "application", "listener", "tls", "shared", "rotation", "skip")
"""The tables of the current form: a key that is not in them refuses the file; elsewhere it is ignored."""
_MAY_BE_EMPTY = ("skip",)


def schema() -> dict[str, Any]:
    """The schema, as JSON Schema draft 7, which every editor knows."""
    is_map = {"required": ["applications"], "properties": {"applications": {"type": "object"}}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "spoa-waf",
        "description": "The configuration of spoa-waf, and of coraza-spoa in all its generations.",
        "type": "object",
        "if": {"anyOf": [{"required": ["spoa"]}, {"required": ["log"], "not": {"required": ["applications"]}}]},
        "then": _to("flat"),
        "else": {"if": is_map, "then": _to("map"), "else": _to("list")},
        "definitions": {name: _table(name) for name in TABLES},
    }


def render() -> str:
    """The text of docs/config.schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _to(table: str) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{table}"}


def _table(name: str) -> dict[str, Any]:
    keys = TABLES[name]
    table: dict[str, Any] = {"properties": {key.name: _property(key) for key in keys}}
    if required := [key.name for key in keys if key.required]:
        table["required"] = required
    if name in STRICT:
        table["additionalProperties"] = False
    if name == "list":
        table["not"] = {"required": ["bind", "listen"]}
    # An old section may be there with nothing in it; an entry of the list may not.
    table["type"] = "object" if name in STRICT and name not in _MAY_BE_EMPTY else ["object", "null"]
    return table


def _property(key: Key) -> dict[str, Any]:
    described: dict[str, Any] = {"description": key.about}
    if key.default is not None:
        described["default"] = key.default
    return described | _values(key)


_SCALAR = ["string", "number", "boolean"]
"""A text may look like a number, since YAML needs no quotes."""

_FIXED: dict[str, dict[str, Any]] = {
    "boolean": {"enum": [True, False, None, *_BOOLEAN_WORDS]},
    "level": {"enum": [*_LEVEL_WORDS, *(word.upper() for word in _LEVEL_WORDS), "", None]},
    "any level": {"type": [*_SCALAR, "null"], "examples": list(LEVELS)},
    "format": {"enum": [*LOG_FORMS, None]},
    "mode": {"type": ["integer", "string", "null"], "pattern": "^0?[0-7]{1,3}$"},
    "metrics": {"type": ["string", "null"], "pattern": _TCP},
    "budget action": {"enum": [*BUDGET_ACTIONS, None]},
    "workers": {
        "anyOf": [
            {"enum": ["auto", None]},
            {"type": ["integer", "string"], "minimum": 1, "maximum": MAX_WORKERS, "pattern": _WHOLE},
        ]
    },
}
"""What does not depend on the key."""


def _values(key: Key) -> dict[str, Any]:
    """What a key may hold; null is as if it were absent."""
    match key.holds:
        case kind if kind in _FIXED:
            return _FIXED[kind]
        case "text":
            return {"type": _SCALAR, "minLength": 1} if key.required else {"type": [*_SCALAR, "null"]}
        case "integer" | "number":
            return {
                "type": [key.holds, "string", "null"],
                "minimum": key.lowest,
                "maximum": key.highest,
                "pattern": _WHOLE if key.holds == "integer" else _DECIMAL,
            }
        case "texts":
            one = {"type": _SCALAR, "minLength": 1}
            bound = {"maxItems": MAX_PATTERNS} if key.name in _BOUNDED else {}
            return {"anyOf": [one, {"type": "array", "items": one, **bound}, {"type": "null"}]}
        case "bind":
            return {"type": "string" if key.required else ["string", "null"], "pattern": _BIND}
    return _tables(key.holds)


def _tables(holds: str) -> dict[str, Any]:
    """A map, a list of maps or a map of maps."""
    table = _to(holds.removeprefix("bind|").rstrip("[]{}"))
    if holds.startswith("bind|"):
        items = {"anyOf": [{"type": "string", "minLength": 1, "pattern": _BIND}, table]}
        return {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_LISTENERS}
    if holds.endswith("[]"):
        return {"type": ["array", "null"], "items": table}
    if holds.endswith("{}"):
        return {"type": ["object", "null"], "propertyNames": {"minLength": 1}, "additionalProperties": table}
    return table


if __name__ == "__main__":
    sys.stdout.write(render())
