from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.crs import archive
from adapters.crs.archive import ArchiveError, unpack, unpack_plugin
from tests.adapters.crs.conftest import crs_files, plugin_files, tar_of, zip_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(tmp_path: Path, content: bytes) -> tuple[int, list[str]]:
    (tmp_path / "archive").write_bytes(content)
    (tmp_path / "out").mkdir()
    count = unpack(tmp_path / "archive", tmp_path / "out")
    return count, sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*"))


def refused(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(ArchiveError) as error:
        run(tmp_path, content)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "out"]
    return str(error.value)


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize("top", ["coreruleset-4.1.0/", "", "./"])
def test_what_the_engine_reads_is_taken(tmp_path: Path, make: Callable[..., bytes], top: str) -> None:
    extra = {"README.md": "no", "tests/regression/tests/x.yaml": "no", "plugins/a-before.conf": "#", "rules/a.md": "no"}
    count, names = run(tmp_path, make(crs_files() | extra, top))

    assert names == [
        "crs-setup.conf.example",
        "plugins/a-before.conf",
        "rules/REQUEST-901-INITIALIZATION.conf",
        "rules/REQUEST-913-SCANNER-DETECTION.conf",
        "rules/scanners.data",
    ]
    assert count == 6  # and LICENSE
    assert (tmp_path / "out/rules/scanners.data").read_text() == "nikto\n"
    assert stat.S_IMODE((tmp_path / "out/rules/scanners.data").stat().st_mode) == 0o644


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize(
    "name", ["../evil.conf", "/tmp/evil.conf", "rules/../../evil.conf", "docs/../../x", "a\\b.conf"]
)
def test_a_name_that_leads_outside_refuses_the_archive(tmp_path: Path, make: Callable[..., bytes], name: str) -> None:
    assert "leads outside" in refused(tmp_path, make({name: "x"} | crs_files(), ""))


def tar_with(member: tarfile.TarInfo) -> bytes:
    out = io.BytesIO(gzip.decompress(tar_of(crs_files())))
    with tarfile.open(fileobj=out, mode="a") as archive_:
        archive_.addfile(member)
    return gzip.compress(out.getvalue())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_in_the_place_of_a_rule_refuses_the_archive(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("coreruleset-4.1.0/rules/evil.conf")
    member.type, member.linkname = kind, "/etc/passwd"

    assert "is a link or no plain file" in refused(tmp_path, tar_with(member))


def test_a_link_elsewhere_is_not_written(tmp_path: Path) -> None:
    member = tarfile.TarInfo("coreruleset-4.1.0/docs")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc"

    assert run(tmp_path, tar_with(member))[0] == 5
    assert not (tmp_path / "out/docs").is_symlink()


def test_a_link_in_a_zip_refuses_the_archive(tmp_path: Path) -> None:
    out = io.BytesIO(zip_of(crs_files()))
    with zipfile.ZipFile(out, "a") as archive_:
        info = zipfile.ZipInfo("coreruleset-4.1.0/rules/evil.conf")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive_.writestr(info, "/etc/passwd")

    assert "is a link or no plain file" in refused(tmp_path, out.getvalue())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither a tar.gz nor a zip"),
        (b"<html>not found</html>", "neither a tar.gz nor a zip"),
        (gzip.compress(b"x" * 2000), "broken"),
        (tar_of(crs_files())[:-200], "broken"),
        (zip_of(crs_files())[:-30], "broken"),
        (tar_of({"README.md": "x"}), "no rules/*.conf"),
        (tar_of({"rules/a.conf": "x"}), "no crs-setup.conf.example"),
        (tar_of(crs_files() | {"../other/rules/a.conf": ""}, ""), "leads outside"),
        (tar_of({"a/rules/x.conf": "", "b/rules/y.conf": ""}, ""), "second CRS"),
    ],
    ids=["empty", "page", "text", "cut tar", "cut zip", "no rules", "no setup", "outside", "two"],
)
def test_what_is_no_crs_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refused(tmp_path, content)


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize(
    "bound",
    [("MAX_FILES", 4, "more than 4 files"), ("MAX_EXPANDED", 100, "more than"), ("MAX_SOURCE_BYTES", 100, "bytes")],
)
def test_bounds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[..., bytes],
    bound: tuple[str, int, str],
) -> None:
    name, value, message = bound
    monkeypatch.setattr(archive, name, value)

    assert message in refused(tmp_path, make(crs_files()))


def test_a_bomb_in_the_headers_of_a_tar_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_EXPANDED", 100_000)
    monkeypatch.setattr(archive, "MAX_FILES", 100)
    member = tarfile.TarInfo("x")
    member.pax_headers = {"comment": "a" * 5_000_000}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as archive_:
        archive_.addfile(member)

    assert refused(tmp_path, out.getvalue()).startswith("the archive has more than")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(make=st.sampled_from([tar_of, zip_of]), data=st.data())
def test_a_damaged_archive_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[..., bytes], data: st.DataObject
) -> None:
    content = bytearray(make(crs_files()))
    if make is tar_of:
        content = bytearray(gzip.decompress(content))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = gzip.compress(content) if make is tar_of else bytes(content)
    folder = tmp_path_factory.mktemp("damaged")
    try:
        count, _ = run(folder, damaged)
    except ArchiveError:
        count = 0

    assert count <= 6
    assert sorted(p.name for p in folder.iterdir()) == ["archive", "out"]


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_a_plugin(tmp_path: Path, make: Callable[..., bytes]) -> None:
    (tmp_path / "archive").write_bytes(make(plugin_files(), "shop-rule-exclusions-plugin-main/"))
    (tmp_path / "out").mkdir()
    ends = ("-after.conf", "-before.conf", "-config.conf", ".data")

    assert unpack_plugin(tmp_path / "archive", tmp_path / "out") == [f"shop-rule-exclusions{end}" for end in ends]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["LICENSE", "plugins"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (crs_files(), "it is a CRS, which `spoa-waf crs install --from` takes"),
        ({"README.md": "x"}, "it is no plug-in of the CRS"),
        ({"plugins/x.data": "x"}, "it is no plug-in of the CRS"),
    ],
)
def test_what_is_no_plugin(tmp_path: Path, files: dict[str, str], message: str) -> None:
    (tmp_path / "archive").write_bytes(tar_of(files))
    (tmp_path / "out").mkdir()

    with pytest.raises(ArchiveError, match=message):
        unpack_plugin(tmp_path / "archive", tmp_path / "out")
