"""What `spoa-waf crs` does: joins store, fetch, verify, archive and compare, and says how it went.

Results go to standard output; progress, warnings and faults to standard error.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.console import complain, say, say_json
from adapters.crs.archive import ArchiveError, unpack
from adapters.crs.arguments import DEFAULT_VERSION
from adapters.crs.compare import compare, read_rules
from adapters.crs.fetch import RELEASE_URL, FetchError, fetch, is_url
from adapters.crs.find import GET_IT, current_version
from adapters.crs.store import (
    DEBIAN,
    StoreError,
    Version,
    check_name,
    debian_version,
    default_store,
    release_of,
    stores,
)
from adapters.crs.verify import VerifyError, check_sha256, check_signature, is_sha256, sha256_of_note

if TYPE_CHECKING:
    import argparse

_MAX_BESIDE = 64 * 1024  # bytes of a signature or a checksum's file


def run_crs_command(options: argparse.Namespace) -> int:
    """Run one action of ``spoa-waf crs``.

    Args:
        options: as `add_crs_command` parses them.

    Returns:
        The exit status: 0, or 1 when it could not be done.
    """
    actions = {"install": _install, "list": _list, "pin": _pin, "remove": _remove, "diff": _diff}
    try:
        actions[options.crs_command](options)
    except (StoreError, FetchError, ArchiveError, VerifyError) as error:
        complain(f"spoa-waf crs {options.crs_command}: {error}")
        return 1
    return 0


def _install(options: argparse.Namespace) -> None:
    wanted = "" if options.source else check_name(options.version or DEFAULT_VERSION)
    source = options.source or RELEASE_URL.format(wanted)
    check_checksum(source, options.sha256)
    store = default_store()
    if wanted and store.get(wanted) is not None:
        raise StoreError(f"CRS {wanted} is installed in {store.folder} already")
    with store.workplace() as work:
        archive, folder = work / "archive", work / "crs"
        folder.mkdir()
        complain(f"getting {source}")
        with Progress() as progress:
            sha256 = fetch(source, archive, progress=progress.show)
        signature = judge(source, archive, sha256, options)
        unpack(archive, folder)
        release = release_of(folder / "rules")
        if wanted and release != wanted:
            raise ArchiveError(f"the archive's rules say that they are CRS {release or '(nothing)'}, expected {wanted}")
        if not release:
            raise ArchiveError("the archive's rules do not say which version of the CRS they are")
        rules, faults = read_rules(folder / "rules")
        where = source if is_url(source) else str(Path(source).resolve())
        version = store.put(release, folder, source=where, sha256=sha256, signature=signature)
    say(f"installed CRS {version.name}: {len(rules)} rules in {version.rules}")
    say(f"  sha256     {sha256}" + ("" if options.sha256 else " (not compared: no --sha256)"))
    say(f"  signature  {signature or 'there is none'}")
    for fault in faults:
        complain(fault)
    in_use = current_version()
    if in_use is not None and in_use.rules == version.rules:
        say("  it is in use: Include @crs-setup.conf.example, then Include @owasp_crs/*.conf")
    else:
        say(f"  in use is still {in_use.name if in_use else 'none'}; `spoa-waf crs pin {version.name}` changes that")


def check_checksum(source: str, sha256: str | None) -> None:
    """Judge a command line before anything is fetched.

    Raises:
        VerifyError: the checksum is none, or there is none where the archive can be changed on its way.
    """
    if sha256 is not None and not is_sha256(sha256):
        raise VerifyError(f"--sha256 takes 64 hexadecimal digits, got {sha256!r}")
    if source.lower().startswith("http://") and sha256 is None:
        raise VerifyError(f"{source} can be changed on its way: use https, or say --sha256 HEX")


def judge(source: str, archive: Path, sha256: str, options: argparse.Namespace) -> str:
    """Compare checksum and signature.

    Args:
        source: where the archive came from; its checksum and signature are looked for beside it.
        archive: the archive.
        sha256: what its checksum is.
        options: with `sha256`, what it should be, and `require_signature`.

    Returns:
        What is known of the signature, empty when there is none.

    Raises:
        VerifyError: the archive is not what it should be.
    """
    if options.sha256 is not None:
        check_sha256(sha256, options.sha256)
    beside = archive.with_name("beside")
    if _beside(f"{source}.sha256", beside) and (told := sha256_of_note(beside.read_text("ascii", "replace"))):
        check_sha256(sha256, told)
    good, text = check_signature(archive, beside) if _beside(f"{source}.asc", beside) else (False, "")
    if options.require_signature and not good:
        raise VerifyError(f"the signature is required, and {text or 'there is none'}")
    return text


def _beside(source: str, target: Path) -> bool:
    """Whether there is such a file beside the archive; it is fetched."""
    try:
        fetch(source, target, limit=_MAX_BESIDE)
    except FetchError as error:
        if not error.absent:
            complain(f"warning: {error}")
        return False
    return True


def _list(options: argparse.Namespace) -> None:
    in_use = current_version()
    found = [version for store in stores() for version in store.versions()]
    if (debian := debian_version()) is not None:
        found.append(debian)
    if options.json:
        rows = [{key: str(value or "") for key, value in asdict(version).items()} for version in found]
        uses = [in_use is not None and version.rules == in_use.rules for version in found]
        say_json([{**row, "in_use": used} for row, used in zip(rows, uses, strict=True)])
        return
    if not found:
        say(f"no CRS is installed; {GET_IT}")
    for version in found:
        mark = "*" if in_use is not None and version.rules == in_use.rules else " "
        release = f" ({version.release})" if version.release != version.name else ""
        say(f"{mark} {version.name}{release}  {version.rules}  from {version.source or 'an unknown place'}")
    if found and in_use is None:
        complain("warning: the pinned version is not installed; `spoa-waf crs pin` another one")


def _pin(options: argparse.Namespace) -> None:
    default_store().pin(options.version)
    in_use = current_version()
    say(f"pinned {options.version}; a running agent takes it at its next reload (HUP)")
    if in_use is None or in_use.name != options.version.removeprefix("v"):
        complain("warning: another store comes first here, see `spoa-waf crs list`")


def _remove(options: argparse.Namespace) -> None:
    default_store().remove(options.version)
    say(f"removed {options.version}")


def _diff(options: argparse.Namespace) -> None:
    first, second = _installed(options.first), _installed(options.second)
    found = compare(first.rules, second.rules)
    if options.json:
        say_json(asdict(found))
        return
    for title, rules in (("added", found.added), ("removed", found.removed), ("changed", found.changed)):
        for number, message in rules.items():
            say(f"{title:8} {number} {message}".rstrip())
    for name in found.data:
        say(f"data     {name}")
    counts = f"{len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed"
    say(f"{first.name} to {second.name}: {counts}, {len(found.data)} data files")


def _installed(name: str) -> Version:
    """The version of this name, of whichever store has it first."""
    places = [debian_version()] if name == DEBIAN else [store.get(name) for store in stores()]
    version = next((place for place in places if place is not None), None)
    if version is None:
        raise StoreError(f"there is no CRS {name} here; `spoa-waf crs list` shows what there is")
    return version


class Progress(contextlib.AbstractContextManager["Progress"]):
    """Shows on a terminal how far it is, in one line that ends when the context does."""

    def __init__(self) -> None:
        self.last = 0.0
        self.shown = False

    def show(self, done: int, size: int | None) -> None:
        """So many bytes are there, of so many."""
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self.last < 0.1 and done != size):
            return
        self.last, self.shown = now, True
        of = f" of {size / 1024:.1f}" if size else ""
        sys.stderr.write(f"\r  {done / 1024:.1f}{of} KiB")
        sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self.shown:
            sys.stderr.write("\n")
