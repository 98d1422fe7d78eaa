"""The halves of an exchange are plain data; no two share any of it."""

from __future__ import annotations

import dataclasses

import pytest

from tests.docstrings import docstring_of
from waf_engine.runtime.exchange import Connection, Request, Response


@pytest.mark.parametrize("kind", [Connection, Request, Response])
def test_two_of_a_kind_share_nothing_that_can_change(kind: type):
    one, other = kind(), kind()

    assert one == other
    for field in dataclasses.fields(kind):
        value = getattr(one, field.name)
        assert not isinstance(value, list | dict | bytearray) or value is not getattr(other, field.name)


@pytest.mark.parametrize("kind", [Request, Response])
def test_each_field_is_described(kind: type):
    described = docstring_of(kind).split("Attributes:")[1]

    assert [f.name for f in dataclasses.fields(kind) if f"        {f.name}: " not in described] == []
