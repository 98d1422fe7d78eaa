"""Counters: what ``+5`` and ``-1`` do to a value, in TX and in persistent collections."""

from __future__ import annotations

from typing import Final

MAX_DIGITS: Final = 18
"""Digits of a number that is reckoned with; more is text, as an overflow is in Go's Atoi."""
SHORT: Final = 16
"""Bytes of a counter with its step whose sum is remembered: scores are the same few, over and over."""
MOST_KNOWN: Final = 4096
_KNOWN: Final[dict[tuple[bytes, bytes], bytes]] = {}
_SIGNS: Final = frozenset({b"+", b"-"})
"""What a value that may be a step begins with."""


def integer(text: bytes) -> int | None:
    """A whole decimal number with an optional sign, or None."""
    digits = text[1:] if text[:1] in {b"-", b"+"} else text
    return int(text) if digits.isdigit() and len(digits) <= MAX_DIGITS else None


def reckon(current: bytes, step: int) -> bytes:
    """A counter after a step: no value counts as 0, and a value that is no number stays (as in Coraza)."""
    base = integer(current) if current else 0
    return current if base is None else b"%d" % (base + step)


def step_of(value: bytes) -> int | None:
    """What ``+5`` or ``-5`` adds (a sign alone nothing); None for a text, such as ``+abc``, which Coraza stores."""
    if value[:1] not in _SIGNS:
        return None
    number = integer(value[1:]) if len(value) > 1 else 0
    if number is None:
        return None
    return number if value[:1] == b"+" else -number


def counted(current: bytes, value: bytes) -> bytes:
    """What becomes of a value by a text that may be a step: the value after the step, or else the text."""
    known = _KNOWN.get((current, value))
    if known is not None:
        return known
    step = step_of(value)
    if step is None:
        return value
    result = reckon(current, step)
    if len(current) + len(value) <= SHORT and len(_KNOWN) < MOST_KNOWN:
        _KNOWN[current, value] = result
    return result
