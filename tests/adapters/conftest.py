"""Fixtures of the tests with real processes; what they are made of is in harness.py."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.adapters.certificates import Certificates, make_certificates
from tests.adapters.harness import Processes, Site, haproxy_binaries
from tests.adapters.redis_server import RedisServer
from tests.conftest import absent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates and keys; tests that add to them copy what they need."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["debian", "pypi"])
def haproxy_binary(request: pytest.FixtureRequest) -> str:
    """The path of an HAProxy."""
    path = dict(haproxy_binaries()).get(request.param)
    if path is None:
        absent(f"no HAProxy of the kind {request.param} on this machine")
    return path


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.end()
