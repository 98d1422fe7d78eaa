"""Variables of time: local time at the moment they are read, from the clock that the WAF was given."""

from __future__ import annotations

import time as _time
from typing import TYPE_CHECKING

from waf_engine.variables.registry import scalar

if TYPE_CHECKING:
    from waf_engine.runtime.transaction import Transaction


def _register(name: str, pattern: str) -> None:
    @scalar(name, volatile=True)
    def read(tx: Transaction) -> bytes:
        return _time.strftime(pattern, _time.localtime(tx.clock())).encode()


FORMATS = {
    "TIME": "%H:%M:%S",
    "TIME_DAY": "%d",
    "TIME_HOUR": "%H",
    "TIME_MIN": "%M",
    "TIME_MON": "%m",
    "TIME_SEC": "%S",
    "TIME_WDAY": "%w",
    "TIME_YEAR": "%Y",
}
"""strftime patterns; TIME_MON is 1 to 12 (Coraza; libmodsecurity counts from 0)."""

for _name, _pattern in FORMATS.items():
    _register(_name, _pattern)


@scalar("TIME_EPOCH", volatile=True)
def time_epoch(tx: Transaction) -> bytes:
    """Seconds since 1970."""
    return b"%d" % tx.clock()


@scalar("DURATION", volatile=True)
def duration(tx: Transaction) -> bytes:
    """Microseconds since the transaction began."""
    return b"%d" % ((tx.clock() - tx.started) * 1_000_000)
