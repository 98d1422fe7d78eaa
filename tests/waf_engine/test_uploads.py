"""Uploads on disk: written only for rules that ask, readable by a program, gone at the end."""

from __future__ import annotations

import gc
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tests.waf_engine.support import begin, load, matched
from waf_engine.operators import inspect
from waf_engine.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from waf_engine import WAF

pytestmark = pytest.mark.usefixtures("each_executor")

BODY = (
    b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../etc/a.txt"\r\n\r\nclean\r\n'
    b'--x\r\nContent-Disposition: form-data; name="b"; filename="b"\r\n\r\nEICAR\r\n--x--\r\n'
)
ASKS = 'SecRule FILES_TMPNAMES "@rx /" "id:1,phase:2,pass,nolog"'


def send(waf: WAF, transaction_id: str = "T1") -> Any:
    """The transaction after phase 2."""
    tx = begin(waf, id=transaction_id)
    tx.process_uri("/", "POST", "HTTP/1.1")
    tx.add_request_header("Content-Type", "multipart/form-data; boundary=x")
    tx.process_request_headers()
    tx.write_request_body(BODY)
    tx.process_request_body()
    return tx


def rules(folder: Path, *more: str) -> WAF:
    return load("\n".join([f"SecRequestBodyAccess On\nSecUploadDir {folder}", *more]))


def test_nothing_is_written_unless_a_rule_asks(tmp_path: Path):
    tx = send(rules(tmp_path, 'SecRule FILES "@rx ." "id:1,phase:2,pass"'))

    assert list(tmp_path.iterdir()) == []
    tx.close()


def test_files_are_there_until_the_transaction_ends(tmp_path: Path):
    tx = send(rules(tmp_path, ASKS), "../x y")
    found = sorted(tmp_path.iterdir(), key=lambda path: path.read_bytes())

    assert matched(tx) == [1]
    assert [path.read_bytes() for path in found] == [b"EICAR", b"clean"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in found] == [0o600, 0o600]
    assert all("-___x_y-file-" in path.name for path in found)
    assert [file.path for file in tx.request.files] == found[::-1]
    tx.close()
    tx.close()
    assert list(tmp_path.iterdir()) == []


def test_they_go_with_a_transaction_that_nobody_closes(tmp_path: Path):
    tx = send(rules(tmp_path, ASKS))
    assert len(list(tmp_path.iterdir())) == 2

    del tx
    gc.collect()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keep", "log", "left"),
    [("Off", "log", 0), ("On", "nolog", 2), ("RelevantOnly", "nolog", 0), ("RelevantOnly", "log", 2)],
)
def test_which_files_stay(tmp_path: Path, keep: str, log: str, left: int):
    action = f'SecAction "id:2,phase:1,pass,{log}"'
    tx = send(rules(tmp_path, f"SecUploadKeepFiles {keep}\nSecUploadFileMode 0640", action))
    tx.close()
    tx.close()
    del tx
    gc.collect()

    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o640] * left


def test_a_program_inspects_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inspect, "TIMEOUT", 60.0)  # a busy machine may take longer to start it
    script = tmp_path / "scan"
    script.write_text('#!/bin/sh\nif grep -q EICAR "$1"; then echo 0 found; else echo 1 clean; fi\n')
    script.chmod(stat.S_IRWXU)
    (tmp_path / "up").mkdir()
    rule = f'SecRule FILES_TMPNAMES "@inspectFile {script}" "id:1,phase:2,deny,logdata:%{{MATCHED_VAR_NAME}}"'
    waf = load(f"SecRequestBodyAccess On\nSecUploadDir {tmp_path}/up\n{rule}", settings={"allow_inspect_file": True})
    tx = send(waf)
    tx.close()

    assert tx.interruption is not None
    assert [match.name for match in tx.matched_rules[0].matches] == ["FILES_TMPNAMES:b"]


def test_what_cannot_be_written_is_missing_and_not_clean(tmp_path: Path):
    (tmp_path / "up").mkdir()
    waf = rules(tmp_path / "up", ASKS)
    (tmp_path / "up").rmdir()
    tx = send(waf)

    assert matched(tx) == [1]
    assert tx.limits == {"uploads": 2}
    assert [file.path.exists() for file in tx.request.files] == [False, False]
    tx.close()


def test_without_a_folder_it_is_that_of_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tx = send(load(f"SecRequestBodyAccess On\n{ASKS}"))

    assert Settings().upload_dir == ""
    assert len(list(tmp_path.iterdir())) == 2
    tx.close()
    assert list(tmp_path.iterdir()) == []
