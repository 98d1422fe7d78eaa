"""What the command line says about a run, beside the configuration, and the profiles that it asks for.

Here: the settings that come before those of the file, at the start and at each reload, and the files of cProfile and
tracemalloc. Not here: reading arguments (cli.py, go_flags.py), what the settings do.
"""

from __future__ import annotations

import contextlib
import cProfile
import logging
import os
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from adapters.logs import event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from adapters.bind import TcpBind
    from adapters.config_model import Config

READ_CPU = 'python3 -c \'import pstats; pstats.Stats("FILE").sort_stats("tottime").print_stats(25)\''
READ_MEMORY = (
    'python3 -c \'import tracemalloc as t; print(*t.Snapshot.load("FILE").statistics("lineno")[:25], sep=chr(10))\''
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Settings of the command line; None and empty ones leave the file's.

    Attributes:
        workers: how many processes answer; 0: as many as there are usable cores.
        autoreload: whether a change of a file is a reload.
        metrics: where the metrics are served.
        cpuprofile: the file for a profile of the processor time; empty: none.
        memprofile: the file for a profile of the memory at the end; empty: none.
    """

    workers: int | None = None
    autoreload: bool | None = None
    metrics: TcpBind | None = None
    cpuprofile: str = ""
    memprofile: str = ""

    def apply(self, config: Config) -> Config:
        """The configuration with these settings in the place of its own."""
        said = {name: getattr(self, name) for name in ("workers", "autoreload", "metrics")}
        changes: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        return replace(config, **changes)

    def start(self) -> None:
        """Begin to watch allocations, if they are wanted: before the rules are loaded, or these would not be seen."""
        if self.memprofile:
            tracemalloc.start()

    def profile(self, *, worker: bool = False) -> Profile:
        """The context in which a process serves; at its end the profiles are written.

        Args:
            worker: whether this is one of several processes: then its id is added to the names of the files, and the
                plain names are those of the process that ended last.
        """
        return Profile(self.cpuprofile, self.memprofile, f".{os.getpid()}" if worker else "")

    def check_files(self) -> OSError | None:
        """Why a profile could not be written where it is wanted; better told now than after hours of profiling."""
        for name in filter(None, (self.cpuprofile, self.memprofile)):
            folder = Path(name).parent
            if not os.access(folder, os.W_OK | os.X_OK):
                reason = "there is no such folder" if not folder.is_dir() else "the folder cannot be written to"
                return OSError(0, reason, name)
        return None


class Profile(contextlib.AbstractContextManager["Profile"]):
    """Profiles of this process, from the beginning of the context to its end.

    Args:
        cpu: the file for cProfile's figures of the thread that enters the context; empty: none.
        memory: the file for tracemalloc's snapshot; empty: none.
        end: what is added to both names.

    Attributes:
        written: after the end: for each profile its file and the command that reads it.
        failed: after the end: what could not be written.
    """

    def __init__(self, cpu: str, memory: str, end: str = "") -> None:
        self.cpu, self.memory, self._end = cpu, memory, end
        self.written: list[tuple[str, str]] = []
        self.failed: list[OSError] = []
        self._cpu = cProfile.Profile() if cpu else None

    def __enter__(self) -> Self:
        if self._cpu is not None:
            self._cpu.enable()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._cpu is not None:
            self._cpu.disable()
            with self._told(self.cpu, READ_CPU) as name:
                self._cpu.dump_stats(name)
        if self.memory and tracemalloc.is_tracing():
            with self._told(self.memory, READ_MEMORY) as name:
                tracemalloc.take_snapshot().dump(name)

    @contextlib.contextmanager
    def _told(self, plain: str, command: str) -> Iterator[str]:
        """Writing a file, which may fail: the end of the agent is no place for a traceback. Gives its name."""
        name = plain + self._end
        try:
            yield name
            if self._end:
                _name_also(Path(name), Path(plain))
        except OSError as error:
            self.failed.append(error)
        else:
            self.written.append((name, command.replace("FILE", name)))

    def report(self, logger: logging.Logger) -> None:
        """Say where the profiles are, and how to read them."""
        for name, command in self.written:
            event(logger, logging.INFO, "profile written", file=name, read=command)
        for error in self.failed:
            reason = (error.strerror or str(error)).lower()
            event(logger, logging.ERROR, "a profile could not be written", file=error.filename, reason=reason)


def _name_also(file: Path, name: Path) -> None:
    """Give a file a second name, in the place of the file that had it; a device or a link stays what it is."""
    if os.path.lexists(name) and (name.is_symlink() or not name.is_file()):
        return
    second = file.with_name(f"{file.name}.link")
    second.hardlink_to(file)
    second.replace(name)
