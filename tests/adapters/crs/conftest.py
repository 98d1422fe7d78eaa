"""A tiny CRS that the tests write, archives of it, and stores in temporary folders."""

from __future__ import annotations

import functools
import io
import tarfile
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
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


def plugin_files(name: str = "shop-rule-exclusions", release: str = "1.0.0", **more: str) -> dict[str, str]:
    """The files of a plug-in, as its repository has them; `more` are files of its folder by their stems."""
    files = {
        "LICENSE": "Apache License\n",
        "README.md": "how to use it\n",
        "tests/regression/9599100.yaml": "no\n",
        f"plugins/{name}-config.conf": (
            f"# Plugin version: {release}\n"
            f"SecAction \"id:9599010,phase:1,pass,nolog,setvar:'tx.{name}-plugin_enabled=1'\"\n"
        ),
        f"plugins/{name}-before.conf": (
            f'SecRule REQUEST_FILENAME "@pmFromFile {name}.data" '
            '"id:9599100,phase:1,pass,nolog,ctl:ruleRemoveById=913110"\n'
        ),
        f"plugins/{name}-after.conf": ('SecRule TX:after "@eq 1" "id:9599200,phase:2,pass,log,msg:\'after\'"\n'),
        f"plugins/{name}.data": "/editor\n",
    }
    return files | {f"plugins/{stem}": text for stem, text in more.items()}


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


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL that it is served at."""
    (tmp_path / "site").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield tmp_path / "site", f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


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
