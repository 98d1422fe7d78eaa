"""What bytes a pattern needs: can it match a text that is made of a given alphabet only?

The answer may err in one direction: `may_match` says True where it does not know. So a pattern for which it says
False can be left out when a text of that alphabet is scanned. Works on the parse tree that Python's `re` makes of
a pattern; nothing is ever matched with `re` here.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from waf_engine.compiler.facts import fact

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
    need = _need_of(pattern)
    return need is None or _rest(need, _mask(alphabet)) is None


@fact
def idle_bytes(pattern: bytes) -> bytes:
    """Bytes that cannot make up a match between them: a value of these only is no match.

    Args:
        pattern: in RE2's syntax.

    Returns:
        A large set of such bytes, letters in both cases, in order; empty when none is known.
    """
    need = _need_of(pattern)
    if need is None:
        return b""
    idle = 0
    for group in _GROUPS:
        rest = _rest(need, group)
        if rest is not None:
            need = rest
            idle |= group
    return bytes(byte for byte in range(256) if idle & _BITS[byte])


@fact
def least_width(pattern: bytes) -> int:
    """Bytes that a match has at least; 0 when that is not known.

    Args:
        pattern: in RE2's syntax.
    """
    tree = tree_of(pattern)
    return 0 if tree is None else int(tree.getwidth()[0])


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
    try:
        return tree is None or _caret_last(tree)
    except RecursionError:
        return True


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


@lru_cache(maxsize=8)  # a pattern is asked several questions in a row; its tree is many times larger than it
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


@dataclass(frozen=True, slots=True)
class _Several:
    """Several needs; `mentions` is what their sets hold together."""

    parts: tuple[Need, ...]
    mentions: int


class _Each(_Several):
    """All of them."""

    __slots__ = ()


class _Either(_Several):
    """One of them."""

    __slots__ = ()


Need = int | _Each | _Either
"""What a text must hold for a pattern to match; a number is a set of bytes (`_mask`) of which it must hold one."""


def _mask(values: Iterable[int]) -> int:
    """A set of bytes as a number, a bit for each; a letter has the same in both cases."""
    mask = 0
    for byte in values:
        mask |= _BITS[byte]
    return mask


_BITS: Final = tuple(1 << bytes([byte]).lower()[0] for byte in range(256))
_GROUPS: Final = (_mask(_WORDS | {0x20}), *dict.fromkeys(_BITS))


def _rest(need: Need, mask: int) -> Need | None:
    """What a text needs beside some bytes that it holds; None where it needs nothing else."""
    if isinstance(need, int):
        return None if need & mask else need
    if not need.mentions & mask:
        return need
    parts: dict[Need, None] = {}
    for part in need.parts:
        rest = _rest(part, mask)
        if rest is not None:
            parts[rest] = None
        elif isinstance(need, _Either):
            return None
    return _both(type(need), parts)


def _need_of(pattern: bytes) -> Need | None:
    """What a pattern needs; None where that is nothing, or not known."""
    tree = tree_of(pattern)
    try:
        return None if tree is None else _sequence(tree)
    except RecursionError:
        return None


def _sequence(items: Iterable[Any]) -> Need | None:
    parts: dict[Need, None] = {}
    for op, argument in items:
        part = _item(str(op), argument)
        if isinstance(part, _Each):
            parts.update(dict.fromkeys(part.parts))
        elif part is not None:
            parts[part] = None
    return _both(_Each, parts)


def _both(kind: type[_Each | _Either], parts: dict[Need, None]) -> Need | None:
    """Several needs in one; None where there are none."""
    if len(parts) < 2:
        return next(iter(parts), None)
    mentions = 0
    for part in parts:
        mentions |= part if isinstance(part, int) else part.mentions
    return kind(tuple(parts), mentions)


def _item(op: str, argument: Any) -> Need | None:
    """What one piece of a pattern needs; None where that may be nothing."""
    if op in REPEATS:
        least, _, body = argument
        return None if least == 0 else _sequence(body)
    if op == "SUBPATTERN":
        return _sequence(argument[3])
    if op == "BRANCH":
        return _branch(argument[1])
    if op == "ATOMIC_GROUP":
        return _sequence(argument)
    wanted = bytes_of(op, argument)
    return None if wanted is None else _mask(wanted)


def _branch(branches: Iterable[Any]) -> Need | None:
    mask, parts = 0, dict[Need, None]()
    for branch in branches:
        part = _sequence(branch)
        if part is None:
            return None
        if isinstance(part, int):
            mask |= part
        else:
            parts[part] = None
    if mask or not parts:
        parts[mask] = None
    return _both(_Either, parts)


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


_CASES: Final = tuple(frozenset(bytes([byte]).lower() + bytes([byte]).upper()) for byte in range(256))


def _both_cases(byte: int) -> frozenset[int]:
    """A letter in both cases, whatever the pattern's flags are."""
    return _ALL if byte > 255 else _CASES[byte]
