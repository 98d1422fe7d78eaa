"""The versions of the CRS that are on this machine, side by side, and which of them is used.

Here: folders and their names; putting a version in place, pinning and removing, each in one step that cannot be seen
half done. Not here: where a version comes from (fetch.py, archive.py), what its rules say (compare.py).

A store is a folder: ``4.28.0/`` for each version (with ``rules/``, ``crs-setup.conf.example`` and ``source.json``), and
``pinned``, a file with the name of the version to use. Debian's package stands beside it under the name ``debian``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM_STORE = Path("/var/lib/spoa-waf/crs")
"""Where root installs, for the service."""

DEBIAN_RULES = Path("/usr/share/modsecurity-crs/rules")
DEBIAN_SETUP = Path("/etc/modsecurity/crs/crs-setup.conf")
"""What Debian's package modsecurity-crs installs; the administrator edits the second."""

DEBIAN = "debian"
"""The name of Debian's package among the versions."""

SETUP_NAMES = ("crs-setup.conf", "crs-setup.conf.example")
"""The CRS's settings: the one that somebody made theirs, else the one that it comes with."""

_VERSION = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}(?:-[a-z0-9]{1,16}(?:\.[0-9]{1,6})?)?\Z")
_SIGNATURE = re.compile(r'^\s*SecComponentSignature\s+"?OWASP_CRS/([^"\s]{1,64})', re.MULTILINE)
_PINNED = "pinned"
_SOURCE = "source.json"
_MAX_NOTE = 64 * 1024  # bytes of pinned and source.json that are read


class StoreError(Exception):
    """What was asked of a store cannot be done; its text is for people."""


@dataclass(frozen=True, slots=True)
class Version:
    """A CRS that is on this machine.

    Attributes:
        name: what it is called: its version, or ``debian``.
        release: its version, as its rules say; empty when they do not.
        rules: the folder of its rules and their data files.
        setup: the file of its settings; None when there is none.
        source: where it came from: a URL, a path, a package.
        sha256: the checksum of the archive that it came from, in hexadecimal; empty when there was none.
        signature: what is known of that archive's signature; empty when there was none.
    """

    name: str
    release: str
    rules: Path
    setup: Path | None
    source: str = ""
    sha256: str = ""
    signature: str = ""


def user_store() -> Path:
    """Where a user who is not root installs: below $XDG_DATA_HOME, else ~/.local/share."""
    base = os.environ.get("XDG_DATA_HOME", "")
    home = Path(base) if base and Path(base).is_absolute() else Path(os.path.expanduser("~")) / ".local/share"  # noqa: PTH111  Path.expanduser raises where there is no home
    return home / "spoa-waf" / "crs"


def default_store() -> Store:
    """The store that this user installs to."""
    return Store(SYSTEM_STORE if os.geteuid() == 0 else user_store())


def stores() -> tuple[Store, ...]:
    """The stores to look in, the user's own first."""
    return tuple(Store(folder) for folder in dict.fromkeys((user_store(), SYSTEM_STORE)))


def debian_version() -> Version | None:
    """Debian's package, if it is installed."""
    if not _readable(DEBIAN_RULES):
        return None
    setup = DEBIAN_SETUP if DEBIAN_SETUP.is_file() else None
    return Version(DEBIAN, release_of(DEBIAN_RULES), DEBIAN_RULES, setup, "Debian's package modsecurity-crs")


def check_name(name: str) -> str:
    """A version's name without a leading v.

    Raises:
        StoreError: it does not look like one. Nothing else ever becomes part of a path.
    """
    plain = name.removeprefix("v")
    if not _VERSION.match(plain):
        raise StoreError(f"{name!r} is not a version of the CRS; one looks like 4.28.0")
    return plain


def order_of(name: str) -> tuple[tuple[int, ...], bool, str]:
    """The key to sort versions by; 4.10 is after 4.9, and 4.29.0-dev before 4.29.0."""
    numbers, _, rest = name.partition("-")
    return tuple(int(part) for part in numbers.split(".") if part.isdecimal()), not rest, rest


def release_of(rules: Path) -> str:
    """The version that a folder of rules says it is; empty when it does not say so."""
    with contextlib.suppress(OSError):
        for path in sorted(rules.glob("REQUEST-901-*.conf")):
            with path.open(encoding="utf-8", errors="replace") as stream:
                if found := _SIGNATURE.search(stream.read(_MAX_NOTE)):
                    return found[1]
    return ""


@dataclass(frozen=True, slots=True)
class Store:
    """One folder of versions.

    Attributes:
        folder: the folder; it need not exist.
    """

    folder: Path

    def versions(self) -> list[Version]:
        """What is installed here, the newest first."""
        try:
            names = [path.name for path in self.folder.iterdir() if _VERSION.match(path.name)]
        except OSError:  # there is none, or it is somebody else's
            return []
        found = (self.get(name) for name in sorted(names, key=order_of, reverse=True))
        return [version for version in found if version is not None]

    def get(self, name: str) -> Version | None:
        """The version of this name, if it is installed here."""
        folder = self.folder / check_name(name)
        if not _readable(folder / "rules"):
            return None
        note = _read_note(folder / _SOURCE)
        setup = next((folder / each for each in SETUP_NAMES if (folder / each).is_file()), None)
        return Version(
            folder.name,
            release_of(folder / "rules"),
            folder / "rules",
            setup,
            note.get("source", ""),
            note.get("sha256", ""),
            note.get("signature", ""),
        )

    def pinned(self) -> str:
        """The name of the version to use; empty when none is pinned."""
        try:
            with (self.folder / _PINNED).open(encoding="ascii", errors="replace") as stream:
                name = stream.read(100).strip()
        except OSError:
            return ""
        return name if name == DEBIAN or _VERSION.match(name) else ""

    def pin(self, name: str) -> None:
        """Use this version from now on.

        Raises:
            StoreError: it is not there, or the store cannot be written.
        """
        name = name if name == DEBIAN else check_name(name)
        if (debian_version() if name == DEBIAN else self.get(name)) is None:
            raise StoreError(f"there is no CRS {name} in {self.folder}; `spoa-waf crs list` shows what there is")
        with self._errors(), self.workplace() as work:
            (work / _PINNED).write_text(f"{name}\n", "ascii")
            (work / _PINNED).chmod(0o644)
            (work / _PINNED).replace(self.folder / _PINNED)

    def remove(self, name: str) -> None:
        """Delete a version.

        Raises:
            StoreError: it is not there, it is the pinned one and not the only one, or it cannot be deleted.
        """
        name = check_name(name)
        if self.get(name) is None:
            raise StoreError(f"there is no CRS {name} in {self.folder}; `spoa-waf crs list` shows what there is")
        if self.pinned() == name:
            if len(self.versions()) > 1:
                raise StoreError(f"{name} is pinned; `spoa-waf crs pin` another version first")
            with self._errors():
                (self.folder / _PINNED).unlink(missing_ok=True)
        with self._errors(), self.workplace() as work:
            (self.folder / name).rename(work / name)  # gone in one step, whatever becomes of the deletion

    def put(self, name: str, folder: Path, *, source: str, sha256: str, signature: str) -> Version:
        """Take over a folder of rules as a version; it is pinned when nothing is yet.

        Args:
            name: the version.
            folder: in this store's `workplace`, with ``rules/`` and the settings in it.
            source: see `Version`, as the following.
            sha256: as above.
            signature: as above.

        Raises:
            StoreError: there is such a version already, or the store cannot be written.
        """
        name = check_name(name)
        note = {"source": source, "sha256": sha256, "signature": signature}
        with self._errors():
            (folder / _SOURCE).write_text(json.dumps(note, indent=2) + "\n", "utf-8")
            (folder / _SOURCE).chmod(0o644)
            folder.chmod(0o755)
            try:
                folder.rename(self.folder / name)
            except OSError as error:
                if (self.folder / name).exists():
                    hint = f"`spoa-waf crs remove {name}` first to install it anew"
                    raise StoreError(f"CRS {name} is installed in {self.folder} already; {hint}") from error
                raise
        version = self.get(name)
        if version is None:
            raise StoreError(f"{self.folder / name} cannot be read after it was written")
        if not self.pinned():
            self.pin(name)
        return version

    @contextlib.contextmanager
    def workplace(self) -> Iterator[Path]:
        """A folder inside the store for what is not finished; deleted at the end, with all that is still in it.

        Raises:
            StoreError: it cannot be made.
        """
        with self._errors():
            for folder in (self.folder.parent, self.folder):
                if not folder.is_dir():
                    folder.mkdir(parents=True)
                    folder.chmod(0o755)  # whatever the umask is: the service reads what root installs
            work = Path(tempfile.mkdtemp(prefix=".work-", dir=self.folder))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot change {self.folder}: {(error.strerror or str(error)).lower()}") from error


def _readable(rules: Path) -> bool:
    """Whether there are rules in a folder."""
    try:
        return next(rules.glob("*.conf"), None) is not None
    except OSError:
        return False


def _read_note(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as stream:
            note = json.loads(stream.read(_MAX_NOTE))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in note.items() if isinstance(value, str)} if isinstance(note, dict) else {}
