"""Rules that note the names of a request's headers: what they did once is done again, without evaluating them.

CRS keeps each header's name in a member of TX and compares these with a list (920450). Clients send the same names in
the same order again and again, and all that such a rule does depends on them and on the list alone. So what
it did to TX is remembered by these, as long as its chain did not match. `compiler/replays.py` says which rules are so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from waf_engine.compiler.plan import CompiledRule
from waf_engine.runtime.evaluate import BEGUN
from waf_engine.types import Entry

if TYPE_CHECKING:
    from waf_engine.runtime.planned import Evaluate
    from waf_engine.runtime.transaction import Transaction

REMEMBERED: Final = 256
"""Lists of names that are remembered for a rule."""
MAX_NAMES: Final = 64
"""Names of a list that is remembered."""
MAX_NAME: Final = 64
"""Bytes of each name."""

Key = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class _Deed:
    """What a rule did: members of TX in the order of their setting, those of them made at run time, MATCHED_VAR."""

    changes: Mapping[bytes, bytes]
    made: tuple[bytes, ...]
    matched_var: tuple[str, bytes] | None


@dataclass(frozen=True, slots=True)
class Replay:
    """A rule whose evaluation, while its chain does not match, depends on some values and members of TX alone.

    Attributes:
        rule: the rule.
        read: gives the values.
        members: the members of TX.
        captures: members of TX that it captures to.
        deeds: what it did, by values and members.
    """

    rule: CompiledRule
    read: Callable[[Transaction], Sequence[Entry]]
    members: tuple[bytes, ...]
    captures: tuple[bytes, ...]
    deeds: dict[Key, _Deed] = field(default_factory=dict)

    def run(self, tx: Transaction, evaluate: Evaluate) -> int:
        """Do what `evaluate` would do; its answer."""
        entries = self.read(tx)
        if tx.made_keys != [] or tx.keys_of_body or tx.removed_targets or not 0 < len(entries) <= MAX_NAMES:
            return evaluate(tx, self.rule, -1, None)
        members = tx.tx
        key = (*[value for _, value in entries], *[members.get(member) for member in self.members])
        deed = self.deeds.get(key)
        if deed is not None:
            tx.rule = self.rule
            members.update(deed.changes)
            tx.made_keys += deed.made
            tx.matched_var = deed.matched_var
            return BEGUN
        reach = evaluate(tx, self.rule, -1, None)
        if reach == BEGUN and max(len(value) for _, value in entries) <= MAX_NAME:
            made = tuple(tx.made_keys)
            changes = {name: members[name] for name in (*self.captures, *made)}
            if len(self.deeds) >= REMEMBERED:
                self.deeds.clear()
            self.deeds[key] = _Deed(changes, made, tx.matched_var)
        return reach
