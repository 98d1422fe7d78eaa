"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest

from tests.waf_engine import support
from waf_engine.waf import EXECUTORS


@pytest.fixture(params=list(EXECUTORS))
def each_executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test once with each way to execute rules: all must mean the same."""
    monkeypatch.setattr(support, "executor", request.param)
    return request.param
