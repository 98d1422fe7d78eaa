from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from adapters.cli import main
from adapters.crs.plugin_command import SHORT_NAMES, full_name
from adapters.crs.plugins import default_plugins
from adapters.crs.store import default_store
from tests.adapters.crs.conftest import crs_files, plugin_files, tar_of, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("machine")

NAME = "shop-rule-exclusions"


def archive(
    folder: Path, name: str = "a.tar.gz", plugin: str = NAME, release: str = "1.0.0", **more: str
) -> tuple[str, str]:
    """The name of an archive as GitHub makes them, and its SHA-256."""
    content = tar_of(plugin_files(plugin, release, **more), f"{plugin}-plugin-0123abc/")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return str(folder / name), hashlib.sha256(content).hexdigest()


def installed() -> list[str]:
    return [plugin.name for plugin in default_plugins().plugins()]


def test_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, sha256 = archive(tmp_path)

    assert main(["crs", "plugin", "install", "--from", name, "--sha256", sha256]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"installed the plug-in {NAME}: 3 rules in {default_plugins().folder}",
        f"  sha256     {sha256}",
        "  signature  there is none",
        f"  to use it  Include @crs-plugins/{NAME} before Include @owasp_crs/*.conf",
    ]
    assert err == f"getting {name}\n"


def test_by_its_application_from_the_project_s_place(
    site: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = site
    monkeypatch.setattr("adapters.crs.plugin_command.PLUGIN_URL", url + "/{}-plugin/archive/{}.tar.gz")
    full = "wordpress-rule-exclusions"
    now, then = f"{full}-plugin/archive/HEAD.tar.gz", f"{full}-plugin/archive/refs/tags/v1.1.0.tar.gz"
    _, first = archive(folder, now, full)
    _, second = archive(folder, then, full, "1.1.0")

    assert main(["crs", "plugin", "install", "wordpress"]) == 1
    assert "can be changed on its way" in capsys.readouterr().err
    assert main(["crs", "plugin", "install", "wordpress", "--sha256", first]) == 0
    assert main(["crs", "plugin", "install", full, "--sha256", first]) == 1
    assert "--replace takes another version" in capsys.readouterr().err
    assert main(["crs", "plugin", "install", full, "--version", "1.1.0", "--replace", "--sha256", second]) == 0
    assert main(["crs", "plugin", "install", "nextcloud", "--sha256", second]) == 1
    assert "the server says 404" in capsys.readouterr().err
    (plugin,) = default_plugins().plugins()
    assert (plugin.name, plugin.release, plugin.source) == (full, "1.1.0", f"{url}/{then}")


def test_list_and_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crs", "plugin", "list"]) == 0
    assert "no plug-in is installed; `spoa-waf crs plugin install NAME` gets one" in capsys.readouterr().out
    assert main(["crs", "plugin", "install", "--from", archive(tmp_path)[0]]) == 0
    write(default_plugins().folder, {"mine-before.conf": "#\n"})
    capsys.readouterr()

    assert main(["crs", "plugin", "list"]) == 0
    folder = default_plugins().folder
    assert capsys.readouterr().out.splitlines() == [
        f"mine  {folder}  from somebody by hand",
        f"{NAME} 1.0.0  {folder}  from {tmp_path}/a.tar.gz",
    ]
    assert main(["crs", "plugin", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["release"], row["folder"]) for row in rows] == [
        ("mine", "", str(folder)),
        (NAME, "1.0.0", str(folder)),
    ]
    assert main(["crs", "plugin", "remove", NAME]) == 0
    assert main(["crs", "plugin", "remove", NAME]) == 1
    assert installed() == ["mine"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"shop.lua": "os.exit()"}, "runs Lua, which this agent does not"),
        ({f"{NAME}-before.conf": "SecNonsense on\n"}, "unknown directive 'SecNonsense'"),
        ({"other-before.conf": "#\n"}, "expected one plug-in"),
    ],
)
def test_what_would_not_run_is_not_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, str], message: str
) -> None:
    assert main(["crs", "plugin", "install", "--from", archive(tmp_path, **more)[0]]) == 1
    assert message in capsys.readouterr().err
    assert installed() == []


def test_another_plugin_than_the_one_named(
    site: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = site
    monkeypatch.setattr("adapters.crs.plugin_command.PLUGIN_URL", url + "/a.tar.gz?{}{}")
    _, sha256 = archive(folder)

    assert main(["crs", "plugin", "install", "drupal", "--sha256", sha256]) == 1
    assert f"the archive has the plug-in {NAME}, expected drupal-rule-exclusions" in capsys.readouterr().err
    assert main(["crs", "plugin", "install", "../x"]) == 1
    assert "is not a name of a plug-in" in capsys.readouterr().err


def test_plugins_that_are_no_longer_used_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(default_store().folder / "4.1.0", crs_files())
    write(default_store().folder / "4.1.0" / "plugins", {"old-before.conf": "#\n"})

    assert main(["crs", "plugin", "install", "--from", archive(tmp_path)[0]]) == 0
    assert "4.1.0/plugins are no longer used" in capsys.readouterr().err


def test_settings_that_were_changed_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crs", "plugin", "install", "--from", archive(tmp_path)[0]]) == 0
    (default_plugins().folder / f"{NAME}-config.conf").write_text("# mine\n")
    name, _ = archive(tmp_path, release="1.1.0")

    assert main(["crs", "plugin", "install", "--from", name, "--replace"]) == 0
    assert f"{NAME}-config.conf was changed by you and stays as it is" in capsys.readouterr().err


def test_the_project_s_packages_by_application() -> None:
    assert len(SHORT_NAMES) == 8
    assert full_name("phpbb") == "phpbb-rule-exclusions"
    assert full_name("google-oauth2-plugin") == "google-oauth2"
