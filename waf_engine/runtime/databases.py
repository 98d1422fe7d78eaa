"""Hyperscan databases: compiled once, kept on disk, loaded in milliseconds. Scanning with one is `database.py`'s.

A database file is named by a hash of everything that it depends on: patterns, flags, the library's version
and the processor it was built for; how it is written and what makes it fit for use, see `kept_files.py`. Databases
are compiled side by side.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import platform
import re
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import hyperscan

from waf_engine.runtime.database import Database, JoinedDatabase
from waf_engine.runtime.kept_files import read_kept, write_kept
from waf_engine.runtime.scan_patterns import ScanPattern, for_hyperscan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from waf_engine.runtime.database import Numbered

FLAGS: Final = (
    hyperscan.HS_FLAG_DOTALL
    | hyperscan.HS_FLAG_MULTILINE
    | hyperscan.HS_FLAG_ALLOWEMPTY
    | hyperscan.HS_FLAG_SINGLEMATCH
)
FORMAT: Final = b"spoa-waf database 4\n"
LARGE: Final = 4000
"""Characters of a pattern that is tried alone first: those that Hyperscan finds too large are all above."""
WORTH_KEEPING: Final = 100
"""Patterns of a database that is worth a file; smaller ones compile faster than a file opens."""
HEAVY: Final = 2000
"""Characters of expressions from which fewer patterns are worth a file, too."""
TOGETHER: Final = 160
"""Expressions in one database: the more there are, the longer each takes. Of CRS's paranoia level 1 143 are together;
the 234 of level 4 take minutes in one database and 15 s in two."""

_SUSPECT: Final = re.compile(rb"[(|?:](?:\\A|\^)|\$[|)]|\\[zZ]|\{\d{2,}")
"""What Hyperscan may refuse: anchors in the middle of a pattern, repeats of more than ten."""

_EXPRESSION: Final = re.compile(rb"[*+?|(\[{]")
"""What an expression has and a text has not, unless escaped: then it is taken for an expression, which does no harm."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int, str], None]
"""Told, from any thread but one at a time, how many databases are compiled, of how many, and what the last one was."""


class DatabaseCache:
    """Makes databases, several at a time; keeps them in a folder.

    Args:
        folder: where files are kept; None for nowhere. It is made when needed, and not used if others may write to it.
        progress: told while databases are compiled; not about those that come from disk.
        workers: how many are compiled at a time; None for as many as there are processors. Hyperscan compiles without
            holding the interpreter's lock, so threads are enough.

    Attributes:
        folder: where files are kept.
        loaded: how many databases came from disk.
        compiled: how many were compiled.
    """

    def __init__(self, folder: Path | None, *, progress: Progress | None = None, workers: int | None = None) -> None:
        self.folder = folder
        self._progress = progress
        self._workers = workers or _processors()
        self._taken: dict[tuple[bytes, int], bool] = {}
        self.loaded = self.compiled = 0

    def database(self, patterns: Sequence[Numbered]) -> Database:
        """The database of some patterns, from disk or compiled."""
        return self.databases([patterns])[0]

    def databases(self, groups: Sequence[Sequence[Numbered]]) -> list[Database]:
        """The databases of some groups of patterns, in their order; those that must be compiled side by side."""
        parted = [_parts(patterns) for patterns in groups]
        made = iter(self._whole([part for parts in parted for part in parts]))
        return [_joined([next(made) for _ in parts]) for parts in parted]

    def _whole(self, groups: Sequence[Sequence[Numbered]]) -> list[Database]:
        """The databases of groups that are not too many expressions for one."""
        made: dict[int, Database] = {}
        missing: list[int] = []
        paths = [self._path(patterns) for patterns in groups]
        for index, (patterns, path) in enumerate(zip(groups, paths, strict=True)):
            if not patterns:
                made[index] = Database(None, frozenset())
            elif path is not None and (stored := _load(path)) is not None:
                made[index] = stored
                self.loaded += 1
            else:
                missing.append(index)
        if missing:
            self._make(groups, paths, missing, made)
            self.compiled += len(missing)
        for index, patterns in enumerate(groups):
            made[index].tell_apart(patterns)
        return [made[index] for index in range(len(groups))]

    def _make(
        self,
        groups: Sequence[Sequence[Numbered]],
        paths: Sequence[Path | None],
        missing: Sequence[int],
        made: dict[int, Database],
    ) -> None:
        """Compile the missing ones, those that take longest first, and keep them."""
        large = {pair: None for index in missing for pair in _large(groups[index]) if pair not in self._taken}
        tried = in_parallel(lambda pair: _compiles(*pair), list(large), self._workers)
        self._taken.update(zip(large, tried, strict=True))
        done, telling = itertools.count(1), threading.Lock()

        def make(index: int) -> Database:
            native, refused = _compile(groups[index], self._taken)
            path = paths[index]
            if path is not None and native is not None:
                # A full or read-only disk, or a folder that others may write to, costs time at the next start, no more.
                with contextlib.suppress(OSError):
                    _store(path, native, refused)
            if self._progress is not None:
                with telling:
                    self._progress(next(done), len(missing), f"{len(groups[index])} patterns")
            return Database(native, refused)

        order = sorted(missing, key=lambda index: -_effort(groups[index]))
        if self._progress is not None:
            self._progress(0, len(missing), "")
        made.update(zip(order, in_parallel(make, order, self._workers), strict=True))

    def _path(self, patterns: Sequence[Numbered]) -> Path | None:
        if self.folder is None or (len(patterns) < WORTH_KEEPING and _effort(patterns) < HEAVY):
            return None
        digest = hashlib.sha256(FORMAT)
        for part in (version("hyperscan"), platform.machine(), _processor()):
            digest.update(part.encode() + b"\0")
        for slot, pattern in patterns:
            digest.update(b"%d %d %d %d\0" % (slot, pattern.caseless, FLAGS, len(pattern.expression)))
            digest.update(pattern.expression)
        return self.folder / f"{digest.hexdigest()}.hs"


def _joined(parts: Sequence[Database]) -> Database:
    return parts[0] if len(parts) == 1 else JoinedDatabase(parts)


def _parts(patterns: Sequence[Numbered]) -> list[Sequence[Numbered]]:
    """The patterns in as many parts as one has too many expressions for; texts are all in the first."""
    expressions = [numbered for numbered in patterns if _EXPRESSION.search(numbered[1].expression)]
    if len(expressions) <= TOGETHER:
        return [patterns]
    count = -(-len(expressions) // TOGETHER)
    size = -(-len(expressions) // count)
    later = [expressions[start : start + size] for start in range(size, len(expressions), size)]
    moved = {slot for part in later for slot, _ in part}
    return [[numbered for numbered in patterns if numbered[0] not in moved], *later]


def _effort(patterns: Iterable[Numbered]) -> int:
    """About how long compiling takes, compared with other groups: it is expressions that take time, not texts."""
    return sum(len(pattern.expression) for _, pattern in patterns if _EXPRESSION.search(pattern.expression))


def in_parallel(job: Callable[[Item], Result], items: Sequence[Item], workers: int) -> list[Result]:
    """What a job makes of some items, in their order, done by several threads; the first exception is raised here.

    Not a `ThreadPoolExecutor`: its threads would hold up the end of the process until the last database is there.
    """
    results: list[Any] = [None] * len(items)
    faults: list[BaseException] = []
    numbers = iter(range(len(items)))
    lock = threading.Lock()

    def work() -> None:
        while not faults:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                results[number] = job(items[number])
            except BaseException as fault:  # noqa: BLE001  raised again, by whoever waits
                faults.append(fault)

    threads = [
        threading.Thread(target=work, name="databases", daemon=True) for _ in range(min(workers, len(items)) - 1)
    ]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return results


def _processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _processor() -> str:
    """What the processor can do: a database is built for it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
            return next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return platform.processor()


def _flags(pattern: ScanPattern) -> int:
    return FLAGS | (hyperscan.HS_FLAG_CASELESS if pattern.caseless else 0)


def _large(patterns: Iterable[Numbered]) -> Iterator[tuple[bytes, int]]:
    """Expressions, with their flags, that may be too large for Hyperscan."""
    for _, pattern in patterns:
        expression = for_hyperscan(pattern.expression)
        if expression is not None and len(expression) >= LARGE:
            yield expression, _flags(pattern)


def _compile(patterns: Sequence[Numbered], taken: Mapping[tuple[bytes, int], bool]) -> tuple[Any, frozenset[int]]:
    """Compile; what Hyperscan refuses is left out.

    Its prefilters are no help: of the patterns of CRS that are too large, they keep nearly nothing.

    Args:
        patterns: the patterns.
        taken: for each large expression, with its flags, whether Hyperscan takes it.
    """
    chosen: list[tuple[int, bytes, int]] = []
    refused: set[int] = set()
    for slot, pattern in patterns:
        flags, expression = _flags(pattern), for_hyperscan(pattern.expression)
        if expression is None or not taken.get((expression, flags), True):
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


def _load(path: Path) -> Database | None:
    """A database from its file; None where there is none, it is damaged, or others could have written it."""
    rest = read_kept(path, FORMAT)
    if rest is None:
        return None
    refused, _, dump = rest.partition(b"\n")
    try:
        native = hyperscan.loadb(dump, hyperscan.HS_MODE_BLOCK)
    except (hyperscan.HyperscanError, ValueError, TypeError):
        return None
    native.scratch = hyperscan.Scratch(native)
    return Database(native, frozenset(int(slot) for slot in refused.split()))


def _store(path: Path, native: Any, refused: frozenset[int]) -> None:
    """Write a database to its file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_kept(path, FORMAT, b" ".join(b"%d" % slot for slot in sorted(refused)) + b"\n" + hyperscan.dumpb(native))


def default_folder() -> Path:
    """Where databases are kept when nothing is said: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # Path.expanduser raises where there is no home.
    home = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111, PTH117
    return home / "spoa-waf"
