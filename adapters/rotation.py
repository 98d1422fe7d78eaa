"""Setting a log file aside when it is large or old, by whichever process writes to it; what is kept of the old ones.

Here: when, under which name, compressing and deleting. Not here: writing (logs.py), USR1 and logrotate, which are
another way to do the same.

Several processes may write to one file. Each looks at its name before it writes a line (one stat, a microsecond): if
another file is there, or none, somebody has set the old one aside, and it opens the new one. Who finds it too large
renames it, under a lock on the file itself, so that it is done once. Standard library: RotatingFileHandler knows one
process only; WatchedFileHandler is where the look comes from.

Names are those of coraza-spoa in 2022: ``server-2022-08-14T09-12-45.678.log.gz``, the time in UTC.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import shutil
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.config_model import Rotation

DAY = 86_400.0
GRACE = 5.0
"""Seconds between setting a file aside and compressing it: whoever had looked just before may still be writing."""
RETRY = 10.0
"""Seconds to wait when a file could not be set aside."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\Z")
_FORM = "%Y-%m-%dT%H-%M-%S"
_TEMPORARY = ".tmp"


class Rotator:
    """Sets one log file aside.

    Args:
        path: the file.
        rotation: when, and what is kept.
        clock: seconds since 1970.
        wait: waits so many seconds.
    """

    def __init__(
        self,
        path: str,
        rotation: Rotation,
        *,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path, self.rotation = Path(path), rotation
        self._clock, self._wait = clock, wait
        self._retry = 0.0
        self._since = self._began()

    def due(self, size: int) -> bool:
        """Whether the file is to be set aside before something is added to it.

        Args:
            size: its bytes.
        """
        if not size:
            return False
        now = self._clock()
        old = self.rotation.days and now - self._since >= self.rotation.days * DAY
        return (size >= self.rotation.size or bool(old)) and now >= self._retry

    def set_aside(self, descriptor: int, *, threads: bool = True) -> bool:
        """Rename the file, unless another process has just done so.

        Args:
            descriptor: the open file.
            threads: whether a thread may compress and delete; else the next process that can does it.

        Returns:
            Whether there is a new file to be opened now.
        """
        try:
            # A descriptor of its own: processes that were forked have one lock in common on those from before.
            with self.path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    return True
                self.path.rename(self._free_name())
        except BlockingIOError:  # somebody is at it
            return False
        except FileNotFoundError:  # somebody has just done it, and not made the new one yet
            return True
        except OSError:
            self._retry = self._clock() + RETRY
            return False
        self._since = self._clock()
        if threads:
            threading.Thread(target=self._keep_later, name=f"old logs of {self.path}", daemon=True).start()
        return True

    def noticed(self) -> None:
        """Another process has set the file aside."""
        self._since = self._clock()

    def old_files(self) -> list[Path]:
        """The files that were set aside, the newest first."""
        found: list[tuple[str, Path]] = []
        with suppress(OSError):
            found += [(stamp, each) for each in self.path.parent.iterdir() if (stamp := self._stamp(each.name))]
        return [path for _, path in sorted(found, reverse=True)]

    def keep(self) -> None:
        """Compress old files, and delete what is too much or too old."""
        rotation, now = self.rotation, self._clock()
        for number, path in enumerate(self.old_files()):
            with suppress(OSError):  # another process may be quicker; the next time will do
                too_old = rotation.days and now - _time(self._stamp(path.name) or "") > rotation.days * DAY
                if too_old or (rotation.keep and number >= rotation.keep):
                    path.unlink()
                elif rotation.compress and path.suffix != ".gz":
                    _compress(path)

    def _keep_later(self) -> None:
        self._wait(GRACE)
        self.keep()

    def _began(self) -> float:
        """Since when the present file is in use: since the last one was set aside, as far as that can be known."""
        old = self.old_files()
        return _time(self._stamp(old[0].name) or "") if old else self._clock()

    def _free_name(self) -> Path:
        """A name for the present file."""
        now = self._clock()
        while True:
            stamp = datetime.fromtimestamp(now, UTC)
            name = f"{self.path.stem}-{stamp.strftime(_FORM)}.{stamp.microsecond // 1000:03}{self.path.suffix}"
            path = self.path.with_name(name)
            if not path.exists() and not path.with_name(f"{name}.gz").exists():
                return path
            now += 0.001

    def _stamp(self, name: str) -> str | None:
        """The time in the name of an old file; None for other files."""
        name = name.removesuffix(".gz")
        if not name.startswith(f"{self.path.stem}-") or not name.endswith(self.path.suffix):
            return None
        stamp = name[len(self.path.stem) + 1 : len(name) - len(self.path.suffix)]
        return stamp if _STAMP.match(stamp) else None


def _time(stamp: str) -> float:
    with suppress(ValueError):
        return datetime.strptime(stamp[:-4], _FORM).replace(tzinfo=UTC).timestamp() + int(stamp[-3:]) / 1000
    return 0.0


def _compress(path: Path) -> None:
    """Put a compressed file in the place of a plain one; either is whole at any time.

    Raises:
        OSError: the disk is full, or another process is at it.
    """
    target, temporary = path.with_name(f"{path.name}.gz"), path.with_name(f"{path.name}.gz{_TEMPORARY}")
    with path.open("rb") as source:
        fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists():
            return
        state = os.fstat(source.fileno())
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, state.st_mode & 0o777)
            with os.fdopen(descriptor, "wb") as raw, gzip.GzipFile(path.name, "wb", 6, raw, state.st_mtime) as packed:
                shutil.copyfileobj(source, packed, 1 << 20)
            os.utime(temporary, ns=(state.st_atime_ns, state.st_mtime_ns))
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        path.unlink()
