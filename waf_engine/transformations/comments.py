"""Transformations of comments: C's, SQL's, the shell's and HTML's.

Source: ModSecurity v3 reference manual, "Transformation functions".
"""

from __future__ import annotations

import re

from waf_engine.transformations._registry import DASH, HASH, STAR, transformations, triggered_by

# Alternatives of fixed strings only: each search is one pass, and each starts where the one before ended.
_OPENING = re.compile(rb"/\*|<!--|--|#")
_CLOSING = re.compile(rb"\*/|-->")
_MARKS = re.compile(rb"/\*|\*/|<!--|-->|--|#")
_MARKS_BUT_DASHES = (b"/*", b"*/", b"#")


@transformations.register("replaceComments")
@triggered_by(b"*", makes=b" ")
def replace_comments(value: bytes) -> bytes:
    """Put a space in place of each C comment; one that is not closed reaches to the end.

    Example: t:replaceComments turns ``UNION/**/SELECT/*`` into ``UNION SELECT ``
    """
    if STAR not in value or (opening := value.find(b"/*")) < 0:
        return value
    kept = []
    end = 0
    while opening >= 0:
        kept.append(value[end:opening])
        closing = value.find(b"*/", opening + 2)
        if closing < 0:
            end = len(value)
            break
        end = closing + 2
        opening = value.find(b"/*", end)
    # What stands after the last comment follows its space; after an open comment that is nothing.
    kept.append(value[end:])
    return b" ".join(kept)


@transformations.register("removeComments")
@triggered_by(b"*-#", makes=b" \0")
def remove_comments(value: bytes) -> bytes:
    r"""Remove C and HTML comments, and everything from ``--`` or ``#`` on.

    A comment that is not closed leaves a space, one that ends with the value leaves a NUL, as Coraza and ModSecurity
    have it. They copy the first byte after a comment unseen, so that ``/**//**/`` hides a comment from them; not here.

    Example: t:removeComments turns ``a/*x*/b<!--y-->c--d`` into ``abc``
    """
    if STAR not in value and DASH not in value and HASH not in value:
        return value
    match = _OPENING.search(value)
    if match is None:
        return value
    kept = []
    end = 0
    while match is not None:
        kept.append(value[end : match.start()])
        if match[0] in {b"--", b"#"}:
            return b"".join(kept)
        closing = _CLOSING.search(value, match.end())
        if closing is None:
            kept.append(b" ")
            return b"".join(kept)
        end = closing.end()
        match = _OPENING.search(value, end)
    kept.append(value[end:] or b"\0")
    return b"".join(kept)


@transformations.register("removeCommentsChar")
@triggered_by(b"*-#", makes=b"")
def remove_comments_char(value: bytes) -> bytes:
    """Remove the marks of comments and keep what is in them: C's, HTML's, ``--`` and ``#``.

    Example: t:removeCommentsChar turns ``1/**/or--1#`` into ``1or1``
    """
    if HASH not in value and STAR not in value and DASH not in value:
        return value
    if b"--" in value:
        return _MARKS.sub(b"", value)
    present = [mark for mark in _MARKS_BUT_DASHES if mark in value]
    if len(present) > 1:
        return _MARKS.sub(b"", value)
    # A single kind of mark, and none overlaps itself.
    return value.replace(present[0], b"") if present else value
