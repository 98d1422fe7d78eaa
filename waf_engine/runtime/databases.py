"""Hyperscan databases: compiled once, kept on disk, loaded in milliseconds.

A database file is named by a hash of everything that it depends on: patterns, flags, the library's version
and the processor it was built for. It is written to a temporary name and moved, so that a reader never sees half of
one; it begins with a checksum; and it is used only if no other user could have written it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import hyperscan

from waf_engine.runtime.scan_patterns import ScanPattern, for_hyperscan

if TYPE_CHECKING:
    from collections.abc import Sequence

FLAGS: Final = (
    hyperscan.HS_FLAG_DOTALL
    | hyperscan.HS_FLAG_MULTILINE
    | hyperscan.HS_FLAG_ALLOWEMPTY
    | hyperscan.HS_FLAG_SINGLEMATCH
)
FORMAT: Final = b"spoa-waf database 2\n"
LARGE: Final = 4000
"""Characters of a pattern that is tried alone first: those that Hyperscan finds too large are all above."""
WORTH_KEEPING: Final = 100
"""Patterns of a database that is worth a file; smaller ones compile faster than a file opens."""
MAX_FILE: Final = 256 * 1024 * 1024

_SUSPECT: Final = re.compile(rb"[(|?:](?:\\A|\^)|\$[|)]|\\[zZ]|\{\d{2,}")
"""What Hyperscan may refuse: anchors in the middle of a pattern, repeats of more than ten."""

Numbered = tuple[int, "ScanPattern"]


class Database:
    """A compiled database, safe to scan with from several threads.

    Attributes:
        refused: positions of the patterns that Hyperscan does not take.
    """

    def __init__(self, native: Any, refused: frozenset[int]) -> None:
        self.refused = refused
        self._native = native
        # A scratch space serves one scan at a time; each thread takes one and gives it back.
        self._free = [native.scratch] if native is not None else []

    def scan(self, value: bytes) -> list[int]:
        """The positions of the patterns that occur in a value."""
        found: list[int] = []
        if self._native is None:
            return found
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = self._native.scratch.clone()
        self._native.scan(value, _collect, 0, found, scratch)  # by position: keywords cost twice the scan
        self._free.append(scratch)
        return found


def _collect(slot: int, _start: int, _end: int, _flags: int, found: list[int]) -> None:
    found.append(slot)


class DatabaseCache:
    """Makes databases; keeps them in a folder.

    Args:
        folder: where files are kept; None for nowhere. It is made when needed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def database(self, patterns: Sequence[Numbered]) -> Database:
        """The database of some patterns, from disk or compiled."""
        if not patterns:
            return Database(None, frozenset())
        path = self._path(patterns) if len(patterns) >= WORTH_KEEPING else None
        if path is not None and (stored := _load(path)) is not None:
            return stored
        native, refused = _compile(patterns)
        if path is not None and native is not None:
            with contextlib.suppress(OSError):  # a full or read-only disk costs time at the next start, no more
                _store(path, native, refused)
        return Database(native, refused)

    def _path(self, patterns: Sequence[Numbered]) -> Path | None:
        if self._folder is None:
            return None
        digest = hashlib.sha256(FORMAT)
        for part in (version("hyperscan"), platform.machine(), _processor()):
            digest.update(part.encode() + b"\0")
        for slot, pattern in patterns:
            digest.update(b"%d %d %d %d\0" % (slot, pattern.caseless, FLAGS, len(pattern.expression)))
            digest.update(pattern.expression)
        return self._folder / f"{digest.hexdigest()}.hs"


def _processor() -> str:
    """What the processor can do: a database is built for it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
            return next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return platform.processor()


def _flags(pattern: ScanPattern) -> int:
    return FLAGS | (hyperscan.HS_FLAG_CASELESS if pattern.caseless else 0)


def _compile(patterns: Sequence[Numbered]) -> tuple[Any, frozenset[int]]:
    """Compile; what Hyperscan refuses is left out.

    Its prefilters are no help: of the patterns of CRS that are too large, they keep nearly nothing.
    """
    chosen: list[tuple[int, bytes, int]] = []
    refused: set[int] = set()
    for slot, pattern in patterns:
        flags, expression = _flags(pattern), for_hyperscan(pattern.expression)
        if expression is None or (len(expression) >= LARGE and not _compiles(expression, flags)):
            refused.add(slot)
            continue
        chosen.append((slot, expression, flags))
    while chosen:
        try:
            return _build(chosen), frozenset(refused)
        except hyperscan.HyperscanError:
            # Hyperscan does not say which it refuses. Those with anchors or long repeats first: mostly it is these,
            # and to try each alone takes as long as to compile them all.
            suspects = [entry for entry in chosen if _SUSPECT.search(entry[1])]
            bad = [entry for entry in suspects if not _compiles(entry[1], entry[2])]
            bad = bad or [entry for entry in chosen if entry not in suspects and not _compiles(entry[1], entry[2])]
            for entry in bad or list(chosen):
                chosen.remove(entry)
                refused.add(entry[0])
    return None, frozenset(refused)


def _build(chosen: Sequence[tuple[int, bytes, int]]) -> Any:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    slots, expressions, flags = zip(*chosen, strict=True)
    database.compile(expressions=list(expressions), ids=list(slots), elements=len(chosen), flags=list(flags))
    return database


def _compiles(expression: bytes, flags: int) -> bool:
    try:
        _build([(0, expression, flags)])
    except hyperscan.HyperscanError:
        return False
    return True


def _open_plainly(path: str, flags: int) -> int:
    """Open a file without following a link, nor waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def _load(path: Path) -> Database | None:
    """A database from its file; None where there is none, it is damaged, or others could have written it."""
    try:
        with open(path, "rb", opener=_open_plainly) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
                return None
            content = file.read(MAX_FILE)
    except OSError:
        return None
    if not content.startswith(FORMAT):
        return None
    checksum, _, rest = content[len(FORMAT) :].partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != checksum:
        return None
    refused, _, dump = rest.partition(b"\n")
    try:
        native = hyperscan.loadb(dump, hyperscan.HS_MODE_BLOCK)
    except (hyperscan.HyperscanError, ValueError, TypeError):
        return None
    native.scratch = hyperscan.Scratch(native)
    return Database(native, frozenset(int(slot) for slot in refused.split()))


def _store(path: Path, native: Any, refused: frozenset[int]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    rest = b" ".join(b"%d" % slot for slot in sorted(refused)) + b"\n" + bytes(hyperscan.dumpb(native))
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
        try:
            file.write(FORMAT + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise


def default_folder() -> Path:
    """Where databases are kept when nothing is said: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spoa-waf"
