"""Plug-ins and exclusion packages of the CRS that are on this machine.

Here: the folder that ``@crs-plugins/`` means, putting a plug-in into it and taking it out. Not here: where a plug-in
comes from (plugin_command.py, fetch.py, archive.py), in which order its parts are included (`waf_engine.loaders`).

The folder has the CRS's own layout, flat: ``NAME-config.conf``, ``NAME-before.conf``, ``NAME-after.conf``, their data
files, and three empty files so that globs always match. ``.NAME.json`` says where a plug-in came from; one that
somebody put there by hand has none and is used all the same. Files are written and removed in an order in which a
reload in between finds no part without what it needs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.crs import store as crs
from adapters.crs.store import Store, StoreError
from waf_engine.loaders import AFTER_PART, BEFORE_PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

ENDS = (*BEFORE_PARTS, AFTER_PART)
_EMPTY = "empty"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_RELEASE = re.compile(r"^#\s*Plugin version:\s*([^\s]{1,32})", re.MULTILINE)
_MAX_FILE = 16 * 1024 * 1024  # bytes of a plug-in's file that are read to compare it


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in that is on this machine.

    Attributes:
        name: what its files begin with, such as ``wordpress-rule-exclusions``.
        release: its version, as it says; empty when it does not.
        files: the names of its files.
        source: where it came from; empty: somebody put it there by hand.
        sha256: the checksum of the archive that it came from; may be empty.
    """

    name: str
    release: str
    files: tuple[str, ...]
    source: str = ""
    sha256: str = ""


def check_name(name: str) -> str:
    """The name of a plug-in, without the end that repositories have.

    Raises:
        StoreError: it does not look like one. Nothing else ever becomes part of a path.
    """
    plain = name.removesuffix("-plugin")
    if not _NAME.match(plain) or plain == _EMPTY:
        raise StoreError(f"{name!r} is not a name of a plug-in; one looks like wordpress-rule-exclusions")
    return plain


def name_of(files: Sequence[str]) -> str:
    """The name of the one plug-in that these files are.

    Raises:
        StoreError: they are none, or several.
    """
    names = {name.removesuffix(end) for name in files for end in ENDS if name.endswith(end)} - {_EMPTY}
    if len(names) != 1:
        said = ", ".join(sorted(names)) or "none"
        raise StoreError(f"expected one plug-in, with files such as NAME-before.conf, found {said}")
    return check_name(names.pop())


def default_plugins() -> PluginStore:
    """The folder that this user installs to."""
    return PluginStore(crs.default_store().folder.with_name("crs-plugins"))


def plugin_stores() -> tuple[PluginStore, ...]:
    """The folders to look in, the user's own first."""
    return tuple(PluginStore(each.folder.with_name("crs-plugins")) for each in crs.stores())


def current_plugins(rules: Path | None) -> PluginStore | None:
    """What ``@crs-plugins/`` means: the user's folder, else the system's, else the one that came with the CRS in use.

    Args:
        rules: the folder of that CRS's rules, if there is one.
    """
    for store in plugin_stores():
        if store.exists():
            return store
    own = PluginStore(rules.parent / "plugins") if rules is not None else None
    return own if own is not None and own.exists() else None


@dataclass(frozen=True, slots=True)
class PluginStore:
    """One folder of plug-ins.

    Attributes:
        folder: the folder; it need not exist.
    """

    folder: Path

    def exists(self) -> bool:
        """Whether there is anything in it that could be included."""
        return bool(self._confs())

    def _confs(self) -> list[str]:
        try:
            return sorted(path.name for path in self.folder.glob("*.conf"))
        except OSError:
            return []

    def plugins(self) -> list[Plugin]:
        """The plug-ins in it, by name."""
        stems = {name.removesuffix(end) for name in self._confs() for end in ENDS if name.endswith(end)}
        found = (self.get(name) for name in sorted(stems - {_EMPTY}) if _NAME.match(name))
        return [plugin for plugin in found if plugin is not None]

    def get(self, name: str) -> Plugin | None:
        """The plug-in of this name, if it is here."""
        name = check_name(name)
        parts = [name + end for end in ENDS if (self.folder / (name + end)).is_file()]
        if not parts:
            return None
        note = self._note(name)
        files = tuple(note["files"]) if note["files"] else tuple(parts)
        return Plugin(name, self._release(name), files, note["source"], note["sha256"])

    def put(self, name: str, folder: Path, files: Sequence[str], *, source: str, sha256: str) -> list[str]:
        """Take over a plug-in, or another version of one that is here.

        Args:
            name: the plug-in.
            folder: where its files are.
            files: their names.
            source: see `Plugin`, as the following.
            sha256: as above.

        Returns:
            Names of configuration files that the administrator had changed and that stay as they are.

        Raises:
            StoreError: a file of another plug-in has the same name, or the folder cannot be written.
        """
        name = check_name(name)
        old: Mapping[str, str] = self._note(name)["files"]
        new = {each: _digest(folder / each) for each in files}
        mine = {name + end for end in ENDS}
        for each, digest in new.items():
            if each not in old and each not in mine and _digest(self.folder / each) not in ("", digest):
                raise StoreError(f"{self.folder / each} is there already, and not of this plug-in")
        config = name + BEFORE_PARTS[0]
        was = _digest(self.folder / config)
        kept = [config] if was and was not in (old.get(config), new.get(config)) else []
        with Store(self.folder).workplace() as work, _errors(self.folder):
            for end in ENDS:
                self._place(work, _EMPTY + end, b"# Nothing: so that a glob always matches.\n")
            for each in sorted((each for each in new if each not in kept), key=_order):
                self._place(work, each, (folder / each).read_bytes())
            note = {"source": source, "sha256": sha256, "files": new}
            self._place(work, f".{name}.json", (json.dumps(note, indent=2) + "\n").encode())
            for each in sorted((each for each in old if each not in new), key=_order, reverse=True):
                (self.folder / each).unlink(missing_ok=True)
        return kept

    def remove(self, name: str) -> None:
        """Delete a plug-in, its data files too when it was installed by `put`.

        Raises:
            StoreError: it is not here, or cannot be deleted.
        """
        plugin = self.get(name)
        if plugin is None:
            raise StoreError(f"there is no plug-in {name} in {self.folder}; `spoa-waf crs plugin list` shows what is")
        with _errors(self.folder):
            for each in sorted(plugin.files, key=_order, reverse=True):
                (self.folder / each).unlink(missing_ok=True)
            (self.folder / f".{plugin.name}.json").unlink(missing_ok=True)

    def _place(self, work: Path, name: str, content: bytes) -> None:
        """Write a file in one step."""
        (work / name).write_bytes(content)
        (work / name).chmod(0o644)  # whatever the umask is: the service reads what root installs
        (work / name).replace(self.folder / name)

    def _note(self, name: str) -> dict[str, Any]:
        """What is known of where a plug-in came from; every field is there."""
        try:
            found = json.loads((self.folder / f".{name}.json").read_bytes()[:_MAX_FILE])
        except (OSError, ValueError):
            found = None
        note = found if isinstance(found, dict) else {}
        files = note.get("files")
        plain = isinstance(files, dict) and all(isinstance(each, str) and _is_plain(each) for each in files)
        texts = {key: note[key] if isinstance(note.get(key), str) else "" for key in ("source", "sha256")}
        return {**texts, "files": files if plain else {}}

    def _release(self, name: str) -> str:
        for end in ENDS:
            with (
                contextlib.suppress(OSError),
                (self.folder / (name + end)).open(encoding="utf-8", errors="replace") as f,
            ):
                if found := _RELEASE.search(f.read(4096)):
                    return found[1]
        return ""


def _is_plain(name: str) -> bool:
    """Whether a name from a note is one of a file in the folder itself."""
    return bool(name) and "/" not in name and "\0" not in name and name not in (".", "..")


def _order(name: str) -> tuple[int, str]:
    """Data before rules, the settings before the rules that read them."""
    return next((number for number, end in enumerate(ENDS, 1) if name.endswith(end)), 0), name


def _digest(path: Path) -> str:
    """The SHA-256 of a file; empty when it is not there."""
    try:
        with path.open("rb") as stream:
            return hashlib.sha256(stream.read(_MAX_FILE)).hexdigest()
    except OSError:
        return ""


@contextlib.contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot change {folder}: {(error.strerror or str(error)).lower()}") from error
