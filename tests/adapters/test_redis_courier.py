"""The courier against a real redis-server: batches, bounded time, the breaker."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from redis.exceptions import ResponseError

from adapters.config_model import SharedConfig
from adapters.redis_collections import RedisCollections
from adapters.redis_courier import MAX_QUEUE, PROBE_EVERY, TOLERATED, UNREACHABLE, Courier, url_secrets
from tests.adapters.harness import free_ports
from tests.adapters.redis_server import PASSWORD, RedisServer, Told
from waf_engine.diagnostics import Span
from waf_engine.persistence import CollectionKey, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    yield made
    made.end()


def run(
    url: str, work: Callable[[Courier], Awaitable[Any]], timeout: float = 30.0, changes: list[Any] | None = None
) -> Any:
    """Run something with a courier in a loop of its own."""

    async def main() -> Any:
        courier = Courier(url, timeout, None if changes is None else lambda up, why: changes.append((up, why)))
        try:
            return await work(courier)
        finally:
            await courier.close()

    return asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  it is about another process
            await asyncio.sleep(0.01)


def test_answers_come_to_their_questions(server: RedisServer):
    async def work(courier: Courier) -> Any:
        for number in range(300):
            courier.ask("SET", f"k{number}", b"%d" % number)
        return await asyncio.gather(*(courier.ask("GETDEL", f"k{number}") for number in range(301)))

    assert run(server.url, work) == [b"%d" % number for number in range(300)] + [None]


def test_what_comes_up_together_goes_out_together(server: RedisServer):
    async def work(courier: Courier) -> Any:
        await asyncio.gather(*(courier.ask("SET", f"k{number}", b"x") for number in range(640)))
        return courier.counters

    counters = run(server.url, work)

    assert counters.commands == 640
    assert 10 <= counters.batches <= 12


def test_a_refusal_is_the_answer_to_one_question_alone(server: RedisServer):
    async def work(courier: Courier) -> Any:
        return await asyncio.gather(
            courier.ask("SET", "k", "v"), courier.ask("HGET", "k", "f"), courier.ask("GET", "k")
        )

    one, two, three = run(server.url, work)

    assert (one, three) == (b"OK", b"v")
    assert isinstance(two, ResponseError)


def test_who_leaves_does_not_disturb_the_others(server: RedisServer):
    async def work(courier: Courier) -> Any:
        await courier.ask("SET", "k", "v")
        gone, stays = courier.ask("GET", "k"), courier.ask("GET", "k")
        gone.cancel()
        return await stays, await courier.ask("GET", "k")

    assert run(server.url, work) == (b"v", b"v")


def test_a_hung_server_costs_bounded_time_and_then_none(server: RedisServer):
    changes: list[Any] = []
    told = Told()

    async def work(courier: Courier) -> Any:
        await courier.ask("PING")
        courier.observer = told
        server.hang()
        try:
            batches = courier.counters.batches
            assert await courier.ask("GET", "k") is UNREACHABLE
            assert courier.counters.batches == batches + 2  # it was asked twice
            for _ in range(TOLERATED + 19):
                asked = courier.ask("GET", "k")
                assert asked.done()  # at once
                assert await asked is UNREACHABLE
            assert not courier.reachable
        finally:
            server.go_on()
        await until(lambda: courier.reachable)
        return await courier.ask("PING"), courier.counters

    answer, counters = run(server.url, work, timeout=1.0, changes=changes)

    assert answer == b"PONG"
    assert (counters.opened, counters.failed, counters.refused) == (1, 1, TOLERATED + 19)
    assert changes == [(False, "no answer within 1000 ms"), (True, "")]
    assert told.results == ["timeout"] + ["refused"] * (TOLERATED + 19) + ["ok"]


def test_the_loop_goes_on_while_the_server_hangs(server: RedisServer):
    async def work(courier: Courier) -> int:
        await courier.ask("PING")
        server.hang()
        turns = 0
        try:
            asked = courier.ask("GET", "k")
            while not asked.done():
                await asyncio.sleep(0.001)
                turns += 1
        finally:
            server.go_on()
        return turns

    assert run(server.url, work, timeout=1.0) > 20  # it has time for a thousand


def test_a_server_that_ends_and_comes_back(server: RedisServer):
    async def work(courier: Courier) -> Any:
        await courier.ask("PING")
        server.end()
        gone = [await courier.ask("PING") for _ in range(TOLERATED + 1)]
        await asyncio.sleep(PROBE_EVERY)
        assert not courier.reachable
        await asyncio.to_thread(server.start)
        await until(lambda: courier.reachable)
        return gone, await courier.ask("PING")

    assert run(server.url, work) == ([UNREACHABLE] * (TOLERATED + 1), b"PONG")


def test_more_than_the_queue_holds_is_refused(server: RedisServer):
    async def work(courier: Courier) -> Any:
        answers = await asyncio.gather(*(courier.ask("PING") for _ in range(MAX_QUEUE + 5)))
        return answers.count(b"PONG"), answers.count(UNREACHABLE)

    assert run(server.url, work) == (MAX_QUEUE, 5)


def test_a_courier_starts_anew_after_a_fork(server: RedisServer):
    async def work(courier: Courier) -> int:
        await courier.ask("SET", "k", "parent")
        pid = os.fork()
        if not pid:
            status = 1
            try:
                asyncio.events._set_running_loop(None)  # of the parent
                status = 0 if asyncio.run(child(courier)) == b"OK" else 2
            finally:
                os._exit(status)
        status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert await courier.ask("GET", "k") == b"child"
        return status[1]

    async def child(courier: Courier) -> Any:
        return await courier.ask("SET", "k", "child")

    assert run(server.url, work) == 0


def test_a_password_is_sent_but_never_told(tmp_path: Path):
    server = RedisServer(tmp_path, "--requirepass", PASSWORD)
    quoted, changes = quote(PASSWORD, safe=""), list[Any]()
    try:

        async def ping(courier: Courier) -> Any:
            return await courier.ask("PING")

        async def wrong(courier: Courier) -> Any:
            return [await courier.ask("PING") for _ in range(TOLERATED)]

        assert run(f"redis://:{quoted}@127.0.0.1:{server.port}/0", ping) == b"PONG"
        assert run(f"redis://:{quoted}x@127.0.0.1:{server.port}/0", wrong, changes=changes) == [UNREACHABLE] * TOLERATED
    finally:
        server.end()
    ((reachable, why),) = changes
    assert not reachable
    assert "Authentication" in why
    assert PASSWORD not in why
    assert quoted not in why


def test_secrets_of_a_url():
    assert url_secrets("redis://h/0") == []
    assert url_secrets("redis://u:p%40ss@h/0?password=x") == ["password=x", "p%40ss", "p@ss"]


def test_a_unix_socket(tmp_path: Path):
    path = tmp_path / "r.sock"
    server = RedisServer(tmp_path, "--unixsocket", str(path))
    try:

        async def ping(courier: Courier) -> Any:
            return await courier.ask("PING")

        assert run(f"unix://{path}", ping) == b"PONG"
    finally:
        server.end()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # asyncio leaves what TLS refused open
def test_tls(tmp_path: Path):
    """As docs/scaling.md writes it; the server's certificate is looked at."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    (port,) = free_ports(1)
    options = ["--tls-port", str(port), "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]
    server = RedisServer(tmp_path, *options, "--tls-auth-clients", "no")
    try:
        trusted, changes = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/cert.pem", list[Any]()

        async def ping(courier: Courier) -> Any:
            return await courier.ask("PING")

        assert run(trusted, ping) == b"PONG"
        assert run(f"rediss://127.0.0.1:{port}/0", ping, changes=changes) is UNREACHABLE
        gc.collect()  # here, not in another test
        assert "certificate verify failed" in changes[0][1].lower()
        store = RedisCollections(SharedConfig(trusted, 30.0, "t:", Span("", 1)), MemoryStore())
        store.open(CollectionKey("IP", "", b"x"), 60)
        assert store.counters.loaded == 1
        store.close()
    finally:
        server.end()
