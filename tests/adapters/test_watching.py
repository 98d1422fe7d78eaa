from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from adapters import watching
from adapters.config import parse_config
from adapters.watching import PATIENCE, Watched, Watcher, watched_files
from waf_engine.loaders import Sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def watcher(*files: Path, globs: tuple[str, ...] = ()) -> Watcher:
    return Watcher(Watched(tuple(map(str, files)), globs))


def in_place(path: Path) -> None:
    path.write_text("longer than before")


def by_rename(path: Path) -> None:
    """As editors do, with the same size and time."""
    about = path.stat()
    new = path.with_name("new")
    new.write_text("b" * about.st_size)
    os.utime(new, ns=(about.st_atime_ns, about.st_mtime_ns))
    new.rename(path)


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [in_place, by_rename, gone])
def test_a_change_is_told_once_it_rests(tmp_path: Path, change: Callable[[Path], None]):
    path = tmp_path / "a.conf"
    path.write_text("aaa")
    looks = watcher(path)
    assert not looks.changed(0)
    change(path)

    assert [looks.changed(now) for now in (1, 2, 3)] == [False, True, False]


def test_the_exchange_of_kubernetes_link_is_seen(tmp_path: Path):
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.conf").write_text("same")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "rules.conf").symlink_to("..data/rules.conf")
    looks = watcher(tmp_path / "rules.conf")
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    assert [looks.changed(now) for now in (1, 2, 3)] == [False, True, False]


def test_a_burst_of_writes_is_one_change(tmp_path: Path):
    path = tmp_path / "a.conf"
    path.write_text("")
    looks = watcher(path)
    told = []
    for now in range(1, 6):
        path.write_text("x" * now)
        told.append(looks.changed(now))

    assert told == [False] * 5
    assert [looks.changed(now) for now in (6, 7)] == [True, False]


def test_endless_writes_do_not_put_it_off_for_ever(tmp_path: Path):
    path = tmp_path / "a.conf"
    path.write_text("")
    looks = watcher(path)
    told = []
    for now in range(1, 30):
        path.write_text("x" * now)
        told.append(looks.changed(now))

    assert told.count(True) == 2
    assert told.index(True) == PATIENCE


def test_what_is_again_as_it_was_is_no_change(tmp_path: Path):
    path = tmp_path / "a.conf"
    looks = watcher(path)
    path.write_text("x")
    assert not looks.changed(1)
    path.unlink()

    assert [looks.changed(now) for now in (2, 3)] == [False, False]


def test_a_further_file_of_a_pattern_is_seen(tmp_path: Path):
    looks = watcher(globs=(str(tmp_path / "*.conf"),))
    (tmp_path / "other.txt").write_text("")
    assert not looks.changed(1)
    assert not looks.changed(2)
    (tmp_path / "b.conf").write_text("")

    assert [looks.changed(now) for now in (3, 4, 5)] == [False, True, False]


def test_every_file_of_a_configuration_is_watched():
    text = """\
listen:
  - bind: 127.0.0.1:1
    tls: {certificate: c.pem, key: k.pem, client_ca: ca.pem}
applications:
  - {name: a, directives: x, block_page: page.html}
  - {name: b, directives: x}
"""
    config = parse_config(text)
    sources = Sources({"rules.conf", "words.data"}, {"/etc/rules/*.conf"})

    assert watched_files(config, "config.yaml", sources) == Watched(
        ("c.pem", "ca.pem", "config.yaml", "k.pem", "page.html", "rules.conf", "words.data"), ("/etc/rules/*.conf",)
    )
    assert watched_files(None, "config.yaml") == Watched(("config.yaml",))


def test_what_changes_while_it_is_read_is_a_change(tmp_path: Path):
    old, new = tmp_path / "old.conf", tmp_path / "new.conf"
    old.write_text("a")
    new.write_text("b")
    looks = watcher(old)
    looks.load()
    old.write_text("changed")
    looks.watch(Watched((str(old), str(new))))

    assert looks.changed(1), "it rests already"
    assert not looks.changed(2)
    new.write_text("changed")
    assert [looks.changed(now) for now in (3, 4)] == [False, True]


@pytest.mark.parametrize("change", [in_place, by_rename])
def test_what_is_read_for_the_first_time_and_changes_meanwhile_is_a_change(
    tmp_path: Path, change: Callable[[Path], None]
):
    old, new = tmp_path / "old.conf", tmp_path / "new.conf"
    for each in (old, new):
        each.write_text("aaa")
    looks = watcher(old)
    looks.load()
    change(new)
    looks.watch(Watched((str(old), str(new), str(tmp_path / "absent.conf"))))

    assert [looks.changed(now) for now in (1, 2)] == [True, False]


def test_what_is_read_for_the_first_time_and_is_as_it_was_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "CLOCK_STEP_NS", -(10**15))  # the load begins long after the file was written
    old, new = tmp_path / "old.conf", tmp_path / "new.conf"
    for each in (old, new):
        each.write_text("aaa")
    looks = watcher(old)
    looks.load()
    looks.watch(Watched((str(old), str(new))))

    assert [looks.changed(now) for now in (1, 2)] == [False, False]
