"""A registry: names to things of one kind, filled by decorators in the family files.

Names are compared without regard to ASCII case, as SecLang does for directives, operators,
transformations, actions and variables. A registry is a template: nobody writes to a global one at
run time; whoever adds a plug-in copies it first (`copy`) and gives the copy to `WAF`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one kind (operators, say) and what they stand for."""

    def __init__(self, kind: str) -> None:
        """Make an empty registry.

        Args:
            kind: what it holds, in the singular, for messages: ``operator``.
        """
        self.kind = kind
        self._things: dict[str, T] = {}
        self._names: dict[str, str] = {}
        self._canonical: dict[str, str] = {}

    def register(self, name: str, *aliases: str) -> Callable[[T], T]:
        """Register what is decorated under a name and its aliases.

        Raises:
            ValueError: one of the names is taken; a silent overwrite would change rules that exist.
        """

        def add(thing: T) -> T:
            self.add(thing, name, *aliases)
            return thing

        return add

    def add(self, thing: T, name: str, *aliases: str) -> None:
        """Add one thing under a name and its aliases; the plain form of `register`.

        Raises:
            ValueError: one of the names is taken.
        """
        for each in (name, *aliases):
            if each.lower() in self._things:
                raise ValueError(f"{self.kind} {each!r} is registered twice")
        for each in (name, *aliases):
            self._things[each.lower()] = thing
            self._names[each.lower()] = each
            self._canonical[each.lower()] = name

    def get(self, name: str) -> T | None:
        """What the name stands for, or None."""
        return self._things.get(name.lower())

    def canonical(self, name: str) -> str:
        """The first name under which the thing was registered, in its own spelling.

        Raises:
            KeyError: there is no such name.
        """
        return self._canonical[name.lower()]

    def suggest(self, name: str) -> str:
        """A hint for an unknown name: ``did you mean ...?``, or an empty text."""
        close = difflib.get_close_matches(name.lower(), self._things, n=1, cutoff=0.7)
        return f"did you mean {self._names[close[0]]!r}?" if close else ""

    def names(self) -> list[str]:
        """All names, aliases too, in their own spelling, in the order of registration."""
        return list(self._names.values())

    def canonical_names(self) -> list[str]:
        """The first name of each thing, in the order of registration."""
        return list(dict.fromkeys(self._canonical.values()))

    def copy(self) -> Registry[T]:
        """A registry with the same content that can be added to without changing this one."""
        twin: Registry[T] = Registry(self.kind)
        twin._things = dict(self._things)
        twin._names = dict(self._names)
        twin._canonical = dict(self._canonical)
        return twin

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._things)
