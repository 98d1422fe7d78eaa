"""SecAuditLogType Serial and Concurrent: entries in one file, or in a file each beside an index.

Files are opened with the first entry. Each entry is appended in one write, so that several processes may share a
file. What cannot be written is found when the rules are loaded, without creating anything: whoever checks a
configuration need not be the user that runs the agent. Source: engine.md 1.1, 1.10.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from waf_engine.audit.registry import TargetError, audit_writers
from waf_engine.audit.texts import headline, one_line, timestamp

if TYPE_CHECKING:
    from waf_engine.audit.entry import AuditEntry
    from waf_engine.audit.registry import WriterConfig

STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}
MAX_NAME = 128
"""Characters of a transaction's id in the name of a file; an id may hold what a client sent."""
MAX_SAME_NAME = 100
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-@")


def check_file(path: str, directive: str = "SecAuditLog") -> None:
    """Find out whether a file can be appended to, or created.

    Raises:
        TargetError: it cannot.
    """
    if path in STANDARD:
        return
    if Path(path).is_dir():
        raise TargetError(f"{path} is a folder, expected a file", directive=directive)
    if Path(path).exists():
        if not os.access(path, os.W_OK):
            raise TargetError(f"{path} cannot be written by this user", directive=directive)
    else:
        check_folder(str(Path(path).parent), directive)


def check_folder(path: str, directive: str) -> None:
    """Find out whether files can be created in a folder.

    Raises:
        TargetError: they cannot.
    """
    if not Path(path).is_dir():
        raise TargetError(f"there is no folder {path}", directive=directive, hint="create it for the agent's user")
    if not os.access(path, os.W_OK | os.X_OK):
        raise TargetError(f"the folder {path} cannot be written to by this user", directive=directive)


class AppendFile:
    """A file that whole pieces are appended to.

    Args:
        path: the file; ``/dev/stdout`` and ``/dev/stderr`` are the process's own.
        mode: of the file, where it is created.
    """

    def __init__(self, path: str, mode: int) -> None:
        self._path, self._mode = path, mode
        self._fd = -1

    def append(self, data: bytes) -> None:
        """Append a piece; raises `OSError`."""
        if self._fd < 0:
            self._fd = self._open()
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _open(self) -> int:
        # /dev/stdout cannot be opened when it is a socket, as it is under systemd: the descriptor is copied.
        if self._path in STANDARD:
            return os.dup(STANDARD[self._path])
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode)
        if os.fstat(fd).st_size == 0 and stat.S_ISREG(os.fstat(fd).st_mode):
            with contextlib.suppress(OSError):  # the umask may have taken what the directive asks for
                os.fchmod(fd, self._mode)
        return fd

    def close(self) -> None:
        """Let go of the file; another piece opens it again."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


@audit_writers.register("Serial")
class SerialWriter:
    """All entries in one file, one after the other."""

    def __init__(self, config: WriterConfig) -> None:
        if not config.target:
            raise TargetError("Serial needs a file", hint="write SecAuditLog /path/to/file")
        check_file(config.target)
        self._file = AppendFile(config.target, config.file_mode)

    def write(self, _entry: AuditEntry, data: bytes) -> None:
        """Append an entry."""
        self._file.append(data + b"\n")

    def reopen(self) -> None:
        """Open the file anew with the next entry."""
        self._file.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


@audit_writers.register("Concurrent", "Parallel")
class ConcurrentWriter:
    """Each entry in ``DIR/YYYYMMDD/YYYYMMDD-HHMM/YYYYMMDD-HHMMSS-ID``, and a line for it in the index (SecAuditLog)."""

    def __init__(self, config: WriterConfig) -> None:
        if not config.storage_dir:
            raise TargetError("Concurrent needs a folder for its files", hint="write SecAuditLogStorageDir /path")
        check_folder(config.storage_dir, "SecAuditLogStorageDir")
        self._folder = Path(config.storage_dir)
        self._dir_mode, self._file_mode = config.dir_mode, config.file_mode
        indexes = {"SecAuditLog": config.target, "SecAuditLog2": config.second_target}
        for directive, path in indexes.items():
            if path:
                check_file(path, directive)
        self._indexes = [AppendFile(path, config.file_mode) for path in indexes.values() if path]

    def write(self, entry: AuditEntry, data: bytes) -> None:
        """Write the entry's file, then its line in each index."""
        at = time.localtime(entry.started)
        folder = self._folder / time.strftime("%Y%m%d", at) / time.strftime("%Y%m%d-%H%M", at)
        self._make_folders(folder)
        path = self._create(folder / f"{time.strftime('%Y%m%d-%H%M%S', at)}-{file_name(entry.id)}", data + b"\n")
        line = index_line(entry, path)
        for index in self._indexes:
            index.append(line)

    def _make_folders(self, folder: Path) -> None:
        for each in (folder.parent, folder):
            with contextlib.suppress(FileExistsError):
                each.mkdir(self._dir_mode)
                each.chmod(self._dir_mode)

    def _create(self, path: Path, data: bytes) -> Path:
        """A new file; two transactions of one id in one second get a number behind the name."""
        for number in range(MAX_SAME_NAME):
            numbered = path.with_name(f"{path.name}.{number}") if number else path
            try:
                fd = os.open(numbered, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._file_mode)
            except FileExistsError:
                continue
            with os.fdopen(fd, "wb") as stream:
                os.fchmod(fd, self._file_mode)
                stream.write(data)
            return numbered
        raise FileExistsError(f"{path} and {MAX_SAME_NAME - 1} numbered names after it exist")

    def reopen(self) -> None:
        """Open the indexes anew with the next entry."""
        self.close()

    def close(self) -> None:
        """Let go of the indexes."""
        for index in self._indexes:
            index.close()


def file_name(transaction_id: str) -> str:
    """A transaction's id as a part of a file's name: no slash, no blank, no odd character."""
    return "".join(c if c in _SAFE else "_" for c in transaction_id[:MAX_NAME])


def index_line(entry: AuditEntry, path: Path) -> bytes:
    """``CLIENT HOST - - [TIME] "REQUEST LINE" STATUS ID - PATH``: what Coraza writes over several lines, on one."""
    head = f"{entry.client_ip} {entry.server_ip} - - [{timestamp(entry)}] ".encode("utf-8", "surrogateescape")
    tail = f" {entry.status} {entry.id} - {path}".encode("utf-8", "surrogateescape")
    return one_line(head) + b'"' + one_line(headline(entry), b'"') + b'"' + one_line(tail) + b"\n"
