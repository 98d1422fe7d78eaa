"""From a NOTIFY to the variables of its answer: the one place that knows both SPOP and the rule engine.

Here: which application a message is for, what its arguments mean, the order in which the engine is fed, what is
answered. A handler is a plain function: no I/O but the log, no clock of its own, and it answers whatever happens.
Not here: sockets, configuration files, rules.

Source: compatibility.md 3.2 (messages and their arguments) and 3.3 (variables); docs/variables.md is for users.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias, cast

from adapters.http_objects import (
    BadHeadersError,
    HttpRequest,
    HttpResponse,
    as_bytes,
    parse_headers_binary,
    parse_headers_text,
    request_target,
)
from adapters.logs import Occasional, event, log_match
from adapters.metrics.observer import Observer
from adapters.transactions import Gone, TransactionStore
from adapters.troubles import Reason, TroubleError, trouble_actions
from spop_proto import Scope, SetVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from adapters.http_objects import ArgumentValue, Headers
    from spop_proto import Message, Notify, UnsetVar
    from waf_engine import WAF, Interruption, Transaction

    Action: TypeAlias = SetVar | UnsetVar
    Arguments: TypeAlias = dict[str, ArgumentValue]

ALIASES = {
    "hdrs": "headers",
    "req.hdrs": "headers",
    "res.hdrs": "headers",
    "hdrs_bin": "headers_bin",
    "req.hdrs_bin": "headers_bin",
    "res.hdrs_bin": "headers_bin",
    "unique-id": "id",
    "unique_id": "id",
    "req.ver": "version",
    "res.ver": "version",
    "req.body": "body",
    "res.body": "body",
    "src": "src-ip",
    "src_port": "src-port",
    "dst": "dst-ip",
    "dst_port": "dst-port",
}
"""Other names of arguments that are in use: ModSecurity's agent, older examples of coraza-spoa."""

MODSECURITY_ORDER = ("id", "method", "path", "query", "version", "headers_bin", "body_size", "body")
"""The arguments of `check-request` of spoa-modsecurity, which have no names."""

MAX_ID = 256
"""Bytes of an id that are kept as they came. An id may hold what a client sent (`unique-id-format`), and 100,000
transactions wait for their response under theirs; a longer one is shortened by a hash."""

RULES_HIT_RANGES = ((910_000, 959_999), (190_000, 199_999))
"""Ids that `rules_hit` and `rule_ids` count: CRS's detection rules and, as CRS's README reserves them, local ones."""

DEFAULT_STATUS = {"deny": 403, "redirect": 302, "drop": 0}
REDIRECT_STATUSES = (301, 302, 303, 307)


@dataclass(slots=True)
class Exchange:
    """One HTTP exchange in the engine, and how many of its matched rules are in the log already."""

    key: str
    application: Application
    transaction: Transaction
    logged: int = 0


@dataclass(frozen=True, slots=True)
class Application:
    """What one application consists of while the agent runs.

    Attributes:
        name: what `app` says.
        waf: its rules.
        response_check: whether a transaction waits for its response.
        store: where it waits.
        logger: where its matched rules are written.
    """

    name: str
    waf: WAF
    response_check: bool
    store: TransactionStore[Exchange]
    logger: logging.Logger


class WafHandler:
    """Answers NOTIFYs by the verdict of the rules.

    Args:
        applications: by name.
        default_application: the one for messages without `app`, or with one that does not exist; may be None.
        logger: for what belongs to no application.
        new_id: makes the id of a request that has none.
        occasional: holds back repeated log lines.
        observer: is told what happens, for metrics.
    """

    def __init__(
        self,
        applications: Mapping[str, Application],
        default_application: str | None,
        logger: logging.Logger,
        *,
        new_id: Callable[[], str] | None = None,
        occasional: Occasional | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.applications = applications
        self.default_application = default_application
        self._logger = logger
        self._new_id = new_id or random_id
        self._occasional = occasional or Occasional()
        self.observer = observer or Observer()

    def __call__(self, notify: Notify) -> list[Action]:
        """The actions that answer a NOTIFY. Never raises: what went wrong is answered as `error` and `reason`."""
        actions: list[Action] = []
        for message in notify.messages:
            begin = perf_counter()
            try:
                actions += self._answer(message)
            except TroubleError as trouble:
                self._report(trouble, message.name, notify.stream_id)
                actions += trouble_actions(trouble.reason)
                self.observer.trouble(trouble.reason)
            except Exception:
                self._logger.exception(
                    "a message could not be evaluated",
                    extra={"fields": {"message": message.name, "stream": notify.stream_id}},
                )
                actions += trouble_actions(Reason.INTERNAL_ERROR)
                self.observer.trouble(Reason.INTERNAL_ERROR)
            self.observer.message(perf_counter() - begin)
        return actions

    def expire(self) -> int:
        """Finish the transactions whose response did not come in time; to be called every second or so.

        Returns:
            How many there were.
        """
        dropped = [entry for app in self.applications.values() for entry in app.store.expire()]
        self._finish_dropped(dropped)
        return len(dropped)

    def stop(self, names: Collection[str] | None = None) -> None:
        """Finish all transactions that wait for a response; the last call.

        Args:
            names: only those of these applications; None for all.
        """
        for application in self.applications.values():
            if names is None or application.name in names:
                self._finish_dropped(application.store.drain())

    def _answer(self, message: Message) -> list[Action]:
        kind = message.name
        if kind in ("coraza-req", "check-request"):
            answer = self._check_request(_arguments(message))
            return answer + _modsecurity_code(answer) if kind == "check-request" else answer
        if kind == "coraza-res":
            return self._check_response(_arguments(message))
        # An agent section may serve several agents: a message that is not for us is no fault.
        event(self._logger, logging.DEBUG, "message ignored", message=kind)
        return []

    def _check_request(self, arguments: Arguments) -> list[Action]:
        application = self._application(arguments)
        if not arguments.keys() & {"method", "path", "headers", "headers_bin"}:
            raise TroubleError(
                Reason.BAD_MESSAGE, f"no request in the arguments {sorted(arguments)}: path, headers, ..."
            )
        request = HttpRequest(
            method=as_bytes(arguments.get("method")),
            target=request_target(
                as_bytes(arguments.get("path")),
                None if arguments.get("query") is None else as_bytes(arguments["query"]),
            ),
            version=as_bytes(arguments.get("version")) or b"1.1",
            headers=_headers(arguments),
            body=as_bytes(arguments.get("body")),
        )
        key = _exchange_id(arguments) or self._new_id()
        transaction = application.waf.transaction(key, timer=self.observer.timer(application.name))
        exchange = Exchange(key, application, transaction)
        try:
            interruption = _feed_request(exchange.transaction, request, arguments)
            answer = self._verdict(exchange, interruption, arguments)
        except BaseException:
            application.store.remember(key, Gone.FAILED)
            self.observer.failed(application.name)
            self._finish(exchange)
            raise
        self.observer.request(application.name, transaction, interruption, blocks=not arguments.get("detect-only"))
        if interruption is not None:
            application.store.remember(key, Gone.INTERRUPTED)
            self._finish(exchange)
        elif application.response_check:
            self._log_matches(exchange)
            self._finish_dropped(application.store.put(key, exchange))
        else:
            self._finish(exchange)
        return answer

    def _check_response(self, arguments: Arguments) -> list[Action]:
        application = self._application(arguments)
        if not application.response_check:
            self._say("responses are not checked: response_check is off", logging.DEBUG, application.name)
            return []
        key = _exchange_id(arguments)
        if not key:
            raise TroubleError(Reason.MISSING_ID, "the response came without id")
        response = HttpResponse(
            status=_number(arguments.get("status")),
            version=as_bytes(arguments.get("version")) or b"1.1",
            headers=_headers(arguments),
            body=as_bytes(arguments.get("body")),
        )
        exchange, gone = application.store.take(key)
        if exchange is None:
            self.observer.missed(application.name, gone)
            if gone is Gone.INTERRUPTED:
                # HAProxy was told to block this request and passed it on all the same, so it does not act on the
                # verdict; the variables of that answer are still set, and there is nothing to add to them.
                self._say("a request was interrupted but HAProxy passed it on", logging.WARNING, application.name)
                return []
            raise TroubleError(Reason.TRANSACTION_NOT_FOUND, f"id {key}: {gone}")
        try:
            interruption = _feed_response(exchange.transaction, response)
            answer = self._verdict(exchange, interruption, arguments)
        except BaseException:
            self.observer.failed(application.name, response=True)
            raise
        else:
            blocks = not arguments.get("detect-only")
            self.observer.response(application.name, exchange.transaction, interruption, blocks=blocks)
            return answer
        finally:
            self._finish(exchange)

    def _application(self, arguments: Arguments) -> Application:
        named = arguments.get("app")
        name = as_bytes(named).decode("utf-8", "surrogateescape")
        application = self.applications.get(name) or self.applications.get(self.default_application or "")
        if application is None and named is None and len(self.applications) == 1:
            return next(iter(self.applications.values()))
        if application is None:
            raise TroubleError(Reason.UNKNOWN_APPLICATION, f"app {name!r}; there are {sorted(self.applications)}")
        return application

    def _verdict(self, exchange: Exchange, interruption: Interruption | None, arguments: Arguments) -> list[Action]:
        """The variables of compatibility.md 3.3."""
        transaction, txn = exchange.transaction, Scope.TRANSACTION
        hits = [rule.rule_id for rule in transaction.matched_rules if rule.message and _counted(rule.rule_id)]
        actions: list[Action] = []
        if not arguments.get("detect-only"):
            actions.append(SetVar(txn, "fail", int(interruption is not None)))
            if interruption is not None:
                actions += [
                    SetVar(txn, "action", interruption.action),
                    SetVar(txn, "data", interruption.data),
                    SetVar(txn, "status", _status(interruption)),
                    SetVar(txn, "ruleid", interruption.rule_id),
                ]
        score = transaction.variable("TX", b"blocking_inbound_anomaly_score")
        actions += [
            SetVar(txn, "id", exchange.key),
            SetVar(txn, "rules_hit", len(hits)),
            SetVar(txn, "anomaly_score", _number(score)),
        ]
        if arguments.get("exportRuleIDs"):
            actions.append(SetVar(txn, "rule_ids", ",".join(map(str, hits))))
        return actions

    def _finish(self, exchange: Exchange) -> None:
        """Run phase 5, log what is not logged yet, and let go of the transaction."""
        try:
            exchange.transaction.process_logging()
            self._log_matches(exchange)
            exchange.transaction.close()
        except Exception:
            self._logger.exception("a transaction could not be finished", extra={"fields": {"id": exchange.key}})

    def _log_matches(self, exchange: Exchange) -> None:
        matched = exchange.transaction.matched_rules
        if fresh := matched[exchange.logged :]:
            for rule in fresh:
                if rule.log:
                    log_match(exchange.application.logger, rule)
            self.observer.matched(exchange.application.name, exchange.transaction, fresh)
            exchange.logged = len(matched)

    def _finish_dropped(self, dropped: Iterable[tuple[Exchange, Gone]]) -> None:
        for exchange, gone in dropped:
            event(exchange.application.logger, logging.DEBUG, "no response was checked", id=exchange.key, because=gone)
            self.observer.dropped(exchange.application.name, gone)
            self._finish(exchange)
            if gone in (Gone.EVICTED, Gone.REPLACED):
                text = {
                    Gone.EVICTED: "transaction_active_limit reached: the oldest transaction was dropped",
                    Gone.REPLACED: "two requests had the same id: the older transaction was dropped",
                }[gone]
                self._say(text, logging.WARNING, exchange.application.name)

    def _report(self, trouble: TroubleError, message: str, stream_id: int) -> None:
        held = self._occasional.due(f"{trouble.reason}{message}")
        if held is not None:
            more = {"repeated": held} if held else {}
            event(
                self._logger,
                logging.ERROR,
                f"no verdict: {trouble.reason.word}",
                detail=trouble.detail,
                message_name=message,
                stream=stream_id,
                **more,
            )

    def _say(self, text: str, level: int, application: str) -> None:
        held = self._occasional.due(text + application)
        if held is not None:
            event(self._logger, level, text, app=application, **({"repeated": held} if held else {}))


_LETTERS = bytes(65 + number % 26 for number in range(256))


def random_id() -> str:
    """An id as coraza-spoa makes it: 16 letters from A to Z."""
    return secrets.token_bytes(16).translate(_LETTERS).decode("ascii")


def _arguments(message: Message) -> Arguments:
    """The arguments by their usual names; a NULL is kept, the last of a repeated name counts."""
    args = cast("tuple[tuple[str, ArgumentValue], ...]", message.args)  # `Typed` is only ever sent
    if args and not args[0][0]:
        return dict(zip(MODSECURITY_ORDER, (value for _, value in args), strict=False))
    return {ALIASES.get(name, name): value for name, value in args}


def _headers(arguments: Arguments) -> Headers:
    """The headers, in whichever form they came."""
    binary = arguments.get("headers_bin")
    text = as_bytes(arguments.get("headers")) if binary is None else b""
    try:
        if binary is not None:
            return parse_headers_binary(as_bytes(binary))
        if text.endswith(b"\0\0"):  # `headers=req.hdrs_bin`: text ends with an empty line, so this cannot be text
            return parse_headers_binary(text)
        return parse_headers_text(text)
    except BadHeadersError as error:
        raise TroubleError(Reason.BAD_MESSAGE, f"headers: {error}") from error


def _exchange_id(arguments: Arguments) -> str:
    value = as_bytes(arguments.get("id"))
    if len(value) > MAX_ID:
        value = value[: MAX_ID - 65] + b"#" + hashlib.sha256(value).hexdigest().encode()
    return value.decode("utf-8", "surrogateescape")


def _feed_request(transaction: Transaction, request: HttpRequest, arguments: Arguments) -> Interruption | None:
    """Phases 1 and 2, in coraza-spoa's order: connection, URI, headers, body."""
    transaction.process_connection(
        _address(arguments.get("src-ip")),
        _number(arguments.get("src-port")),
        _address(arguments.get("dst-ip")),
        _number(arguments.get("dst-port")),
    )
    transaction.process_uri(request.target, request.method, b"HTTP/" + request.version)
    for name, value in request.headers:
        transaction.add_request_header(name, value)
    if interruption := transaction.process_request_headers():
        return interruption
    if request.body and (interruption := transaction.write_request_body(request.body)):
        return interruption
    return transaction.process_request_body()


def _feed_response(transaction: Transaction, response: HttpResponse) -> Interruption | None:
    """Phases 3 and 4."""
    for name, value in response.headers:
        transaction.add_response_header(name, value)
    if interruption := transaction.process_response_headers(response.status, b"HTTP/" + response.version):
        return interruption
    if response.body and (interruption := transaction.write_response_body(response.body)):
        return interruption
    return transaction.process_response_body()


def _address(value: ArgumentValue) -> str:
    if isinstance(value, (IPv4Address, IPv6Address)):
        return str(value)
    return as_bytes(value).decode("utf-8", "surrogateescape")


def _number(value: ArgumentValue) -> int:
    """An integer argument; what is none counts as 0, as in coraza-spoa."""
    if isinstance(value, int):
        return int(value)
    text = as_bytes(value)
    return int(text) if text.removeprefix(b"-").isdigit() and len(text) < 20 else 0


def _counted(rule_id: int) -> bool:
    return any(low <= rule_id <= high for low, high in RULES_HIT_RANGES)


def _status(interruption: Interruption) -> int:
    default = DEFAULT_STATUS.get(interruption.action, 403)
    if interruption.action == "redirect" and interruption.status not in REDIRECT_STATUSES:
        return default
    return interruption.status or default


def _modsecurity_code(answer: list[Action]) -> list[Action]:
    """`code`, on which configurations of spoa-modsecurity deny when it is above 0; unset for a clean request."""
    values = {action.name: action.value for action in answer if isinstance(action, SetVar)}
    if not values.get("fail"):
        return []
    return [SetVar(Scope.TRANSACTION, "code", values["status"] or DEFAULT_STATUS["deny"])]
