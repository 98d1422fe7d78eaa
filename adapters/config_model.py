"""What a configuration says, as data: frozen settings, their bounds, and the error that carries its faults.

Here: dataclasses and numbers. Not here: YAML and the forms of the file (config_forms.py), opening anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.bind import Bind, TcpBind
from waf_engine.diagnostics import Diagnostic, Severity, Span, render_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.logs import Sink

DEFAULT_BIND = TcpBind("127.0.0.1", 9000)
DEFAULT_TTL_MS = 60_000
"""HAProxy's own `timeout server` is seldom above a minute: a later response is not looked for."""
DEFAULT_ACTIVE_LIMIT = 100_000
MAX_TTL_MS = 86_400_000  # a day
MAX_ACTIVE_LIMIT = 10_000_000

EMBEDDED_RULES = "Include @recommended.conf\nInclude @baseline/*.conf\n"
"""The rules of a flat file without `include`: what protects a site whose operator has not chosen rules yet."""


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
