"""Python's collector of cyclic garbage, and rule sets.

A rule set is some hundred thousand objects that live as long as it does. While it is made the collector would walk
through them again and again, and later each of its full rounds would: that takes a quarter to a half of the time of a
transaction (docs/performance.md). So it rests while rules are read, and what is alive then is set aside.

`gc.freeze` is for the whole process, other people's objects included: cycles among those would stay for ever. That is
why all that was set aside is looked through once when the next rule set comes, the one before included.
"""

from __future__ import annotations

import ctypes
import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE: Final = 100
"""Rules of a rule set for which setting it aside is worth its time."""

_lock = threading.Lock()
_resting = 0


@contextmanager
def collector_rests() -> Iterator[None]:
    """No collection in this process while the body runs, unless it did not collect anyway. May be nested."""
    global _resting  # noqa: PLW0603  the collector is the process's, too
    with _lock:
        first = _resting == 0 and gc.isenabled()
        if first:
            gc.disable()
        if first or _resting:
            _resting += 1
    try:
        yield
    finally:
        with _lock:
            if _resting:
                _resting -= 1
                if _resting == 0:
                    gc.enable()


def set_aside(rules: int) -> None:
    """Set aside what is alive, after a last round of collection over all of it, and give free memory back.

    Args:
        rules: the number of rules of the set that was made; a small one is not worth it.
    """
    if rules < LARGE:
        return
    with _lock:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
    _give_back()


def _give_back() -> None:
    """Give what the C library has free back to the system: 6 MB once CRS is loaded, of copies of databases mostly."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # another C library than glibc
        return
    trim(0)
