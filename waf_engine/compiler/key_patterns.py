"""Selectors with a pattern (``TX:/^header_name_/``): those that are mere texts, without a regular expression.

A selector is asked about every member of its collection. Nearly all that rules have are one word, perhaps at the
beginning or the end of the key: for these looking at the bytes takes a tenth of a search.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from waf_engine.compiler.plan import KeyPattern

_WORD: Final = re.compile(r"(\^?)([A-Za-z0-9_-]+)(\$?)", re.ASCII)  # runs on texts of rules only
_IDLE_END: Final = re.compile(r"(?<=[A-Za-z0-9_-])[A-Za-z0-9_-]\*$", re.ASCII)
"""What may be there or not, at the end: CRS writes ``/MULTIPART_HEADERS_*/``."""


def plain_selector(text: str, otherwise: KeyPattern) -> KeyPattern:
    """The fastest function that decides as a selector does.

    Args:
        text: the pattern, without its slashes.
        otherwise: the compiled pattern: for what is no mere text, and for keys of more than one line, where ``^`` and
            ``$`` have other places.
    """
    word = _WORD.fullmatch(_IDLE_END.sub("", text))
    if word is None:
        return otherwise
    wanted = word[2].lower().encode()
    if word[1] and word[3]:
        return lambda key: key.lower() == wanted or (b"\n" in key and otherwise(key))
    if word[1]:
        return lambda key: key.lower().startswith(wanted) or (b"\n" in key and otherwise(key))
    if word[3]:
        return lambda key: key.lower().endswith(wanted) or (b"\n" in key and otherwise(key))
    return lambda key: wanted in key.lower()
