from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from adapters.crs.verify import CRS_KEY, VerifyError, check_sha256, check_signature, is_sha256, sha256_of_note

if TYPE_CHECKING:
    from pathlib import Path

HEX = "0123456789abcdef" * 4


def test_checksums() -> None:
    check_sha256(HEX, HEX.upper())
    with pytest.raises(VerifyError, match=f"is {HEX}, expected {'0' * 64}"):
        check_sha256(HEX, "0" * 64)
    assert all(map(is_sha256, (HEX, HEX.upper())))
    assert not any(map(is_sha256, (HEX[1:], HEX + "0", "x" * 64, HEX + "\n")))


@pytest.mark.parametrize(
    ("note", "told"),
    [(f"{HEX}  crs.tar.gz\n", HEX), (HEX.upper(), HEX), ("", ""), (" \n", ""), ("<html> 404", ""), (HEX[2:], "")],
)
def test_notes_of_sha256sum(note: str, told: str) -> None:
    assert sha256_of_note(note) == told


GPG = """#!/bin/sh
cat <<'END'
{}
END
exit {}
"""


@pytest.mark.parametrize(
    ("status", "code", "good", "text"),
    [
        (
            f"[GNUPG:] GOODSIG 1 CRS\n[GNUPG:] VALIDSIG AB 2026 1 0 4 0 1 10 00 {CRS_KEY}",
            0,
            True,
            "the CRS project's key",
        ),
        ("[GNUPG:] GOODSIG 1 x\n[GNUPG:] VALIDSIG AB 2026 1 0 4 0 1 10 00 CD", 0, True, "good, by CD"),
        ("[GNUPG:] VALIDSIG AB 2026 1 0 4 0 1 10 00 CD", 2, False, "cannot read"),
        ("[GNUPG:] ERRSIG 77 1 10 00 1 9\n[GNUPG:] NO_PUBKEY 77", 2, False, "its key 77 is not in your keyring"),
        ("gpg: no valid OpenPGP data found", 2, False, "gpg cannot read it"),
        ("VALIDSIG AB 2026 1 0 4 0 1 10 00 CD", 0, False, "gpg cannot read it"),
    ],
)
def test_what_gpg_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, code: int, text: str, *, good: bool
) -> None:
    (tmp_path / "gpg").write_text(GPG.format(status, code))
    (tmp_path / "gpg").chmod(0o755)
    monkeypatch.setattr("adapters.crs.verify.shutil.which", lambda _: str(tmp_path / "gpg"))

    found = check_signature(tmp_path / "a", tmp_path / "a.asc")
    assert found[0] is good
    assert text in found[1]


@pytest.mark.parametrize("state", ["BADSIG 1 x", "REVKEYSIG 1 x", "EXPSIG 1 x"])
def test_a_wrong_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    (tmp_path / "gpg").write_text(GPG.format(f"[GNUPG:] {state}", 1))
    (tmp_path / "gpg").chmod(0o755)
    monkeypatch.setattr("adapters.crs.verify.shutil.which", lambda _: str(tmp_path / "gpg"))

    with pytest.raises(VerifyError, match="signature is wrong, expired, or by a revoked key"):
        check_signature(tmp_path / "a", tmp_path / "a.asc")


def test_without_gpg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.crs.verify.shutil.which", lambda _: None)

    assert check_signature(tmp_path / "a", tmp_path / "a.asc") == (False, "not checked: gpg is not installed")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_a_real_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    gpg = ["gpg", "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
    archive, signature = tmp_path / "a", tmp_path / "a.asc"
    archive.write_bytes(b"the rules")
    try:
        subprocess.run([*gpg, "--quick-generate-key", "t@example.org", "ed25519", "sign"], check=True)
        subprocess.run([*gpg, "--armor", "--output", str(signature), "--detach-sign", str(archive)], check=True)

        good, text = check_signature(archive, signature)
        assert good
        assert text.startswith("good, by ")
        archive.write_bytes(b"other rules")
        with pytest.raises(VerifyError):
            check_signature(archive, signature)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False)
