"""Skip lists: what an application's operator does not want to be inspected.

Here: which paths and media types are on the list, and which requests are too odd for it. Not here: what is answered.

A skip must not become a way around the rules, and what a client sends can mean one path to us and another to the server
behind. So a path is only compared when it can mean but one thing:

- it consists of letters, digits and ``-._~/@+,=``. No ``%`` (decoded once or twice, by whom?), no ``;`` (Java servers
  cut it off), no backslash (Windows), nothing that is not ASCII;
- it begins with a slash, has no empty segment (``//``) and none that begins with a dot (``/../``, ``/./``, ``/.git``);
- the request has no header by which frameworks take another path than that of the request line.

Everything else is inspected, which is slower and never wrong. The type of a request's body is the client's word: a type
on the list spares the body alone, and only when the request says its type once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.http_objects import Headers

_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/@+,="
_TYPE = _PLAIN.replace(b"/", b"") + b"!#$&^"  # RFC 6838, 4.2: what names of media types consist of
MAX_PATH = 2048
"""Bytes of a path that may be skipped; those of files are far shorter."""

OTHER_PATHS = frozenset((b"x-original-url", b"x-rewrite-url", b"x-original-uri", b"x-forwarded-uri", b"x-http-path"))
"""Headers with a path that some servers and frameworks (IIS, Symfony, Zend) put in the place of the request's."""


class SkipList:
    """What one application does not inspect.

    Args:
        paths: patterns of paths. ``*`` stands for any text without a slash, ``**`` for any text; at the end
            of a pattern ``*`` is as good as ``**``. ``?`` stands for one character.
        content_types: patterns of media types, such as ``image/*``.
    """

    def __init__(self, paths: Iterable[str] = (), content_types: Iterable[str] = ()) -> None:
        self._paths = _compile(paths)
        self._types = _compile(each.lower() for each in content_types)

    def covers_path(self, path: bytes, headers: Headers) -> bool:
        """Whether a request is not to be inspected because of its path.

        Args:
            path: as in the request line, without the query.
            headers: the request's.
        """
        if self._paths is None or not is_plain_path(path) or self._paths.fullmatch(path) is None:
            return False
        return OTHER_PATHS.isdisjoint(name.lower() for name, _ in headers)

    def covers_type(self, headers: Headers) -> bool:
        """Whether the body that goes with these headers is not to be inspected."""
        if self._types is None:
            return False
        types = [value for name, value in headers if name.lower() == b"content-type"]
        if len(types) != 1:
            return False
        kind = types[0].partition(b";")[0].strip(b" \t").lower()
        return not kind.replace(b"/", b"", 1).translate(None, _TYPE) and self._types.fullmatch(kind) is not None


def is_plain_path(path: bytes) -> bool:
    """Whether a path means the same to everybody; see the head of this file."""
    return (
        path.startswith(b"/")
        and len(path) <= MAX_PATH
        and not path.translate(None, _PLAIN)
        and b"//" not in path
        and b"/." not in path
    )


def why_never(pattern: str) -> str:
    """Why a pattern of a path can match nothing, for the one who wrote it; empty when it can match."""
    if not pattern.startswith("/"):
        return "a path begins with a slash"
    literal = pattern.replace("*", "").replace("?", "")
    if strange := sorted({each for each in literal if each.encode("utf-8", "replace") not in _SINGLE}):
        return f"paths with {' '.join(strange)} are never skipped: they may mean another path to the server"
    if "//" in pattern or "/." in pattern:
        return "paths with empty segments, or with segments that begin with a dot, are never skipped"
    return ""


_WILDCARDS = {"\0": ".*", "\1": "[^/]*", "\2": "[^/]"}
_SINGLE = frozenset(bytes([byte]) for byte in _PLAIN)


def _compile(patterns: Iterable[str]) -> re2._Regexp | None:
    """One expression for all patterns; in linear time, whatever is matched."""
    expressions = [_expression(pattern) for pattern in patterns]
    if not expressions:
        return None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True
    return re2.compile("|".join(expressions).encode(), options)


def _expression(pattern: str) -> str:
    if pattern.endswith("*"):
        pattern = pattern.rstrip("*") + "**"
    marked = pattern.replace("**", "\0").replace("*", "\1").replace("?", "\2")
    return "".join(_WILDCARDS.get(each) or re2.escape(each) for each in marked)
