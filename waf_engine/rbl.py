"""A memory for answers of DNS block lists, between rules, which must not wait, and a resolver, which must.

Holds no socket, no thread and no clock: the caller gives all three. An instance is a `rbl_resolver` (see `Settings`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NAMES: Final = 10_000
"""Names remembered: some 2 MB."""

MAX_PENDING: Final = 1000
"""Names asked for and not answered yet; more are not asked for, so that a flood of addresses floods no name server."""


class RblCache:
    """Answers at once from what is known, and asks for what is not.

    Its methods may be called from several threads: each step is one operation on a dict, and what a race can do at
    worst is to ask for a name twice.
    """

    def __init__(
        self,
        ask: Callable[[str], None],
        clock: Callable[[], float],
        *,
        lifetime: float = 300.0,
        names: int = MAX_NAMES,
        pending: int = MAX_PENDING,
    ) -> None:
        """Make an empty memory.

        Args:
            ask: starts to resolve a name and returns at once; the answer is given to `put` later, by any thread.
            clock: the time in seconds, never going back.
            lifetime: seconds for which an answer is believed.
            names: answers remembered at most; the oldest goes first.
            pending: names being resolved at most.
        """
        self._ask, self._clock, self._lifetime = ask, clock, lifetime
        self._names, self._limit = names, pending
        self._answers: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._pending: dict[str, float] = {}

    def __call__(self, name: str) -> str | None:
        """What is known of a name: the answer, an empty text when it is not listed, None when it is not known yet."""
        now = self._clock()
        known = self._answers.get(name)
        if known is not None and known[0] > now:
            return known[1]
        asked = self._pending.get(name)
        if (asked is None or asked + self._lifetime < now) and len(self._pending) < self._limit:
            self._pending[name] = now
            self._ask(name)
        return None

    def put(self, name: str, answer: str) -> None:
        """Take the answer for a name.

        Args:
            name: as it was asked for.
            answer: an address such as ``127.0.0.2``; empty: the name is not listed, or could not be resolved.
        """
        self._pending.pop(name, None)
        self._answers[name] = (self._clock() + self._lifetime, answer)
        self._answers.move_to_end(name)
        while len(self._answers) > self._names:
            self._answers.popitem(last=False)
