"""A tiny CRS that the tests write, archives of it, and stores in temporary folders."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def crs_files(release: str = "4.1.0", **more: str) -> dict[str, str]:
    """The files of a CRS of two rules; `more` are rule files by their stems."""
    files = {
        "crs-setup.conf.example": 'SecAction "id:900990,phase:1,pass,nolog,setvar:tx.crs_setup_version=410"\n',
        "LICENSE": "Apache License\n",
        "rules/REQUEST-901-INITIALIZATION.conf": f'# a tiny one\nSecComponentSignature "OWASP_CRS/{release}"\n',
        "rules/REQUEST-913-SCANNER-DETECTION.conf": (
            'SecRule REQUEST_HEADERS:User-Agent "@pmFromFile scanners.data" "id:913100,phase:1,deny,msg:\'scan\'"\n'
            'SecRule ARGS "@streq evil" "id:913110,phase:2,deny,msg:\'evil\',chain"\n'
            '    SecRule REQUEST_METHOD "@streq POST"\n'
        ),
        "rules/scanners.data": "nikto\n",
    }
    return files | {f"rules/{stem}.conf": text for stem, text in more.items()}


def tar_of(files: dict[str, str], top: str = "coreruleset-4.1.0/") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def zip_of(files: dict[str, str], top: str = "coreruleset-4.1.0/") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(top + name, text)
    return out.getvalue()


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any CRS: the folder of the user's data; nothing outside of it is looked at."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "gnupg"))
    monkeypatch.setattr("adapters.crs.store.SYSTEM_STORE", tmp_path / "system")
    monkeypatch.setattr("adapters.crs.store.DEBIAN_RULES", tmp_path / "debian" / "rules")
    monkeypatch.setattr("adapters.crs.store.DEBIAN_SETUP", tmp_path / "debian" / "crs-setup.conf")
    monkeypatch.setattr("adapters.crs.store.os.geteuid", lambda: 1000)
    return tmp_path
