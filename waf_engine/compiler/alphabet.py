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

_ESCAPE: Final = re.compile(rb"\\(?:x\{([0-9A-Fa-f]{1,2})\}|.)", re.DOTALL)
_NAMED_CLASS: Final = re.compile(rb"\[:\^?\w+:\]")
REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


def may_match(pattern: bytes, alphabet: frozenset[int]) -> bool:
    """Whether a pattern can match in a text that has no byte outside of an alphabet.

    Args:
        pattern: in RE2's syntax, dotall and multiline.
        alphabet: byte values; both cases of each of its letters.

    Returns:
        False only where it provably cannot.
    """
    tree = tree_of(pattern)
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


def ends_at_line_start(pattern: bytes) -> bool:
    r"""Whether a match may end in ``^``, with nothing behind it but what may be empty: ``^$``, ``\n^``, ``^x*``.

    Args:
        pattern: in RE2's syntax.

    Returns:
        False only where it provably cannot.
    """
    if b"^" not in pattern:
        return False
    tree = tree_of(_NAMED_CLASS.sub(b"a", pattern))
    return tree is None or _caret_last(tree)


def _caret_last(items: Any) -> bool:
    return any(_has_caret_last(items[at]) and items[at + 1 :].getwidth()[0] == 0 for at in range(len(items)))


def _has_caret_last(item: Any) -> bool:
    op, argument = str(item[0]), item[1]
    if op == "AT":
        return str(argument) in {"AT_BEGINNING", "AT_BEGINNING_LINE"}
    if op in REPEATS:
        return _caret_last(argument[2])
    if op == "SUBPATTERN":
        return _caret_last(argument[3])
    if op == "BRANCH":
        return any(_caret_last(branch) for branch in argument[1])
    return op == "ATOMIC_GROUP" and _caret_last(argument)


def _as_python_has_it(escape: re.Match[bytes]) -> bytes:
    if escape[1] is not None:
        return b"\\x" + escape[1].rjust(2, b"0")
    return b"\\Z" if escape[0] == b"\\z" else escape[0]


@cache
def tree_of(pattern: bytes) -> Any:
    """Python's parse tree of a pattern in RE2's syntax; None where Python would read it otherwise, or not at all."""
    pattern = _ESCAPE.sub(_as_python_has_it, pattern)  # a pattern of a rule, not data of a request
    if _NAMED_CLASS.search(pattern):
        return None
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
    if op in REPEATS:
        least, _, body = argument
        return least == 0 or _sequence(body, alphabet)
    if op == "SUBPATTERN":
        return _sequence(argument[3], alphabet)
    if op == "BRANCH":
        return any(_sequence(branch, alphabet) for branch in argument[1])
    if op == "ATOMIC_GROUP":
        return _sequence(argument, alphabet)
    wanted = bytes_of(op, argument)
    return wanted is None or not wanted.isdisjoint(alphabet)


def bytes_of(op: str, argument: Any, *, caseless: bool = True) -> frozenset[int] | None:
    """The bytes that a piece of a parse tree takes one of, never too few.

    Args:
        op: the piece's name.
        argument: what belongs to it.
        caseless: whether letters stand for both of their cases.

    Returns:
        The bytes; None for a piece that takes none, or is not known.
    """
    if op == "LITERAL":
        return _both_cases(argument) if caseless else _one(argument)
    if op == "NOT_LITERAL":
        return _ALL - {argument}
    if op == "ANY":
        return _ALL
    if op == "IN":
        return _class(argument, caseless=caseless)
    return None


def _class(members: Iterable[Any], *, caseless: bool) -> frozenset[int]:
    found: set[int] = set()
    negated = False
    for op, argument in members:
        name = str(op)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            found |= {argument} if negated or not caseless else _both_cases(argument)
        elif name == "RANGE":
            for byte in range(argument[0], min(argument[1], 255) + 1):
                found |= {byte} if negated or not caseless else _both_cases(byte)
        elif name == "CATEGORY":
            category = _CATEGORIES.get(str(argument), _ALL)
            # A negated class loses only what every engine agrees on.
            found |= category - {0x0B} if negated else category
    return _ALL - found if negated else frozenset(found)


def _one(byte: int) -> frozenset[int]:
    return _ALL if byte > 255 else frozenset((byte,))


def _both_cases(byte: int) -> frozenset[int]:
    """A letter in both cases, whatever the pattern's flags are."""
    if byte > 255:
        return _ALL
    char = bytes([byte])
    return frozenset(char.lower() + char.upper())
