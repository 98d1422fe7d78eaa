"""What a configuration says, as data: frozen settings, their bounds, and the error that carries its faults.

Here: dataclasses and numbers. Not here: YAML and the forms of the file (config_forms.py), opening anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapters.bind import Bind, TcpBind
from waf_engine.diagnostics import Diagnostic, Severity, Span, render_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

    from adapters.logs import Sink

DEFAULT_BIND = TcpBind("127.0.0.1", 9000)
DEFAULT_TTL_MS = 60_000
"""HAProxy's own `timeout server` is seldom above a minute: a later response is not looked for."""
DEFAULT_ACTIVE_LIMIT = 100_000
MAX_TTL_MS = 86_400_000  # a day
MAX_ACTIVE_LIMIT = 10_000_000
DEFAULT_ACTIVE_BYTES = 512 << 20
"""Of waiting transactions; two thousand requests a second whose responses take two seconds stay far below."""
MIN_ACTIVE_BYTES, MAX_ACTIVE_BYTES = 1 << 20, 1 << 40
DEFAULT_WORKERS = 0
"""As many as there are usable cores; coraza-spoa uses all of them, too."""
MAX_WORKERS = 1024
DEFAULT_DRAIN_MS = 5000
MAX_DRAIN_MS = 3_600_000
DEFAULT_SHARED_TIMEOUT_MS = 20
MAX_SHARED_TIMEOUT_MS = 10_000
DEFAULT_SHARED_PREFIX = "spoa-waf:"
MAX_SHARED_PREFIX = 64
MAX_ROTATION_MB, MAX_KEEP, MAX_ROTATION_DAYS = 1 << 20, 10_000, 36_500
DEFAULT_CLIENT_HEADER = "X-Forwarded-For"
MAX_PATTERNS = 1000
"""Entries of a list of hosts, networks, paths or content types; each is compared with requests."""
MAX_BUDGET_MS = 60_000
BUDGET_ACTIONS = ("pass", "deny", "error")

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
class TlsConfig:
    """TLS of a listener, by files in PEM.

    Attributes:
        certificate: the agent's certificate, and those between it and the authority that HAProxy knows.
        key: its private key, without a passphrase; may be the same file.
        client_ca: the authorities whose certificates a client must show (mutual TLS); empty: none is asked for.
        where: the positions of the three, for the message when a file cannot be used.
    """

    certificate: str
    key: str
    client_ca: str = ""
    where: tuple[Span, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Listener:
    """One address to listen on.

    Attributes:
        bind: the address, with mode and owner when it is a Unix socket.
        tls: its TLS; None: none.
        where: its position.
    """

    bind: Bind
    tls: TlsConfig | None
    where: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class SharedConfig:
    """The server that several agents keep what they share in (Redis, Valkey).

    Attributes:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout: seconds that one question may take.
        prefix: what the names of all keys begin with.
        where: its position.
    """

    url: str
    timeout: float
    prefix: str
    where: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log file is set aside, and for how long.

    Attributes:
        size: bytes that a file may grow to.
        keep: how many old files stay; 0: any number.
        days: how old one may become; 0: any age.
        compress: whether old ones are compressed by gzip.
    """

    size: int
    keep: int
    days: int
    compress: bool


FLAT_ROTATION = Rotation(size=128 << 20, keep=30, days=7, compress=True)
"""What generation A always did, and what a `log_rotation` leaves out."""


@dataclass(frozen=True, slots=True)
class Skip:
    """What is not inspected.

    Attributes:
        paths: patterns of paths (skipping.py); such requests are not inspected at all.
        content_types: patterns of media types in lower case; such bodies are not inspected.
    """

    paths: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """The processor time that one transaction may take.

    Attributes:
        milliseconds: 0: any.
        action: what happens to one that takes more: ``pass``, ``deny`` or ``error``.
    """

    milliseconds: float = 0.0
    action: str = "pass"


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
        hosts: names of sites in lower case, ``*.`` before one for all below it; they choose this application when a
            message names none. Of two applications no name is the same.
        active_bytes: how many bytes the transactions that wait may hold.
        detect_only: whether it never blocks, and evaluates after the answer.
        trusted_proxies: whose word about the client's address is taken.
        client_address_header: the header in which they say it; empty: none.
        skip: what is not inspected.
        block_page: the file with the page for those who are blocked; empty: none.
        block_page_at: the position of its name, for the message when it cannot be used.
        budget: the processor time of one transaction.
        says_allow: whether `action` is ``allow`` when nothing interrupts, as it was with forms B1 to B3.
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
    hosts: tuple[str, ...] = ()
    active_bytes: int = DEFAULT_ACTIVE_BYTES
    detect_only: bool = False
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    client_address_header: str = ""
    skip: Skip = field(default_factory=Skip)
    block_page: str = ""
    block_page_at: Span | None = None
    budget: Budget = field(default_factory=Budget)
    says_allow: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that can be used.

    Attributes:
        path: the file it came from.
        generation: the form it has: ``A``, ``B1``, ``B2``, ``B3``, ``C``, or ``ours``, which is C and keys that
            coraza-spoa does not know.
        listeners: where to listen; at least one.
        log: the agent's own log.
        applications: in order, names unique.
        default_application: for messages that name no application, or one that does not exist; may be None.
        warnings: what is worth a word, but no fault.
        plugins: whether installed plug-ins (waf_engine.plugins) add to the rule language.
        workers: how many processes answer; 0: as many as there are usable cores.
        autoreload: whether a change of a file that the configuration or the rules name is a reload.
        drain_timeout: seconds that a stop or a reload waits for what is in hand.
        metrics: where `/metrics`, `/healthz` and `/readyz` are; None: nowhere.
        cache_folder: where compiled patterns are kept; None: the engine's own place.
        cache_folder_at: the position of its name.
        serve_while_compiling: whether rules may run plainly, but at once, while their patterns are being compiled.
        shared: the server that several agents share; None: each keeps to itself.
        rotation: when log files are set aside; None: never, somebody else does it.
    """

    path: str
    generation: str
    listeners: tuple[Listener, ...]
    log: LogConfig
    applications: tuple[ApplicationConfig, ...]
    default_application: str | None
    warnings: tuple[Diagnostic, ...] = ()
    plugins: bool = True
    workers: int = DEFAULT_WORKERS
    autoreload: bool = False
    drain_timeout: float = DEFAULT_DRAIN_MS / 1000
    metrics: TcpBind | None = None
    cache_folder: str | None = None
    cache_folder_at: Span | None = None
    serve_while_compiling: bool = True
    shared: SharedConfig | None = None
    rotation: Rotation | None = None

    @property
    def binds(self) -> tuple[Bind, ...]:
        """The addresses of the listeners, in order."""
        return tuple(listener.bind for listener in self.listeners)
