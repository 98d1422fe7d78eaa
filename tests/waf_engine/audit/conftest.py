"""Fixtures of the tests of the logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.audit.support import NOON, RULES, run
from waf_engine import WAF
from waf_engine.audit import json as json_format
from waf_engine.audit import ocsf
from waf_engine.audit.entry import entry_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from waf_engine.audit import AuditEntry


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Golden outputs have times of day."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden outputs have a version."""
    for module in (json_format, ocsf):
        monkeypatch.setattr(module, "connector_version", lambda: "9.9.9")


@pytest.fixture
def finished() -> AuditEntry:
    """The entry of the exchange."""
    waf = WAF.from_directives(RULES, clock=lambda: NOON)
    return entry_of(run(waf))
