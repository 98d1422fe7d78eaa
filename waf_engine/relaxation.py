"""What every match of a pattern must have, in RE2's syntax: the pattern without what RE2 refuses.

Holds a rewriting of PCRE patterns, on their text; it compiles nothing. Each piece that RE2 has no word for is
replaced by something that matches wherever the piece does: a lookaround by nothing, a possessive quantifier by a
greedy one, an atomic group by a plain one, a backreference by any text. So a value in which RE2 does not find the
result cannot match the pattern either. PCRE's syntax: pcre2pattern(3).
"""

from __future__ import annotations

import re
from typing import Final

ANYTHING: Final = b"(?s:.*)"
NOTHING: Final = b"(?:)"

_SIMPLE_ESCAPES: Final = {
    # PCRE's \s has VT, and its \v is a class; both are narrower in RE2.
    ord("s"): (b"[\\s\\x0b]", b"\\s\\x0b"),
    ord("v"): (b"[\\n-\\r\\x85]", b"\\n-\\r\\x85"),
    ord("h"): (b"[\\t \\xa0]", b"\\t \\xa0"),
    ord("e"): (b"\\x1b", b"\\x1b"),
}
"""Escapes that RE2 lacks or reads otherwise: outside of a class, and within one."""

_QUANTIFIER: Final = re.compile(rb"([*+?]|\{\d+(?:,\d*)?\})([+?]?)")
"""A quantifier, and what follows it: ``+`` makes it possessive, ``?`` lazy."""

_ASSERTIONS: Final = b"ZGK"
_DIGITS: Final = b"0123456789"
_LOOKAROUNDS: Final = (b"(?=", b"(?!", b"(?<=", b"(?<!", b"(?#")
_GROUPS: Final = {b"(?>": b"(?:", b"(?|": b"(?:"}
_CALLS: Final = (b"(?P=", b"(?P>", b"(?R", b"(?&", b"(?+", b"(?-", *(b"(?%c" % digit for digit in _DIGITS))
_REFUSED: Final = (b"(*", b"(?(", b"(?C")


class _GiveUpError(Exception):
    """There is no safe replacement."""


def relax(pattern: bytes) -> bytes | None:
    """A pattern that matches wherever the given one does, or None when there is no safe one.

    Args:
        pattern: in PCRE's syntax. The result may still be one that RE2 refuses.
    """
    try:
        return b"".join(_pieces(pattern))
    except (_GiveUpError, IndexError):
        return None


def _pieces(pattern: bytes) -> list[bytes]:
    """The replaced pieces in order."""
    out: list[bytes] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        if byte == ord("\\"):
            piece, at = _escape(pattern, at)
        elif byte == ord("["):
            piece, at = _class(pattern, at)
        elif byte == ord("("):
            piece, at = _group(pattern, at)
        elif quantifier := _QUANTIFIER.match(pattern, at):
            piece, at = quantifier[1] + (quantifier[2] if quantifier[2] == b"?" else b""), quantifier.end()
        else:
            piece, at = pattern[at : at + 1], at + 1
        out.append(piece)
    return out


def _escape(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The replacement of an escape outside of a class, and where to go on."""
    kind = pattern[at + 1]
    if kind in _SIMPLE_ESCAPES:
        return _SIMPLE_ESCAPES[kind][0], at + 2
    if kind in _ASSERTIONS:
        return NOTHING, at + 2
    if kind in b"123456789":
        end = at + 2
        while end < len(pattern) and pattern[end] in _DIGITS:
            end += 1
        return ANYTHING, end
    if kind in b"gk":
        return ANYTHING, _after_name(pattern, at + 2)
    if kind in b"xpP" and pattern[at + 2 : at + 3] == b"{":
        end = pattern.index(b"}", at) + 1 if b"}" in pattern[at:] else len(pattern)
        return pattern[at:end], end
    if kind == ord("Q"):
        end = pattern.find(b"\\E", at)
        end = len(pattern) if end < 0 else end + 2
        return pattern[at:end], end
    if kind in b"cNRXHVo":
        raise _GiveUpError
    return pattern[at : at + 2], at + 2


def _after_name(pattern: bytes, at: int) -> int:
    r"""Where the name of a ``\g`` or ``\k`` ends: braces, angle brackets, quotes, or a number."""
    closing = {ord("{"): b"}", ord("<"): b">", ord("'"): b"'"}.get(pattern[at])
    if closing is not None:
        end = pattern.find(closing, at + 1)
        if end < 0:
            raise _GiveUpError
        return end + 1
    end = at + (pattern[at] in b"+-")
    while end < len(pattern) and pattern[end] in _DIGITS:
        end += 1
    return end


def _class(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The replacement of a class, and where to go on."""
    out = [b"["]
    at += 1
    if pattern[at : at + 1] == b"^":
        out.append(b"^")
        at += 1
    first = True
    while first or pattern[at] != ord("]"):
        if pattern[at] == ord("\\"):
            kind = pattern[at + 1]
            if kind in b"123456789QEcNRXHVo":
                raise _GiveUpError
            out.append(_SIMPLE_ESCAPES[kind][1] if kind in _SIMPLE_ESCAPES else pattern[at : at + 2])
            at += 2
        elif pattern[at : at + 2] == b"[:" and b":]" in pattern[at:]:
            end = pattern.index(b":]", at) + 2
            out.append(pattern[at:end])
            at = end
        else:
            # A bracket of no meaning is escaped: RE2 takes it as PCRE does, other readers of the result may not.
            out.append(
                b"\\[" if pattern[at] == ord("[") else b"\\]" if pattern[at] == ord("]") else pattern[at : at + 1]
            )
            at += 1
        first = False
    return b"".join(out) + b"]", at + 1


def _group(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The replacement of an opening parenthesis (or of the whole group), and where to go on."""
    head = pattern[at : at + 4]
    if head.startswith(_REFUSED):
        raise _GiveUpError
    if head.startswith(_LOOKAROUNDS):
        return NOTHING, _after_group(pattern, at)
    for opening, plain in _GROUPS.items():
        if head.startswith(opening):
            return plain, at + len(opening)
    if head.startswith(b"(?"):
        flags_end = at + 2
        while pattern[flags_end] in b"imsxnJU-^":
            flags_end += 1
        flags = pattern[at + 2 : flags_end]
        if pattern[flags_end] in b":)" and flags:
            if set(flags) - set(b"ims-"):
                raise _GiveUpError  # x and n change how the rest is read, U what RE2 understands by it
            return pattern[at : flags_end + 1], flags_end + 1
        if head.startswith(_CALLS):
            return ANYTHING, _after_group(pattern, at)
    return b"(", at + 1


def _after_group(pattern: bytes, at: int) -> int:
    """The place after the parenthesis that closes the group which begins here."""
    if pattern.startswith(b"(?#", at):
        return pattern.index(b")", at) + 1 if b")" in pattern[at:] else len(pattern)
    depth = 0
    while True:
        byte = pattern[at]
        if byte == ord("\\"):
            at += 2
            continue
        if byte == ord("["):
            _, at = _class(pattern, at)
            continue
        depth += (byte == ord("(")) - (byte == ord(")"))
        at += 1
        if not depth:
            return at
