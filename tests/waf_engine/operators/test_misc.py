"""Operators of no family: unconditional ones, and paths cut into segments."""

from __future__ import annotations

from typing import Any

import pytest

from waf_engine.diagnostics import ArgumentError
from waf_engine.types import MATCHED


def test_unconditional_ones_ignore_their_argument(bench: Any):
    assert bench.compile("unconditionalMatch", "x")(b"y") is MATCHED
    assert bench.compile("noMatch", "x")(b"x") is None


def test_segments_of_a_path_become_args_path(bench: Any):
    tx = bench.Transaction()

    assert bench.compile("restpath", "/api/(v1|v2)/{user-id}/x/{2}")(b"/api/v2/%41b/x/\xff?q=1", tx) is MATCHED
    assert tx.collections["ARGS_PATH"] == [(b"user-id", b"%41b"), (b"2", b"\xff")]


def test_another_path_leaves_args_path_alone(bench: Any):
    tx = bench.Transaction()

    assert bench.compile("restpath", "/api/{id}")(b"/ap/7", tx) is None
    assert tx.collections == {}


def test_a_path_that_is_no_pattern_is_refused(bench: Any):
    with pytest.raises(ArgumentError, match="wrong regular expression"):
        bench.compile("restpath", "/api/{id}/(")
