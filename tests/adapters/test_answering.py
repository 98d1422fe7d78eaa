from __future__ import annotations

import logging
from typing import Any

import pytest

from adapters.answering import Reporter, acknowledge, answer
from spop_proto import (
    Aborted,
    AgentConnection,
    ConnectionClosed,
    ConnectionFailed,
    HAProxyConnection,
    HAProxyDisconnect,
    HAProxyHello,
    Notify,
    Scope,
    SetVar,
    UnknownFrame,
)
from tests.adapters.conformance import recording_logger


def _pair() -> tuple[AgentConnection, HAProxyConnection]:
    agent, haproxy = AgentConnection(), HAProxyConnection()
    haproxy.send(HAProxyHello())
    agent.receive_data(haproxy.data_to_send())
    haproxy.receive_data(agent.data_to_send())
    return agent, haproxy


def _reporter() -> tuple[Reporter, list[Any]]:
    logger, lines = recording_logger()
    return Reporter(logger), lines


def test_the_handlers_actions_are_the_answer() -> None:
    agent, haproxy = _pair()
    haproxy.send(Notify(1, 1))
    (asked,) = agent.receive_data(haproxy.data_to_send())
    assert isinstance(asked, Notify)
    answer(agent, asked, lambda _: iter([SetVar(Scope.TRANSACTION, "a", 1)]), _reporter()[0])

    (ack,) = haproxy.receive_data(agent.data_to_send())
    assert ack.actions == (SetVar(Scope.TRANSACTION, "a", 1),)  # type: ignore[union-attr]  # an Ack, or it fails


def test_after_a_disconnect_nothing_is_asked_or_sent() -> None:
    agent, haproxy = _pair()
    haproxy.send(Notify(1, 1))
    data = haproxy.data_to_send()
    haproxy.send(HAProxyDisconnect())
    asked, goodbye = agent.receive_data(data + haproxy.data_to_send())
    assert isinstance(asked, Notify)
    assert isinstance(goodbye, HAProxyDisconnect)
    calls: list[Notify] = []
    agent.data_to_send()

    answer(agent, asked, lambda each: calls.append(each) or [], _reporter()[0])  # type: ignore[func-returns-value]
    acknowledge(agent, asked, (), _reporter()[0])

    assert calls == []
    assert agent.data_to_send() == b""


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (Notify(1, 1), None, ""),
        (Aborted(1, 1), None, ""),
        (UnknownFrame(200, 0, 1, 1, b""), logging.DEBUG, "unknown frame skipped"),
        (HAProxyHello(), logging.DEBUG, "HAProxy connected"),
        (HAProxyDisconnect(0, "normal"), logging.DEBUG, "HAProxy disconnected"),
        (HAProxyDisconnect(2, "idle"), logging.DEBUG, "HAProxy disconnected"),
        (HAProxyDisconnect(4, "evil\nmessage"), logging.WARNING, "HAProxy disconnected"),
        (ConnectionClosed(True, True, "x"), logging.DEBUG, "connection closed"),
        (ConnectionClosed(False, False, "x"), logging.DEBUG, "connection closed"),
        (ConnectionClosed(False, True, "inside a frame"), logging.INFO, "connection closed"),
        (ConnectionFailed(3, "too big"), logging.WARNING, "connection refused"),
    ],
)
def test_events_at_their_levels(event: Any, level: int | None, text: str) -> None:
    reporter, lines = _reporter()
    reporter.report(event, "192.0.2.1:5")

    assert [(line.levelno, line.getMessage()) for line in lines] == ([] if level is None else [(level, text)])
    assert all(line.fields["peer"] == "192.0.2.1:5" for line in lines)


def test_repeated_lines_are_held_back_but_not_different_ones() -> None:
    reporter, lines = _reporter()
    for _ in range(100):
        reporter.report(ConnectionFailed(3, "too big"), "a")
    reporter.report(ConnectionFailed(4, "no frame"), "a")
    reporter.warning("something else")

    assert len(lines) == 3


def test_what_is_below_the_level_is_not_counted() -> None:
    logger, lines = recording_logger()
    logger.setLevel(logging.ERROR)
    Reporter(logger).report(ConnectionFailed(3, "too big"), "a")

    assert lines == []


def test_a_verdict_arrives_without_what_does_not_fit_into_a_frame() -> None:
    agent, haproxy = _pair()
    haproxy.send(Notify(1, 1))
    (asked,) = agent.receive_data(haproxy.data_to_send())
    assert isinstance(asked, Notify)
    fail, page = SetVar(Scope.TRANSACTION, "fail", 1), SetVar(Scope.TRANSACTION, "block_page", "x" * 20_000)
    reporter, lines = _reporter()
    acknowledge(agent, asked, (fail, page), reporter)

    (ack,) = haproxy.receive_data(agent.data_to_send())
    assert ack.actions == (fail,)  # type: ignore[union-attr]  # an Ack, or it fails
    assert [line.getMessage() for line in lines] == ["an answer did not fit into a frame: its long texts were left out"]
