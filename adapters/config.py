"""The agent's configuration file: its generations recognised by shape, every fault listed at once with its position.

Here: frozen settings, and the reading of the forms that coraza-spoa had (compatibility.md 3.1): A, the flat file of
2022 (`log`, `spoa`), and C, the list of applications since 0.2. Not here: opening anything (rules: rule_sets.py, logs:
logs.py, sockets: sockets.py), and command line flags.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from adapters.bind import Bind, BindError, TcpBind, parse_bind
from adapters.logs import LEVELS, Sink
from adapters.yaml_reader import MAX_BYTES, Faults, Section, compose, is_null
from waf_engine.diagnostics import Diagnostic, Severity, Span, render_all

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_BIND = TcpBind("127.0.0.1", 9000)
DEFAULT_TTL_MS = 60_000
"""HAProxy's own `timeout server` is seldom above a minute: a later response is not looked for."""
DEFAULT_ACTIVE_LIMIT = 100_000
MAX_TTL_MS = 86_400_000  # a day
MAX_ACTIVE_LIMIT = 10_000_000

USUAL_PLACES = ("config.yml", "config.yaml", "/etc/spoa-waf/config.yaml", "/etc/coraza-spoa/config.yaml")
"""Where the file is looked for when none is named: coraza-spoa's default of 2022, ours, the one of its packages."""

EMBEDDED_RULES = "Include @recommended.conf\nInclude @baseline/*.conf\n"
"""The rules of a flat file without `include`: what protects a site whose operator has not chosen rules yet."""

_ZAP_LEVELS = {"warning": "warn", "dpanic": "panic"}


class ConfigError(Exception):
    """A configuration, or the rules it names, that cannot be used: every fault that was found.

    Attributes:
        diagnostics: the faults, errors and warnings.
        config: what could be understood all the same, for looking at the rules as well; else None.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic], config: Config | None = None) -> None:
        self.diagnostics = tuple(diagnostics)
        self.config = config
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        count = sum(1 for fault in self.diagnostics if fault.severity is Severity.ERROR)
        return f"{render_all(self.diagnostics)}\n\n{count} error{'s' if count != 1 else ''}: nothing was started"


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Where log lines go.

    Attributes:
        level: the lowest level that is written, as a number of `logging`.
        sinks: the places.
        where: the position of the setting, for the message when a file cannot be opened.
    """

    level: int
    sinks: tuple[Sink, ...]
    where: Span


@dataclass(frozen=True, slots=True)
class ApplicationConfig:
    """An application: its rules, and how its transactions are kept.

    Attributes:
        name: what `app` says in HAProxy's messages.
        directives: SecLang text.
        include: rule files and globs, each with its position; there are directives or these, not both.
        response_check: whether responses are inspected.
        ttl: seconds that a transaction waits for its response.
        active_limit: how many may wait.
        log: where its matched rules go.
        where: its position.
        directives_at: the position of the first line of the directives, when they are written line by line as they
            are (YAML's `|`); else None.
    """

    name: str
    directives: str
    include: tuple[tuple[str, Span], ...]
    response_check: bool
    ttl: float
    active_limit: int
    log: LogConfig
    where: Span
    directives_at: Span | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that can be used.

    Attributes:
        path: the file it came from.
        generation: the form it has, ``A`` or ``C``.
        binds: where to listen.
        log: the agent's own log.
        applications: in order, names unique.
        default_application: for messages that name no application, or one that does not exist; may be None.
        warnings: what is worth a word, but no fault.
        plugins: whether installed plug-ins (waf_engine.plugins) add to the rule language.
    """

    path: str
    generation: str
    binds: tuple[Bind, ...]
    log: LogConfig
    applications: tuple[ApplicationConfig, ...]
    default_application: str | None
    warnings: tuple[Diagnostic, ...] = ()
    plugins: bool = True


def find_config() -> Path | None:
    """The first file that exists of the usual places, or None."""
    return next((path for path in map(Path, USUAL_PLACES) if path.is_file()), None)


def load_config(path: str | Path) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read, or has faults; all of them are in it.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        hint = "name the file with -c FILE" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError([_fault(name, "unreadable-file", f"the file cannot be read: {reason}", hint)]) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte {error.start} (0x{content[error.start]:02x}) is not UTF-8"
        fault = Diagnostic(Severity.ERROR, "not-utf-8", message, Span(name, line), "save the file as UTF-8 text")
        raise ConfigError([fault]) from error
    return parse_config(text, name)


def parse_config(text: str, name: str = "config.yaml") -> Config:
    """Read a configuration from its text.

    Args:
        text: the YAML text.
        name: how positions name the file.

    Raises:
        ConfigError: it has faults; all of them are in it. Nothing else, whatever the text.
    """
    faults = Faults(name, text)
    root = compose(text, faults)
    if (root is None or is_null(root)) and not faults.found:
        faults.add((1, 1), "empty", "the file is empty", "docs/configuration.md shows one to begin with")
    if faults.errors:
        raise ConfigError(faults.found)
    top = Section(root, faults, "")
    config = _read_flat(top) if "spoa" in top else _read_list(top)
    if faults.errors:
        raise ConfigError(sorted(faults.found, key=lambda fault: (fault.span.line, fault.span.column)), config)
    return config


def _read_flat(top: Section) -> Config:
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
    binds = (_bind(spoa),)
    plugins = top.boolean("plugins", default=True)
    for section in (log, spoa, top):
        section.finish(strict=False)
    return Config(
        path=top.faults.file,
        generation="A",
        binds=binds,
        log=log_config,
        applications=(application,),
        default_application=application.name,
        warnings=tuple(top.faults.found),
        plugins=plugins,
    )


def _flat_log(section: Section, top: Section) -> LogConfig:
    """`log.level` and `log.dir`: errors go to `error.log` of that folder, everything else to `server.log`."""
    level = _level(section, "level", "warn")
    folder = Path(section.text("dir") or "./logs")
    where = top.faults.span(section.place("dir"))
    error = LEVELS["error"]
    server = Sink(str(folder / "server.log"), below=error, make_folder=True)
    return LogConfig(level, (server, Sink(str(folder / "error.log"), lowest=error, make_folder=True)), where)


def _read_list(top: Section) -> Config:
    """Generation C: a list of applications; a key that is not known refuses the file."""
    faults = top.faults
    binds = (_bind(top),)
    log = _list_log(top, None)
    default = top.text("default_application") or None
    if _looks_like_map(top):
        node = top.place("applications")
        hint = "write a list: `applications:`, and below it `- name: NAME` with `directives: |`"
        faults.add(node, "old-form", "applications is a map of names, the form before coraza-spoa 0.2", hint)
        raise ConfigError(faults.found)
    by_name: dict[str, ApplicationConfig] = {}
    for section in top.sections("applications"):
        application = _read_application(section, log)
        if not application.name:
            if section.is_map:
                faults.add(section.place("name"), "no-name", f"{section.name} has no name", "such as `name: default`")
        elif application.name in by_name:
            first = by_name[application.name].where.line
            message = f"there is an application {application.name!r} in line {first} already: this one replaces it"
            faults.add(section.place("name"), "duplicate-name", message, warning=True)
        by_name[application.name] = application
    if default is not None and default not in by_name:
        message = f"default_application {default[:60]!r} is none of the applications"
        faults.add(top.place("default_application"), "unknown-name", message, f"there are: {', '.join(by_name)}")
    if not by_name and not faults.errors:
        message = "there are no applications: every message is answered with an error"
        faults.add(top.place("applications"), "no-applications", message, warning=True)
    plugins = top.boolean("plugins", default=True)
    top.finish(strict=True)
    return Config(
        path=faults.file,
        generation="C",
        binds=binds,
        log=log,
        applications=tuple(by_name.values()),
        default_application=default,
        warnings=tuple(fault for fault in faults.found if fault.severity is Severity.WARNING),
        plugins=plugins,
    )


def _read_application(section: Section, top_log: LogConfig) -> ApplicationConfig:
    directives = section.raw("directives")
    application = ApplicationConfig(
        name=section.text("name"),
        directives=section.text("directives"),
        include=(),
        response_check=section.boolean("response_check", default=False),
        ttl=_ttl(section, "transaction_ttl_ms", lowest=0),
        active_limit=_active_limit(section),
        log=_list_log(section, top_log),
        where=section.faults.span(section.place("name")),
        directives_at=_first_line(directives, section.faults),
    )
    if not application.directives.strip() and section.is_map and isinstance(directives, yaml.ScalarNode | None):
        message = f"{section.name} has no directives: nothing is ever blocked"
        hint = "to begin with: `directives: |` and below it `Include @recommended.conf` and `Include @baseline/*.conf`"
        section.faults.add(section.place("directives"), "no-rules", message, hint, warning=True)
    section.finish(strict=True)
    return application


def _list_log(section: Section, inherited: LogConfig | None) -> LogConfig:
    """`log_level`, `log_file`, `log_format`; an application that sets none of them writes where the agent does."""
    if inherited is not None and not any(key in section for key in ("log_level", "log_file", "log_format")):
        return inherited
    form = section.choice("log_format", ("console", "json"), "console")
    level = _level(section, "log_level", "info")
    path = section.text("log_file") or "/dev/stdout"
    return LogConfig(level, (Sink(path, form),), section.faults.span(section.place("log_file")))


def _level(section: Section, key: str, default: str) -> int:
    node = section.raw(key)
    word = section.text(key, default).lower() or default
    if node is not None and (word in LEVELS or word in _ZAP_LEVELS or not section.text(key)):
        return LEVELS[_ZAP_LEVELS.get(word, word)]
    return LEVELS.get(section.choice(key, LEVELS, default), logging.INFO)


def _bind(section: Section) -> Bind:
    text = section.text("bind")
    if not text:
        place = section.place("bind")
        section.faults.add(place, "no-bind", f"no bind: listening on {DEFAULT_BIND}", "bind: HOST:PORT", warning=True)
        return DEFAULT_BIND
    try:
        return parse_bind(text)
    except BindError as error:
        section.faults.add(section.place("bind"), "bad-address", f"bind: {error.message}", error.hint)
        return DEFAULT_BIND


def _ttl(section: Section, key: str, *, lowest: int) -> float:
    """A time to live in seconds. 0 (where it is allowed) means the default: with it no response finds its request."""
    milliseconds = section.integer(key, DEFAULT_TTL_MS, lowest=lowest, highest=MAX_TTL_MS, unit="milliseconds")
    if 0 < milliseconds < 1000:
        message = f"{key} is {milliseconds} milliseconds: few responses come that soon"
        section.faults.add(section.place(key), "short-ttl", message, "the unit is milliseconds: 60000", warning=True)
    return (milliseconds or DEFAULT_TTL_MS) / 1000


def _active_limit(section: Section) -> int:
    return section.integer(
        "transaction_active_limit", DEFAULT_ACTIVE_LIMIT, lowest=1, highest=MAX_ACTIVE_LIMIT, unit="transactions"
    )


def _looks_like_map(top: Section) -> bool:
    return isinstance(top.raw("applications"), yaml.MappingNode)


def _first_line(node: yaml.Node | None, faults: Faults) -> Span | None:
    """Where the text of a literal block (`|`) begins in the file: its first line, and the column of its indentation."""
    if node is None or getattr(node, "style", None) != "|" or node.start_mark is None:
        return None
    number = node.start_mark.line + 1  # the line below the `|`, counted from 0
    following = [line for line in faults.lines[number:] if line.strip()]
    indent = len(following[0]) - len(following[0].lstrip(" ")) if following else 0
    return Span(faults.file, number + 1, indent + 1)


def _fault(name: str, code: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, Span(name, 1), hint)
