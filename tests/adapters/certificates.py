"""Certificates for tests, made by `openssl`: an authority, an agent, a client; another authority with its client."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.conftest import absent

if TYPE_CHECKING:
    from pathlib import Path

EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Certificates:
    """A folder with `NAME.pem` and `NAME.key` of each, and `NAME.both`, which is the two in one as HAProxy wants it."""

    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def authority(self, name: str) -> None:
        self._openssl("req", "-x509", *self._key(name), "-subj", f"/CN={name}", "-days", "2", "-out", f"{name}.pem")
        self._both(name)

    def signed(self, name: str, by: str) -> None:
        """A certificate with its key, signed by an authority."""
        extensions = ("-addext", EXTENSIONS, "-addext", "basicConstraints=CA:FALSE")
        signer = ("-CA", f"{by}.pem", "-CAkey", f"{by}.key")
        certificate = ("-subj", f"/CN={name}", "-days", "2", "-out", f"{name}.pem")
        self._openssl("req", "-x509", *self._key(name), *certificate, *extensions, *signer)
        self._both(name)

    def encrypted(self, name: str, key: str) -> None:
        """A key with a passphrase."""
        self._openssl("pkey", "-in", f"{key}.key", "-aes128", "-passout", "pass:secret", "-out", f"{name}.key")

    def _key(self, name: str) -> tuple[str, ...]:
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"

    def _both(self, name: str) -> None:
        texts = [(self.folder / f"{name}.{end}").read_text() for end in ("pem", "key")]
        (self.folder / f"{name}.both").write_text("".join(texts))

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


def make_certificates(folder: Path) -> Certificates:
    """Those of most tests: `ca`, its `agent` and `client`, `other-ca` and its `stranger`."""
    if shutil.which("openssl") is None:
        absent("no openssl on this machine")
    made = Certificates(folder)
    for authority, names in (("ca", ("agent", "client")), ("other-ca", ("stranger",))):
        made.authority(authority)
        for name in names:
            made.signed(name, authority)
    return made
