"""TX, the transaction's own collection, and ENV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.variables.registry import collection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry


@collection("TX", volatile=True)
def tx(transaction: Transaction) -> Sequence[Entry]:
    """What rules set with ``setvar``, and captures as TX:0 to TX:9; keys in lower case."""
    return list(transaction.tx.items())


@collection("ENV", volatile=True)
def env(transaction: Transaction) -> Sequence[Entry]:
    """What rules set with ``setenv``, for this transaction only: the process's environment is not shown."""
    return list(transaction.env.items())
