"""Two agents behind one HAProxy share what waits for a response: by a Redis, or by HAProxy's own choice of the agent.

The load is 50 clients for 4 seconds, and 60 with `SPOA_WAF_FULL=1 ./dev test tests/adapters/test_sharing.py -s`.
"""

from __future__ import annotations

import http.client
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.adapters.fleet import Fleet
from tests.adapters.harness import ROOT
from tests.adapters.workers.stand import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.adapters.harness import Processes, Site
    from tests.adapters.redis_server import RedisServer

pytestmark = [pytest.mark.haproxy, pytest.mark.slow, pytest.mark.timeout(240)]

FULL = os.environ.get("SPOA_WAF_FULL") == "1"
SECONDS = 60.0 if FULL else 4.0
CLIENTS = 50
ANSWER_SECONDS = 0.25


@dataclass
class Seen:
    """What the clients saw."""

    kinds: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    count: int = 0


WANTED = {"/?q=word": (200, "1"), "/?q=an+attack": (403, "1"), "/leak?q=word": (410, "2"), "/?q=hello": (200, "0")}


ENOUGH = CLIENTS * 8
"""Requests after which everybody had several of each kind."""


def load(
    port: int,
    seconds: float,
    during: Callable[[Seen], None] | None = None,
    enough: Callable[[Seen], bool] = lambda _: True,
) -> Seen:
    """Fifty clients, each on a connection of its own, for some seconds, and longer on a busy machine.

    Args:
        port: where they ask.
        seconds: how long at least.
        during: what is done meanwhile.
        enough: says whether they have seen enough.
    """
    seen, begin, stop = Seen(), time.monotonic(), threading.Event()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            for turn in itertools.count(number):
                if stop.is_set():
                    return
                target = list(WANTED)[turn % len(WANTED)]
                begin = time.monotonic()
                connection.request("GET", target, headers={"Host": "shop.example.com"})
                response = connection.getresponse()
                response.read()
                judge(seen, target, response, time.monotonic() - begin)
        except (OSError, http.client.HTTPException) as error:
            seen.wrong.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for each in threads:
        each.start()
    try:
        if during is not None:
            during(seen)
        stop.wait(max(0.0, begin + seconds - time.monotonic()))
        until(lambda: seen.wrong or (seen.count >= ENOUGH and enough(seen)), lambda: str(seen))
    finally:
        stop.set()
        for each in threads:
            each.join(90)
    assert not any(each.is_alive() for each in threads)
    return seen


def more(seen: Seen, error: str = "") -> None:
    """Return when everybody has had some more answers, and there were errors of this kind among them."""
    count, errors = seen.count, seen.errors[error]
    until(lambda: seen.count > count + ENOUGH and (not error or seen.errors[error] > errors), lambda: str(seen))


def judge(seen: Seen, target: str, response: http.client.HTTPResponse, seconds: float) -> None:
    error, status, hits = response.headers["X-Error"] or "", response.status, response.headers["X-Hits"]
    seen.count += 1
    seen.kinds[f"{target} {status}"] += 1
    if seconds > ANSWER_SECONDS:
        seen.slow.append(round(seconds, 3))
    if error:
        seen.errors[error] += 1
    # Without its transaction a response cannot be judged, but a request always is.
    blocked, meant = status != 200, WANTED[target][0] != 200
    if (
        (not error and (status, hits) != WANTED[target])
        or (blocked and not meant)
        or (target == "/?q=an+attack" and status != 403)
    ):
        seen.wrong.append(f"{target}: {status}, {hits} hits, error {error!r}")


@pytest.fixture
def fleet(processes: Processes, site: Site) -> Fleet:
    site.socket.listen(1024)  # fifty clients come at once; else some would try again a second later
    return Fleet(processes, site)


def test_agents_that_share_a_redis_find_every_transaction(fleet: Fleet, redis_server: RedisServer) -> None:
    fleet.shared = f'shared: {{url: "{redis_server.url}", timeout_ms: 10000}}'
    fleet.start()

    # How much each agent has is HAProxy's choice.
    seen = load(fleet.port, SECONDS, enough=lambda _: all(count > CLIENTS for count in fleet.served()))

    assert seen.wrong == []
    assert seen.errors == {}
    assert "not-found" not in fleet.log()
    sys.stdout.write(f"{seen.count} requests in {SECONDS} s, {len(seen.slow)} slow\n")


def test_without_sharing_half_of_the_responses_have_no_transaction(fleet: Fleet) -> None:
    """What the other tests here would see if nothing were shared."""
    fleet.start()

    seen = load(fleet.port, 1.0, enough=lambda seen: seen.errors["516"] > 0)

    assert seen.wrong == []


def test_the_server_may_hang_end_and_come_back(fleet: Fleet, redis_server: RedisServer) -> None:
    """Requests are judged all the time; responses whose transaction is out of reach say so."""
    fleet.shared = f'shared: {{url: "{redis_server.url}", timeout_ms: {20 if FULL else 200}}}'
    fleet.start()
    pause = threading.Event()

    def during(seen: Seen) -> None:
        for _ in range(5 if FULL else 1):
            for step, error in (
                (redis_server.hang, "516"),
                (redis_server.go_on, ""),
                (redis_server.end, "516"),
                (redis_server.start, ""),
            ):
                pause.wait(SECONDS / (24 if FULL else 16))
                step()
                more(seen, error)  # while it hangs, too: nobody waits for it

    seen = load(fleet.port, SECONDS, during)

    assert seen.wrong == []
    assert set(seen.errors) == {"516"}  # never HAProxy's own: it did not have to wait
    if FULL:
        assert len(seen.slow) <= seen.count * 0.02

    def has_recovered() -> bool:
        after = load(fleet.port, 1.0)
        assert after.wrong == []
        return sum(after.errors.values()) <= after.count * 0.01

    until(has_recovered, fleet.log, seconds=120)  # the probe comes twice a second
    log = fleet.log()
    assert "the shared store does not answer: transactions stay with their agent" in log
    assert "the shared store answers again" in log
    assert log.count("the shared store") < 60
    sys.stdout.write(f"{seen.count} requests, errors {dict(seen.errors)}, slow {seen.slow}\n")


def test_workers_and_reloads_of_agents_that_share(fleet: Fleet, redis_server: RedisServer) -> None:
    shared = f'shared: {{url: "{redis_server.url}", timeout_ms: 10000}}'
    fleet.shared = f"workers: 2\ndrain_timeout_ms: 600000\n{shared}"
    fleet.start()
    pause = threading.Event()

    def during(_: Seen) -> None:
        for turn in range(1, 11 if FULL else 3):
            pause.wait(SECONDS / (12 if FULL else 4))
            for each in fleet.agents:
                each.send_signal(signal.SIGHUP)
            reloads = turn * len(fleet.agents)
            until(lambda: fleet.log().count("reloaded address") == reloads, fleet.log)  # noqa: B023  in this turn

    seen = load(fleet.port, SECONDS, during)

    assert seen.wrong == []
    assert seen.errors == {}
    for each in fleet.agents:
        each.terminate()
    assert [each.wait(60) for each in fleet.agents] == [0, 0]  # nobody waits ten minutes for what is on the server


def test_an_engine_for_each_agent_needs_nothing_shared(fleet: Fleet) -> None:
    """HAProxy chooses the agent for the whole exchange: docs/scaling.md shows this configuration."""
    fleet.sharded = True
    fleet.start()

    seen = load(fleet.port, 2.0)

    assert seen.wrong == []
    assert seen.errors == {}
    assert all(count > seen.count / 8 for count in fleet.served())


def test_the_benchmark_runs(tmp_path: Path, redis_server: RedisServer) -> None:
    """In a tiny form; it starts a server of its own, which is there where the fixture's is."""
    assert redis_server.pid
    (tmp_path / "rules").mkdir()
    (tmp_path / "crs-setup.conf").write_text('SecAction "id:900990,phase:1,nolog,pass,setvar:tx.x=1"\n')
    (tmp_path / "rules" / "one.conf").write_text('SecRule ARGS "@contains <script" "id:1,phase:2,deny"\n')
    command = [sys.executable, "benchmarks/bench_sharing.py", "--seconds", "0.5", "--rules", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"/s  agents +\d+ us  HAProxy +\d+ us", done.stdout)) == 4
    assert len(re.findall(r"Redis: \d\.\d commands, \d+ bytes in and \d+ out per exchange", done.stdout)) == 2
    assert re.findall(r"errors (\d+)", done.stdout) == ["0"] * 4
