"""Serial and Concurrent: where, with which mode, under which name, and what is refused before anything is written."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.audit.files import AppendFile, ConcurrentWriter, SerialWriter, file_name
from waf_engine.audit.registry import TargetError, WriterConfig

if TYPE_CHECKING:
    from pathlib import Path

    from waf_engine.audit import AuditEntry


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def narrow_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_serial_appends_each_entry_with_a_line_end(tmp_path: Path, finished: AuditEntry):
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    writer = SerialWriter(WriterConfig(target=str(path)))
    writer.write(finished, b"one")
    writer.write(finished, b"two\nlines")
    writer.close()
    writer.write(finished, b"again")
    writer.close()

    assert path.read_bytes() == b"old\none\ntwo\nlines\nagain\n"


@pytest.mark.usefixtures("narrow_umask")
@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o666])
def test_a_new_file_has_the_mode_that_was_asked_for_whatever_the_umask(
    tmp_path: Path, finished: AuditEntry, wanted: int
):
    writer = SerialWriter(WriterConfig(target=str(tmp_path / "log"), file_mode=wanted))
    writer.write(finished, b"x")
    writer.close()

    assert mode(tmp_path / "log") == wanted


def test_the_mode_of_a_file_that_is_in_use_stays(tmp_path: Path, finished: AuditEntry):
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    path.chmod(0o604)
    writer = SerialWriter(WriterConfig(target=str(path), file_mode=0o600))
    writer.write(finished, b"x")
    writer.close()

    assert mode(path) == 0o604


def test_after_a_rename_the_file_is_made_anew(tmp_path: Path, finished: AuditEntry):
    path = tmp_path / "log"
    writer = SerialWriter(WriterConfig(target=str(path)))
    writer.write(finished, b"1")
    path.rename(tmp_path / "log.1")
    writer.write(finished, b"2")  # nobody has said anything: still the old file
    writer.reopen()
    writer.write(finished, b"3")
    writer.close()

    assert ((tmp_path / "log.1").read_bytes(), path.read_bytes()) == (b"1\n2\n", b"3\n")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr"])
def test_the_standard_streams(capfd: pytest.CaptureFixture[str], finished: AuditEntry, name: str):
    writer = SerialWriter(WriterConfig(target=name))
    writer.write(finished, b"entry")
    writer.close()
    out, err = capfd.readouterr()

    assert (out, err) == (("entry\n", "") if name == "/dev/stdout" else ("", "entry\n"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "needs a file"), ("absent/log", "there is no folder"), (".", "is a folder")],
)
def test_what_serial_refuses(tmp_path: Path, name: str, message: str):
    with pytest.raises(TargetError, match=message):
        SerialWriter(WriterConfig(target=str(tmp_path / name) if name else ""))
    assert list(tmp_path.iterdir()) == []


def test_folders_and_files_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_bytes(b"")
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "access", lambda path, how: bool(asked.append((str(path), how))))
    for name in ("file", "log"):
        with pytest.raises(TargetError, match="written"):
            SerialWriter(WriterConfig(target=str(tmp_path / name)))

    assert asked == [(str(tmp_path / "file"), os.W_OK), (str(tmp_path), os.W_OK | os.X_OK)]


def test_an_error_names_the_file(tmp_path: Path):
    file = AppendFile(str(tmp_path / "gone" / "log"), 0o600)
    with pytest.raises(FileNotFoundError, match="gone/log"):
        file.append(b"x")


@pytest.mark.usefixtures("narrow_umask")
def test_concurrent_makes_a_file_for_each_entry_and_a_line_in_each_index(tmp_path: Path, finished: AuditEntry):
    config = WriterConfig(
        target=str(tmp_path / "index"),
        second_target=str(tmp_path / "index2"),
        storage_dir=str(tmp_path),
        dir_mode=0o755,
        file_mode=0o644,
    )
    writer = ConcurrentWriter(config)
    writer.write(finished, b"content")
    writer.write(replace(finished, method=b'G"E\nT'), b"same id, same second")
    writer.close()

    folder = tmp_path / "20260922" / "20260922-1200"
    first, second = folder / "20260922-120000-TX-1", folder / "20260922-120000-TX-1.1"
    assert (first.read_bytes(), second.read_bytes()) == (b"content\n", b"same id, same second\n")
    assert [mode(path) for path in (folder, folder.parent, first, tmp_path / "index")] == [0o755, 0o755, 0o644, 0o644]
    line = b"192.0.2.7 198.51.100.1 - - [2026/09/22 12:00:00] "
    line += b'"%b /shop/find?q=UNION%%20SELECT&x=1 HTTP/1.1" 200 TX-1 - %b\n'
    expected = line % (b"POST", str(first).encode()) + line % (rb"G\x22E\x0aT", str(second).encode())
    assert (tmp_path / "index").read_bytes() == expected
    assert (tmp_path / "index2").read_bytes() == expected


def test_concurrent_needs_no_index(tmp_path: Path, finished: AuditEntry):
    writer = ConcurrentWriter(WriterConfig(storage_dir=str(tmp_path)))
    writer.write(finished, b"x")
    writer.reopen()

    assert [path.name for path in tmp_path.rglob("*-TX-1")] == ["20260922-120000-TX-1"]


def test_concurrent_gives_up_on_a_name_that_is_always_taken(tmp_path: Path, finished: AuditEntry):
    writer = ConcurrentWriter(WriterConfig(storage_dir=str(tmp_path)))
    for _ in range(100):
        writer.write(finished, b"x")
    with pytest.raises(FileExistsError):
        writer.write(finished, b"x")


@pytest.mark.parametrize(
    ("options", "directive"),
    [
        ({}, "SecAuditLogStorageDir"),
        ({"storage_dir": "absent"}, "SecAuditLogStorageDir"),
        ({"storage_dir": ".", "target": "absent/index"}, "SecAuditLog"),
        ({"storage_dir": ".", "second_target": "absent/index"}, "SecAuditLog2"),
    ],
)
def test_what_concurrent_refuses_names_its_directive(tmp_path: Path, options: dict[str, str], directive: str):
    places = {name: str(tmp_path / value) for name, value in options.items()}
    with pytest.raises(TargetError) as caught:
        ConcurrentWriter(WriterConfig(**places))  # type: ignore[arg-type]  # all are texts

    assert caught.value.directive == directive or not options


@given(st.text())
def test_no_id_leaves_its_folder(transaction_id: str):
    name = file_name(transaction_id)

    assert "/" not in name
    assert "\0" not in name
    assert len(name.encode()) <= 128
