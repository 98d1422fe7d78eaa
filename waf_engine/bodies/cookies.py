"""The Cookie header: REQUEST_COOKIES (engine.md 1.2).

No body processor, but the same kind of work. Names and values are the client's bytes: neither quotes
nor escapes are undone, since applications differ in what they undo (RFC 6265, section 5.4, says nothing of it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waf_engine.types import Entry

_BLANKS = b" \t\r\n"


def parse_cookies(value: bytes) -> list[Entry]:
    """Split a Cookie header at ``;`` and each piece at its first ``=``.

    Blanks around a piece and around its name are dropped, as Coraza does (libmodsecurity keeps those after
    a name); a piece with an empty name is skipped, as both do; ``c`` is ``c`` with an empty value.

    Args:
        value: one Cookie header's value.

    Returns:
        The cookies in their order, repeated names too.
    """
    entries: list[Entry] = []
    for piece in value.split(b";"):
        name, _, content = piece.strip(_BLANKS).partition(b"=")
        name = name.rstrip(_BLANKS)
        if name:
            entries.append((name, content))
    return entries
