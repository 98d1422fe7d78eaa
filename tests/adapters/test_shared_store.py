"""Two agents in one loop, with one redis-server: a response finds its request's transaction in either."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from inspect import isawaitable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from adapters import shared_store
from adapters.applications import Application
from adapters.config_model import SharedConfig
from adapters.logs import Occasional
from adapters.shared_store import SPARE_SECONDS, SharedHandler, SharedRoom
from adapters.skipping import SkipList
from adapters.transactions import Gone
from adapters.troubles import Reason
from spop_proto import Message, Notify, SetVar
from tests.adapters.redis_server import RedisServer
from waf_engine import WAF
from waf_engine.diagnostics import Span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.slow

RULES = """\
SecRuleEngine On
SecRequestBodyAccess On
SecRule ARGS "@contains attack" "id:190001,phase:2,deny,log,msg:'an attack'"
SecRule ARGS "@rx ^note(d?)" "id:190002,phase:1,pass,log,capture,msg:'noted',setvar:tx.seen=%{TX.0}"
SecRule TX:seen "@streq noted" "id:190003,phase:3,pass,log,msg:'noted before'"
SecRule RESPONSE_HEADERS:X-Leak "@streq secret" "id:190004,phase:3,deny,log,msg:'a leak'"
SecAction "id:190005,phase:5,pass,log,msg:'the end'"
"""
TTL = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    yield made
    made.end()


@pytest.fixture(autouse=True)
def empty(server: RedisServer) -> None:
    server.client().flushall()


_WAFS: dict[str, WAF] = {}


def waf_of(rules: str) -> WAF:
    if rules not in _WAFS:
        _WAFS[rules] = WAF.from_directives(rules, executor="reference")
    return _WAFS[rules]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Agent:
    """A handler with the applications `shop` and `api`, and its log."""

    def __init__(self, server: RedisServer, *, rules: str = RULES, url: str = "", limit: int = 100) -> None:
        self.lines: list[tuple[int, str]] = []
        self.logger = logging.Logger("test", logging.INFO)  # noqa: LOG001  of this test alone
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append((record.levelno, record.getMessage()))  # type: ignore[method-assign]  # the shortest list
        self.logger.addHandler(handler)
        self.clock = Clock()
        self.room = SharedRoom(SharedConfig(url or server.url, 30.0, "t:", Span("", 1)), self.logger)
        self.limit = limit
        self.stores = {name: self.room.store(name, limit, TTL, self.clock) for name in ("shop", "api")}
        self.load(rules)

    def load(self, rules: str) -> None:
        """Serve with these rules, as after a reload."""
        applications = {
            name: Application(name, waf_of(rules), True, store, self.logger, skip=SkipList(("/static/*",), ()))
            for name, store in self.stores.items()
        }
        self.handler = SharedHandler(self.room, applications, "shop", self.logger, occasional=Occasional(self.clock))

    async def ask(self, kind: str, **arguments: Any) -> dict[str, Any]:
        made = self.handler(Notify(1, 1, (Message(kind, tuple(arguments.items())),)))
        actions = await made if isawaitable(made) else made
        return {action.name: action.value for action in actions if isinstance(action, SetVar)}

    async def request(self, key: str, query: str = "", path: str = "/", **more: Any) -> dict[str, Any]:
        return await self.ask("coraza-req", id=key, path=path, query=query, method="GET", **more)

    async def response(self, key: str, headers: str = "", **more: Any) -> dict[str, Any]:
        return await self.ask("coraza-res", id=key, status=200, headers=headers, **more)

    def matched(self) -> list[int]:
        """The ids of the matched rules in the log."""
        return [int(found[1]) for _, text in self.lines if (found := re.search(r'\[id "(\d+)"\]', text))]

    def said(self, text: str) -> int:
        return sum(text in line for _, line in self.lines)


def run(*agents: Agent, work: Callable[..., Awaitable[Any]]) -> Any:
    async def main() -> Any:
        try:
            return await work(*agents)
        finally:
            for agent in agents:
                await agent.room.close()

    return asyncio.run(main())


def test_a_response_is_judged_by_another_agent(server: RedisServer):
    async def work(one: Agent, two: Agent) -> None:
        assert (await one.request("r1", "a=noted"))["fail"] == 0
        answer = await two.response("r1", "X-Leak: secret\r\n\r\n")

        assert (answer["fail"], answer["status"], answer["rules_hit"], answer["id"]) == (1, 403, 3, "r1")
        assert one.matched() == [190002]
        assert two.matched() == [190003, 190004, 190005]  # each is logged once, the last phase where it ended
        assert len(one.stores["shop"]) == len(two.stores["shop"]) == 0
        assert server.client().keys("*") == []

    one, two = Agent(server), Agent(server)
    run(one, two, work=work)
    assert (one.room.counters.stored, two.room.counters.fetched) == (1, 1)
    assert one.room.counters.bytes_out > 150


def test_a_response_is_judged_by_the_same_agent(server: RedisServer):
    async def work(agent: Agent) -> None:
        await agent.request("r1", "a=noted")
        assert len(agent.stores["shop"]) == 0  # it is on the server
        answer = await agent.response("r1")
        assert (answer["fail"], answer["rules_hit"]) == (0, 2)
        assert agent.matched() == [190002, 190003, 190005]
        agent.clock.now += TTL + 1
        agent.handler.expire()
        await agent.room.courier.ask("PING")
        assert agent.handler.expire() == 0

    run(Agent(server), work=work)


def test_it_belongs_to_its_application(server: RedisServer):
    async def work(one: Agent, two: Agent) -> None:
        await one.request("r1", "a=noted", app="api")
        answer = await two.response("r1", app="api")
        assert (answer["app"], answer["rules_hit"]) == ("api", 2)

    run(Agent(server), Agent(server), work=work)


def test_it_is_kept_on_the_server_a_little_longer_than_it_waits(server: RedisServer):
    async def work(agent: Agent) -> None:
        begin = time.monotonic()
        await agent.request("r1")
        left = server.client().pttl("t:tx:r1")
        past = (time.monotonic() - begin) * 1000
        assert (TTL + SPARE_SECONDS) * 1000 - past - 5 <= left <= (TTL + SPARE_SECONDS) * 1000

    run(Agent(server), work=work)


@pytest.mark.parametrize(
    ("query", "path", "expected"),
    [("a=attack", "/", {}), ("", "/static/x.png", {"mode": "skipped"})],
    ids=["blocked", "skipped"],
)
def test_another_agent_knows_why_a_request_waits_for_nothing(
    server: RedisServer, query: str, path: str, expected: dict[str, Any]
):
    async def work(one: Agent, two: Agent) -> None:
        await one.request("r1", query, path)
        answer = await two.response("r1")
        assert "error" not in answer
        assert expected.items() <= answer.items()
        assert two.room.counters.words == 1

    run(Agent(server), Agent(server), work=work)


def test_a_transaction_whose_response_nobody_saw_comes_back_for_its_last_phase(server: RedisServer):
    async def work(one: Agent, two: Agent) -> None:
        await one.request("r1", "a=noted")
        await one.request("r2")
        await two.response("r2")
        one.clock.now += TTL + 1
        assert one.handler.expire() == 0
        await one.room.courier.ask("PING")
        await asyncio.sleep(0)
        assert one.handler.expire() == 1
        assert one.matched() == [190002, 190005]

    one, two = Agent(server), Agent(server)
    run(one, two, work=work)
    assert one.room.counters.taken_back == 1
    assert server.client().keys("*") == []


def test_an_unknown_id_is_looked_for_twice(server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []
    one, two = Agent(server), Agent(server)

    async def sleep(seconds: float) -> None:
        """Between the two looks; in the second time the request comes meanwhile."""
        slept.append(seconds)
        if len(slept) == 2:
            await two.request("r1", "a=noted")

    monkeypatch.setattr(shared_store, "anyio", SimpleNamespace(sleep=sleep))

    async def work(one: Agent, _: Agent) -> None:
        answer = await one.response("nobody")
        assert (answer["error"], answer["reason"]) == (Reason.TRANSACTION_NOT_FOUND, "transaction-not-found")
        assert (await one.response("r1"))["rules_hit"] == 2

    run(one, two, work=work)
    assert slept == [shared_store.SECOND_LOOK] * 2
    assert one.room.counters.missing == 1


@pytest.mark.parametrize("gone", [Gone.LOST, Gone.UNANSWERED])
def test_what_a_dead_worker_had_is_on_the_server(server: RedisServer, gone: Gone):
    async def work(one: Agent, two: Agent) -> None:
        await one.request("r1", "a=noted")
        two.stores["shop"].remember("r1", gone)  # as workers/forwarding.py does
        assert (await two.response("r1"))["rules_hit"] == 2

    run(Agent(server), Agent(server), work=work)


def test_without_a_server_each_agent_keeps_its_own(server: RedisServer):
    async def work(one: Agent, two: Agent) -> None:
        for number in range(10):
            assert (await one.request(f"r{number}", "a=noted"))["fail"] == 0
        assert (await one.request("bad", "a=attack"))["fail"] == 1
        assert (await one.response("r1"))["rules_hit"] == 2
        answer = await two.response("r2")
        assert answer["error"] == Reason.TRANSACTION_NOT_FOUND

    one, two = Agent(server, url="redis://127.0.0.1:1"), Agent(server, url="redis://127.0.0.1:1")
    run(one, two, work=work)
    assert one.room.counters.kept == 10
    assert two.room.counters.unreachable == 1
    assert one.said("the shared store does not answer") == 1
    assert two.said("no verdict: transaction-not-found") == 1


def test_an_agent_with_other_rules_leaves_it_to_its_owner(server: RedisServer):
    async def work(one: Agent, other: Agent) -> None:
        await one.request("r1", "a=noted")
        answer = await other.response("r1")
        assert answer["error"] == Reason.TRANSACTION_NOT_FOUND
        assert (await one.response("r1"))["rules_hit"] == 2

    other = Agent(server, rules=RULES.replace("noted before", "was noted"))
    run(Agent(server), other, work=work)
    assert other.room.counters.other_rules == 1
    assert other.said("a transaction of another agent cannot be read") == 1


def test_a_reload_in_between_changes_nothing(server: RedisServer):
    async def work(agent: Agent) -> None:
        await agent.request("r1", "a=noted")
        agent.load(RULES.replace("noted before", "was noted"))
        assert (await agent.response("r1"))["rules_hit"] == 2
        await agent.request("r2", "a=noted")
        assert (await agent.response("r2"))["rules_hit"] == 2
        assert agent.said("noted before") == agent.said("was noted") == 1

    run(Agent(server), work=work)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"T", b"T\x04", b"T\x04shop", b"T\x04shop" + b"x" * 200, b"T\x03xxx", b"W\x04shop", b"W\x04shopanswered",
        b"X\x04shopyyy", b"\xff" * 50,
    ],
)  # fmt: skip
def test_damaged_data_is_a_transaction_that_was_not_found(server: RedisServer, data: bytes):
    server.client().set("t:tx:r1", data)

    async def work(agent: Agent) -> None:
        assert (await agent.response("r1"))["error"] == Reason.TRANSACTION_NOT_FOUND

    agent = Agent(server)
    run(agent, work=work)
    counters = agent.room.counters
    assert counters.damaged + counters.other_rules == 1


def test_what_is_too_large_waits_here(server: RedisServer):
    async def work(agent: Agent) -> None:
        body = b"a=noted&b=" + b"x" * 1_100_000
        headers = "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        answer = await agent.ask("coraza-req", id="r1", path="/", method="POST", headers=headers, body=body)
        assert answer["fail"] == 0
        assert len(agent.stores["shop"]) == 1
        assert "error" not in await agent.response("r1")

    agent = Agent(server)
    run(agent, work=work)
    assert agent.room.counters.too_large == 1


def test_a_server_that_is_full_refuses_and_it_waits_here(server: RedisServer):
    server.client().config_set("maxmemory", "1")
    try:

        async def work(agent: Agent) -> None:
            await agent.request("r1", "a=noted")
            assert len(agent.stores["shop"]) == 1
            assert (await agent.response("r1"))["rules_hit"] == 2

        agent = Agent(server)
        run(agent, work=work)
    finally:
        server.client().config_set("maxmemory", "0")
    assert agent.room.counters.kept == 1
    assert agent.said("refused a transaction") == 1


def test_the_same_id_twice_is_the_later_request(server: RedisServer):
    async def work(one: Agent, two: Agent) -> None:
        await one.request("r1", "a=noted")
        await two.request("r1", "a=x")
        assert (await one.response("r1"))["rules_hit"] == 0

    run(Agent(server), Agent(server), work=work)


def test_ids_of_what_waits_on_the_server_are_bounded(server: RedisServer):
    async def work(agent: Agent) -> int:
        for number in range(20):
            await agent.request(f"r{number}")
        return agent.stores["shop"].elsewhere

    assert run(Agent(server, limit=5), work=work) == 5


def test_many_at_once(server: RedisServer):
    async def work(one: Agent, two: Agent) -> None:
        async def exchange(number: int) -> int:
            first, second = (one, two) if number % 2 else (two, one)
            await first.request(f"r{number}", "a=noted")
            return int((await second.response(f"r{number}"))["rules_hit"])

        assert await asyncio.gather(*(exchange(number) for number in range(300))) == [2] * 300

    one = Agent(server, limit=1000)
    run(one, Agent(server, limit=1000), work=work)
    assert one.room.courier.counters.batches < one.room.courier.counters.commands / 4
