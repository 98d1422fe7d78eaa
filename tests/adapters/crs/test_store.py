from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.crs import store as module
from adapters.crs.store import (
    Store,
    StoreError,
    check_name,
    debian_version,
    default_store,
    order_of,
    stores,
    user_store,
)
from tests.adapters.crs.conftest import crs_files, write

pytestmark = pytest.mark.usefixtures("machine")


def put(store: Store, name: str) -> None:
    with store.workplace() as work:
        write(work / "crs", crs_files(name))
        store.put(name, work / "crs", source="a test", sha256="0" * 64, signature="good")


def test_where_versions_are(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_store().folder == user_store() == machine / "data/spoa-waf/crs"
    assert [store.folder for store in stores()] == [user_store(), machine / "system"]

    monkeypatch.setattr("adapters.crs.store.os.geteuid", lambda: 0)
    assert default_store().folder == machine / "system"

    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert user_store() == Path("/home/somebody/.local/share/spoa-waf/crs")


def test_versions_side_by_side() -> None:
    store = default_store()
    for name in ("4.9.0", "4.10.0", "4.10.0-dev"):
        put(store, name)

    assert [version.name for version in store.versions()] == ["4.10.0", "4.10.0-dev", "4.9.0"]
    version = store.get("v4.9.0")
    assert version is not None
    assert (version.release, version.source, version.sha256) == ("4.9.0", "a test", "0" * 64)
    assert version.setup == store.folder / "4.9.0/crs-setup.conf.example"
    assert store.pinned() == "4.9.0"  # the first one
    assert sorted(path.name for path in store.folder.iterdir()) == ["4.10.0", "4.10.0-dev", "4.9.0", "pinned"]


def test_settings_that_somebody_made_theirs_come_first() -> None:
    put(default_store(), "4.1.0")
    mine = write(default_store().folder / "4.1.0", {"crs-setup.conf": "#"}) / "crs-setup.conf"
    version = default_store().get("4.1.0")

    assert version is not None
    assert version.setup == mine


def test_pin_and_remove() -> None:
    store = default_store()
    put(store, "4.1.0")
    put(store, "4.2.0")

    store.pin("4.2.0")
    assert store.pinned() == "4.2.0"
    with pytest.raises(StoreError, match=r"4\.2\.0 is pinned"):
        store.remove("4.2.0")
    store.remove("4.1.0")
    assert [version.name for version in store.versions()] == ["4.2.0"]
    store.remove("4.2.0")
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["4.1.0", "debian"])
def test_what_is_not_there(name: str) -> None:
    with pytest.raises(StoreError, match=f"there is no CRS {name}"):
        default_store().pin(name)
    assert default_store().pinned() == ""
    assert debian_version() is None


def test_what_is_there_is_not_overwritten() -> None:
    put(default_store(), "4.1.0")
    with pytest.raises(StoreError, match=r"is installed in .* already"):
        put(default_store(), "4.1.0")
    assert [path.name for path in default_store().folder.iterdir() if path.name.startswith(".")] == []


def test_a_store_that_cannot_be_written(machine: Path) -> None:
    write(machine, {"data": "a file, where a folder is to be"})
    with pytest.raises(StoreError, match="cannot change"), default_store().workplace():
        pytest.fail("not reached")
    assert default_store().versions() == []


def test_debian_s_package(machine: Path) -> None:
    write(machine / "debian", crs_files("3.3.4"))
    version = debian_version()

    assert version is not None
    assert (version.name, version.release, version.setup) == ("debian", "3.3.4", None)
    write(machine / "debian", {"crs-setup.conf": "#"})
    version = debian_version()
    assert version is not None
    assert version.setup == module.DEBIAN_SETUP
    default_store().folder.mkdir(parents=True)
    default_store().pin("debian")
    assert default_store().pinned() == "debian"


@pytest.mark.parametrize("text", ["", "../../etc", "4.1.0/..", "4.1.0\nx"])
def test_a_pinned_file_with_something_else_in_it(text: str) -> None:
    write(default_store().folder, {"pinned": text, "4.1.0/source.json": "[broken"})

    assert default_store().pinned() == ""
    assert default_store().versions() == []


@given(st.text("0123456789.-v/devrc \n\0", max_size=20))
def test_a_name_is_a_version_and_never_a_path(name: str) -> None:
    try:
        plain = check_name(name)
    except StoreError:
        return
    assert Path(plain).name == plain
    assert plain[0].isdigit()
    assert order_of(plain)[0]


@pytest.mark.parametrize("name", ["", ".", "..", "4", "4.1.0/x", "../4.1.0", "4.1.0\n", "latest", "\u0664.1"])
def test_no_versions(name: str) -> None:
    with pytest.raises(StoreError, match="is not a version"):
        check_name(name)


def test_the_service_can_read_what_root_installs_under_any_umask() -> None:
    old = os.umask(0o077)
    try:
        put(default_store(), "4.1.0")
    finally:
        os.umask(old)
    folder = default_store().folder

    for path in (folder.parent, folder, folder / "4.1.0"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    for path in (folder / "pinned", folder / "4.1.0/source.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
