"""Files in the cache folder: read only as they were written, by us. What databases add is in `test_databases.py`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waf_engine.runtime import kept_files
from waf_engine.runtime.kept_files import read_kept, write_kept

if TYPE_CHECKING:
    from pathlib import Path

KIND = b"a kind of file 1\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "name.facts"


@given(content=st.binary(max_size=200))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.mktemp("cache") / "name.facts"
    write_kept(path, KIND, content)

    assert read_kept(path, KIND) == content
    assert read_kept(path, b"another kind\n") is None
    assert path.stat().st_mode & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]


@example(content=b"", at=len(KIND) + 64, byte=1, cut=True)  # the line end behind the checksum, and nothing after it
@given(content=st.binary(max_size=50), at=st.integers(0, 200), byte=st.integers(1, 255), cut=st.booleans())
def test_what_was_damaged_is_not_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int, byte: int, cut: bool
):
    path = tmp_path_factory.mktemp("cache") / "name.facts"
    write_kept(path, KIND, content)
    damaged = bytearray(path.read_bytes())
    at %= len(damaged)
    if cut:
        del damaged[at:]
    else:
        damaged[at] ^= byte
    path.write_bytes(bytes(damaged))

    assert read_kept(path, KIND) is None


def test_what_others_may_have_put_there_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch):
    assert read_kept(path, KIND) is None
    write_kept(path, KIND, b"x")
    link, other = path.with_name("link.facts"), path.with_name("other.facts")
    link.symlink_to(path)
    other.write_bytes(path.read_bytes())
    assert [read_kept(name, KIND) for name in (path, link, other)] == [b"x", None, None]

    path.chmod(0o620)
    assert read_kept(path, KIND) is None
    path.chmod(0o600)
    us = os.geteuid()
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: us + 1)
        assert read_kept(path, KIND) is None
    path.parent.chmod(0o770)
    assert read_kept(path, KIND) is None


def test_nothing_is_written_where_others_may_write(path: Path):
    path.parent.mkdir()
    path.parent.chmod(0o777)
    write_kept(path, KIND, b"x")

    assert list(path.parent.iterdir()) == []


def test_a_file_of_either_kind_makes_room(path: Path, monkeypatch: pytest.MonkeyPatch):
    old = path.with_name("old.hs")
    write_kept(old, KIND, b"x" * 1000)
    os.utime(old, (1_000_000, 1_000_000))
    monkeypatch.setattr(kept_files, "MAX_FOLDER", 1500)
    write_kept(path, KIND, b"y" * 1000)

    assert list(path.parent.iterdir()) == [path]
