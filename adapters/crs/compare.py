"""Which rules two versions of the CRS do not share: added, removed, changed, by their ids.

A rule is compared as the parser reads it, its chain included: comments, blanks and line breaks are no change. The
files of phrases are compared as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from waf_engine.loaders import load_files
from waf_engine.seclang.ast import SecAction, SecRule
from waf_engine.source import MAX_SOURCE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from waf_engine.seclang.ast import ActionRef, Node

Rule = tuple[SecRule | SecAction, ...]
"""A rule with the members of its chain."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes from one version to another.

    Attributes:
        added: ids of rules that only the second has, with their messages, in order.
        removed: those that only the first has.
        changed: those that both have, and not alike, with the second's messages.
        data: names of data files that were added, removed or changed.
    """

    added: dict[int, str]
    removed: dict[int, str]
    changed: dict[int, str]
    data: tuple[str, ...]


def read_rules(folder: Path) -> tuple[dict[int, Rule], tuple[str, ...]]:
    """The rules of a folder by their ids, and the faults of its files as texts."""
    loaded = load_files(["@owasp_crs/*.conf"], embedded={"@owasp_crs/": folder})
    return _by_id(loaded.nodes), tuple(fault.render() for fault in loaded.diagnostics)


def compare(first: Path, second: Path) -> Difference:
    """Compare two folders of rules.

    Args:
        first: the folder with the rules that are used now, say.
        second: the other one.
    """
    (old, _), (new, _) = read_rules(first), read_rules(second)
    was, now = _data_of(first), _data_of(second)
    return Difference(
        added={number: _message(new[number]) for number in sorted(new.keys() - old.keys())},
        removed={number: _message(old[number]) for number in sorted(old.keys() - new.keys())},
        changed={number: _message(new[number]) for number in sorted(new.keys() & old) if new[number] != old[number]},
        data=tuple(name for name in sorted(was.keys() | now.keys()) if was.get(name) != now.get(name)),
    )


def _by_id(nodes: Iterable[Node]) -> dict[int, Rule]:
    rules: dict[int, Rule] = {}
    chain: list[SecRule | SecAction] = []
    for node in nodes:
        if not isinstance(node, SecRule | SecAction):
            continue
        chain.append(node)
        if _value(node.actions, "chain") is None:
            number = (_value(chain[0].actions, "id") or "").strip("'")
            if number.isascii() and number.isdigit():
                rules[int(number[:18])] = tuple(_without_version(each) for each in chain)
            chain.clear()
    return rules


def _without_version(node: SecRule | SecAction) -> SecRule | SecAction:
    """A rule without its `ver`, which every release changes in every rule."""
    actions = tuple(action for action in node.actions if action.name.lower() != "ver")
    return SecRule(node.variables, node.operator, actions) if isinstance(node, SecRule) else SecAction(actions)


def _value(actions: Iterable[ActionRef], name: str) -> str | None:
    """The value of an action, empty if it has none; None when there is no such action."""
    return next((action.value or "" for action in actions if action.name.lower() == name), None)


def _message(rule: Rule) -> str:
    return _value(rule[0].actions, "msg") or ""


def _data_of(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.glob("*.data"):
        with path.open("rb") as stream:
            found[path.name] = stream.read(MAX_SOURCE_BYTES)
    return found
