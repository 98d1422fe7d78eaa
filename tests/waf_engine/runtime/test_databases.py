"""Databases on disk: kept, checked, never trusted when damaged or when others could have written them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from waf_engine.runtime import databases
from waf_engine.runtime.databases import FORMAT, WORTH_KEEPING, Database, DatabaseCache, default_folder
from waf_engine.runtime.scan_patterns import ScanPattern

PATTERNS = [(slot, ScanPattern(b"word%d" % slot)) for slot in range(WORTH_KEEPING)]
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts what is compiled."""
    counts: list[int] = []
    original = databases._compile

    def counting(patterns: object) -> object:
        counts.append(1)
        return original(patterns)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(databases, "_compile", counting)
    return counts


def stored(folder: Path) -> Path:
    """The one file of a folder."""
    (path,) = folder.glob("*.hs")
    return path


def works(database: Database) -> bool:
    return database.scan(b"a word7 here") == [7] and database.scan(b"nothing") == []


def test_a_database_is_compiled_once(folder: Path, compiled: list[int]):
    assert works(DatabaseCache(folder).database(PATTERNS))
    assert works(DatabaseCache(folder).database(PATTERNS))
    assert len(compiled) == 1
    assert stored(folder).stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    assert list(folder.iterdir()) == [stored(folder)]  # no temporary file stays


def test_refused_patterns_are_remembered(folder: Path, compiled: list[int]):
    refused = (500, ScanPattern(b"\\Qa\\E"))
    first = DatabaseCache(folder).database([*PATTERNS, refused])
    second = DatabaseCache(folder).database([*PATTERNS, refused])

    assert first.refused == second.refused == {500}
    assert len(compiled) == 1


def test_few_patterns_are_not_worth_a_file(folder: Path):
    DatabaseCache(folder).database(PATTERNS[:3])

    assert not folder.exists()


def test_without_a_folder_nothing_is_kept():
    assert works(DatabaseCache(None).database(PATTERNS))


def test_no_patterns_find_nothing(folder: Path):
    database = DatabaseCache(folder).database([])

    assert (database.scan(b"x"), database.refused) == ([], frozenset())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 1 << 20), byte=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_made_anew(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, cut: bool):
    folder = tmp_path_factory.mktemp("cache")
    DatabaseCache(folder).database(PATTERNS)
    path = stored(folder)
    content = bytearray(path.read_bytes())
    original = bytes(content)
    at %= len(content)
    if cut:
        del content[at:]
    else:
        content[at] ^= byte
    path.write_bytes(bytes(content))

    assert databases._load(path) is None
    assert works(DatabaseCache(folder).database(PATTERNS))
    assert path.read_bytes()[: len(FORMAT)] == FORMAT
    assert len(path.read_bytes()) == len(original)


def test_a_checksum_does_not_make_a_database(folder: Path):
    import hashlib  # noqa: PLC0415  only here

    DatabaseCache(folder).database(PATTERNS)
    rest = b"\nnot a database"
    stored(folder).write_bytes(FORMAT + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)

    assert works(DatabaseCache(folder).database(PATTERNS))


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_used(folder: Path, compiled: list[int], mode: int):
    DatabaseCache(folder).database(PATTERNS)
    stored(folder).chmod(mode)

    assert works(DatabaseCache(folder).database(PATTERNS))
    assert len(compiled) == 2
    assert stored(folder).stat().st_mode & 0o022 == 0


def test_a_file_of_another_user_is_not_used(folder: Path, compiled: list[int], monkeypatch: pytest.MonkeyPatch):
    DatabaseCache(folder).database(PATTERNS)
    us = os.geteuid()
    monkeypatch.setattr(databases.os, "geteuid", lambda: us + 1)

    assert works(DatabaseCache(folder).database(PATTERNS))
    assert len(compiled) == 2


def test_a_symbolic_link_is_not_followed(folder: Path, tmp_path: Path, compiled: list[int]):
    DatabaseCache(folder).database(PATTERNS)
    path, target = stored(folder), tmp_path / "elsewhere"
    path.rename(target)
    path.symlink_to(target)
    before = target.read_bytes()

    assert works(DatabaseCache(folder).database(PATTERNS))
    assert len(compiled) == 2
    assert not path.is_symlink()  # replaced, not written through
    assert target.read_bytes() == before


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_file_is_not_read(folder: Path, kind: str):
    DatabaseCache(folder).database(PATTERNS)
    path = stored(folder)
    path.unlink()
    if kind == "folder":
        path.mkdir()
        assert works(DatabaseCache(folder).database(PATTERNS))
    else:
        os.mkfifo(path)
        assert works(DatabaseCache(folder).database(PATTERNS))


@pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_costs_time_only(folder: Path, compiled: list[int]):
    folder.mkdir(mode=0o500)
    for _ in range(2):
        assert works(DatabaseCache(folder).database(PATTERNS))

    assert len(compiled) == 2


def test_a_folder_that_cannot_be_made_costs_time_only(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")

    assert works(DatabaseCache(tmp_path / "file" / "cache").database(PATTERNS))


def test_a_disk_that_fills_up_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_fd: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(databases.os, "fsync", full)

    assert works(DatabaseCache(folder).database(PATTERNS))
    assert list(folder.iterdir()) == []


def test_several_writers_leave_one_whole_file(folder: Path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: DatabaseCache(folder).database(PATTERNS), range(16)))

    assert all(works(database) for database in made)
    assert databases._load(stored(folder)) is not None


def test_the_key_depends_on_all_that_a_database_depends_on(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def key(patterns: object = PATTERNS) -> Path | None:
        return DatabaseCache(folder)._path(patterns)  # type: ignore[arg-type]  # numbered patterns

    keys = {
        key(),
        key(PATTERNS[1:]),
        key([(slot + 1, p) for slot, p in PATTERNS]),
        key([(slot, ScanPattern(p.expression, caseless=True)) for slot, p in PATTERNS]),
        key([(0, ScanPattern(b"other")), *PATTERNS[1:]]),
    }
    assert len(keys) == 5
    assert key() in keys
    for name, value in (("version", lambda _: "9"), ("_processor", lambda: "avx9"), ("FLAGS", 1), ("FORMAT", b"3")):
        with monkeypatch.context() as patched:
            patched.setattr(databases, name, value)
            keys.add(key())
    assert len(keys) == 9


def test_a_database_serves_several_threads():
    database = DatabaseCache(None).database(PATTERNS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: n % 90 + 10 in database.scan(b"x word%d y" % (n % 90 + 10)), range(4000)))

    assert all(found)


def test_the_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/spoa-waf")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "spoa-waf"
