"""Databases on disk: kept, checked, never trusted when damaged or when others could have written them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from waf_engine.runtime import databases, kept_files
from waf_engine.runtime.databases import FORMAT, WORTH_KEEPING, DatabaseCache, default_folder, in_parallel
from waf_engine.runtime.kept_files import checksum_of
from waf_engine.runtime.scan_patterns import ScanPattern

if TYPE_CHECKING:
    from waf_engine.runtime.database import Database

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

    def counting(patterns: object, taken: object) -> object:
        counts.append(1)
        return original(patterns, taken)  # type: ignore[arg-type]  # passed on

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
    DatabaseCache(folder).database(PATTERNS)
    rest = b"\nnot a database"
    stored(folder).write_bytes(FORMAT + checksum_of(stored(folder), rest) + b"\n" + rest)

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


def test_the_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/spoa-waf")
    for absent in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", absent)
        assert default_folder() == Path.home() / ".cache" / "spoa-waf"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "spoa-waf"


# -- folders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_write_is_neither_read_nor_written(
    folder: Path, compiled: list[int], mode: int, caplog: pytest.LogCaptureFixture
):
    DatabaseCache(folder).database(PATTERNS)
    kept = stored(folder)
    before = kept.stat().st_mtime_ns
    folder.chmod(mode)

    assert works(DatabaseCache(folder).database(PATTERNS))
    assert works(DatabaseCache(folder).database(PATTERNS[:-1]))
    assert len(compiled) == 3
    assert [path.name for path in folder.iterdir()] == [kept.name]
    assert kept.stat().st_mtime_ns == before
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder} is not used for compiled rules: other users can write to it, or own it"
    ]


def test_a_folder_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch):
    folder.mkdir()
    us = os.geteuid()
    monkeypatch.setattr(databases.os, "geteuid", lambda: us + 1)

    assert works(DatabaseCache(folder).database(PATTERNS))
    assert list(folder.iterdir()) == []


def test_a_whole_file_under_the_name_of_another_is_not_used(folder: Path, compiled: list[int]):
    """Whoever can rename files could else have one set of rules run as another."""
    DatabaseCache(folder).database(PATTERNS)
    other = stored(folder)
    wanted = DatabaseCache(folder)._path(PATTERNS[::-1])
    assert wanted is not None
    other.rename(wanted)

    assert databases._load(wanted) is None
    assert works(DatabaseCache(folder).database(PATTERNS[::-1]))
    assert len(compiled) == 2


def test_what_was_not_used_for_longest_makes_room(folder: Path, monkeypatch: pytest.MonkeyPatch):
    groups = [[(slot + 1000 * number, pattern) for slot, pattern in PATTERNS] for number in range(4)]
    cache = DatabaseCache(folder)
    paths = [cache._path(group) for group in groups]
    for number, (group, path) in enumerate(zip(groups[:3], paths, strict=False)):
        cache.database(group)
        assert path is not None
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    cache.database(groups[0])  # used again: now the second is the oldest
    size = max(path.stat().st_size for path in folder.iterdir())
    monkeypatch.setattr(kept_files, "MAX_FOLDER", 3 * size + size // 2)
    cache.database(groups[3])

    assert {path for path in paths if path is not None and path.exists()} == {paths[0], paths[2], paths[3]}


def test_what_a_dead_process_left_half_written_is_removed(folder: Path):
    folder.mkdir(mode=0o700)
    old, fresh, strange = (folder / name for name in (".new-old", ".new-fresh", "notes.txt"))
    for path in (old, fresh, strange):
        path.write_bytes(b"half")
        os.utime(path, (1_000_000, 1_000_000))
    os.utime(fresh)
    DatabaseCache(folder).database(PATTERNS)

    assert (old.exists(), fresh.exists(), strange.exists()) == (False, True, True)


# -- side by side -----------------------------------------------------------------------------------


def groups_of_words(count: int) -> list[list[databases.Numbered]]:
    return [[(slot, ScanPattern(b"g%dw%d$" % (group, slot))) for slot in range(120)] for group in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_several_databases_are_made_at_once_and_in_order(folder: Path, compiled: list[int], workers: int):
    groups: list[list[databases.Numbered]] = [*groups_of_words(5), [], [(3, ScanPattern(b"few"))]]
    told: list[tuple[int, int, str]] = []
    cache = DatabaseCache(folder, progress=lambda *step: told.append(step), workers=workers)
    made = cache.databases(groups)

    assert [database.scan(b"g%dw7" % number) for number, database in enumerate(made[:5])] == [[7]] * 5
    assert (made[5].scan(b"few"), made[6].scan(b"few")) == ([], [3])
    assert [step[0] for step in told] == [0, 1, 2, 3, 4, 5, 6]
    assert {step[1] for step in told} == {6}
    assert told[0][2] == ""
    assert {step[2] for step in told[1:]} == {"120 patterns", "1 patterns"}
    assert len(compiled) == 6

    told.clear()
    DatabaseCache(folder, progress=lambda *step: told.append(step)).databases(groups[:5])
    assert told == []  # from disk: nothing to wait for


def test_compiling_uses_more_than_one_thread(monkeypatch: pytest.MonkeyPatch):
    both = threading.Barrier(2, timeout=30)
    original = databases._compile

    def meeting(patterns: object, taken: object) -> object:
        both.wait()
        return original(patterns, taken)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(databases, "_compile", meeting)

    assert len(DatabaseCache(None, workers=2).databases(groups_of_words(2))) == 2


def test_too_many_expressions_are_parted_and_found_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(databases, "TOGETHER", 50)
    texts = [(slot, ScanPattern(b"text%d!" % slot)) for slot in range(150)]
    expressions = [(slot, ScanPattern(b"a{%d}b(?:c|d)%d!" % (slot % 7 + 1, slot))) for slot in range(150, 290)]
    mixed = [numbered for pair in zip(texts, expressions, strict=False) for numbered in pair] + texts[140:]
    refused = (999, ScanPattern(b"\\Q(a)\\E"))
    assert [len(part) for part in databases._parts([*mixed, refused])] == [150 + 47, 47, 47]

    for cache in (DatabaseCache(folder), DatabaseCache(folder), DatabaseCache(None)):
        made, small = cache.databases([[*mixed, refused], expressions[:3]])
        value = b" ".join([b"text7!", b"a" * 9 + b"bc150!", b"a" * 9 + b"bd289!", b"text149!", b"aab"])
        assert sorted(made.scan(value)) == [7, 149, 150, 289]
        assert made.refused == {999}
        assert small.scan(value) == [150]


def test_what_takes_longest_begins_first():
    begun: list[int] = []
    groups = [
        [(slot, ScanPattern(b"text")) for slot in range(9)],
        [(0, ScanPattern(b"(?:a|b){3}"))],
        [(0, ScanPattern(b"(?:a|b){3}(?:c|d){4}")), (1, ScanPattern(b"x"))],
    ]
    cache = DatabaseCache(
        None, progress=lambda done, _total, what: begun.append(int(what[0])) if done else None, workers=1
    )
    cache.databases(groups)

    assert begun == [2, 1, 9]


def test_a_large_pattern_is_tried_once_for_all_databases(monkeypatch: pytest.MonkeyPatch):
    large = b"(?:" + b"|".join(b"a%dz" % number for number in range(1000)) + b")"
    refused = b"(?:" + b"|".join(b"(?:x%d[^y]{0,900}z){1,30}" % number for number in range(200)) + b")"
    assert min(len(large), len(refused)) > databases.LARGE
    tried: list[bytes] = []
    original = databases._compiles

    def trying(expression: bytes, flags: int) -> bool:
        tried.append(expression)
        return expression != refused and original(expression, flags)

    monkeypatch.setattr(databases, "_compiles", trying)
    cache = DatabaseCache(None)
    group = [(0, ScanPattern(large)), (1, ScanPattern(refused)), (2, ScanPattern(b"word"))]
    made = [*cache.databases([group, group[1:]]), cache.database(group)]

    assert [database.refused for database in made] == [{1}, {1}, {1}]
    assert sorted(made[0].scan(b"a7z word")) == [0, 2]
    assert sorted(tried) == sorted([large, refused])


def test_the_first_fault_is_raised_and_the_rest_is_left():
    done: list[int] = []

    def job(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        done.append(item)
        return item * 2

    with pytest.raises(ValueError, match="three"):
        in_parallel(job, range(1000), 1)
    assert done == [0, 1, 2]
    assert in_parallel(job, [4, 5, 6], 8) == [8, 10, 12]
    assert in_parallel(job, [], 8) == []
