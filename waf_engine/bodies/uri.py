"""The request target: REQUEST_URI, REQUEST_FILENAME, REQUEST_BASENAME, QUERY_STRING (engine.md 1.2).

Splits by hand, since a parser that refuses a target (Go's does: ``/x%zz?a=1``) would hide its arguments.
Whatever stands after the first ``?`` is arguments, however odd the path before it is.
"""

from __future__ import annotations

from typing import NamedTuple

from waf_engine.bodies.urlencoded import percent_decode

_SCHEME = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.")  # RFC 3986, section 3.1


class SplitURI(NamedTuple):
    """The parts of a request target.

    Attributes:
        uri: REQUEST_URI: as it came, not decoded, the absolute form kept, without a fragment.
        filename: REQUEST_FILENAME: the percent-decoded path, without the scheme and host of an absolute form.
        basename: REQUEST_BASENAME: what follows the last ``/`` or backslash of the filename; the whole
            filename where nothing follows.
        query: QUERY_STRING: after the first ``?``, not decoded, without a fragment.
        arguments: what ARGS_GET is to be made of: the query, and a fragment with it. Both engines drop
            a fragment, but some servers hand it to the application as part of the query.
        bad_escape: whether the path holds a ``%`` without two hexadecimal digits (URLENCODED_ERROR).
    """

    uri: bytes
    filename: bytes
    basename: bytes
    query: bytes
    arguments: bytes
    bad_escape: bool


def split_uri(target: bytes) -> SplitURI:
    """Split a request target of any form: origin, absolute, authority, ``*``, or rubbish.

    Args:
        target: the second word of the request line, as it came.

    Returns:
        Its parts; nothing is ever refused.
    """
    arguments = target.partition(b"?")[2]
    uri = target.partition(b"#")[0] if b"#" in target else target
    path, _, query = uri.partition(b"?")
    if b"://" in path:
        path = _without_authority(path)
    filename, bad = percent_decode(path) if b"%" in path else (path, False)
    basename = filename[max(filename.rfind(b"/"), filename.rfind(b"\\")) + 1 :] or filename
    return SplitURI(uri, filename, basename, query, arguments, bad)


def _without_authority(path: bytes) -> bytes:
    """The path of ``scheme://authority/path``; a path that only looks like it stays whole."""
    scheme, _, rest = path.partition(b"://")
    if not scheme[:1].isalpha() or not _SCHEME.issuperset(scheme):
        return path
    slash = rest.find(b"/")
    return rest[slash:] if slash >= 0 else b""
