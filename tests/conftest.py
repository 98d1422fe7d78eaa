"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis  # before a large rule set is set aside: it looks for what gc.freeze hides
import pytest

from waf_engine.forms import form_name

ROOT = Path(__file__).resolve().parent.parent

# A busy machine is no fault. The rest is hypothesis' own choice, which in CI takes the same examples each time.
hypothesis.settings.register_profile("spoa-waf", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("spoa-waf")


def pytest_report_header() -> str:
    """Which form of the engine is tested; SPOA_WAF_PURE=1 has plain Python tested where there is a compiled one."""
    return f"waf_engine: {form_name()}"


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
