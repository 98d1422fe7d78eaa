"""Log lines: their two forms, where they go, and how a matched rule is written.

Here: formatters (console, as zerolog's ConsoleWriter; JSON), files that can be reopened, loggers made for one
configuration. Standard library logging, but no logger is registered globally: a reload drops the old ones whole.
Not here: what is worth a line, and who reads the configuration.

Every event is one line, whatever a client put into it. Source: compatibility.md 3.4.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import stat
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.rotation import Rotator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adapters.config_model import Rotation
    from waf_engine import MatchedRule

TRACE, FATAL, PANIC, DISABLED = 5, 50, 60, 100
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": FATAL,
    "panic": PANIC,
    "disabled": DISABLED,
}
"""zerolog's level names, which coraza-spoa's configuration uses."""

_NAMES = {number: name for name, number in LEVELS.items()}
_SHORT = {TRACE: "TRC", 10: "DBG", 20: "INF", 30: "WRN", 40: "ERR", FATAL: "FTL", PANIC: "PNC"}
_SEVERITY_LEVELS = {4: logging.WARNING, 5: logging.INFO, 6: logging.INFO, 7: logging.DEBUG}

LOG_FORMS = ("console", "json", "modsecurity")
"""The forms of a log, see `Sink`."""

MAX_TEXT = 32_768
"""Characters of one text in a line. A matched rule has about 1,500; with its 50 further matches at most 30,000."""
MAX_QUEUED = 10_000
"""Lines that wait for a slow reader of a pipe; what comes beyond is dropped and counted."""


@dataclass(frozen=True, slots=True)
class Sink:
    """One place for log lines.

    Attributes:
        path: a file, ``/dev/stdout``, ``/dev/stderr`` or ``/dev/null``.
        form: ``console``, ``json``, or ``modsecurity``: as console, with matched rules as libmodsecurity writes them.
        lowest: the lowest level (number) that goes here.
        below: levels from this number on do not.
        make_folder: whether the folder is created when it is missing.
    """

    path: str
    form: str = "console"
    lowest: int = 0
    below: int = DISABLED
    make_folder: bool = False


def escape(text: str) -> str:
    r"""Text on one line: what is not printable as ``\n``, ``\x1b``, ``\u2028``; cut at `MAX_TEXT`."""
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + "..."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape_char(c) for c in text)


def _escape_char(char: str) -> str:
    if 0xDC80 <= ord(char) <= 0xDCFF:  # a byte that was not UTF-8 (surrogateescape)
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


class ConsoleFormatter(logging.Formatter):
    """``1:01PM INF text key=value``: zerolog's console form without colours, fields in the order of their names.

    Args:
        modsecurity: whether matched rules appear in libmodsecurity's words instead of Coraza's.
    """

    def __init__(self, *, modsecurity: bool = False) -> None:
        super().__init__()
        self._modsecurity = modsecurity

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        clock = time.localtime(record.created)
        head = f"{clock.tm_hour % 12 or 12}:{clock.tm_min:02}{'PM' if clock.tm_hour >= 12 else 'AM'}"
        match: MatchedRule | None = getattr(record, "match", None)
        text = match.modsecurity_line() if match is not None and self._modsecurity else record.getMessage()
        parts = [head, _SHORT.get(record.levelno, "???"), escape(text)]
        parts += [f"{key}={_console_value(value)}" for key, value in sorted(_fields(record).items())]
        return " ".join(parts)


class JsonFormatter(logging.Formatter):
    """``{"level":...,"time":...,"message":...}``, a matched rule under ``match`` in the place of the message."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        entry: dict[str, Any] = {"level": _NAMES.get(record.levelno, str(record.levelno)), **_fields(record)}
        match: MatchedRule | None = getattr(record, "match", None)
        if match is not None:
            entry["match"] = match.to_dict()
        clock = time.localtime(record.created)
        zone = time.strftime("%z", clock)
        entry["time"] = time.strftime("%Y-%m-%dT%H:%M:%S", clock) + (
            "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
        )
        if match is None:
            entry["message"] = _bounded(record.getMessage())
        # ASCII: control characters, line separators and lone surrogates all come out as \uXXXX.
        return json.dumps(entry, default=str, separators=(",", ":"))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "fields", ()))
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = "".join(traceback.format_exception_only(record.exc_info[1])).strip()
        fields["stack"] = "".join(traceback.format_exception(record.exc_info[1]))
    return {key: _bounded(value) if isinstance(value, str) else value for key, value in fields.items()}


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."


def _console_value(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text and text.isprintable() and not any(char in ' "\\=' for char in text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape(quoted)}"'


class LineFile:
    """A file that whole lines are appended to, each in one write, so that several processes may share it.

    A regular file is written to directly. A pipe or terminal may have a reader that does not keep up, and must not
    stop the agent: a thread writes there, and what does not fit its queue is dropped and counted.

    Args:
        path: the file; created when missing.
        threads: whether there may be a thread. Without one, what a slow reader has no room for is dropped at once; for
            a process that forks others, or is forked yet.

    Attributes:
        lost: lines that could not be written.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str, *, threads: bool = True, rotation: Rotation | None = None) -> None:
        self.path, self.threads = path, threads
        self._rotator: Rotator | None = None
        self.dropped = self.lost = 0
        self._queue: queue.Queue[bytes | None] = queue.Queue(MAX_QUEUED)
        self._thread: threading.Thread | None = None
        self._closed = False
        self._fd = self._open()
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode) and not path.startswith("/dev/")
        self._direct = self._regular or stat.S_ISREG(os.fstat(self._fd).st_mode) or path == os.devnull
        self.rotate(rotation)

    def _open(self) -> int:
        # /dev/stdout cannot be opened when it is a socket, as it is under systemd: the descriptor is copied.
        if self.path in ("/dev/stdout", "/dev/stderr"):
            return os.dup(1 if self.path == "/dev/stdout" else 2)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self.path, flags, 0o666)  # the mode of coraza-spoa; the umask narrows it

    def rotate(self, rotation: Rotation | None) -> None:
        """Be set aside from now on as this says; None: by somebody else, who tells to `reopen`."""
        if rotation is None or not self._regular:
            self._rotator = None
        elif self._rotator is None or self._rotator.rotation != rotation:
            self._rotator = Rotator(self.path, rotation)

    def write(self, line: str) -> None:
        """Append a line. Never raises, and does not wait for a slow reader: a log must not stop the agent."""
        if self._closed:
            return
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._rotator is not None:
            self._look(self._rotator)
        if self._direct or (not self.threads and self._has_room()):
            self._write(data)
            return
        if not self.threads:
            self.lost += 1
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"log {self.path}", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(data)
        except queue.Full:
            self.dropped += 1
            self.lost += 1

    def _look(self, rotator: Rotator) -> None:
        """Before a line: is this still the file of that name, and may it grow?"""
        with suppress(OSError):  # no such folder any more, say: the old file takes the lines, nobody the blame
            ours = os.fstat(self._fd)
            try:
                current = os.path.samestat(ours, os.stat(self.path))  # noqa: PTH116  half of Path.stat's time
            except FileNotFoundError:
                current = False
            if not current:
                rotator.noticed()
                self.reopen()
            elif rotator.due(ours.st_size) and rotator.set_aside(self._fd, threads=self.threads):
                self.reopen()

    def _has_room(self) -> bool:
        """Whether a pipe takes a line without waiting: one of 4 KiB at least, says pipe(7)."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            if self.dropped:
                count, self.dropped = self.dropped, 0
                text = f"{count} log lines were dropped: the reader of {self.path} is too slow\n"
                if not self._append(text.encode()):
                    self.dropped += count
            self._write(data)

    def _write(self, data: bytes) -> None:
        if not self._append(data):
            self.dropped += 1
            self.lost += 1

    def _append(self, data: bytes) -> bool:
        """Write to the file; whether it could be."""
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:  # a full disk, a reader that went away
            return False
        return True

    def reopen(self) -> None:
        """Open the file anew by its name, after a rotation.

        Raises:
            OSError: the file cannot be opened; the old one stays in use.
        """
        if self.path.startswith("/dev/"):
            return
        fd = self._open()
        os.dup2(fd, self._fd, inheritable=False)  # the descriptor keeps its number: no line meets a closed one
        os.close(fd)

    def close(self) -> None:
        """Write what is queued (for at most two seconds) and close."""
        if self._thread is not None:
            try:
                self._queue.put(None, timeout=1)
                self._thread.join(timeout=2)
            except queue.Full:
                return  # the reader hangs; the thread is a daemon and keeps the descriptor
        self._closed = True
        os.close(self._fd)


class _Handler(logging.Handler):
    def __init__(self, file: LineFile, sink: Sink) -> None:
        super().__init__(sink.lowest)
        self.file, self.below = file, sink.below
        json_form, modsecurity = sink.form == "json", sink.form == "modsecurity"
        self.setFormatter(JsonFormatter() if json_form else ConsoleFormatter(modsecurity=modsecurity))

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= self.below:
            return
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  a value that cannot be written must not cost the request its answer
            line = f"a log line could not be written: {traceback.format_exc()!r}"
        self.file.write(line)


class Logs:
    """The open files of one configuration, and the loggers that write to them.

    Args:
        threads: whether files may have threads, see `LineFile`.
    """

    def __init__(self, *, threads: bool = True) -> None:
        self._threads = threads
        self._files: dict[str, LineFile] = {}
        self._lost = 0  # by files that are closed
        self._rotation: Rotation | None = None

    def logger(self, name: str, level: int, sinks: Iterable[Sink]) -> logging.Logger:
        """A logger for these sinks; loggers of the same path share one open file.

        Raises:
            OSError: a file cannot be opened; its name is in the error.
        """
        logger = logging.Logger(name, level)  # noqa: LOG001  on purpose not registered: see the module's docstring
        for sink in sinks:
            if sink.path not in self._files:
                if sink.make_folder:
                    Path(sink.path).parent.mkdir(parents=True, exist_ok=True)
                self._files[sink.path] = LineFile(sink.path, threads=self._threads, rotation=self._rotation)
            logger.addHandler(_Handler(self._files[sink.path], sink))
        return logger

    def rotate(self, rotation: Rotation | None) -> None:
        """Set files aside from now on as this says. All processes that write to them must be told the same."""
        self._rotation = rotation
        for file in self._files.values():
            file.rotate(rotation)

    def allow_threads(self) -> None:
        """From now on files may have threads: this process forks no others."""
        self._threads = True
        for file in self._files.values():
            file.threads = True

    @property
    def lost(self) -> int:
        """Lines that could not be written, of all files since the start."""
        return self._lost + sum(file.lost for file in self._files.values())

    def keep(self, paths: Iterable[str]) -> None:
        """Close the files that a new configuration does not name; loggers that still write there are ignored."""
        for path in self._files.keys() - set(paths):
            file = self._files.pop(path)
            file.close()
            self._lost += file.lost

    def reopen(self) -> list[OSError]:
        """Reopen every file by its name; what failed is returned, and the old file stays in use."""
        errors = []
        for file in self._files.values():
            try:
                file.reopen()
            except OSError as error:
                errors.append(error)
        return errors

    def close(self) -> None:
        """Flush and close all files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def event(logger: logging.Logger, level: int, text: str, **fields: object) -> None:
    """Write one line with fields. The text says what happened; what differs from time to time is a field."""
    if logger.isEnabledFor(level):
        logger.log(level, text, extra={"fields": fields})


def log_match(logger: logging.Logger, matched: MatchedRule) -> None:
    """Write a matched rule, at the level that its severity asks for."""
    severity = matched.severity
    level = logging.ERROR if severity is None else _SEVERITY_LEVELS.get(severity, logging.ERROR)
    if logger.isEnabledFor(level):
        logger.log(level, "%s", _Line(matched), extra={"match": matched})


class _Line:
    """Coraza's line of a matched rule, made only when a console sink asks for it."""

    __slots__ = ("matched",)

    def __init__(self, matched: MatchedRule) -> None:
        self.matched = matched

    def __str__(self) -> str:
        return self.matched.coraza_line()


class Occasional:
    """Lets a repeated event through once in a while, and says how many were held back.

    An unreachable or misconfigured HAProxy repeats its mistake thousands of times a second; the first line tells it
    all, the others would only fill the disk.

    Args:
        clock: the time in seconds.
        every: seconds between two lines of the same key.
        keys: how many keys are told apart; beyond, the oldest is forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, every: float = 10.0, keys: int = 1000) -> None:
        self._clock, self._every, self._keys = clock, every, keys
        self._seen: dict[str, tuple[float, int]] = {}

    def due(self, key: str) -> int | None:
        """How many events of this kind were held back since the last line, or None to hold this one back too."""
        now = self._clock()
        since, held = self._seen.get(key, (float("-inf"), 0))
        if now - since < self._every:
            self._seen[key] = (since, held + 1)
            return None
        self._seen.pop(key, None)
        if len(self._seen) >= self._keys:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = (now, 0)
        return held


def stderr_logger(level: int = logging.INFO) -> logging.Logger:
    """A logger to standard error, for what happens before a configuration is read."""
    logger = logging.Logger("spoa-waf", level)  # noqa: LOG001  not registered, as above
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ConsoleFormatter())
    logger.addHandler(handler)
    return logger
