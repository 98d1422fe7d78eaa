"""Directives on uploaded files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import faults, load

if TYPE_CHECKING:
    from pathlib import Path

ROWS = {
    "SecUploadDir": ("/tmp", "/no/such/folder"),
    "SecTmpDir": ("/tmp", "/no/such/folder"),
    "SecUploadKeepFiles": ("off", "Sometimes"),
    "SecUploadFileMode": ("0640", "0999"),
}
"""Directive: an argument that is accepted, and one that is refused."""


def test_what_each_sets(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    settings = load(
        f"SecUploadDir {tmp_path}/mine\nSecUploadKeepFiles RELEVANTONLY\nSecUploadFileMode 0640"
    ).plan.settings

    assert settings.upload_dir == str(tmp_path / "mine")
    assert (settings.upload_keep_files, settings.upload_file_mode) == ("RelevantOnly", 0o640)


def test_secuploaddir_goes_before_sectmpdir(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    both = [f"SecTmpDir {tmp_path}/b", f"SecUploadDir {tmp_path}/a"]

    assert [load("\n".join(order)).plan.settings.upload_dir for order in (both, both[::-1], both[:1])] == [
        str(tmp_path / "a"), str(tmp_path / "a"), str(tmp_path / "b"),
    ]  # fmt: skip


def test_a_relative_folder_begins_at_the_root_and_does_not_leave_it(tmp_path: Path):
    (tmp_path / "root" / "up").mkdir(parents=True)
    root = tmp_path / "root"

    assert load("SecUploadDir up", root=root).plan.settings.upload_dir == str(root / "up")
    assert faults(f"SecUploadDir {tmp_path}", root=root) == [("outside-root", 1, 14)]


@pytest.mark.parametrize("mode", ["1777", "00640", "x", "'"])
def test_modes_that_are_none(mode: str):
    assert [line for _, line, _ in faults(f"SecUploadFileMode {mode}")] == [1]


def test_the_mode_may_go_back_to_its_default():
    assert load("SecUploadFileMode 0640\nSecUploadFileMode default").plan.settings.upload_file_mode == 0o600


def test_keeping_files_needs_a_folder_wherever_it_is_named():
    assert faults("\nSecUploadKeepFiles On") == [("no-upload-dir", 2, 1)]
    assert load("SecUploadKeepFiles On\nSecUploadDir /tmp").plan.settings.upload_keep_files == "On"
    assert load("SecUploadKeepFiles On\nSecUploadKeepFiles Off").plan.settings.upload_keep_files == "Off"
