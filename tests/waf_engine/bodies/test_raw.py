"""The RAW processor shows the body and nothing else."""

from __future__ import annotations

from waf_engine.bodies import raw
from waf_engine.types import BodyContext, BodyResult


def test_raw_exposes_the_body_only():
    assert BodyResult(expose_body=True) == raw.process_raw(b"a=1&b", BodyContext())
