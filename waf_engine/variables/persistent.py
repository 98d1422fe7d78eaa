"""Persistent collections as rules see them: IP, SESSION, USER, GLOBAL, RESOURCE, and the ids that opened two of them.

A collection that no rule opened has no member. Each read is of the store's present state, so that two
transactions see each other's counters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.persistence import COLLECTIONS
from waf_engine.variables.registry import collection, flag, scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry

_MINUTE = 60


def _register(name: str) -> None:
    @collection(name, volatile=True)
    def read(tx: Transaction) -> Sequence[Entry]:
        return members(tx, name)


def members(tx: Transaction, name: str) -> Sequence[Entry]:
    """What rules set, and what the engine knows of the collection, under the names that ModSecurity 2 gave it."""
    opened = tx.persistent.get(name)
    if opened is None:
        return ()
    now = tx.store.read(opened)
    minutes = max(1.0, (tx.clock() - now.created) / _MINUTE)
    built_in = {
        b"key": opened.key.key,
        b"is_new": flag(opened.is_new),
        b"create_time": b"%d" % now.created,
        b"last_update_time": b"%d" % now.updated,
        b"timeout": b"%d" % now.timeout,
        b"update_counter": b"%d" % now.updates,
        b"update_rate": b"%d" % (now.updates / minutes),
    }
    return [*(built_in | dict(now.members)).items()]


for _name in COLLECTIONS:
    _register(_name)


@scalar("SESSIONID", volatile=True)
def sessionid(tx: Transaction) -> bytes:
    """The key of ``setsid``; empty before it."""
    opened = tx.persistent.get("SESSION")
    return opened.key.key if opened else b""


@scalar("USERID", volatile=True)
def userid(tx: Transaction) -> bytes:
    """The key of ``setuid``; empty before it."""
    opened = tx.persistent.get("USER")
    return opened.key.key if opened else b""
