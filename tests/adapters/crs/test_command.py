from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapters.cli import main
from adapters.crs.compare import read_rules
from adapters.crs.store import default_store
from tests.adapters.crs.conftest import crs_files, tar_of, write, zip_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("machine")


def archive(
    tmp_path: Path, release: str = "4.1.0", make: Callable[..., bytes] = tar_of, **more: str
) -> tuple[str, str]:
    """The name of an archive and its SHA-256."""
    content = make(crs_files(release, **more))
    (tmp_path / f"crs-{release}").write_bytes(content)
    return str(tmp_path / f"crs-{release}"), hashlib.sha256(content).hexdigest()


def installed() -> list[str]:
    folder = default_store().folder
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_from_a_file(tmp_path: Path, make: Callable[..., bytes], capsys: pytest.CaptureFixture[str]) -> None:
    name, sha256 = archive(tmp_path, make=make)

    assert main(["crs", "install", "--from", name, "--sha256", sha256.upper()]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"installed CRS 4.1.0: 2 rules in {default_store().folder}/4.1.0/rules",
        f"  sha256     {sha256}",
        "  signature  there is none",
        "  it is in use: Include @crs-setup.conf.example, then Include @owasp_crs/*.conf",
    ]
    assert err == f"getting {name}\n"
    assert installed() == ["4.1.0", "pinned"]


def test_a_release_from_the_usual_place(
    site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = site
    name, sha256 = archive(tmp_path)
    (folder / "crs-4.1.0.tar.gz").write_bytes(Path(name).read_bytes())
    (folder / "crs-4.1.0.tar.gz.sha256").write_text(f"{sha256}  crs-4.1.0.tar.gz\n")
    monkeypatch.setattr("adapters.crs.command.RELEASE_URL", url + "/crs-{}.tar.gz")

    assert main(["crs", "install", "v4.1.0"]) == 1
    assert "can be changed on its way: use https, or say --sha256" in capsys.readouterr().err
    assert main(["crs", "install", "v4.1.0", "--sha256", sha256]) == 0
    assert main(["crs", "install", "4.1.0", "--sha256", sha256]) == 1
    assert "is installed in" in capsys.readouterr().err
    assert main(["crs", "install", "4.2.0", "--sha256", sha256]) == 1
    assert "the server says 404" in capsys.readouterr().err
    assert installed() == ["4.1.0", "pinned"]


def test_checksums_decide(site: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, url = site
    name, sha256 = archive(tmp_path)
    (folder / "a").write_bytes(Path(name).read_bytes())

    assert main(["crs", "install", "--from", f"{url}/a", "--sha256", "0" * 64]) == 1
    assert f"the archive's SHA-256 is {sha256}, expected" in capsys.readouterr().err
    assert main(["crs", "install", "--from", f"{url}/a", "--sha256", "12"]) == 1
    assert "--sha256 takes 64 hexadecimal digits" in capsys.readouterr().err
    (folder / "a.sha256").write_text("0" * 64)
    assert main(["crs", "install", "--from", f"{url}/a", "--sha256", sha256]) == 1
    assert installed() == []


@pytest.mark.parametrize(
    ("verdict", "required", "status"),
    [((True, "good, by X"), True, 0), ((False, "not checked: why"), True, 1), ((False, "not checked: why"), False, 0)],
)
def test_signatures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: tuple[bool, str], status: int, *, required: bool
) -> None:
    monkeypatch.setattr("adapters.crs.command.check_signature", lambda *_: verdict)
    name, _ = archive(tmp_path)
    Path(f"{name}.asc").write_text("a signature")

    assert main(["crs", "install", "--from", name, *["--require-signature"][: int(required)]]) == status
    version = default_store().get("4.1.0")
    assert (version is None) == bool(status)
    assert version is None or version.signature == verdict[1]


def test_a_signature_is_required_and_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crs", "install", "--from", archive(tmp_path)[0], "--require-signature"]) == 1
    assert "the signature is required, and there is none" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [b"<html>", tar_of({"../x": ""}, ""), tar_of(crs_files("../../4.1.0"))],
    ids=["page", "outside", "odd version"],
)
def test_what_is_refused_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)

    assert main(["crs", "install", "--from", str(tmp_path / "a")]) == 1
    assert installed() == []


def test_another_version_than_the_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("adapters.crs.command.RELEASE_URL", archive(tmp_path)[0] + "{0:.0}")

    assert main(["crs", "install", "4.2.0"]) == 1
    assert "the archive's rules say that they are CRS 4.1.0, expected 4.2.0" in capsys.readouterr().err


def test_list_pin_diff_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crs", "list"]) == 0
    assert "no CRS is installed; `spoa-waf crs install` gets one" in capsys.readouterr().out
    write(tmp_path / "debian", crs_files("3.3.4"))
    for release, more in (("4.1.0", {}), ("4.2.0", {"x": "SecAction \"id:7,phase:1,msg:'new'\""})):
        assert main(["crs", "install", "--from", archive(tmp_path, release, **more)[0]]) == 0
    assert "in use is still 4.1.0; `spoa-waf crs pin 4.2.0` changes that" in capsys.readouterr().out

    assert main(["crs", "pin", "4.2.0"]) == 0
    assert main(["crs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("/")[0].rstrip() for line in lines] == ["* 4.2.0", "4.1.0".rjust(7), "  debian (3.3.4)"]
    assert main(["crs", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["in_use"]) for row in rows] == [("4.2.0", True), ("4.1.0", False), ("debian", False)]

    assert main(["crs", "diff", "4.1.0", "4.2.0"]) == 0
    assert capsys.readouterr().out == "added    7 new\n4.1.0 to 4.2.0: 1 added, 0 removed, 0 changed, 0 data files\n"
    assert main(["crs", "diff", "4.2.0", "debian", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"added": {}, "removed": {"7": "new"}, "changed": {}, "data": []}
    assert main(["crs", "diff", "4.2.0", "4.3.0"]) == 1

    assert main(["crs", "remove", "4.2.0"]) == 1
    assert main(["crs", "remove", "4.1.0"]) == 0
    assert main(["crs", "pin", "4.1.0"]) == 1
    assert installed() == ["4.2.0", "pinned"]


def test_the_pinned_version_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(default_store().folder, {"pinned": "4.9.0"})
    write(tmp_path / "debian", crs_files("3.3.4"))

    assert main(["crs", "list"]) == 0
    assert "the pinned version is not installed" in capsys.readouterr().err


def test_progress_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    name, _ = archive(tmp_path)
    size = f"{Path(name).stat().st_size / 1024:.1f}"

    assert main(["crs", "install", "--from", name]) == 0
    assert capsys.readouterr().err == f"getting {name}\n\r  {size} of {size} KiB\n"


@pytest.mark.corpora
@pytest.mark.slow
def test_the_real_crs(corpora: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        packed.add(corpora / "crs", "coreruleset")
    (tmp_path / "crs.tar.gz").write_bytes(out.getvalue())

    assert main(["crs", "install", "--from", str(tmp_path / "crs.tar.gz")]) == 0
    (version,) = default_store().versions()
    assert version.name == "4.29.0-dev"
    rules, faults = read_rules(version.rules)
    assert (len(rules), faults) == (629, ())
    config = "bind: ':0'\nlog_file: /dev/stderr\napplications:\n- name: a\n  directives: |\n"
    for name in ("@coraza.conf-recommended", "@crs-setup.conf.example", "@owasp_crs/*.conf"):
        config += f"    Include {name}\n"
    assert main(["check", "-c", str(write(tmp_path, {"c.yaml": config}) / "c.yaml")]) == 0
