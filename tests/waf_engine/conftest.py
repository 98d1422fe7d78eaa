"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest

from tests.waf_engine import support
from waf_engine.audit.pipe import CLOSE_SECONDS, Pipe
from waf_engine.waf import EXECUTORS


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes a log waits until all of it is written, however busy the machine."""
    assert Pipe.close.__defaults__ == (CLOSE_SECONDS,)
    monkeypatch.setattr(Pipe.close, "__defaults__", (60.0,))


@pytest.fixture(params=list(EXECUTORS))
def each_executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test once with each way to execute rules: all must mean the same."""
    monkeypatch.setattr(support, "executor", request.param)
    return request.param
