"""Uploaded files on disk: written when a rule asks for their names, removed at the end whatever happens.

FILES_TMPNAMES is for programs (``@inspectFile``); without a rule that reads it, nothing is written. At the end of the
transaction the files go, but for those that SecUploadKeepFiles keeps. A transaction that is dropped without `close`,
and a program that ends, remove them too. Names hold nothing of what a client sent.
"""

from __future__ import annotations

import os
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import UploadedFile

MAX_ID = 64
"""Characters of the transaction's id in a file's name."""


class Uploads:
    """The files that a transaction has written; they go with this object, which is the transaction's alone.

    Attributes:
        paths: where they are.
    """

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self._end = weakref.finalize(self, _remove, self.paths)

    def remove(self) -> None:
        """Remove them now."""
        self._end()

    def keep(self) -> None:
        """Leave them where they are."""
        self._end.detach()


def save(tx: Transaction) -> None:
    """Write the files of a transaction that are not written yet, and set their `UploadedFile.path`.

    A file that cannot be written gets the name that it would have, so that whoever inspects it finds it missing and
    not clean; the limit ``uploads`` counts it.
    """
    missing = [file for file in tx.request.files if file.path is None]
    if not missing or tx.closed:
        return
    settings = tx.plan.settings
    folder = Path(settings.upload_dir or tempfile.gettempdir())
    if tx.uploads is None:
        tx.uploads = Uploads()
    for file in missing:
        file.path = _write(tx, file, folder, settings.upload_file_mode)
        tx.uploads.paths.append(file.path)


def settle(tx: Transaction) -> None:
    """Remove the files of a transaction that has ended, or keep them as SecUploadKeepFiles says."""
    if not tx.request.files:
        return
    keep = tx.plan.settings.upload_keep_files
    if keep == "On" or (keep == "RelevantOnly" and any(record.rule.log for record in tx.records)):
        save(tx)
        if tx.uploads is not None:
            tx.uploads.keep()
        return
    _remove([file.path for file in tx.request.files if file.path is not None])
    if tx.uploads is not None:
        tx.uploads.remove()


def _write(tx: Transaction, file: UploadedFile, folder: Path, mode: int) -> Path:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in tx.id[:MAX_ID])
    prefix = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(tx.started))}-{name}-file-"
    try:
        number, path = tempfile.mkstemp(prefix=prefix, dir=folder)
    except OSError:
        tx.note_limit("uploads")
        return folder / f"{prefix}missing"
    try:
        with os.fdopen(number, "wb") as out:
            os.fchmod(out.fileno(), mode)
            out.write(file.content)
    except OSError:
        tx.note_limit("uploads")
        Path(path).unlink(missing_ok=True)
    return Path(path)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue  # the folder is gone, or not ours any more: nothing is left to do
