"""Transformations of single characters: case, NULs, parity, length, and the command line's mixture.

Nothing here decodes an encoding. Source: ModSecurity v3 reference manual, "Transformation functions".
"""

from __future__ import annotations

import string

from waf_engine.transformations._registry import transformations, triggered_by

_UPPER = string.ascii_uppercase.encode()
_LOWER = string.ascii_lowercase.encode()
_TO_LOWER = bytes.maketrans(_UPPER, _LOWER)
_TO_UPPER = bytes.maketrans(_LOWER, _UPPER)

# As in ModSecurity, all eight bits of the byte that comes in are counted: a byte that has its high bit may come out
# with the wrong parity.
_EVEN = bytes(byte | 0x80 if byte.bit_count() % 2 else byte & 0x7F for byte in range(256))
_ODD = bytes(byte & 0x7F if byte.bit_count() % 2 else byte | 0x80 for byte in range(256))
_ZERO = bytes(byte & 0x7F for byte in range(256))

_CMD_DELETED = b"\"'\\^"
_CMD_BLANKS = b" ,;\t\r\n"
_CMD_TABLE = bytes.maketrans(_UPPER + _CMD_BLANKS, _LOWER + b" " * len(_CMD_BLANKS))


def _moved(table: bytes) -> bytes:
    """The bytes that a translation table changes."""
    return bytes(byte for byte in range(256) if table[byte] != byte)


# bytes.translate gives back the object itself when no byte changes, so none of these compares.


@transformations.register("lowercase")
@triggered_by(_UPPER, makes=_LOWER)
def lowercase(value: bytes) -> bytes:
    """Turn ASCII letters to lower case; other bytes are not letters here, whatever their encoding.

    Example: t:lowercase turns ``SELECT É`` into ``select É``
    """
    return value.translate(_TO_LOWER)


@transformations.register("uppercase")
@triggered_by(_LOWER, makes=_UPPER)
def uppercase(value: bytes) -> bytes:
    """Turn ASCII letters to upper case.

    Example: t:uppercase turns ``select é`` into ``SELECT é``
    """
    return value.translate(_TO_UPPER)


@transformations.register("removeNulls")
@triggered_by(b"\0", makes=b"")
def remove_nulls(value: bytes) -> bytes:
    r"""Remove NUL bytes.

    Example: t:removeNulls turns ``a\x00b`` into ``ab``
    """
    return value.replace(b"\0", b"")


@transformations.register("replaceNulls")
@triggered_by(b"\0", makes=b" ")
def replace_nulls(value: bytes) -> bytes:
    r"""Put a space in place of each NUL byte.

    Example: t:replaceNulls turns ``a\x00b`` into ``a b``
    """
    return value.replace(b"\0", b" ")


@transformations.register("length")
def length(value: bytes) -> bytes:
    """The number of bytes, in decimal digits.

    Example: t:length turns ``cañon`` into ``6``
    """
    return b"%d" % len(value)


@transformations.register("parityEven7bit")
@triggered_by(_moved(_EVEN))
def parity_even_7bit(value: bytes) -> bytes:
    r"""Set the high bit of each 7-bit character whose number of bits is odd, so that it becomes even.

    Example: t:parityEven7bit turns ``abc`` into ``\xe1\xe2c``
    """
    return value.translate(_EVEN)


@transformations.register("parityOdd7bit")
@triggered_by(_moved(_ODD))
def parity_odd_7bit(value: bytes) -> bytes:
    r"""Set the high bit of each 7-bit character whose number of bits is even, so that it becomes odd.

    Example: t:parityOdd7bit turns ``abc`` into ``ab\xe3``
    """
    return value.translate(_ODD)


@transformations.register("parityZero7bit")
@triggered_by(_moved(_ZERO))
def parity_zero_7bit(value: bytes) -> bytes:
    r"""Clear the high bit of each byte.

    Example: t:parityZero7bit turns ``\xe1bc`` into ``abc``
    """
    return value.translate(_ZERO)


@transformations.register("cmdLine")
@triggered_by(_UPPER + _CMD_DELETED + _CMD_BLANKS, makes=_LOWER + b" ")
def cmd_line(value: bytes) -> bytes:
    r"""Undo the spellings by which a shell's command line is disguised.

    Quotes, backslashes and carets go; commas, semicolons and white space become spaces, a run of them one; no space
    stays before ``/`` or ``(``; letters become lower case.

    Example: t:cmdLine turns ``C^MD,"/C" ;d\ir`` into ``cmd/c dir``
    """
    line = value.translate(_CMD_TABLE, _CMD_DELETED)
    while (halved := line.replace(b"  ", b" ")) != line:  # each turn halves the longest run, so the turns are few
        line = halved
    return line.replace(b" /", b"/").replace(b" (", b"(")
