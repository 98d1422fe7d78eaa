"""Whose an archive is: its SHA-256 against the one that was told, its detached signature by GnuPG.

Here: the judgement on files that are there already. Not here: getting them (fetch.py). GnuPG judges with the keys of
the user who calls; no key is fetched.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CRS_KEY = "36006F0E0BA167832158821138EEACA1AB8A6E72"
"""The fingerprint of the key that the CRS project signs its releases with."""

_GPG_SECONDS = 60
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_BAD = ("BADSIG", "REVKEYSIG", "EXPSIG")


class VerifyError(Exception):
    """An archive that is not what it should be; its text is for people."""


def check_sha256(actual: str, wanted: str) -> None:
    """Compare checksums.

    Args:
        actual: of the archive, in hexadecimal.
        wanted: what was told, in hexadecimal of either case.

    Raises:
        VerifyError: they differ.
    """
    if actual != wanted.lower():
        raise VerifyError(f"the archive's SHA-256 is {actual}, expected {wanted.lower()}; it was not installed")


def is_sha256(text: str) -> bool:
    """Whether this is a SHA-256 in hexadecimal."""
    return _HEX.match(text.lower()) is not None


def sha256_of_note(note: str) -> str:
    """The checksum in a file such as sha256sum writes; empty when there is none."""
    word = note.split(maxsplit=1)[0] if note.strip() else ""
    return word.lower() if is_sha256(word) else ""


def check_signature(archive: Path, signature: Path) -> tuple[bool, str]:
    """Judge a detached signature by GnuPG.

    Args:
        archive: the signed file.
        signature: the signature, armoured or not.

    Returns:
        Whether it is good, by a key of the user's keyring; and a text for people, which says why not when it is not.

    Raises:
        VerifyError: the signature is there and wrong.
    """
    program = shutil.which("gpg")
    if program is None:
        return False, "not checked: gpg is not installed"
    command = [program, "--batch", "--no-tty", "--status-fd", "1", "--verify", str(signature), str(archive)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GPG_SECONDS, check=False)  # noqa: S603  no shell
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"not checked: gpg failed ({type(error).__name__})"
    states: dict[str, list[str]] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        prefix, _, rest = line.partition(" ")
        words = rest.split()
        if prefix == "[GNUPG:]" and words:
            states[words[0]] = words[1:]
    if any(state in states for state in _BAD):
        raise VerifyError("the archive's signature is wrong, expired, or by a revoked key; it was not installed")
    if done.returncode == 0 and (valid := states.get("VALIDSIG")):
        fingerprint = valid[-1]  # of the primary key
        return (
            True,
            f"good, by the CRS project's key {CRS_KEY}" if fingerprint == CRS_KEY else f"good, by {fingerprint}",
        )
    if key := states.get("NO_PUBKEY"):
        return False, f"not checked: its key {key[0]} is not in your keyring (the CRS project's is {CRS_KEY})"
    return False, "not checked: gpg cannot read it"
