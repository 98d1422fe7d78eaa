"""What bytes a pattern needs: can it match a text that is made of a given alphabet only?

The answer may err in one direction: `may_match` says True where it does not know. So a pattern for which it says
False can be left out when a text of that alphabet is scanned. Works on the parse tree that Python's `re` makes of
a pattern; nothing is ever matched with `re` here.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

try:
    # The parser of `re` has no public name; without it nothing is known of a pattern, and nothing is left out.
    _parse: Any = import_module("re._parser").parse
except (ImportError, AttributeError):  # pragma: no cover  another Python than those we know
    _parse = None

_ALL: Final = frozenset(range(256))
_DIGITS: Final = frozenset(b"0123456789")
_SPACES: Final = frozenset(b" \t\n\r\f\v")
_WORDS: Final = _DIGITS | frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": _DIGITS,
    "CATEGORY_NOT_DIGIT": _ALL - _DIGITS,
    "CATEGORY_SPACE": _SPACES,
    "CATEGORY_NOT_SPACE": _ALL - _SPACES | {0x0B},
    "CATEGORY_WORD": _WORDS,
    "CATEGORY_NOT_WORD": _ALL - _WORDS,
}
"""Both readings of VT: Python's and PCRE's ``\\s`` has it, RE2's has not."""

_RE2_ONLY: Final = ((rb"\\x\{([0-9A-Fa-f]{1,2})\}", rb"\\x\1"), (rb"\\z", rb"\\Z"))
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


def may_match(pattern: bytes, alphabet: frozenset[int]) -> bool:
    """Whether a pattern can match in a text that has no byte outside of an alphabet.

    Args:
        pattern: in RE2's syntax, dotall and multiline.
        alphabet: byte values; both cases of each of its letters.

    Returns:
        False only where it provably cannot.
    """
    tree = _tree(pattern)
    return tree is None or _sequence(tree, alphabet)


@cache
def idle_bytes(pattern: bytes) -> bytes:
    """Bytes that cannot make up a match between them: a value of these only is no match.

    Args:
        pattern: in RE2's syntax.

    Returns:
        A large set of such bytes, letters in both cases, in order; empty when none is known.
    """
    idle: set[int] = set()
    groups = [_WORDS | frozenset(b" "), *(_both_cases(byte) for byte in range(256))]
    for group in groups:
        if not group <= idle and not may_match(pattern, frozenset(idle | group)):
            idle |= group
    return bytes(sorted(idle))


@cache
def _tree(pattern: bytes) -> Any:
    for old, new in _RE2_ONLY:
        pattern = re.sub(old, new, pattern)  # patterns of rules, not data of requests
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return None if _parse is None else _parse(pattern, int(re.DOTALL | re.MULTILINE))
    except (re.error, ValueError, OverflowError, RecursionError):
        return None


def _sequence(items: Iterable[Any], alphabet: frozenset[int]) -> bool:
    return all(_item(str(op), argument, alphabet) for op, argument in items)


def _item(op: str, argument: Any, alphabet: frozenset[int]) -> bool:
    """Whether one piece of a pattern can match over the alphabet, the empty text included."""
    if op in _REPEATS:
        least, _, body = argument
        return least == 0 or _sequence(body, alphabet)
    if op == "SUBPATTERN":
        return _sequence(argument[3], alphabet)
    if op == "BRANCH":
        return any(_sequence(branch, alphabet) for branch in argument[1])
    if op == "ATOMIC_GROUP":
        return _sequence(argument, alphabet)
    wanted = _bytes(op, argument)
    return wanted is None or not wanted.isdisjoint(alphabet)


def _bytes(op: str, argument: Any) -> frozenset[int] | None:
    """The bytes that a piece takes one of; None for a piece that takes none, or is not known."""
    if op == "LITERAL":
        return _both_cases(argument)
    if op == "NOT_LITERAL":
        return _ALL - {argument}
    if op == "ANY":
        return _ALL
    if op == "IN":
        return _class(argument)
    return None


def _class(members: Iterable[Any]) -> frozenset[int]:
    found: set[int] = set()
    negated = False
    for op, argument in members:
        name = str(op)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            found |= {argument} if negated else _both_cases(argument)
        elif name == "RANGE":
            for byte in range(argument[0], min(argument[1], 255) + 1):
                found |= {byte} if negated else _both_cases(byte)
        elif name == "CATEGORY":
            category = _CATEGORIES.get(str(argument), _ALL)
            # A negated class loses only what every engine agrees on.
            found |= category - {0x0B} if negated else category
    return _ALL - found if negated else frozenset(found)


def _both_cases(byte: int) -> frozenset[int]:
    """A letter in both cases, whatever the pattern's flags are."""
    if byte > 255:
        return _ALL
    char = bytes([byte])
    return frozenset(char.lower() + char.upper())
