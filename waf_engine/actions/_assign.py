"""What ``setvar`` does to TX, as objects: rules do it so often that it is worth being compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from waf_engine.counters import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.compiler.plan import CompiledRule
    from waf_engine.runtime.transaction import Transaction


class Assignment:
    """Sets a member of TX whose name holds no macro.

    Args:
        key: the name, in lower case.
        text: gives the value, or the step of a counter.

    Attributes:
        note: see `noted`.
    """

    def __init__(self, key: bytes, text: Callable[[Transaction], bytes]) -> None:
        self._key, self._text = key, text
        self.note: Any = None

    def __call__(self, tx: Transaction, _rule: CompiledRule) -> None:
        """Do it."""
        value = self._text(tx)
        members = tx.tx
        members[self._key] = counted(members.get(self._key, b""), value)


class NamingAssignment:
    """Sets a member of TX whose name is made at run time.

    Args:
        name: gives the name.
        text: as above.

    Attributes:
        note: see `noted`.
    """

    def __init__(self, name: Callable[[Transaction], bytes], text: Callable[[Transaction], bytes]) -> None:
        self._name, self._text = name, text
        self.note: Any = None

    def __call__(self, tx: Transaction, _rule: CompiledRule) -> None:
        """Do it."""
        key = self._name(tx).lower()
        value = self._text(tx)
        if tx.made_keys is not None:
            tx.made_keys.append(key)
        tx.tx[key] = counted(tx.tx.get(key, b""), value)
