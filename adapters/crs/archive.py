"""From an archive of the CRS, tar.gz or zip, to a folder with what the engine reads of it.

Here: what is taken (rules, settings, licence, plug-ins), and what makes an archive refused: a name that leads outside,
a link or device in the place of a file that is taken, more files or bytes than any CRS has. Whatever is not taken
(documentation, tests, tools) is never written. Not here: where archives come from (fetch.py), whose they are
(verify.py).
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from waf_engine.source import MAX_SOURCE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILES = 20_000
"""Entries of an archive: the whole repository of CRS 4 has about 1,000."""

MAX_EXPANDED = 64 * 1024 * 1024
"""Bytes of an archive when it is unpacked: the whole repository of CRS 4 has about 10 MiB."""

SETUP_NAMES = ("crs-setup.conf.example", "crs-setup.conf")
_FOLDERS = ("rules", "plugins")
_SUFFIXES = (".conf", ".data", ".example", ".lua")


class ArchiveError(Exception):
    """An archive that is refused; its text is for people."""


def unpack(archive: Path, folder: Path) -> int:
    """Take the rules out of an archive.

    Args:
        archive: a file in the form tar.gz or zip, which its first bytes tell.
        folder: an empty folder; ``rules/`` and the settings come to stand in it.

    Returns:
        The number of files written.

    Raises:
        ArchiveError: it is broken, no CRS, or not safe to unpack. Files may have been written to the folder by then.
    """
    names = _take(archive, folder)
    if not any(name.startswith("rules/") and name.endswith(".conf") for name in names):
        raise ArchiveError("the archive has no rules/*.conf: it is no CRS")
    if not any(name in SETUP_NAMES for name in names):
        raise ArchiveError(f"the archive has no {SETUP_NAMES[0]}: it is no CRS")
    return len(names)


def unpack_plugin(archive: Path, folder: Path) -> list[str]:
    """Take a plug-in of the CRS out of an archive.

    Args:
        archive: as for `unpack`.
        folder: an empty folder; ``plugins/`` comes to stand in it, and what else was taken.

    Returns:
        The names of the plug-in's files, in order, without their folder.

    Raises:
        ArchiveError: it is broken, no plug-in, or not safe to unpack. Files may have been written by then.
    """
    names = _take(archive, folder)
    if any(name.startswith("rules/") for name in names):
        raise ArchiveError("the archive has rules/: it is a CRS, which `spoa-waf crs install --from` takes")
    found = sorted(name.removeprefix("plugins/") for name in names if name.startswith("plugins/"))
    if not any(name.endswith(".conf") for name in found):
        raise ArchiveError("the archive has no plugins/*.conf: it is no plug-in of the CRS")
    return found


def _take(archive: Path, folder: Path) -> set[str]:
    """Write what is wanted of an archive of either form; the names of it."""
    try:
        with archive.open("rb") as stream:
            start = stream.read(4)
            stream.seek(0)
            if start.startswith(b"\x1f\x8b"):
                return _unpack(_tar_members(stream), folder)
            if start == b"PK\x03\x04":
                return _unpack(_zip_members(stream), folder)
            raise ArchiveError("this is neither a tar.gz nor a zip archive")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"the archive is broken: {error}") from error
    except RuntimeError as error:  # zipfile's word for encryption
        raise ArchiveError(f"the archive cannot be read: {error}") from error
    except OSError as error:  # gzip's word for what is no gzip, too
        raise ArchiveError(f"the archive cannot be unpacked: {error.strerror or error}") from error


_Member = tuple[str, bool, int, "IO[bytes] | None"]
"""An entry: its name, whether it is a plain file, its size, and its content (None when it is not a plain file)."""


def _unpack(members: Iterator[_Member], folder: Path) -> set[str]:
    """Write what is wanted; the names of it, relative to the archive's top folder."""
    written: set[str] = set()
    tops: set[str] = set()
    count = total = 0
    for name, plain, size, content in members:
        count += 1
        total += size
        if count > MAX_FILES or total > MAX_EXPANDED:
            raise ArchiveError(f"the archive has more than {MAX_FILES} files or {MAX_EXPANDED >> 20} MiB")
        top, inner = _inside(name)
        if not inner:
            continue
        if size > MAX_SOURCE_BYTES:
            raise ArchiveError(f"{name!r} has more than {MAX_SOURCE_BYTES} bytes")
        if not plain or content is None:
            raise ArchiveError(f"{name!r} is a link or no plain file")
        tops.add(top)
        if inner in written or len(tops) > 1:
            raise ArchiveError(f"{name!r} is there twice, or in a second CRS in the same archive")
        data = content.read(size + 1)
        if len(data) != size:
            raise ArchiveError(f"{name!r} does not have the size that the archive says")
        path = folder / inner
        if not path.parent.is_dir():
            path.parent.mkdir()
            path.parent.chmod(0o755)  # whatever the umask is: the service reads what root installs
        with path.open("xb") as stream:
            stream.write(data)
        path.chmod(0o644)
        written.add(inner)
    return written


def _inside(name: str) -> tuple[str, str]:
    """The top folder of an entry, and the name below it if it is wanted; else an empty one.

    Raises:
        ArchiveError: the name leads outside of the archive.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in path.parts[:1]:
        raise ArchiveError(f"{name!r} leads outside of the archive")
    parts = path.parts
    for depth in (0, 1):  # files at the top, or in one folder as in releases
        top, rest = "/".join(parts[:depth]), parts[depth:]
        wanted_file = len(rest) == 1 and (rest[0] in SETUP_NAMES or rest[0] == "LICENSE")
        wanted_rule = len(rest) == 2 and rest[0] in _FOLDERS and rest[1].endswith(_SUFFIXES)
        if wanted_file or wanted_rule:
            return top, "/".join(rest)
    return "", ""


class _Bounded(io.BufferedIOBase):
    """A stream that ends in an error after so many bytes: tarfile reads headers before anybody can judge them."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        super().__init__()
        self.stream = stream
        self.left = MAX_EXPANDED + 1024 * MAX_FILES

    def read(self, size: int | None = -1, /) -> bytes:
        """At most so many bytes, as `io.BufferedIOBase.read`; raises `ArchiveError` when there are too many."""
        wanted = self.left if size is None or size < 0 else min(size, self.left)
        data = self.stream.read(wanted)
        self.left -= len(data)
        if wanted and not self.left:
            raise ArchiveError(f"the archive has more than {MAX_EXPANDED >> 20} MiB")
        return data


def _tar_members(stream: IO[bytes]) -> Iterator[_Member]:
    with gzip.GzipFile(fileobj=stream) as plain, tarfile.open(fileobj=_Bounded(plain), mode="r|") as archive:
        for member in archive:
            if not member.isdir():
                yield (
                    member.name,
                    member.isfile(),
                    member.size,
                    archive.extractfile(member) if member.isfile() else None,
                )


def _zip_members(stream: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            kind = info.external_attr >> 28  # the upper bits of a Unix mode; 0 where it was made elsewhere
            if kind in {0, 8} and _inside(info.filename)[1] and info.file_size <= MAX_SOURCE_BYTES:
                with archive.open(info) as content:
                    yield info.filename, True, info.file_size, content
            else:
                yield info.filename, kind in {0, 8}, info.file_size, None
