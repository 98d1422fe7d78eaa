"""The two forms of this package: plain Python, and with its hot modules compiled (by mypyc).

The sources are the truth. `hatch_build.py` compiles some of them and leaves a stamp, the sha256 of each source that it
used. This module, imported before all others of the package, sees to it that what runs is never older than its source:
with SPOA_WAF_PURE=1, or when a source is no longer that of the stamp, the compiled modules are passed over. A wheel has
no stamp: its files do not change.

Here: that decision. Not here: compiling, and which modules are compiled (hatch_build.py). Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["form_name", "is_compiled"]

PACKAGE: Final = __name__.partition(".")[0]
FOLDER: Final = Path(__file__).parent
STAMP: Final = "_compiled.json"


def is_compiled() -> bool:
    """Whether the compiled modules run; False when all of it is plain Python."""
    return f"{PACKAGE}__mypyc" in sys.modules  # the shared object that holds the code of all of them


def form_name() -> str:
    """The form that runs, as logs and `spoa-waf version` name it: "compiled" or "plain Python"."""
    return "compiled" if is_compiled() else "plain Python"


def changed_source(folder: Path = FOLDER) -> str:
    """The first source that is not what it was when the compiled modules were made.

    Args:
        folder: that of the package.

    Returns:
        Its path, from the folder that holds the package; empty when all are the same, or nothing is compiled.
    """
    try:
        stamp = json.loads((folder / STAMP).read_bytes())
        compiled = not stamp["error"] and stamp["suffix"] in EXTENSION_SUFFIXES  # else another Python's
        sources = stamp["sources"].items() if compiled else ()
    except FileNotFoundError:
        return ""  # a wheel, or never compiled
    except (OSError, ValueError, KeyError):
        return f"{folder.name}/{STAMP}"
    for path, digest in sources:
        if _digest(folder.parent / path) != digest:
            return str(path)
    return ""


def _digest(path: Path) -> str:
    """The sha256 of a file; empty when there is none."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


class SourceFinder:
    """Finds the modules of this package, and sees sources only."""

    def __init__(self) -> None:
        self._folders: dict[str, FileFinder] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002  the import system gives it
    ) -> ModuleSpec | None:
        """As `importlib.abc.MetaPathFinder`; what has no source is not found by others either.

        Raises:
            ModuleNotFoundError: if a module of this package has no source.
        """
        if not fullname.startswith(PACKAGE + ".") or path is None:
            return None
        for folder in path:
            finder = self._folders.get(folder)
            if finder is None:
                finder = self._folders[folder] = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))
            spec = finder.find_spec(fullname)
            if spec is not None:
                return spec if spec.loader is not None else None  # a folder without __init__.py: left to Python
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def _decide() -> None:
    """Choose the form, once, before any other module of the package is imported."""
    if os.environ.get("SPOA_WAF_PURE", "0") in ("", "0"):
        changed = changed_source()
        if not changed:
            return
        sys.stderr.write(
            f"{changed} was changed since it was compiled: plain Python runs, only slower (./dev compile)\n"
        )
    sys.meta_path.insert(0, SourceFinder())


_decide()
