from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from adapters.crs.plugins import Plugin, PluginStore, check_name, current_plugins, default_plugins, name_of
from adapters.crs.store import StoreError
from tests.adapters.crs.conftest import plugin_files, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("machine")

NAME = "shop-rule-exclusions"
FILES = tuple(NAME + end for end in ("-after.conf", "-before.conf", "-config.conf", ".data"))


def put(tmp_path: Path, release: str = "1.0.0", files: tuple[str, ...] = FILES, **more: str) -> list[str]:
    folder = write(tmp_path / release, plugin_files(release=release, **more)) / "plugins"
    return default_plugins().put(NAME, folder, files, source="there", sha256="0f")


def names() -> list[str]:
    return sorted(path.name for path in default_plugins().folder.iterdir())


def test_names() -> None:
    assert check_name("wordpress-rule-exclusions-plugin") == "wordpress-rule-exclusions"
    assert name_of([*FILES, "empty-before.conf"]) == NAME
    for bad in ("", "../x", "a/b", "A", "empty", ".x", "x" * 65):
        with pytest.raises(StoreError):
            check_name(bad)
    for files in ([], ["x.data"], ["a-before.conf", "b-before.conf"]):
        with pytest.raises(StoreError, match="expected one plug-in"):
            name_of(files)


def test_put_get_remove(tmp_path: Path) -> None:
    store = default_plugins()
    assert (store.exists(), store.plugins(), store.get(NAME)) == (False, [], None)
    assert put(tmp_path) == []

    assert names() == sorted([*FILES, f".{NAME}.json", *(f"empty-{end}.conf" for end in ("after", "before", "config"))])
    assert store.plugins() == [Plugin(NAME, "1.0.0", FILES, "there", "0f")]
    assert {(store.folder / name).stat().st_mode & 0o777 for name in FILES} == {0o644}
    store.remove(NAME)
    assert names() == ["empty-after.conf", "empty-before.conf", "empty-config.conf"]
    with pytest.raises(StoreError, match="there is no plug-in"):
        store.remove(NAME)


def test_another_version_takes_its_place(tmp_path: Path) -> None:
    put(tmp_path)
    assert put(tmp_path, "1.1.0", files=FILES[:3]) == []

    (plugin,) = default_plugins().plugins()
    assert (plugin.release, plugin.files) == ("1.1.0", FILES[:3])
    assert f"{NAME}.data" not in names()


def test_the_administrator_s_settings_stay(tmp_path: Path) -> None:
    put(tmp_path)
    config = default_plugins().folder / f"{NAME}-config.conf"
    config.write_text("# mine\n")

    assert put(tmp_path, "1.1.0") == [config.name]
    assert config.read_text() == "# mine\n"
    assert put(tmp_path, "1.2.0") == [config.name]


def test_a_file_of_another_plugin_is_not_overwritten(tmp_path: Path) -> None:
    write(default_plugins().folder, {f"{NAME}.data": "another's"})

    with pytest.raises(StoreError, match="is there already"):
        put(tmp_path)
    assert names() == [f"{NAME}.data"]


def test_one_that_somebody_put_there(tmp_path: Path) -> None:
    folder = write(default_plugins().folder, {"mine-before.conf": "#", "mine.data": "x", "Odd Name-before.conf": "#"})

    assert default_plugins().plugins() == [Plugin("mine", "", ("mine-before.conf",))]
    assert current_plugins(None) == default_plugins()
    default_plugins().remove("mine")
    assert sorted(path.name for path in folder.iterdir()) == ["Odd Name-before.conf", "mine.data"]
    assert current_plugins(tmp_path / "none" / "rules") == default_plugins()


@pytest.mark.parametrize(
    "note", ["", "[]", "{", '{"files": {"../x": ""}}', '{"files": {"": 1}}', json.dumps({"files": {"..": ""}})]
)
def test_a_note_that_leads_elsewhere_is_not_believed(tmp_path: Path, note: str) -> None:
    (tmp_path / "data").mkdir()
    write(default_plugins().folder, {"mine-before.conf": "#", ".mine.json": note, "../x": "stays"})
    default_plugins().remove("mine")

    assert (default_plugins().folder / "../x").read_text() == "stays"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = write(tmp_path / "new", plugin_files()) / "plugins"

    with pytest.raises(StoreError, match="cannot change"):
        PluginStore(tmp_path / "file" / "crs-plugins").put(NAME, folder, FILES, source="", sha256="")
