"""From a NOTIFY to the variables of its answer: the one place that knows both SPOP and the rule engine.

Here: the way of a message through the parts, and that it is answered whatever happens. Not here: what arguments mean
(arguments.py), which application a message is for (applications.py), who the client is (client_address.py), what is not
inspected (skipping.py), how the engine is fed (evaluation.py), what the variables are (verdicts.py), what is evaluated
after its answer (background.py), where transactions wait (transactions.py); sockets, configuration files, rules.

A handler is a plain function: no I/O but the log, and only the clock that it is given.

Source: compatibility.md 3.2 (messages and their arguments) and 3.3 (variables); docs/variables.md is for users.
"""

from __future__ import annotations

import logging
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from adapters.applications import Application, ApplicationChoice
from adapters.arguments import address, exchange_id, headers_of, number, read_arguments, size_of
from adapters.cut_bodies import CutBodies
from adapters.evaluation import FIXED_BYTES, PER_BYTE, Endpoints, Exchange, feed_request, feed_response
from adapters.http_objects import HttpRequest, HttpResponse, as_bytes, request_target
from adapters.logs import Occasional, event
from adapters.metrics.observer import Observer
from adapters.transactions import Gone
from adapters.troubles import Reason, TroubleError, reason_of, trouble_actions
from adapters.verdicts import CLEAN, DETECT, SKIPPED, modsecurity_code, verdict
from spop_proto import Scope, SetVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from adapters.arguments import Arguments
    from adapters.background import Background
    from adapters.http_objects import Headers
    from spop_proto import Message, Notify, UnsetVar
    from waf_engine import Interruption

    Action: TypeAlias = SetVar | UnsetVar

__all__ = ["Application", "WafHandler", "random_id"]

DRAIN_SECONDS = 5.0
"""How long the evaluations that wait may take when the agent stops."""

_A_REQUEST = frozenset(("method", "path", "headers", "headers_bin"))
"""A message without any of these cannot be a request."""


class WafHandler:
    """Answers NOTIFYs by the verdict of the rules.

    Args:
        applications: by name.
        default_application: the one for messages that no name and no host says anything of; may be None.
        logger: for what belongs to no application.
        new_id: makes the id of a request that has none.
        occasional: holds back repeated log lines.
        background: takes what is evaluated after its answer, and somebody runs it (`Background.serve`); None: nobody
            does, so that it is evaluated before.
        observer: is told what happens.
        clock: the time in seconds, for `time_us`.
    """

    def __init__(
        self,
        applications: Mapping[str, Application],
        default_application: str | None,
        logger: logging.Logger,
        *,
        new_id: Callable[[], str] | None = None,
        occasional: Occasional | None = None,
        background: Background | None = None,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.applications = applications
        self.default_application = default_application
        self.background = background
        self.observer = observer or Observer()
        self._choice = ApplicationChoice(applications, default_application)
        self._logger = logger
        self._new_id = new_id or random_id
        self._occasional = occasional or Occasional()
        self._clock = clock
        self._cut_bodies = CutBodies()

    def __call__(self, notify: Notify) -> list[Action]:
        """The actions that answer a NOTIFY. Never raises: what went wrong is answered as `error` and `reason`."""
        actions: list[Action] = []
        for message in notify.messages:
            begun = self._clock()
            try:
                answer = self._answer(message)
            except Exception as error:  # noqa: BLE001  whatever it is, HAProxy waits for an answer
                answer = [*trouble_actions(self._report(error, message.name, notify.stream_id))]
            seconds = self._clock() - begun
            if answer:
                answer.append(SetVar(Scope.TRANSACTION, "time_us", int(seconds * 1_000_000)))
            self.observer.message(seconds)
            actions += answer
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
        """Evaluate what waits for it, and finish all transactions that wait for a response; the last call.

        Args:
            names: only those of these applications; None for all.
        """
        if names is None and self.background is not None:
            left = self.background.drain(DRAIN_SECONDS, self._clock)
            if left:
                event(self._logger, logging.WARNING, "stopping: not evaluated any more (detection only)", messages=left)
        for application in self.applications.values():
            if names is None or application.name in names:
                self._finish_dropped(application.store.drain())

    def _answer(self, message: Message) -> list[Action]:
        kind = message.name
        if kind in ("coraza-req", "check-request"):
            answer = self._request(read_arguments(message), message.name)
            return answer + modsecurity_code(answer) if kind == "check-request" else answer
        if kind == "coraza-res":
            return self._response(read_arguments(message), message.name)
        # An agent section may serve several agents: a message that is not for us is no fault.
        event(self._logger, logging.DEBUG, "message ignored", message=kind)
        return []

    # -- requests ----------------------------------------------------------------------------------

    def _request(self, arguments: Arguments, message: str) -> list[Action]:
        """Answer a request: skip it, judge it, or judge it later."""
        headers = headers_of(arguments)
        application = self._choice.for_request(_application_name(arguments), headers)
        if _A_REQUEST.isdisjoint(arguments):
            raise TroubleError(
                Reason.BAD_MESSAGE, f"no request in the arguments {sorted(arguments)}: path, headers, ..."
            )
        key = exchange_id(arguments) or self._new_id()
        path = as_bytes(arguments.get("path")) or b"/"
        if application.skip is not None and application.skip.covers_path(path, headers):
            return self._skip(application, key)
        if application.detect_only or arguments.get("detect-only"):
            work = partial(self._judge_request, application, key, arguments, headers, blocks=False)
            return self._later(application, key, size_of(arguments), work, message)
        return self._judge_request(application, key, arguments, headers, blocks=True)

    def _skip(self, application: Application, key: str) -> list[Action]:
        self.observer.skipped(application.name, "path")
        if application.response_check:
            application.store.remember(key, Gone.SKIPPED)
        return [CLEAN, SetVar(Scope.TRANSACTION, "id", key), application.app, SKIPPED]

    def _judge_request(
        self, application: Application, key: str, arguments: Arguments, headers: Headers, *, blocks: bool
    ) -> list[Action]:
        """Phases 1 and 2; then the transaction waits for its response, or has ended."""
        request = HttpRequest(
            method=as_bytes(arguments.get("method")),
            target=request_target(
                as_bytes(arguments.get("path")),
                None if arguments.get("query") is None else as_bytes(arguments["query"]),
            ),
            version=as_bytes(arguments.get("version")) or b"1.1",
            headers=headers,
            body=as_bytes(arguments.get("body")),
        )
        exchange = self._begin(application, key, request, size_of(arguments), blocks=blocks)
        try:
            interruption = feed_request(
                exchange,
                request,
                _endpoints(application, arguments, headers),
                body_sent="body" in arguments,
                body_spared=self._is_body_spared(application, request),
            )
            answer = self._verdict(exchange, interruption, arguments, is_response=False, blocks=blocks)
        except BaseException:
            application.store.remember(key, Gone.FAILED)
            self.observer.failed(application.name)
            self._finish(exchange)
            raise
        if interruption is not None:
            application.store.remember(key, Gone.INTERRUPTED)
            self._finish(exchange)
        elif application.response_check:
            self._log_matches(exchange)
            self._finish_dropped(application.store.put(key, exchange, exchange.size))
        else:
            self._finish(exchange)
        return answer

    def _begin(self, application: Application, key: str, request: HttpRequest, size: int, *, blocks: bool) -> Exchange:
        timer = self.observer.timer(application.name)
        transaction = application.waf.transaction(key, budget=application.budget, timer=timer)
        path = request.target.partition(b"?")[0]
        exchange = Exchange(key, application, transaction, path, FIXED_BYTES + PER_BYTE * size)
        exchange.set_blocking(blocks=blocks)
        return exchange

    def _is_body_spared(self, application: Application, request: HttpRequest) -> bool:
        if application.skip is None or not request.body or not application.skip.covers_type(request.headers):
            return False
        self.observer.skipped(application.name, "content-type")
        return True

    # -- responses ---------------------------------------------------------------------------------

    def _response(self, arguments: Arguments, message: str) -> list[Action]:
        """Answer a response: skip it, judge it, or judge it later."""
        key = exchange_id(arguments)
        application = self._choice.for_response(_application_name(arguments), key)
        if not application.response_check:
            self._say("responses are not checked: response_check is off", logging.DEBUG, application.name)
            return []
        if not key:
            raise TroubleError(Reason.MISSING_ID, "the response came without id")
        response = HttpResponse(
            status=number(arguments.get("status")),
            version=as_bytes(arguments.get("version")) or b"1.1",
            headers=headers_of(arguments),
            body=as_bytes(arguments.get("body")),
        )
        if application.detect_only or arguments.get("detect-only"):
            work = partial(self._judge_response, application, key, response, arguments, blocks=False)
            return self._later(application, key, size_of(arguments), work, message)
        if self.background is not None:
            self.background.finish(key)  # the request, if it was for detection only and waits still
        return self._judge_response(application, key, response, arguments, blocks=True)

    def _judge_response(
        self, application: Application, key: str, response: HttpResponse, arguments: Arguments, *, blocks: bool
    ) -> list[Action]:
        """Phases 3, 4 and 5 of a transaction that waited for its response."""
        exchange, gone = application.store.take(key)
        if exchange is None:
            return self._without_transaction(application, key, gone)
        if application.skip is not None and application.skip.covers_type(response.headers):
            self.observer.skipped(application.name, "content-type")
            self._finish(exchange)
            return [CLEAN, SetVar(Scope.TRANSACTION, "id", key), application.app, SKIPPED]
        exchange.set_blocking(blocks=blocks)
        try:
            interruption = feed_response(exchange, response, body_sent="body" in arguments)
            return self._verdict(exchange, interruption, arguments, is_response=True, blocks=blocks)
        except BaseException:
            self.observer.failed(application.name, response=True)
            raise
        finally:
            self._finish(exchange)

    def _without_transaction(self, application: Application, key: str, gone: Gone) -> list[Action]:
        if gone is Gone.SKIPPED:
            return [SKIPPED]
        self.observer.missed(application.name, gone)
        if gone is Gone.INTERRUPTED:
            # HAProxy was told to block this request and passed it on all the same, so it does not act on the
            # verdict; the variables of that answer are still set, and there is nothing to add to them.
            self._say("a request was interrupted but HAProxy passed it on", logging.WARNING, application.name)
            return []
        raise TroubleError(Reason.TRANSACTION_NOT_FOUND, f"id {key}: {gone}")

    # -- after the answer --------------------------------------------------------------------------

    def _later(
        self, application: Application, key: str, size: int, work: Callable[[], object], message: str
    ) -> list[Action]:
        """The answer to what is for detection only; the rules are run when it has been sent."""
        answer: list[Action] = [SetVar(Scope.TRANSACTION, "id", key), application.app, DETECT]
        if application.detect_only:  # never blocks: so there is a verdict
            answer.insert(0, CLEAN)
        guarded = partial(self._guarded, work, message)
        if self.background is None:
            guarded()
        elif self.background.add(key, size, guarded):
            if application.response_check:
                application.store.expect(key)
        else:
            self.observer.trouble(Reason.QUEUE_FULL)
            text = "detection only: too much waits to be evaluated, and this was not"
            self._say(text, logging.WARNING, application.name)
            # No `error`: a request that nobody wants to block must not be denied for it.
            answer.append(SetVar(Scope.TRANSACTION, "reason", Reason.QUEUE_FULL.word))
        return answer

    def _guarded(self, work: Callable[[], object], message: str) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  its answer was sent, so there is only the log to tell
            self._report(error, message, 0)

    # -- what both have in common ------------------------------------------------------------------

    def _verdict(
        self,
        exchange: Exchange,
        interruption: Interruption | None,
        arguments: Arguments,
        *,
        is_response: bool,
        blocks: bool,
    ) -> list[Action]:
        """The variables, after the observer and the log were told; raises when there is no verdict after all."""
        transaction, application, observer = exchange.transaction, exchange.application, self.observer
        cut = exchange.cut
        if cut is not None:
            observer.truncated(application.name, response=is_response)
            direction = "response" if is_response else "request"
            self._cut_bodies.tell(
                application.logger,
                application.name,
                exchange.path,
                direction,
                received=cut.received,
                announced=cut.announced,
                late=cut.late,
            )
        exceeded = transaction.exceeded
        if exceeded is not None and not exchange.over_budget:
            exchange.over_budget = True
            observer.over_budget(application.name, exceeded.budget.action)
            self._say("a transaction took too much processor time", logging.WARNING, application.name, str(exceeded))
            if exceeded.budget.action == "error" and blocks:
                raise TroubleError(Reason.BUDGET_EXCEEDED, f"id {exchange.key}: {exceeded}")
        tell = observer.response if is_response else observer.request
        tell(application.name, transaction, interruption, blocks=blocks)
        if interruption is not None and blocks and exceeded is None:
            self._tell_of_silent(exchange, interruption)
        return verdict(exchange, interruption, is_response=is_response, export_ids=bool(arguments.get("exportRuleIDs")))

    def _tell_of_silent(self, exchange: Exchange, interruption: Interruption) -> None:
        """Whoever looks for the reason of a 403 finds it: also when a limit blocked, or a rule with `nolog`."""
        rule_id = interruption.rule_id
        if not any(rule.log and rule.rule_id == rule_id for rule in exchange.transaction.matched_rules):
            text = f"blocked by rule {rule_id}, which does not log" if rule_id else "blocked by a limit on bodies"
            self._say(text, logging.INFO, exchange.application.name, f"id {exchange.key}")

    def _finish(self, exchange: Exchange) -> None:
        """Run phase 5, log what is not logged yet, and let go of the transaction."""
        try:
            exchange.transaction.process_logging()
            self._log_matches(exchange)
            exchange.transaction.close()
        except Exception:
            self._logger.exception("a transaction could not be finished", extra={"fields": {"id": exchange.key}})

    def _log_matches(self, exchange: Exchange) -> None:
        if new := exchange.log_matches():
            self.observer.matched(exchange.application.name, exchange.transaction, new)

    def _finish_dropped(self, dropped: Iterable[tuple[Exchange, Gone]]) -> None:
        for exchange, gone in dropped:
            application = exchange.application
            event(application.logger, logging.DEBUG, "no response was checked", id=exchange.key, because=gone)
            self.observer.dropped(application.name, gone)
            self._finish(exchange)
            if text := _DROPPED.get(gone):
                self._say(text, logging.WARNING, application.name)

    def _report(self, error: Exception, message: str, stream_id: int) -> Reason:
        """Log why there is no verdict, each cause now and then: a client may be able to repeat it at will."""
        expected = isinstance(error, TroubleError)
        reason = error.reason if isinstance(error, TroubleError) else reason_of(error)
        self.observer.trouble(reason)
        held = self._occasional.due(f"{reason}{message}" if expected else f"{type(error)}{_origin(error)}")
        if held is None:
            return reason
        more = {"repeated": held} if held else {}
        if isinstance(error, TroubleError):
            text, details = f"no verdict: {reason.word}", {"detail": error.detail, "message_name": message}
            event(self._logger, logging.ERROR, text, **details, stream=stream_id, **more)
        else:
            fields = {"message": message, "stream": stream_id, **more}
            self._logger.error("a message could not be evaluated", exc_info=error, extra={"fields": fields})
        return reason

    def _say(self, text: str, level: int, application: str, detail: str = "") -> None:
        held = self._occasional.due(text + application)
        if held is not None:
            more = ({"detail": detail} if detail else {}) | ({"repeated": held} if held else {})
            event(self._logger, level, text, app=application, **more)


_DROPPED = {
    Gone.EVICTED: "transaction_active_limit (or _bytes) reached: the oldest transaction was dropped",
    Gone.REPLACED: "two requests had the same id: the older transaction was dropped",
}

_LETTERS = bytes(65 + number % 26 for number in range(256))


def random_id() -> str:
    """An id as coraza-spoa makes it: 16 letters from A to Z."""
    return secrets.token_bytes(16).translate(_LETTERS).decode("ascii")


def _origin(error: Exception) -> str:
    """Where an exception was raised, as file and line."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return "" if place is None else f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"


def _application_name(arguments: Arguments) -> str | None:
    named = arguments.get("app")
    return None if named is None else as_bytes(named).decode("utf-8", "surrogateescape")


def _endpoints(application: Application, arguments: Arguments, headers: Headers) -> Endpoints:
    """Who speaks with whom: the client as trusted proxies name it, else as HAProxy sees it."""
    source = arguments.get("src-ip")
    proxied = None if application.proxies is None else application.proxies.client(source, headers)
    client, port = proxied or (address(source), number(arguments.get("src-port")))
    return Endpoints(client, port, address(arguments.get("dst-ip")), number(arguments.get("dst-port")))
