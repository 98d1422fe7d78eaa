"""How long SPOP takes: decode a browser's NOTIFY, encode its ACK, here and in the two other Python packages.

    ./dev bench spop                  the table; the two peers are put into a folder in .venv
    ./dev bench spop --no-peers       without them

Each figure is the best of many short runs, in microseconds of CPU for one frame; the runs of all packages alternate,
so that whatever else the machine does hits all alike. Ratios are what to compare between machines.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import subprocess
import sys
import time
import tomllib
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from spop_proto import (  # noqa: E402  # the path is set above: the benchmark measures this tree, installed or not
    Ack,
    AgentConnection,
    HAProxyConnection,
    HAProxyHello,
    Message,
    Notify,
    Scope,
    SetVar,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Job = Callable[[], object]

HEADERS = (
    "host: www.example.test\r\n"
    "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "accept-language: en-US,en;q=0.5\r\naccept-encoding: gzip, deflate, br\r\n"
    "referer: https://www.example.test/catalogue\r\n"
    "cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=2026-01-01T00:00:00Z; cart=3\r\n"
    "upgrade-insecure-requests: 1\r\nsec-fetch-dest: document\r\nsec-fetch-mode: navigate\r\n"
    "sec-fetch-site: same-origin\r\nx-forwarded-for: 192.0.2.77\r\nx-forwarded-proto: https\r\n\r\n"
)
MESSAGE = Message(
    "coraza-req",
    (
        ("app", "sample"),
        ("src-ip", IPv4Address("192.0.2.77")),
        ("src-port", 51234),
        ("dst-ip", IPv4Address("198.51.100.9")),
        ("dst-port", 443),
        ("method", "POST"),
        ("path", "/catalogue/items/list"),
        ("query", "page=3&sort=price&filter=colour%3Ablue&limit=50"),
        ("version", "1.1"),
        ("id", "3f2a9c51-6f5d-4e9b-8a5a-0f7d4b1c2e33"),
        ("headers", HEADERS),
        ("body", b"name=Jane+Doe&comment=" + b"lorem+ipsum+" * 18),
    ),
)
ACTIONS = (("action", "deny"), ("status_code", 403), ("anomaly_score", 15))


def notify_frame() -> bytes:
    """The NOTIFY, as HAProxy would write it."""
    haproxy = HAProxyConnection()
    haproxy.send(HAProxyHello())
    agent = AgentConnection()
    agent.receive_data(haproxy.data_to_send())
    haproxy.receive_data(agent.data_to_send())
    haproxy.send(Notify(1, 1, (MESSAGE,)))
    return haproxy.data_to_send()


def running_agent() -> AgentConnection:
    """An agent's connection after HELLO."""
    haproxy, agent = HAProxyConnection(), AgentConnection()
    haproxy.send(HAProxyHello())
    agent.receive_data(haproxy.data_to_send())
    agent.data_to_send()
    return agent


def ours(frame: bytes) -> dict[str, Job]:
    """Decode and encode through the whole state machine, as a loop does."""
    agent = running_agent()
    in_flight = agent._in_flight  # noqa: SLF001  # so that the same NOTIFY can come, or be answered, again and again
    pair = (1, 1)

    def decode() -> object:
        in_flight.clear()
        return agent.receive_data(frame)

    def encode() -> object:
        in_flight[pair] = None
        actions = [SetVar(Scope.TRANSACTION, name, value) for name, value in ACTIONS]
        agent.send(Ack(1, 1, tuple(actions)))
        return agent.data_to_send()

    return {"decode": decode, "encode": encode}


class _Bytes:
    """What the peers' coroutines take for a stream: never waits, so that only their own work is measured."""

    def __init__(self, data: bytes = b"") -> None:
        self.data, self.position, self.written = data, 0, bytearray()

    async def readexactly(self, count: int) -> bytes:
        start = self.position
        self.position += count
        return self.data[start : self.position]

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        pass


def _run(coroutine: object) -> object:
    try:
        coroutine.send(None)  # type: ignore[attr-defined]  # the peers have no types
    except StopIteration as done:
        return done.value
    raise RuntimeError("the coroutine waited")


def haproxyspoa(frame: bytes) -> dict[str, Job]:
    """haproxyspoa: the functions its server calls for a NOTIFY."""
    from haproxyspoa.payloads.ack import AckPayload  # noqa: PLC0415  # may be absent
    from haproxyspoa.payloads.notify import NotifyPayload  # noqa: PLC0415
    from haproxyspoa.spoa_frame import Frame, FrameType  # noqa: PLC0415

    def decode() -> object:
        return NotifyPayload(_run(Frame.read_frame(_Bytes(frame))).payload).messages

    def encode() -> object:
        ack = AckPayload()
        for name, value in ACTIONS:
            ack.set_txn_var(name, value)
        out = _Bytes()
        _run(Frame(FrameType.ACK, 1, 1, 1, ack.to_bytes()).write_frame(out))
        return bytes(out.written)

    return {"decode": decode, "encode": encode}


def spoe_forge(frame: bytes) -> dict[str, Job]:
    """spoe-forge: the functions its handler calls for a NOTIFY."""
    from spoe_forge.spop.constants import ActionScope, FrameType  # noqa: PLC0415  # may be absent
    from spoe_forge.spop.frame import Frame  # noqa: PLC0415
    from spoe_forge.spop.spop_types import SetVarAction  # noqa: PLC0415

    logging.getLogger("spoe_forge").setLevel(logging.WARNING)

    def decode() -> object:
        return _run(Frame.decode(_Bytes(frame), 16380)).messages

    def encode() -> object:
        actions = [SetVarAction(scope=ActionScope.TRANSACTION, name=name, value=value) for name, value in ACTIONS]
        return Frame.construct(FrameType.ACK, stream_id=1, frame_id=1, actions=actions).encode(16380)

    return {"decode": decode, "encode": encode}


def best_of(jobs: dict[str, Job], rounds: int, repeat: int) -> dict[str, float]:
    """The best time of each job in microseconds; the jobs take turns."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.process_time_ns()
            for _ in range(repeat):
                job()
            best[name] = min(best[name], (time.process_time_ns() - started) / repeat / 1000)
    return best


def cost_of_cuts(frame: bytes, rounds: int) -> dict[str, float]:
    """Microseconds for one frame when 64 of them come in one piece, one by one, in packets, byte by byte."""
    # All frames of one read had the same ids, which would be an error: give each its own.
    stream = b"".join(frame[:9] + bytes((number,)) + frame[10:] for number in range(1, 65))
    cuts = {
        "64 frames at once": len(stream),
        "one frame each": len(frame),
        "1448 bytes": 1448,
        "100 bytes": 100,
        "1 byte": 1,
    }
    agent = running_agent()
    chunks = {name: [stream[at : at + size] for at in range(0, len(stream), size)] for name, size in cuts.items()}

    def read(pieces: list[bytes]) -> None:
        for piece in pieces:
            agent._in_flight.clear()  # noqa: SLF001  # as above
            agent.receive_data(piece)

    times = best_of({name: partial(read, pieces) for name, pieces in chunks.items()}, rounds, 1)
    return {name: value / 64 for name, value in times.items()}


def install_peers() -> None:
    """Put the group `bench` of pyproject.toml where only this benchmark sees it, once for each state of that file."""
    project = ROOT / "pyproject.toml"
    state = hashlib.sha256(repr(tomllib.loads(project.read_text())["dependency-groups"]["bench"]).encode()).hexdigest()
    folder = ROOT / ".venv" / f"bench-peers-{state[:12]}"
    if not folder.exists():
        options = ["--no-deps", "--ignore-requires-python", "--target", str(folder), "--group", f"{project}:bench"]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", *options]
        subprocess.run(pip, check=True)  # noqa: S603  fixed words and this project's own paths
    sys.path.append(str(folder))


def main() -> int:
    """Print the table; exit status 1 if a goal of the project is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--no-peers", action="store_true", help="only this project's package")
    parser.add_argument("--rounds", type=int, default=300, help="runs of each figure (default %(default)s)")
    options = parser.parse_args()
    frame = notify_frame()
    packages = {"spop_proto": ours(frame)}
    if not options.no_peers:
        install_peers()
        packages |= {"haproxyspoa": haproxyspoa(frame), "spoe-forge": spoe_forge(frame)}
    jobs = {f"{package} {name}": job for package, pair in packages.items() for name, job in pair.items()}
    for job in jobs.values():
        job()
    best = best_of(jobs, options.rounds, 40)

    print(f"NOTIFY of {len(frame)} bytes, {len(MESSAGE.args)} arguments; ACK of {len(ACTIONS)} set-var; microseconds\n")
    print(f"{'':14}{'decode':>9}{'encode':>9}{'both':>9}{'ratio':>8}")
    total = {package: best[f"{package} decode"] + best[f"{package} encode"] for package in packages}
    for package, both in total.items():
        parts = f"{best[f'{package} decode']:9.2f}{best[f'{package} encode']:9.2f}{both:9.2f}"
        print(f"{package:14}{parts}{both / total['spop_proto']:8.1f}")
    print("\nthe same NOTIFY, cut in other ways; microseconds a frame\n")
    for name, value in cost_of_cuts(frame, options.rounds // 8 or 1).items():
        print(f"{name:20}{value:9.2f}")
    goals = {"haproxyspoa": 2.0, "spoe-forge": 6.0}
    goals = {name: goal for name, goal in goals.items() if name in total}
    missed = [f"{name} x {goal}" for name, goal in goals.items() if total[name] < goal * total["spop_proto"]]
    if missed:
        print("\nmissed:", ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
