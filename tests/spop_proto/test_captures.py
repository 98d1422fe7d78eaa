"""Every captured stream of HAProxy 2.8 and 3.4: decoded, and replayed through the state machine of its role."""

from __future__ import annotations

import json
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import pytest

from spop_proto import (
    Ack,
    AgentConnection,
    AgentDisconnect,
    AgentHello,
    ConnectionClosed,
    ConnectionFailed,
    HAProxyConnection,
    HAProxyDisconnect,
    HAProxyHello,
    Limits,
    Message,
    Notify,
)
from spop_proto._dump import dump
from spop_proto._payloads import decode_actions
from tests.spop_proto.support import flush, in_pieces, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spop_proto import Event
    from spop_proto._typed_data import Value

pytestmark = pytest.mark.corpora

CAPTURES, CONNECTIONS, STREAMS = 181, 376, 750
FRAMES = 1865  # of 1877: twelve stand behind bytes that are no frame
BROKEN = 20

# What HAProxy's side answers to an agent that breaks the rules: the status HAProxy 2.8 sends in each of these captures.
# HAProxy 3.4 stalls instead of sending most of them (spop.md 0.8); our side says so to both.
FAULTS = {
    "ack_max_exact": 3,
    "err_ack_before_hello": 4,
    "err_ack_nofin": 10,
    "err_ack_oversize": 3,
    "err_ack_unknown_stream_sync": 12,
    "err_hello_mfs_big": 9,
    "err_hello_mfs_small": 9,
    "err_hello_mfs_string": 4,
    "err_hello_nofin": 10,
    "err_hello_noversion": 5,
    "err_hello_sid": 4,
    "err_hello_trunc_kv": 4,
    "err_hello_version10": 8,
    "err_hello_version21": 8,
    "err_len_6": 4,
    "err_len_huge": 3,
    "err_len_zero": 4,
}
# HAProxy 2.8 refuses an AGENT-HELLO without max-frame-size, 3.4 keeps its own.
STRICT = {("2.8", "err_hello_nomfs"): 6}

TYPES = {IPv4Address: "ipv4", IPv6Address: "ipv6", bytes: "bin", str: "str", int: "int64", bool: "bool"}


@pytest.fixture(scope="module")
def captures(corpora: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The JSON file of each capture, with its path."""
    folder = corpora / "corpora" / "spop-captures"
    return [(path, json.loads(path.read_text())) for path in sorted(folder.glob("*/*.json"))]


def connections(captures: list) -> Iterator[tuple[str, Path, dict, dict[str, bytes], dict[str, list]]]:
    """Name, path, record, streams and recorded frames of each connection."""
    for path, capture in captures:
        for connection in capture["connections"]:
            files = connection["files"]
            streams = {way: (path.parent / name).read_bytes() for way, name in files.items()}
            name = f"{capture['version']} {capture['scenario']} c{connection['conn']}"
            yield name, path, connection, streams, connection["frames"]


def as_recorded(messages: tuple[Message, ...]) -> list:
    """Messages as the record has them, which shortens long BINARYs to 60 bytes."""

    def value(ours: Value) -> list:
        plain: Any = str(ours) if isinstance(ours, IPv4Address | IPv6Address) else ours
        if isinstance(ours, bytes):
            digits = ours.hex()
            plain = digits if len(digits) <= 160 else f"{digits[:120]}...({len(digits)})"
        return [TYPES.get(type(ours), "null"), plain]

    return [[each.name, [[key, *value(ours)] for key, ours in each.args]] for each in messages]


def test_every_stream_decodes_to_its_record(captures: list[tuple[Path, dict[str, Any]]]):
    """Offsets, headers and payloads of all frames; where the record has none, we have an error at the same offset."""
    streams = frames = broken = 0
    for name, _, _, contents, recorded in connections(captures):
        for way, stream in contents.items():
            streams += 1
            found = list(dump(stream))
            for ours, theirs in zip(found, recorded.get(way, []), strict=False):
                assert ours["offset"] == theirs["offset"], name
                if "type" not in theirs:
                    assert "error" in ours, name
                    assert ours is found[-1]
                    broken += 1
                    continue
                keys = ("flags", "stream", "frame", "len")
                header = [ours["flags"], ours["stream_id"], ours["frame_id"], ours["len"]]
                assert header == [theirs[key] for key in keys], name
                assert theirs["name"] in (ours["type"], "?"), name
                assert ("error" in ours) == ("decode_error" in theirs), name
                if "kv" in theirs:
                    plain = [
                        (key, value["hex"] if isinstance(value, dict) else value)
                        for key, value in ours["items"].items()
                    ]
                    assert plain == [(key, value) for key, _, value in theirs["kv"]], name
                broken += "decode_error" in theirs
                frames += 1
            lost = any("type" not in each for each in recorded.get(way, []))
            assert lost or len(found) == len(recorded.get(way, [])), name

    assert (len(captures), streams, frames, broken) == (CAPTURES, STREAMS, FRAMES, BROKEN)


def expected_of_agent(frames: list[dict]) -> list[type | list]:
    """What an agent should report of HAProxy's frames: HELLO, each whole NOTIFY with its messages, DISCONNECT."""
    expected: list[type | list] = []
    for frame in frames:
        if frame["name"] == "HAPROXY-HELLO":
            expected.append(HAProxyHello)
        elif frame["name"] == "HAPROXY-DISCONNECT":
            expected.append(HAProxyDisconnect)
        elif "messages" in frame:
            expected.append(frame["messages"])
        elif frame["flags"] & 1:
            expected.append(Notify)  # the last fragment; the record does not put them together
    return expected


@pytest.mark.parametrize("sizes", [[1 << 20], [1], [3, 500, 7]], ids=["whole", "byte by byte", "in pieces"])
def test_an_agent_understands_everything_that_haproxy_sent(
    captures: list[tuple[Path, dict[str, Any]]], sizes: list[int]
):
    counts: Counter[str] = Counter()
    for name, _, _, contents, recorded in connections(captures):
        agent = AgentConnection()
        events: list[Event] = []
        for piece in in_pieces(contents["ha2ag"], sizes):
            for event in agent.receive_data(piece):
                events.append(event)
                if isinstance(event, Notify) and not agent.should_close:
                    agent.send(Ack(event.stream_id, event.frame_id))
        expected = expected_of_agent(recorded["ha2ag"])

        assert len(events) == len(expected), name
        for event, theirs in zip(events, expected, strict=True):
            if isinstance(theirs, list):
                assert as_recorded(event.messages) == theirs, name
            else:
                assert type(event) is theirs, name
            counts[type(event).__name__] += 1
        over = events and (isinstance(events[-1], HAProxyDisconnect) or getattr(events[-1], "healthcheck", False))
        assert agent.should_close == bool(over), name
        closing = agent.receive_eof()
        if not over:
            assert closing == [ConnectionClosed(True, bool(events), closing[0].reason)], name
        counts["connections"] += 1

    assert counts == {"connections": CONNECTIONS, "HAProxyHello": 376, "Notify": 438, "HAProxyDisconnect": 110}


class Replay:
    """HAProxy's side does again what HAProxy did, and gets what HAProxy got, in the recorded order."""

    def __init__(self, capture: dict, record: dict, streams: dict[str, bytes]) -> None:
        strict = (capture["version"], capture["scenario"]) in STRICT
        self.connection = HAProxyConnection(Limits(hello_size=16384), as_haproxy=not strict)
        self.events: list[Event] = []
        self.sent = 0
        self.streams = streams
        self.frames = record["frames"]["ha2ag"]
        self.notifys = iter(self._notifys())
        self.timeline = record["timeline"]
        self.told_status: int | None = None

    def _notifys(self) -> Iterator[Notify]:
        agent = AgentConnection()
        for event in agent.receive_data(self.streams["ha2ag"]):
            if isinstance(event, Notify):
                yield event

    def run(self) -> None:
        for _, way, *place in self.timeline:
            if way == "ha->ag":
                self._send_until(sum(place))
            elif way == "ag->ha":
                start, size = place
                self.events += self.connection.receive_data(self.streams["ag2ha"][start : start + size])

    def _send_until(self, offset: int) -> None:
        while self.frames and self.frames[0]["offset"] < offset:
            frame = self.frames.pop(0)
            if self.connection.should_close:
                if frame["name"] == "HAPROXY-DISCONNECT":
                    self.told_status = frame["kv"][0][2]
                continue
            if frame["name"] != "UNSET":
                self._send(frame)

    def _send(self, frame: dict) -> None:
        items = {key: value for key, _, value in frame.get("kv", [])}
        connection = self.connection
        if frame["name"] == "HAPROXY-HELLO":
            words = [
                tuple(word for word in items[key].split(",") if word) for key in ("supported-versions", "capabilities")
            ]
            engine_id, healthcheck = items.get("engine-id"), items.get("healthcheck", False)
            connection.send(HAProxyHello(words[0], items["max-frame-size"], words[1], engine_id, healthcheck))
        elif frame["name"] == "HAPROXY-DISCONNECT":
            connection.send(HAProxyDisconnect(items["status-code"], items["message"]))
        else:
            if connection.in_flight == connection.in_flight_limit:
                connection.cancel(*next(iter(connection._in_flight)))  # HAProxy's stream timed out
            connection.send(next(self.notifys))
        ours = flush(connection)
        assert ours == self.streams["ha2ag"][frame["offset"] : frame["offset"] + len(ours)]
        self.sent += len(ours)


def test_haproxys_side_does_again_what_haproxy_did(captures: list[tuple[Path, dict[str, Any]]]):
    """It writes the very bytes HAProxy wrote, reports each ACK, and fails where the record has HAProxy fail."""
    counts: Counter[str] = Counter()
    for path, capture in captures:
        scenario = capture["scenario"]
        fault = STRICT.get((capture["version"], scenario)) or FAULTS.get(scenario)
        for record in json.loads(path.read_text())["connections"]:
            if "ag2ha" not in record["files"]:
                counts["without an answer"] += 1
                continue
            name = f"{capture['version']} {scenario} c{record['conn']}"
            streams = {way: (path.parent / file).read_bytes() for way, file in record["files"].items()}
            frames = record["frames"]["ag2ha"]
            replay = Replay(capture, record, streams)
            replay.run()
            counts["connections"] += 1
            counts["bytes sent"] += replay.sent
            check_outcome(name, replay, frames, fault, counts)

    assert counts["connections"] == 374
    assert counts["without an answer"] == 2
    assert counts["failed"] == counts["with the status that HAProxy sent"] + counts["where HAProxy said nothing"]
    assert (counts["failed"], counts["AgentHello"], counts["Ack"]) == (111, 274, 400)


def check_outcome(name: str, replay: Replay, frames: list[dict], fault: int | None, counts: Counter[str]) -> None:
    """The events of a replay are those of the record."""
    events = replay.events
    counts.update(type(event).__name__ for event in events)
    acks = [event for event in events if isinstance(event, Ack)]
    by_ids = {(each["stream"], each["frame"]): each for each in frames if each.get("name") == "ACK"}
    for ack in acks:
        recorded = by_ids[ack.stream_id, ack.frame_id]
        start = recorded["offset"] + 4 + recorded["hdr"]
        payload = replay.streams["ag2ha"][start : start + recorded["payload_len"]]
        assert payload.hex().startswith(recorded["actions_hex"])
        assert ack.actions == decode_actions(payload, 0, Limits(), as_haproxy=True), name
    failures = [event for event in events if isinstance(event, ConnectionFailed)]
    if failures:
        assert failures == events[-1:], name
        assert failures[0].status == fault, name
        assert status_of(flush(replay.connection)) == fault, name
        counts["failed"] += 1
        if replay.told_status is None:
            counts["where HAProxy said nothing"] += 1
        else:
            assert replay.told_status == fault, name
            counts["with the status that HAProxy sent"] += 1
        return
    hellos = [each for each in frames if each.get("name") == "AGENT-HELLO"]
    assert sum(isinstance(event, AgentHello) for event in events) == min(1, len(hellos)), name
    said_bye = any(each.get("name") == "AGENT-DISCONNECT" for each in frames)
    assert any(isinstance(event, AgentDisconnect) for event in events) == said_bye, name
