"""Transformations of file paths.

Nothing here looks at a file system. Sources: ModSecurity v3 reference manual, "Transformation functions"; Go's
filepath.Clean, which Coraza uses and its test data fix; for Windows, Coraza's issue 1656 (trailing dots and spaces,
alternate data streams).
"""

from __future__ import annotations

from waf_engine.transformations._registry import COLON, SLASH, transformations, triggered_by


def _resolve(path: bytes) -> list[bytes]:
    """The segments of a path without empty ones, ``.`` and each ``..`` that has a segment to go back over."""
    rooted = path.startswith(b"/")
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if not segment or segment == b".":
            continue
        if segment != b"..":
            segments.append(segment)
        elif segments and segments[-1] != b"..":
            segments.pop()
        elif not rooted:
            segments.append(segment)
    return segments


def _join(segments: list[bytes], original: bytes) -> bytes:
    """The path of the segments, with a slash at each end where the original has one."""
    root = b"/" if original.startswith(b"/") else b""
    if not segments:
        return root
    return root + b"/".join(segments) + (b"/" if original.endswith(b"/") else b"")


@transformations.register("normalisePath", "normalizePath")
@triggered_by(b"./", makes=b"./")
def normalise_path(value: bytes) -> bytes:
    """Remove repeated slashes, ``.`` segments and ``..`` segments with those before them.

    Leading ``..`` of a relative path stay. A path that comes to nothing is empty.

    Example: t:normalisePath turns ``/a//b/./../c/`` into ``/a/c/``
    """
    if value[:1] != b"." and (SLASH not in value or (value.find(b"/.") < 0 and value.find(b"//") < 0)):
        return value
    path = _join(_resolve(value), value)
    return value if path == value else path


@transformations.register("normalisePathWin", "normalizePathWin")
@triggered_by(b"\\/. :", makes=b"./")
def normalise_path_win(value: bytes) -> bytes:
    r"""As normalisePath, with backslashes taken for slashes and names as Windows reads them.

    Windows ignores dots and spaces at the end of each name, and ``name:stream`` opens a part of ``name``. The colon of
    a drive letter stays.

    Example: t:normalisePathWin turns ``C:\a\..\web.config. ::$DATA`` into ``C:/web.config``
    """
    slashed = value.replace(b"\\", b"/")
    if _is_plain(slashed):
        return slashed
    segments = [trimmed for segment in _resolve(slashed) if (trimmed := _trim_name(segment))]
    if segments:
        last = segments[-1]
        has_drive = len(segments) == 1 and last[1:2] == b":" and last[:1].isalpha()
        colon = last.find(b":", 2 if has_drive else 1)
        if colon >= 0:
            segments[-1] = _trim_name(last[:colon]) or last
    path = _join(segments, slashed)
    return value if path == value else path


def _is_plain(path: bytes) -> bool:
    """Whether a path with slashes has nothing that could be removed from it."""
    if COLON in path or path[:1] == b"." or path[-1:] in {b".", b" "}:
        return False
    return SLASH not in path or not (
        path.find(b"/.") >= 0 or path.find(b"//") >= 0 or path.find(b"./") >= 0 or path.find(b" /") >= 0
    )


def _trim_name(segment: bytes) -> bytes:
    """A segment without dots and spaces at its end; dots alone are no name and stay."""
    return segment.rstrip(b". ") if segment.strip(b".") else segment
