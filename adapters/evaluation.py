"""One HTTP exchange in the engine: the order in which it is fed, what is logged of it, and how it ends.

Here: the phases, in coraza-spoa's order (connection, URI, headers, body), and bodies of which only a part came. Not
here: SPOP, which application it is, what is answered (verdicts.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from adapters.cut_bodies import Extent, extent, has_body
from adapters.logs import log_match
from waf_engine.settings import EngineMode

if TYPE_CHECKING:
    from adapters.applications import Application
    from adapters.http_objects import HttpRequest, HttpResponse
    from waf_engine import Interruption, MatchedRule, Transaction

FIXED_BYTES = 16_000
PER_BYTE = 4
"""What a transaction holds that waits for its response: a fixed part, and for each byte of the message so many, for
arguments and headers are kept as they came, cut apart and decoded. Measured with the CRS (docs/variables.md), from half
to nearly twice of that."""


@dataclass(slots=True)
class Cut:
    """A body of which only a part came: bytes that came, that were announced, and whether these would have fit."""

    received: int
    announced: int
    late: bool


@dataclass(slots=True)
class Exchange:
    """One HTTP exchange in the engine.

    Attributes:
        key: its id.
        application: whose rules run.
        transaction: the engine's part.
        path: of the request, for the log.
        size: about how many bytes it holds.
        cut: what came of the body that was inspected last, when that was not all of it.
        logged: how many of its matched rules are in the log already.
        over_budget: whether it was said that it took too much processor time.
        quiet: whether its rules may interrupt, but were told not to, for detection only.
    """

    key: str
    application: Application
    transaction: Transaction
    path: bytes = b""
    size: int = 0
    cut: Cut | None = None
    logged: int = 0
    over_budget: bool = False
    quiet: bool = False

    def set_blocking(self, *, blocks: bool) -> None:
        """Say whether what comes now may be interrupted; without that the rules run as for DetectionOnly."""
        transaction = self.transaction
        if not blocks and transaction.engine is EngineMode.ON:
            transaction.engine, self.quiet = EngineMode.DETECTION_ONLY, True
        elif blocks and self.quiet and transaction.engine is EngineMode.DETECTION_ONLY:
            transaction.engine, self.quiet = EngineMode.ON, False

    def log_matches(self) -> list[MatchedRule]:
        """Write the matched rules that are not in the log yet.

        Returns:
            All rules that matched since the last call; none when no rule that is to be logged is among them, for to
            tell of the others costs more than all the rest of an answer.
        """
        records = self.transaction.records
        first, self.logged = self.logged, len(records)
        if first == len(records) or not any(record.rule.log for record in records[first:]):
            return []
        new = self.transaction.matched_rules[first:]
        for rule in new:
            if rule.log:
                log_match(self.application.logger, rule)
        return new


class Endpoints(NamedTuple):
    """Who speaks with whom: addresses as text, and ports."""

    client: str
    client_port: int
    server: str
    server_port: int


def feed_request(
    exchange: Exchange, request: HttpRequest, endpoints: Endpoints, *, body_sent: bool, body_spared: bool
) -> Interruption | None:
    """Phases 1 and 2.

    Args:
        exchange: a new one.
        request: the request.
        endpoints: who speaks with whom.
        body_sent: whether HAProxy is configured to send bodies.
        body_spared: whether this body is not to be inspected.
    """
    transaction = exchange.transaction
    transaction.process_connection(endpoints.client, endpoints.client_port, endpoints.server, endpoints.server_port)
    transaction.process_uri(request.target, request.method, b"HTTP/" + request.version)
    for name, value in request.headers:
        transaction.add_request_header(name, value)
    if interruption := transaction.process_request_headers():
        return interruption
    if body_spared:
        return transaction.process_request_body()
    body = request.body
    if body and (interruption := transaction.write_request_body(body)):
        return interruption
    if body_sent and transaction.request_body_access:
        how_much, announced = extent(request.headers, len(body))
        if how_much in (Extent.PART, Extent.LATE):
            exchange.cut = Cut(len(body), announced, how_much is Extent.LATE)
        if how_much is not Extent.WHOLE and (
            interruption := transaction.request_body_is_partial(certain=how_much is Extent.PART)
        ):
            return interruption
    return transaction.process_request_body()


def feed_response(exchange: Exchange, response: HttpResponse, *, body_sent: bool) -> Interruption | None:
    """Phases 3 and 4.

    Args:
        exchange: one whose request was evaluated.
        response: the response.
        body_sent: whether HAProxy is configured to send bodies.
    """
    transaction = exchange.transaction
    exchange.cut = None
    for name, value in response.headers:
        transaction.add_response_header(name, value)
    if interruption := transaction.process_response_headers(response.status, b"HTTP/" + response.version):
        return interruption
    body = response.body
    if body and (interruption := transaction.write_response_body(body)):
        return interruption
    if body_sent and has_body(transaction.request.method, response.status) and transaction.inspects_response_body:
        how_much, announced = extent(response.headers, len(body))
        if how_much in (Extent.PART, Extent.LATE):
            exchange.cut = Cut(len(body), announced, how_much is Extent.LATE)
        if how_much is not Extent.WHOLE and (
            interruption := transaction.response_body_is_partial(certain=how_much is Extent.PART)
        ):
            return interruption
    return transaction.process_response_body()
