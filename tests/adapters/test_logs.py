from __future__ import annotations

import io
import json
import logging
import os
import re
import select
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.config_model import Rotation
from adapters.logs import (
    LEVELS,
    MAX_TEXT,
    ConsoleFormatter,
    JsonFormatter,
    LineFile,
    Logs,
    Occasional,
    Sink,
    escape,
    event,
    log_match,
    stderr_logger,
)

INFO = logging.INFO


@dataclass
class FakeMatch:
    """As much of a MatchedRule as a log line needs."""

    severity: int | None = 2

    def coraza_line(self) -> str:
        return '[client "192.0.2.1"] Coraza: Warning. x [id "1"]'

    def modsecurity_line(self) -> str:
        return 'ModSecurity: Warning. x [id "1"]'

    def to_dict(self) -> dict[str, object]:
        return {"rule_id": 1, "msg": "x"}


def _record(text: str, level: int = INFO, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("x", level, "f.py", 1, text, (), None)
    record.fields = fields
    return record


def _logger(path: Path, form: str = "console", level: int = INFO) -> tuple[logging.Logger, Logs]:
    logs = Logs()
    return logs.logger("test", level, [Sink(str(path), form)]), logs


def test_console_form() -> None:
    line = ConsoleFormatter().format(_record("hello there", b="two words", a=1, c="", d='say "x"', e="p=q", f="é"))

    assert re.fullmatch(r'\d{1,2}:\d\d[AP]M INF hello there a=1 b="two words" c="" d="say \\"x\\"" e="p=q" f=é', line)


def test_json_form() -> None:
    entry = json.loads(JsonFormatter().format(_record("hello", logging.WARNING, peer="a\nb", count=3)))

    assert (entry["level"], entry["message"], entry["peer"], entry["count"]) == ("warn", "hello", "a\nb", 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", entry["time"])


@pytest.mark.parametrize(
    ("level", "short"), [(5, "TRC"), (10, "DBG"), (20, "INF"), (30, "WRN"), (40, "ERR"), (50, "FTL")]
)
def test_level_names(level: int, short: str) -> None:
    assert ConsoleFormatter().format(_record("x", level)).split()[1] == short


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from([ConsoleFormatter(), JsonFormatter()]))
def test_one_line_whatever_is_in_it(text: str, value: str, formatter: logging.Formatter) -> None:
    line = formatter.format(_record(text.replace("%", ""), key=value))

    assert line.isprintable()
    line.encode("utf-8")


def test_escape() -> None:
    assert escape("a\r\nb\x1b[0m\u2028\u202e\x85\udcff\x7f é") == r"a\r\nb\x1b[0m\u2028\u202e\x85\xff\x7f é"
    assert len(escape("x" * (MAX_TEXT + 5))) == MAX_TEXT + 3


def test_an_exception_stays_on_one_line(tmp_path: Path) -> None:
    logger, logs = _logger(tmp_path / "log")
    try:
        int("bad\nthing")
    except ValueError:
        logger.exception("it failed", extra={"fields": {"stream": 7}})
    logs.close()

    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "it failed" in line
    assert "stream=7" in line
    assert "ValueError: invalid literal" in line
    assert "test_logs.py" in line


@pytest.mark.parametrize(
    ("severity", "level"),
    [(None, "error"), (0, "error"), (2, "error"), (3, "error"), (4, "warn"), (5, "info"), (6, "info"), (7, "debug")],
)
def test_the_level_of_a_match_is_that_of_its_severity(tmp_path: Path, severity: int | None, level: str) -> None:
    logger, logs = _logger(tmp_path / "log", "json", LEVELS["trace"])
    log_match(logger, FakeMatch(severity))  # type: ignore[arg-type]  # a fake
    logs.close()

    entry = json.loads((tmp_path / "log").read_text())
    assert entry == {"level": level, "match": {"rule_id": 1, "msg": "x"}, "time": entry["time"]}


def test_a_match_on_the_console_is_corazas_line(tmp_path: Path) -> None:
    logger, logs = _logger(tmp_path / "log")
    log_match(logger, FakeMatch())  # type: ignore[arg-type]  # a fake
    log_match(logger, FakeMatch(7))  # type: ignore[arg-type]  # below the level
    logs.close()

    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith(' ERR [client "192.0.2.1"] Coraza: Warning. x [id "1"]')


def test_levels_and_sinks(tmp_path: Path) -> None:
    logs = Logs()
    server = Sink(str(tmp_path / "logs" / "server.log"), below=LEVELS["error"], make_folder=True)
    errors = Sink(str(tmp_path / "logs" / "error.log"), lowest=LEVELS["error"], make_folder=True)
    logger = logs.logger("x", LEVELS["info"], [server, errors])
    for name in ("debug", "info", "warn", "error"):
        event(logger, LEVELS[name], name)
    logs.close()

    assert [line.split()[2] for line in (tmp_path / "logs" / "server.log").read_text().splitlines()] == ["info", "warn"]
    assert [line.split()[2] for line in (tmp_path / "logs" / "error.log").read_text().splitlines()] == ["error"]


def test_disabled_writes_nothing(tmp_path: Path) -> None:
    logger, logs = _logger(tmp_path / "log", level=LEVELS["disabled"])
    event(logger, LEVELS["panic"], "x")
    logs.close()

    assert (tmp_path / "log").read_text() == ""


def test_files_are_appended_to_and_shared(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    logs = Logs()
    first = logs.logger("a", INFO, [Sink(str(path))])
    second = logs.logger("b", INFO, [Sink(str(path), "json")])
    event(first, INFO, "one")
    event(second, INFO, "two")
    logs.close()

    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[1].endswith("INF one")
    assert json.loads(lines[2])["message"] == "two"


def test_reopen_after_a_rotation(tmp_path: Path) -> None:
    logger, logs = _logger(tmp_path / "log")
    event(logger, INFO, "old")
    (tmp_path / "log").rename(tmp_path / "log.1")
    event(logger, INFO, "still old")

    assert logs.reopen() == []
    event(logger, INFO, "new")
    logs.close()

    assert len((tmp_path / "log.1").read_text().splitlines()) == 2
    assert (tmp_path / "log").read_text().endswith("INF new\n")


def test_a_failed_reopen_keeps_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    logger, logs = _logger(folder / "log")
    folder.rename(tmp_path / "moved")

    errors = logs.reopen()
    event(logger, INFO, "kept")
    logs.close()

    assert [type(error) for error in errors] == [FileNotFoundError]
    assert "kept" in (tmp_path / "moved" / "log").read_text()


def test_keep_closes_the_other_files(tmp_path: Path) -> None:
    logs = Logs()
    old = logs.logger("a", INFO, [Sink(str(tmp_path / "old"))])
    new = logs.logger("b", INFO, [Sink(str(tmp_path / "new"))])

    logs.keep([str(tmp_path / "new")])
    event(old, INFO, "ignored")
    event(new, INFO, "written")
    logs.close()

    assert (tmp_path / "old").read_text() == ""
    assert "written" in (tmp_path / "new").read_text()


def test_a_reader_that_does_not_keep_up_blocks_nobody(tmp_path: Path) -> None:
    """A named pipe that nobody empties takes 64 KiB; the lines beyond are dropped and counted, not waited for."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = LineFile(str(path))
    file._queue.maxsize = 20

    for _ in range(200):
        file.write("x" * 5000)
    assert file.dropped > 100

    os.set_blocking(reader, True)
    chunks: list[bytes] = []
    thread = threading.Thread(target=lambda: chunks.extend(iter(lambda: os.read(reader, 65536), b"")))
    thread.start()
    while not file._queue.empty():
        threading.Event().wait(0.01)
    file.close()
    thread.join()
    os.close(reader)
    lines = b"".join(chunks).splitlines()
    assert len(lines) > 20
    assert any(b"were dropped" in line for line in lines)


def test_a_file_that_cannot_be_written_raises_nothing() -> None:
    file = LineFile("/dev/full")
    file._direct = True
    file.write("x")
    file.close()

    assert file.dropped == 1


def test_standard_output_and_null(capfd: pytest.CaptureFixture[str]) -> None:
    logs = Logs()
    logger = logs.logger("x", INFO, [Sink("/dev/stdout"), Sink("/dev/stderr"), Sink("/dev/null")])
    event(logger, INFO, "both")
    logs.reopen()
    logs.close()

    out, err = capfd.readouterr()
    assert out.endswith("INF both\n")
    assert err.endswith("INF both\n")


def test_a_value_that_cannot_be_written_costs_one_odd_line(tmp_path: Path) -> None:
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no")

    logger, logs = _logger(tmp_path / "log")
    event(logger, INFO, "x", value=Bad())
    logs.close()

    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.startswith("a log line could not be written")


def test_occasional() -> None:
    now = [0.0]
    occasional = Occasional(lambda: now[0], every=10, keys=2)

    assert [occasional.due("a"), occasional.due("a"), occasional.due("b")] == [0, None, 0]
    now[0] = 10
    assert occasional.due("a") == 1
    assert occasional.due("c") == 0  # "b" is forgotten now
    assert occasional.due("b") == 0


def test_stderr_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    event(stderr_logger(), INFO, "hello")

    assert stream.getvalue().endswith("INF hello\n")


def test_without_threads_a_slow_reader_holds_nothing_up(tmp_path: Path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    logs = Logs(threads=False)
    logger = logs.logger("a", logging.INFO, [Sink(str(path))])
    before = set(threading.enumerate())
    logger.info("first")
    assert os.read(reader, 100).endswith(b"INF first\n")
    for _ in range(100):
        logger.info("x" * 4000)
    logs_lost = logs.lost

    assert 0 < logs_lost < 100
    assert set(threading.enumerate()) <= before
    while os.read(reader, 65536):
        if not select.select([reader], [], [], 0)[0]:
            break
    logs.allow_threads()
    logger.info("last")
    assert select.select([reader], [], [], 60)[0]
    logs.close()
    assert os.read(reader, 100).endswith(b"INF last\n")
    os.close(reader)


ROTATION = Rotation(size=40, keep=0, days=0, compress=False)


def test_a_file_is_set_aside_when_it_is_large(tmp_path: Path) -> None:
    logs = Logs(threads=False)
    logs.rotate(ROTATION)
    logger = logs.logger("test", INFO, [Sink(str(tmp_path / "server.log"))])
    for number in range(6):
        event(logger, INFO, f"line {number} 0123456789")
    logs.close()

    texts = [path.read_text() for path in sorted(tmp_path.iterdir())]
    assert len(texts) == 3
    assert [text.count("line") for text in texts] == [2, 2, 2]
    assert "line 5" in texts[2]


def test_rotation_may_begin_and_end_while_files_are_open(tmp_path: Path) -> None:
    logs = Logs(threads=False)
    logger = logs.logger("test", INFO, [Sink(str(tmp_path / "server.log"))])
    for rotation in (None, ROTATION, None):
        logs.rotate(rotation)
        for _ in range(3):
            event(logger, INFO, "x" * 50)
    logs.close()

    assert sorted(path.read_text().count("xxx INF") + path.read_text().count("INF") for path in tmp_path.iterdir()) == [
        1, 1, 3, 4,
    ]  # fmt: skip


def test_a_folder_that_is_lost_stops_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    logs = Logs(threads=False)
    logs.rotate(ROTATION)
    logger = logs.logger("test", INFO, [Sink(str(folder / "server.log"))])
    event(logger, INFO, "before")
    (folder / "server.log").unlink()
    folder.rmdir()
    for _ in range(3):
        event(logger, INFO, "nobody will read this, and that is all")
    folder.mkdir()
    event(logger, INFO, "after")
    logs.close()

    assert [path.read_text().partition(" ")[2].strip() for path in folder.iterdir()] == ["INF after"]


def test_a_disk_that_is_full_stops_nobody_and_is_counted() -> None:
    logs = Logs()
    logger = logs.logger("test", INFO, [Sink("/dev/full")])
    for _ in range(3):
        event(logger, INFO, "x")
    while logs.lost < 3:  # a thread writes them, which `keep` gives two seconds
        threading.Event().wait(0.01)
    logs.keep([])

    assert logs.lost == 3


def test_devices_are_not_set_aside() -> None:
    logs = Logs()
    logs.rotate(ROTATION)
    logger = logs.logger("test", INFO, [Sink("/dev/null")])
    for _ in range(3):
        event(logger, INFO, "x" * 50)
    logs.close()

    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_match_in_the_words_of_modsecurity(tmp_path: Path) -> None:
    logs = Logs()
    path = str(tmp_path / "log")
    log_match(logs.logger("test", INFO, [Sink(path, "modsecurity")]), FakeMatch())  # type: ignore[arg-type]  # a fake
    event(logs.logger("test", INFO, [Sink(path, "modsecurity")]), INFO, "hello", app="shop")
    logs.close()

    first, second = (tmp_path / "log").read_text().splitlines()
    assert first.endswith(' ERR ModSecurity: Warning. x [id "1"]')
    assert second.endswith(" INF hello app=shop")
