"""Patterns as a scanner takes them, and what has to be said otherwise to Hyperscan than to RE2."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from waf_engine.compiler.alphabet import ends_at_line_start, least_width
from waf_engine.compiler.facts import fact

SPACES: Final = rb"\t\n\f\r "
"""RE2's ``\\s``. Hyperscan's has the vertical tab too, so the class is written out for it."""


@dataclass(frozen=True, slots=True)
class ScanPattern:
    """One pattern.

    Attributes:
        expression: in RE2's syntax, dotall and multiline.
        caseless: whether ASCII case is ignored (beside flags in the expression).
        text: what it looks for, where that is a fixed text; None where it is not, or not known.
    """

    expression: bytes
    caseless: bool = False
    text: bytes | None = field(default=None, compare=False)

    @classmethod
    def literal(cls, text: bytes, *, caseless: bool = False) -> ScanPattern:
        """The pattern of a fixed text."""
        escaped = re.escape(text)
        return cls(text if escaped == text else escaped, caseless, text)


@fact
def is_scannable(expression: bytes) -> bool:
    """Whether Hyperscan, given `for_hyperscan` of a pattern, finds all that RE2 finds.

    They differ on the case of letters beyond ASCII, which RE2 folds as Latin-1, on ``^`` behind the last line end
    of a value, where Hyperscan sees no line, and on matches of no length.
    """
    if any(byte >= 0x80 for byte in expression) or re.search(rb"\\x\{?[89a-fA-F]|\\[pPCX]", expression):
        return False
    if for_hyperscan(expression) is None or ends_at_line_start(expression):
        return False
    return least_width(expression) > 0


def for_hyperscan(expression: bytes) -> bytes | None:
    r"""A pattern with RE2's white space written out; None where that cannot be said (``[\S...]``).

    Args:
        expression: in RE2's syntax.
    """
    out: list[bytes] = []
    in_class = False
    position = 0
    while position < len(expression):
        piece = expression[position : position + (2 if expression[position : position + 1] == b"\\" else 1)]
        position += len(piece)
        if piece == b"\\Q":
            return None
        if piece == b"\\s":
            piece = SPACES if in_class else b"[" + SPACES + b"]"
        elif piece == b"\\S":
            if in_class:
                return None
            piece = b"[^" + SPACES + b"]"
        elif piece == b"\\z":
            piece = b"$"  # a line end is put behind each value
        elif piece == b"\\v":
            piece = b"\\x0b"  # Hyperscan's is any vertical space
        elif piece == b"[" and not in_class:
            in_class = True
            # A bracket that closes nothing: the first member of a class.
            if (first := re.match(rb"\^?\]", expression[position:])) is not None:
                piece += first[0]
                position += len(first[0])
        elif piece == b"[" and (named := re.match(rb":\^?\w+:\]", expression[position:])) is not None:
            piece += named[0]
            position += len(named[0])
        elif piece == b"]":
            in_class = False
        out.append(piece)
    return b"".join(out)
