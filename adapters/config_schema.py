"""The keys of the configuration file as one table, and the JSON schema for editors that is made from it.

Here: what each key of each generation is for and may hold. `python -m adapters.config_schema` prints the schema, which
is kept as docs/config.schema.json; a test holds table, file and config_forms.py together. Not here: reading a file.

A schema cannot say everything: that `default_application` must name an application, or that a folder is there, only
`spoa-waf check` tells. It refuses a little that is read all the same, such as a level in mixed letters.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from adapters.config_model import (
    DEFAULT_ACTIVE_LIMIT,
    DEFAULT_BIND,
    DEFAULT_TTL_MS,
    MAX_ACTIVE_LIMIT,
    MAX_TTL_MS,
)
from adapters.logs import LEVELS

_BOOLEAN_WORDS = ("true", "yes", "on", "y", "false", "no", "off", "n")
_LEVEL_WORDS = (*LEVELS, "warning", "dpanic")
_BIND = r"^\s*(systemd(:[^:]+)?|[uU][nN][iI][xX][:@].+|(/|\./|\.\./).+|.*:[0-9]{1,5}/?)?\s*$"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        name: the key.
        holds: ``text``, ``boolean``, ``integer``, ``texts`` (one or a list), ``level``, ``any level`` (what is none is
            taken as info), ``format``, ``bind``, or the name of a table of `TABLES`, with ``[]`` behind it for a list
            of such maps, ``{}`` for a map of them.
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
        *_LOG_KEYS,
        _DEFAULT,
        _PLUGINS,
        Key("applications", "application[]", "The applications, each with its rules."),
    ),
    "application": (
        Key("name", "text", "What `app` says in HAProxy's messages.", required=True),
        _DIRECTIVES,
        Key("response_check", "boolean", "Whether responses are inspected as well.", default=False),
        _TTL,
        _LIMIT,
        *_LOG_KEYS,
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
STRICT = ("list", "application")
"""The tables of the current form: a key that is not in them refuses the file; elsewhere it is ignored."""


def schema() -> dict[str, Any]:
    """The schema, as JSON Schema draft 7, which every editor knows."""
    is_map = {"required": ["applications"], "properties": {"applications": {"type": "object"}}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "spoa-waf",
        "description": "The configuration of spoa-waf, and of coraza-spoa in all its generations.",
        "type": "object",
        "if": {"required": ["spoa"]},
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
    # An old section may be there with nothing in it; an entry of the list may not.
    table["type"] = "object" if name in STRICT else ["object", "null"]
    return table


def _property(key: Key) -> dict[str, Any]:
    described: dict[str, Any] = {"description": key.about}
    if key.default is not None:
        described["default"] = key.default
    return described | _values(key)


def _values(key: Key) -> dict[str, Any]:
    """What a key may hold. A text may look like a number, since YAML needs no quotes; null is as if it were absent."""
    scalar: dict[str, Any] = {"type": ["string", "number", "boolean"]}
    match key.holds:
        case "text":
            return scalar | {"minLength": 1} if key.required else {"type": [*scalar["type"], "null"]}
        case "boolean":
            return {"enum": [True, False, None, *_BOOLEAN_WORDS]}
        case "integer":
            return {
                "type": ["integer", "string", "null"],
                "minimum": key.lowest,
                "maximum": key.highest,
                "pattern": r"^\+?[0-9][0-9_]*$",
            }
        case "texts":
            one = scalar | {"minLength": 1}
            return {"anyOf": [one, {"type": "array", "items": one}, {"type": "null"}]}
        case "level":
            return {"enum": [*_LEVEL_WORDS, *(word.upper() for word in _LEVEL_WORDS), "", None]}
        case "any level":
            return {"type": [*scalar["type"], "null"], "examples": list(LEVELS)}
        case "format":
            return {"enum": ["console", "json", None]}
        case "bind":
            return {"type": ["string", "null"], "pattern": _BIND}
    table = key.holds.rstrip("[]{}")
    if key.holds.endswith("[]"):
        return {"type": ["array", "null"], "items": _to(table)}
    if key.holds.endswith("{}"):
        return {
            "type": ["object", "null"],
            "propertyNames": {"minLength": 1},
            "additionalProperties": _to(table),
        }
    return _to(table)


if __name__ == "__main__":
    sys.stdout.write(render())
