"""What a pattern amounts to on texts of a small alphabet: the same pattern without what such texts cannot hold.

CRS's longest patterns look for commands with quotes, backslashes or dollar signs strewn between their letters. In a
text of letters, digits and a few marks none of these can occur, and what is left is ``busybox``: a scanner has a
word to look for instead of an automaton that is awake at every letter. Works on the parse tree that Python's `re`
makes of a pattern (see `alphabet.py`); nothing is ever matched with `re` here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from waf_engine.compiler.alphabet import REPEATS, bytes_of, tree_of
from waf_engine.compiler.facts import fact

if TYPE_CHECKING:
    from collections.abc import Iterable

ANYTHING: Final = frozenset(range(256))
UNBOUNDED: Final = 0xFFFF
"""A repeat of this many or more has no upper bound: RE2 and Hyperscan allow far fewer."""

_PLACES: Final = {
    "AT_BEGINNING": b"^",
    "AT_BEGINNING_LINE": b"^",
    "AT_BEGINNING_STRING": b"\\A",
    "AT_END": b"$",
    "AT_END_LINE": b"$",
    "AT_END_STRING": b"\\z",
    "AT_BOUNDARY": b"\\b",
    "AT_NON_BOUNDARY": b"\\B",
}


class _UnknownError(Exception):
    """The pattern holds a piece whose meaning is not known here."""


class _ImpossibleError(Exception):
    """No text over the alphabet holds this piece."""


@fact
def restrict(pattern: bytes, alphabet: frozenset[int]) -> bytes | None:
    """A pattern that matches the same texts of an alphabet, and is simpler.

    Args:
        pattern: in RE2's syntax, dotall and multiline.
        alphabet: byte values; both cases of each of its letters.

    Returns:
        The pattern, in the syntax of RE2 and of Hyperscan; on texts with other bytes it means nothing. None where no
        text over the alphabet matches; the pattern itself where it is not understood.
    """
    tree = tree_of(pattern)
    if tree is None:
        return pattern
    caseless = bool(tree.state.flags & re.IGNORECASE)
    try:
        return (b"(?i)" if caseless else b"") + _sequence(tree, alphabet, caseless)
    except _ImpossibleError:
        return None
    except (_UnknownError, RecursionError):
        return pattern


HEAVY: Final = 2000
"""Characters of a pattern from which its end alone is worth looking for."""
ENOUGH: Final = 2
"""Bytes that the end of a pattern must have at least."""


@fact
def ending(pattern: bytes) -> bytes:
    """What a scan looks for in the place of a long pattern that is bound to the end of a line: its last words.

    CRS looks for commands behind all that may stand before a command; an automaton for that is awake at each letter. A
    list of words at the end of a value is not, and a value that ends otherwise does not match.

    Args:
        pattern: in RE2's syntax, dotall and multiline.

    Returns:
        A pattern that matches whatever the given one matches; the given one where it is short or not so made.
    """
    tree = tree_of(pattern) if len(pattern) >= HEAVY else None
    if tree is None or str(tree[-1][0]) != "AT" or str(tree[-1][1]) not in {"AT_END", "AT_END_STRING"}:
        return pattern
    caseless = bool(tree.state.flags & re.IGNORECASE)
    for start in range(len(tree) - 1, 0, -1):
        last = tree[start:]
        if last.getwidth()[0] >= ENOUGH:
            try:
                return (b"(?i)" if caseless else b"") + _sequence(last, ANYTHING, caseless)
            except (_UnknownError, _ImpossibleError):
                return pattern
    return pattern


def _sequence(items: Iterable[Any], alphabet: frozenset[int], caseless: bool) -> bytes:
    return b"".join([_item(str(op), argument, alphabet, caseless) for op, argument in items])


def _item(op: str, argument: Any, alphabet: frozenset[int], caseless: bool) -> bytes:
    if op in REPEATS:
        return _repeat(argument, alphabet, caseless)
    if op == "SUBPATTERN":
        _, added, removed, body = argument
        if (added | removed) & re.IGNORECASE and caseless != bool(added & re.IGNORECASE):
            inner = _sequence(body, alphabet, not caseless)
            return b"(?i:" + inner + b")" if added & re.IGNORECASE else b"(?-i:" + inner + b")"
        return _grouped(_sequence(body, alphabet, caseless))
    if op == "ATOMIC_GROUP":
        return _grouped(_sequence(argument, alphabet, caseless))
    if op == "BRANCH":
        return _branch(argument[1], alphabet, caseless)
    if op == "AT":
        if (place := _PLACES.get(str(argument))) is None:
            raise _UnknownError
        return place
    wanted = bytes_of(op, argument, caseless=caseless)
    if wanted is None:
        raise _UnknownError
    return _one_of(wanted & alphabet, alphabet, caseless)


def _repeat(argument: Any, alphabet: frozenset[int], caseless: bool) -> bytes:
    least, most, body = argument
    least, most = int(least), int(most)
    try:
        inner = _sequence(body, alphabet, caseless)
    except _ImpossibleError:
        if least == 0:
            return b""
        raise
    if not inner:
        return b""
    if most >= UNBOUNDED:
        count = {0: b"*", 1: b"+"}.get(least, b"{%d,}" % least)
    elif (least, most) == (0, 1):
        count = b"?"
    else:
        count = b"{%d}" % least if least == most else b"{%d,%d}" % (least, most)
    return b"(?:" + inner + b")" + count


def _branch(branches: Iterable[Any], alphabet: frozenset[int], caseless: bool) -> bytes:
    possible: dict[bytes, None] = {}
    for branch in branches:
        try:
            possible[_sequence(branch, alphabet, caseless)] = None
        except _ImpossibleError:
            continue
    if not possible:
        raise _ImpossibleError
    return b"(?:" + b"|".join(possible) + b")"


def _grouped(inner: bytes) -> bytes:
    return b"(?:" + inner + b")" if inner else b""


def _one_of(wanted: frozenset[int], alphabet: frozenset[int], caseless: bool) -> bytes:
    """One byte out of a set, as a literal, a dot or a class."""
    if not wanted:
        raise _ImpossibleError
    if wanted == alphabet:
        return b"."
    if len(wanted) == 1:
        return re.escape(bytes(wanted))
    if (
        len(wanted) == 2
        and caseless
        and (letter := bytes(sorted(wanted))).isalpha()
        and letter[:1].lower() == letter[1:]
    ):
        return letter[1:]
    if len(wanted) > len(alphabet) // 2:
        # The other way round it is shorter; what lies outside of the alphabet does not matter.
        return b"[^" + _members(alphabet - wanted) + b"]"
    return b"[" + _members(wanted) + b"]"


def _members(values: frozenset[int]) -> bytes:
    """The inside of a class: ranges where more than two values follow each other."""
    out: list[bytes] = []
    ordered = sorted(values)
    start = 0
    for index, value in enumerate(ordered):
        if index + 1 < len(ordered) and ordered[index + 1] == value + 1:
            continue
        run = ordered[start : index + 1]
        out += [b"\\x%02x" % run[0], b"-", b"\\x%02x" % run[-1]] if len(run) > 2 else [b"\\x%02x" % v for v in run]
        start = index + 1
    return b"".join(out)
