"""The decorators that make variables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import begin
from waf_engine.variables import variables
from waf_engine.variables.registry import collection, flag, scalar

if TYPE_CHECKING:
    from waf_engine import Transaction
    from waf_engine.compiler.plan import Variable
    from waf_engine.registry import Registry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[Variable]:
    """A registry of our own in the place of the package's."""
    mine = variables.copy()
    monkeypatch.setattr(sys.modules["waf_engine.variables.registry"], "variables", mine)
    return mine


def test_a_scalar_has_one_value_or_none(registry: Registry[Variable]):
    @scalar("ONE", phase=2, volatile=True)
    def one(tx: Transaction) -> bytes:
        return tx.request.method

    @scalar("NONE")
    def none(_tx: Transaction) -> None:
        return None

    tx = begin("SecRuleEngine On")
    found, missing = registry.get("one"), registry.get("none")

    assert found is not None
    assert missing is not None
    assert list(found.read(tx)) == [(b"", b"")]
    assert list(missing.read(tx)) == []
    assert (found.name, found.is_collection, found.phase, found.volatile) == ("ONE", False, 2, True)
    assert (missing.phase, missing.volatile) == (1, False)
    assert one(tx) == b""  # the function stays what it was


def test_a_collection_has_members_and_other_names(registry: Registry[Variable]):
    @collection("MANY", "ALIAS", phase=3)
    def many(_tx: Transaction) -> list[tuple[bytes, bytes]]:
        return [(b"k", b"v")]

    found = registry.get("alias")

    assert found is not None
    assert found is registry.get("MANY")
    assert (found.name, found.is_collection, found.phase, found.volatile, found.select) == (
        "MANY",
        True,
        3,
        False,
        None,
    )
    assert list(found.read(begin("SecRuleEngine On"))) == many(begin("SecRuleEngine On"))


@pytest.mark.parametrize(("value", "text"), [(True, b"1"), (0, b"0"), ("", b"0"), ("x", b"1"), (None, b"0")])
def test_flag(value: object, text: bytes):
    assert flag(value) == text
