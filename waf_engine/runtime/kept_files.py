"""Files in the cache folder: what takes long to make, kept from one start to the next.

Whoever can write such a file decides how rules are run, so it is used only if no other user could have written it; it
begins with a line that says what it is and a checksum over its name and content; and it is written to a temporary
name and moved, so that a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

MAX_FILE: Final = 256 * 1024 * 1024
"""Bytes of a file that is read."""
MAX_FOLDER: Final = 512 * 1024 * 1024
"""Bytes of all files together: rules change, and what they were before is not needed for ever."""
SUFFIXES: Final = (".hs", ".facts")
"""Of files that are kept here: databases (`databases.py`), facts about patterns (`compiler/kept_facts.py`)."""
TEMPORARY: Final = ".new-"
ABANDONED: Final = 86_400.0
"""Seconds after which a file that is being written has been given up."""

_complained: Final[set[Path]] = set()
"""Folders that were complained about: once is enough."""


def read_kept(path: Path, kind: bytes) -> bytes | None:
    """What was written by `write_kept`.

    Args:
        path: the file.
        kind: the line that it begins with.

    Returns:
        Its content; None where there is none, it is damaged, or others could have written it.
    """
    if not path.parent.is_dir() or not is_ours(path.parent):
        return None
    try:
        with open(path, "rb", opener=_open_plainly) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
                return None
            content = file.read(min(about.st_size, MAX_FILE))  # so much is allocated at once
            os.utime(file.fileno())  # so that those not used for long can be told from the others
    except OSError:
        return None
    if not content.startswith(kind):
        return None
    checksum, line_end, rest = content[len(kind) :].partition(b"\n")
    return rest if line_end and checksum_of(path, rest) == checksum else None


def write_kept(path: Path, kind: bytes, content: bytes) -> None:
    """Write a file, whole or not at all; its folder is made when needed, and left alone if others may write to it.

    Args:
        path: the file.
        kind: the line that it begins with.
        content: what else it holds.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_ours(path.parent):
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY, delete=False) as file:
        try:
            file.write(kind + checksum_of(path, content) + b"\n")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
    _prune(path.parent)


def checksum_of(path: Path, content: bytes) -> bytes:
    """Over the name too: a whole file under the name of another is of no use."""
    digest = hashlib.sha256(path.name.encode() + b"\0")
    digest.update(content)
    return digest.hexdigest().encode()


def is_ours(folder: Path) -> bool:
    """Whether no other user can put files into a folder, or take them away."""
    try:
        about = folder.stat()
    except OSError:
        return False
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o022
    if not ours and folder not in _complained:
        _complained.add(folder)
        logging.getLogger(__name__).warning(
            "%s is not used for compiled rules: other users can write to it, or own it", folder
        )
    return ours


def _open_plainly(path: str, flags: int) -> int:
    """Open a file without following a link, nor waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def _prune(folder: Path) -> None:
    """Remove what was not used for longest when there is too much, and what a process that died left half written."""
    found = []
    for path in folder.iterdir():
        try:
            about = path.stat()
        except OSError:  # another process was faster
            continue
        if path.suffix in SUFFIXES:
            found.append((about.st_mtime, about.st_size, path))
        elif path.name.startswith(TEMPORARY) and about.st_mtime < time.time() - ABANDONED:
            path.unlink(missing_ok=True)
    used = 0
    for _, size, path in sorted(found, reverse=True):
        used += size
        if used > MAX_FOLDER:
            path.unlink(missing_ok=True)
