"""`autoreload`: which files an agent was made of, and whether they have changed.

Here: the names, and a look at them every second. Not here: what is done then.

A look is one stat for each file, 60 for an agent with the CRS: a tenth of a millisecond. Why not inotify (the package
watchfiles): it tells nothing of files on NFS and on some container file systems, follows no symbolic link, needs a
thread (which a process that forks must not have) and a watch on each folder. A look by name sees it all the same way:
a file that is written to, one that an editor moves into its place, and Kubernetes' exchange of the link `..data`, which
gives every file another inode.
"""

from __future__ import annotations

import glob
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from adapters.config import Config
    from waf_engine.loaders import Sources

    Seen: TypeAlias = dict[str, tuple[int, ...] | tuple[str, ...]]

EVERY = 1.0
"""Seconds between two looks. What changed must look the same twice, so that a burst of writes is one reload."""
CLOCK_STEP_NS = 20_000_000
"""Nanoseconds by which the times of files may be behind the clock: the kernel's tick, and some more."""
PATIENCE = 10.0
"""Seconds after which a change counts although there are always new ones."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What an agent was made of.

    Attributes:
        files: the configuration, rules, data files, certificates, block pages.
        globs: patterns that a further file may come to fit.
    """

    files: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()


def watched_files(config: Config | None, path: str | os.PathLike[str], sources: Sources | None = None) -> Watched:
    """What to watch for a configuration.

    Args:
        config: the configuration; None when it could not be read.
        path: its file.
        sources: the rules' files.
    """
    files = {os.fspath(path)}
    patterns: set[str] = set()
    if sources is not None:
        files |= sources.files
        patterns |= sources.globs
    if config is not None:
        for listener in config.listeners:
            if listener.tls is not None:
                files |= {listener.tls.certificate, listener.tls.key, listener.tls.client_ca}
        files |= {application.block_page for application in config.applications}
    return Watched(tuple(sorted(files - {""})), tuple(sorted(patterns)))


class Watcher:
    """Looks at files now and then.

    Args:
        watched: what to look at; may be exchanged by `watch`.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.load()

    def load(self) -> None:
        """The files are about to be read: what changes from now on is a change."""
        self._load_began = time.time_ns() - CLOCK_STEP_NS
        self._known = self._last = _look(self._watched)
        self._since: float | None = None

    def watch(self, watched: Watched) -> None:
        """They have been read, and were these: look at these from now on.

        One that nobody had looked at before is known as it is now, unless it has changed since `load`: then it is not
        said which of its contents was read.
        """
        before = self._known
        self._watched = watched
        self._last = _look(watched)
        self._known = {
            name: before[name] if name in before else () if _touched(name, self._load_began) else seen
            for name, seen in self._last.items()
        }
        self._since = None

    def changed(self, now: float) -> bool:
        """Look. Whether something has changed, and has come to rest; then it is told once.

        Args:
            now: the time in seconds.
        """
        seen = _look(self._watched)
        rests = seen == self._last
        self._last = seen
        if seen == self._known:  # or it is again as it was
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if not rests and now - self._since < PATIENCE:
            return False
        self._known, self._since = seen, None
        return True


def _touched(name: str, since_ns: int) -> bool:
    """Whether there is such a file that was written, or took its name, since then."""
    try:
        return os.stat(name).st_ctime_ns >= since_ns  # noqa: PTH116  as below
    except (OSError, ValueError):
        return False


def _look(watched: Watched) -> Seen:
    seen: Seen = {}
    for name in watched.files:
        try:
            about = os.stat(name)  # noqa: PTH116  Path costs as much again
        except (OSError, ValueError):
            seen[name] = ()
        else:
            seen[name] = (about.st_mtime_ns, about.st_size, about.st_ino, about.st_dev)
    for pattern in watched.globs:
        seen[pattern] = tuple(sorted(glob.glob(pattern)))  # noqa: PTH207  the pattern has its folder
    return seen
