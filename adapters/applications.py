"""Applications: what one consists of while the agent runs, and which one a message is for.

Here: `Application`, and the choice by name, by host, by default. Not here: what is done with a message
(waf_handler.py), the configuration file.

The choice, in this order:

1. the argument `app`, when an application has that name;
2. the request's Host header (for HTTP/2 and 3 HAProxy makes it of `:authority`): the name that is equal, else the
   longest `*.name` that it is below. Case, a port and a dot at the end make no difference; neither does whether an
   international name is written in its own letters or as `xn--`. A request with two different Host headers has none;
3. `default_application`;
4. the only application there is, when there was no `app`.

A response has no Host header. Without `app` it belongs to the application that knows its id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapters.block_page import BlockPage, BlockPageError, loaded_block_page
from adapters.client_address import TrustedProxies
from adapters.config_model import ConfigError
from adapters.skipping import SkipList
from adapters.troubles import Reason, TroubleError
from spop_proto import Scope, SetVar
from waf_engine.diagnostics import Diagnostic, Severity
from waf_engine.runtime.budget import Budget

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from adapters.config_model import ApplicationConfig
    from adapters.evaluation import Exchange
    from adapters.http_objects import Headers
    from adapters.transactions import TransactionStore
    from waf_engine import WAF

MAX_HOST = 255
"""Bytes of a host's name (RFC 1035, 2.3.4); a longer one is the name of none."""


@dataclass(frozen=True, slots=True)
class Application:
    """What one application consists of while the agent runs.

    Attributes:
        name: what `app` says.
        waf: its rules.
        response_check: whether a transaction waits for its response.
        store: where it waits.
        logger: where its matched rules are written.
        hosts: names of sites; see the head of this file.
        detect_only: whether it never blocks, and evaluates after the answer.
        proxies: whose word about the client's address is taken; None: nobody's.
        skip: what is not inspected; None: nothing.
        block_page: what those see who are blocked; None: what HAProxy shows them.
        budget: the processor time of one transaction; None: any.
        says_allow: whether `action` is ``allow`` when nothing interrupts.
        app: the variable `app`, made once.
    """

    name: str
    waf: WAF
    response_check: bool
    store: TransactionStore[Exchange]
    logger: logging.Logger
    hosts: tuple[str, ...] = ()
    detect_only: bool = False
    proxies: TrustedProxies | None = None
    skip: SkipList | None = None
    block_page: BlockPage | None = None
    budget: Budget | None = None
    says_allow: bool = False
    app: SetVar = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "app", SetVar(Scope.TRANSACTION, "app", self.name))


def make_application(
    config: ApplicationConfig, waf: WAF, store: TransactionStore[Exchange], logger: logging.Logger
) -> Application:
    """An application as its configuration has it.

    Raises:
        ConfigError: its block page cannot be used.
    """
    skip, budget = config.skip, config.budget
    try:
        page = loaded_block_page(config.block_page) if config.block_page else None
    except BlockPageError as error:
        where = config.block_page_at or config.where
        raise ConfigError([Diagnostic(Severity.ERROR, "block-page", str(error), where)]) from error
    return Application(
        name=config.name,
        waf=waf,
        response_check=config.response_check,
        store=store,
        logger=logger,
        hosts=config.hosts,
        detect_only=config.detect_only,
        proxies=(
            TrustedProxies(config.trusted_proxies, config.client_address_header) if config.trusted_proxies else None
        ),
        skip=SkipList(skip.paths, skip.content_types) if skip.paths or skip.content_types else None,
        block_page=page,
        budget=Budget(budget.milliseconds, budget.action) if budget.milliseconds else None,
        says_allow=config.says_allow,
    )


class ApplicationChoice:
    """Finds the application that a message is for.

    Args:
        applications: by name; of two with the same host the first counts.
        default: the name of the one for messages that no name and no host says anything of; may be None.
    """

    def __init__(self, applications: Mapping[str, Application], default: str | None) -> None:
        self._applications = applications
        self._default = applications.get(default or "")
        self._exact: dict[bytes, Application] = {}
        self._below: dict[bytes, Application] = {}
        for application in applications.values():
            for pattern in application.hosts:
                table = self._below if pattern.startswith("*.") else self._exact
                for name in _spellings(pattern.removeprefix("*.")):
                    table.setdefault(name, application)
        self._by_host = bool(self._exact or self._below)

    def for_request(self, name: str | None, headers: Headers) -> Application:
        """The application of a request.

        Args:
            name: the argument `app`; None when there is none.
            headers: the request's.

        Raises:
            TroubleError: there is none.
        """
        found = self._applications.get(name) if name is not None else None
        if found is None and self._by_host:
            found = self._of_host(host_of(headers))
        return found or self._otherwise(name)

    def for_response(self, name: str | None, key: str) -> Application:
        """The application of a response.

        Args:
            name: the argument `app`; None when there is none.
            key: the id of its transaction.

        Raises:
            TroubleError: there is none.
        """
        found = self._applications.get(name) if name is not None else None
        if found is None and self._by_host and key:
            found = next((each for each in self._applications.values() if each.store.knows(key)), None)
        return found or self._otherwise(name)

    def _of_host(self, host: bytes) -> Application | None:
        found = self._exact.get(host)
        below = host
        while found is None and below:
            below = below.partition(b".")[2]
            found = self._below.get(below)
        return found

    def _otherwise(self, name: str | None) -> Application:
        if self._default is not None:
            return self._default
        if name is None and len(self._applications) == 1:
            return next(iter(self._applications.values()))
        said = "no app" if name is None else f"app {name!r}"
        raise TroubleError(Reason.UNKNOWN_APPLICATION, f"{said}; there are {sorted(self._applications)}")


def host_of(headers: Headers) -> bytes:
    """The host that a request is for, without port and in lower case; empty when it is not clear which."""
    hosts = {value for name, value in headers if name.lower() == b"host"}
    host = hosts.pop() if len(hosts) == 1 else b""
    if len(host) > MAX_HOST + 8:  # with a port
        return b""
    host = host.strip(b" \t").lower()
    if not host.isascii():
        host = host.decode("utf-8", "replace").lower().encode()
    if host.startswith(b"["):
        return host[: host.find(b"]") + 1]
    name, colon, port = host.rpartition(b":")
    if colon and (not port or port.isdigit()):
        host = name
    return host.removesuffix(b".")


def _spellings(name: str) -> set[bytes]:
    """A host's name as it may stand in a request: in ASCII (`xn--`), and in its own letters as UTF-8."""
    labels = name.lower().removesuffix(".").split(".")
    ascii_labels = [each if each.isascii() else "xn--" + each.encode("punycode").decode() for each in labels]
    own = []
    for label in ascii_labels:
        try:
            own.append(label[4:].encode().decode("punycode") if label.startswith("xn--") else label)
        except UnicodeError:  # a name that no registry would take: as it is
            own.append(label)
    return {".".join(spelling).encode("utf-8", "replace") for spelling in (labels, ascii_labels, own)}
