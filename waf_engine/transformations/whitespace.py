r"""Transformations of white space: trimmed, compressed, removed.

White space is what C's isspace() takes in the "C" locale: space, \t, \n, \v, \f, \r; `bytes` means the same.
Source: ModSecurity v3 reference manual, "Transformation functions".
"""

from __future__ import annotations

from waf_engine.transformations._registry import transformations, triggered_by

_BLANKS = b" \t\n\v\f\r"
_TO_SPACE = bytes.maketrans(_BLANKS, b" " * len(_BLANKS))

# White space beyond ASCII (Unicode's White_Space), as UTF-8 writes it.
_WIDE_BLANKS = tuple(
    chr(code).encode() for code in (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
)
_WIDE_LEADS = frozenset(blank[0] for blank in _WIDE_BLANKS)
_NO_WIDE_LEADS = bytes(byte for byte in range(256) if byte not in _WIDE_LEADS)
_WIDE_BY_START = {
    start: tuple(blank for blank in _WIDE_BLANKS if blank[:2] == start)
    for start in dict.fromkeys(blank[:2] for blank in _WIDE_BLANKS)
}


@transformations.register("trim")
@triggered_by(_BLANKS, makes=b"")
def trim(value: bytes) -> bytes:
    """Remove white space at both ends.

    Example: t:trim turns `` a b `` into ``a b``
    """
    return value.strip()


@transformations.register("trimLeft")
@triggered_by(_BLANKS, makes=b"")
def trim_left(value: bytes) -> bytes:
    """Remove white space at the start.

    Example: t:trimLeft turns `` a b `` into ``a b ``
    """
    return value.lstrip()


@transformations.register("trimRight")
@triggered_by(_BLANKS, makes=b"")
def trim_right(value: bytes) -> bytes:
    """Remove white space at the end.

    Example: t:trimRight turns `` a b `` into `` a b``
    """
    return value.rstrip()


@transformations.register("compressWhitespace")
@triggered_by(_BLANKS, makes=b" ")
def compress_whitespace(value: bytes) -> bytes:
    r"""Put one space in place of each run of white space.

    The bytes 85 and A0 are no white space here: they are parts of UTF-8 characters, which Coraza cuts in two.

    Example: t:compressWhitespace turns ``a \x09 b`` into ``a b``
    """
    spaced = value.translate(_TO_SPACE)
    while (halved := spaced.replace(b"  ", b" ")) != spaced:  # each turn halves the longest run, so the turns are few
        spaced = halved
    return spaced


@transformations.register("removeWhitespace")
@triggered_by({*_BLANKS, *_WIDE_LEADS}, makes=b"")
def remove_whitespace(value: bytes) -> bytes:
    r"""Remove white space, also what Unicode adds to it (the no-break space C2 A0 and others) where it is UTF-8.

    Example: t:removeWhitespace turns ``a \x09b\xc2\xa0c`` into ``abc``
    """
    if value.translate(None, _NO_WIDE_LEADS):
        for start, blanks in _WIDE_BY_START.items():
            if value.find(start) >= 0:  # `in` would take four times as long
                for blank in blanks:
                    value = value.replace(blank, b"")
    return value.translate(None, _BLANKS)
