"""The forms of the configuration file, each read to the same settings.

Here: A, the flat file of 2022 (`log`, `spoa`); B1 to B3, the map of applications until 2024; C, the list of them since
coraza-spoa 0.2, and the current form, which has that one's keys and more of its own. Not here: those further keys
(config_listen.py, config_process.py, config_application.py), finding the file and telling the forms apart
(config.py), what a key may hold in general (yaml_reader.py). Source: compatibility.md 3.1.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from adapters import config_application, config_process
from adapters.config_listen import read_listener, read_listeners
from adapters.config_model import (
    DEFAULT_ACTIVE_LIMIT,
    DEFAULT_TTL_MS,
    EMBEDDED_RULES,
    FLAT_ROTATION,
    MAX_ACTIVE_LIMIT,
    MAX_TTL_MS,
    ApplicationConfig,
    Config,
    LogConfig,
)
from adapters.logs import LEVELS, LOG_FORMS, Sink
from adapters.yaml_reader import is_null
from waf_engine.diagnostics import Severity, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adapters.yaml_reader import Faults, Section

SUSPICIOUS_TTL = 1000
"""A `transaction_ttl` of generation B below this is one of the few days in which it meant seconds: no response
comes within so few milliseconds."""

_ZAP_LEVELS = {"warning": "warn", "dpanic": "panic"}


def read_flat(top: Section) -> Config:
    """Generation A: one application, keys that are not known are ignored (here: with a warning)."""
    log, spoa = top.section("log"), top.section("spoa")
    log_config = _flat_log(log, top)
    include = tuple((text, top.faults.span(node)) for text, node in spoa.texts("include"))
    application = ApplicationConfig(
        name="default",
        directives="" if include else EMBEDDED_RULES,
        include=include,
        response_check=True,
        ttl=_ttl(spoa, "transaction_ttl", lowest=1),
        active_limit=_active_limit(spoa),
        log=log_config,
        where=top.faults.span(spoa.node or (1, 1)),
    )
    listeners = (read_listener(spoa),)
    plugins = top.boolean("plugins", default=True)
    for section in (log, spoa, top):
        section.finish(strict=False)
    return Config(
        path=top.faults.file,
        generation="A",
        listeners=listeners,
        log=log_config,
        applications=(application,),
        default_application=application.name,
        warnings=tuple(top.faults.found),
        plugins=plugins,
        rotation=FLAT_ROTATION,
    )


def _flat_log(section: Section, top: Section) -> LogConfig:
    """`log.level` and `log.dir`: errors go to `error.log` of that folder, everything else to `server.log`."""
    level = _level(section, "level", "warn")
    folder = Path(section.text("dir") or "./logs")
    where = top.faults.span(section.place("dir"))
    error = LEVELS["error"]
    server = Sink(str(folder / "server.log"), below=error, make_folder=True)
    return LogConfig(level, (server, Sink(str(folder / "error.log"), lowest=error, make_folder=True)), where)


def read_list(top: Section) -> Config:
    """Generation C, a list of applications, and what we add to it; a key that is not known refuses the file."""
    faults = top.faults
    listeners = read_listeners(top)
    log = _list_log(top, None, make_folder="log_rotation" in top)
    default = top.text("default_application") or None
    by_name: dict[str, ApplicationConfig] = {}
    hosts: config_application.Hosts = {}
    sections = top.sections("applications")
    for section in sections:
        application = _read_application(section, log, hosts)
        if not application.name:
            if section.node is None or section.is_map or is_null(section.node):
                faults.add(section.place("name"), "no-name", f"{section.name} has no name", "such as `name: default`")
        elif application.name in by_name:
            first = by_name[application.name].where.line
            message = f"there is an application {application.name!r} in line {first} already: this one replaces it"
            faults.add(section.place("name"), "duplicate-name", message, warning=True)
        by_name[application.name] = application
    _check_names(top, default, by_name)
    settings = config_process.read_process(top, listeners)
    top.finish(strict=True)
    return Config(
        path=faults.file,
        generation=_list_generation(top, sections),
        listeners=listeners,
        log=log,
        applications=tuple(by_name.values()),
        default_application=default,
        warnings=tuple(fault for fault in faults.found if fault.severity is Severity.WARNING),
        **settings,
    )


def _list_generation(top: Section, sections: Sequence[Section]) -> str:
    """Whether coraza-spoa could read the file as well."""
    own = any(key in top for key in config_process.OWN_KEYS)
    if own or any(key in section for key in config_application.OWN_KEYS for section in sections):
        return "ours"
    return "C"


def _read_application(section: Section, top_log: LogConfig, hosts: config_application.Hosts) -> ApplicationConfig:
    directives, name = section.raw("directives"), section.text("name")
    application = ApplicationConfig(
        name=name,
        directives=section.text("directives"),
        include=(),
        response_check=section.boolean("response_check", default=False),
        ttl=_ttl(section, "transaction_ttl_ms", lowest=0),
        active_limit=_active_limit(section),
        log=_list_log(section, top_log, make_folder=top_log.sinks[0].make_folder),
        where=section.faults.span(section.place("name")),
        directives_at=_first_line(directives, section.faults),
        **config_application.read_own(section, name, hosts),
    )
    if section.is_map and isinstance(directives, yaml.ScalarNode | None):
        _check_rules(section, application)
    section.finish(strict=True)
    return application


def read_map(top: Section) -> Config:
    """Generations B1 to B3: a map of applications; keys that are not known are ignored (here: with a warning)."""
    faults = top.faults
    listeners = (read_listener(top),)
    default = top.text("default_application") or None
    sections = top.maps("applications")
    by_name: dict[str, ApplicationConfig] = {}
    for name, key, section in sections:
        if name:
            by_name[name] = _read_map_application(name, key, section)
        else:
            faults.add(key, "no-name", f"{section.name} has no name", "such as `default:`")
    _check_names(top, default, by_name)
    plugins = top.boolean("plugins", default=True)
    top.finish(strict=False)
    return Config(
        path=faults.file,
        generation=_map_generation([section for _, _, section in sections]),
        listeners=listeners,
        log=LogConfig(logging.INFO, (Sink("/dev/stdout", "json"),), faults.span((1, 1))),
        applications=tuple(by_name.values()),
        default_application=default,
        warnings=tuple(fault for fault in faults.found if fault.severity is Severity.WARNING),
        plugins=plugins,
    )


def _map_generation(sections: Sequence[Section]) -> str:
    """Which keys there are tells the three apart; all of them are read alike."""
    if any("include" in section for section in sections):
        return "B1"
    if any("directives" in section or "no_response_check" in section for section in sections):
        return "B3"
    return "B2" if any("rules" in section for section in sections) else "B3"


def _read_map_application(name: str, key: yaml.Node, section: Section) -> ApplicationConfig:
    errors = section.faults.errors
    include, rules = section.texts("include"), section.texts("rules")
    text = section.text("directives")
    # Files first: what stands beside them in the configuration is there to change what they set.
    lines = [] if not (text or rules) else [include_line(file) for file, _ in include]
    directives_at = None
    if text:
        lines.append(text.removesuffix("\n"))
        directives_at = _first_line(section.raw("directives"), section.faults)
    lines += [rule.removesuffix("\n") for rule, _ in rules]
    if rules or include:
        directives_at = None if text or include else _first_rule([node for _, node in rules], section.faults)
    application = ApplicationConfig(
        name=name,
        directives="".join(f"{line}\n" for line in lines),
        include=() if lines else tuple((file, section.faults.span(node)) for file, node in include),
        response_check=not section.boolean("no_response_check", default=False),
        ttl=_map_ttl(section),
        active_limit=_active_limit(section, lowest=0),
        log=_map_log(section),
        where=section.faults.span(key),
        directives_at=directives_at,
        says_allow=True,
    )
    if section.faults.errors == errors and (section.is_map or section.node is None):
        _check_rules(section, application)
    section.finish(strict=False)
    return application


def include_line(name: str) -> str:
    """The directive that includes a file, a glob or an embedded name."""
    plain = all(char.isalnum() or char in "_-./@*?[]+=:~" for char in name)
    return f"Include {name}" if plain else 'Include "{}"'.format(name.replace('"', '\\"'))


def _map_ttl(section: Section) -> float:
    """The time to live in seconds, of the three keys that it had within a few weeks."""
    keys = ("transaction_ttl_ms", "transaction_ttl_seconds", "transaction_ttl")
    given = [key for key in keys if section.raw(key) is not None]
    for key in given[1:]:
        message = f"{key} is ignored: {given[0]} is set as well"
        section.faults.add(section.place(key), "set-twice", message, warning=True)
    if not given or given[0] == "transaction_ttl_ms":
        return _ttl(section, "transaction_ttl_ms", lowest=0)
    if given[0] == "transaction_ttl_seconds":
        default, highest = DEFAULT_TTL_MS // 1000, MAX_TTL_MS // 1000
        return float(section.integer(given[0], default, lowest=0, highest=highest, unit="seconds") or default)
    number = section.integer(given[0], DEFAULT_TTL_MS, lowest=0, highest=MAX_TTL_MS, unit="milliseconds")
    if 0 < number < SUSPICIOUS_TTL:
        message = f"transaction_ttl is {number}: taken as seconds, for few responses come within {number} milliseconds"
        hint = f"transaction_ttl_ms: {number * 1000}"
        section.faults.add(section.place(given[0]), "short-ttl", message, hint, warning=True)
        return float(number)
    return (number or DEFAULT_TTL_MS) / 1000


def _map_log(section: Section) -> LogConfig:
    """`log_level` and `log_file`, in JSON as zap wrote it; a level that there is not was no fault, but meant info."""
    word = section.text("log_level", "warn").lower()
    word = _ZAP_LEVELS.get(word, word)
    if word not in LEVELS:
        if word:
            message = f"{section.name}.log_level is {word[:40]!r}: taken as info"
            hint = f"one of {', '.join(LEVELS)}"
            section.faults.add(section.place("log_level"), "bad-value", message, hint, warning=True)
        word = "info"
    path = section.text("log_file") or "/dev/stdout"
    return LogConfig(LEVELS[word], (Sink(path, "json"),), section.faults.span(section.place("log_file")))


def _first_rule(nodes: Sequence[yaml.Node], faults: Faults) -> Span | None:
    """Where a list of rules begins, when each stands as it is on a line of its own, one below the other."""
    first = nodes[0]
    for index, node in enumerate(nodes):
        plain = getattr(node, "style", "") is None and node.start_mark.line == node.end_mark.line
        in_place = node.start_mark.line == first.start_mark.line + index
        if not (plain and in_place and node.start_mark.column == first.start_mark.column):
            return None
    return faults.span(first)


def _check_names(top: Section, default: str | None, names: Iterable[str]) -> None:
    """The default application must be there; without any application nothing is ever inspected."""
    known = list(names)
    if default is not None and default not in known:
        message = f"default_application {default[:60]!r} is none of the applications"
        top.faults.add(top.place("default_application"), "unknown-name", message, f"there are: {', '.join(known)}")
    if not known and not top.faults.errors:
        message = "there are no applications: every message is answered with an error"
        top.faults.add(top.place("applications"), "no-applications", message, warning=True)


def _check_rules(section: Section, application: ApplicationConfig) -> None:
    if not application.directives.strip() and not application.include:
        message = f"{section.name} has no directives: nothing is ever blocked"
        hint = "to begin with: `directives: |` and below it `Include @recommended.conf` and `Include @baseline/*.conf`"
        section.faults.add(section.place("directives"), "no-rules", message, hint, warning=True)


def _list_log(section: Section, inherited: LogConfig | None, *, make_folder: bool) -> LogConfig:
    """`log_level`, `log_file`, `log_format`; an application that sets none of them writes where the agent does.

    With `log_rotation` the files are the agent's own affair, their folder too.
    """
    if inherited is not None and not any(key in section for key in ("log_level", "log_file", "log_format")):
        return inherited
    form = section.choice("log_format", LOG_FORMS, "console")
    level = _level(section, "log_level", "info")
    path = section.text("log_file") or "/dev/stdout"
    sink = Sink(path, form, make_folder=make_folder)
    return LogConfig(level, (sink,), section.faults.span(section.place("log_file")))


def _level(section: Section, key: str, default: str) -> int:
    node = section.raw(key)
    word = section.text(key, default).lower() or default
    if node is not None and (word in LEVELS or word in _ZAP_LEVELS or not section.text(key)):
        return LEVELS[_ZAP_LEVELS.get(word, word)]
    return LEVELS.get(section.choice(key, LEVELS, default), logging.INFO)


def _ttl(section: Section, key: str, *, lowest: int) -> float:
    """A time to live in seconds. 0 (where it is allowed) means the default: with it no response finds its request."""
    milliseconds = section.integer(key, DEFAULT_TTL_MS, lowest=lowest, highest=MAX_TTL_MS, unit="milliseconds")
    if 0 < milliseconds < 1000:
        message = f"{key} is {milliseconds} milliseconds: few responses come that soon"
        section.faults.add(section.place(key), "short-ttl", message, "the unit is milliseconds: 60000", warning=True)
    return (milliseconds or DEFAULT_TTL_MS) / 1000


def _active_limit(section: Section, *, lowest: int = 1) -> int:
    """How many transactions may wait. 0 (where it is allowed) means the default."""
    key = "transaction_active_limit"
    limit = section.integer(key, DEFAULT_ACTIVE_LIMIT, lowest=lowest, highest=MAX_ACTIVE_LIMIT, unit="transactions")
    return limit or DEFAULT_ACTIVE_LIMIT


def _first_line(node: yaml.Node | None, faults: Faults) -> Span | None:
    """Where the text of a literal block (`|`) begins in the file: its first line, and the column of its indentation."""
    if node is None or getattr(node, "style", None) != "|" or node.start_mark is None:
        return None
    number = node.start_mark.line + 1  # the line below the `|`, counted from 0
    following = [line for line in faults.lines[number:] if line.strip()]
    indent = len(following[0]) - len(following[0].lstrip(" ")) if following else 0
    return Span(faults.file, number + 1, indent + 1)
