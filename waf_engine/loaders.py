"""Rule and data files: opens them, expands ``Include``, resolves embedded names that begin with ``@``.

Only this file of `waf_engine` reads rule and data files. It knows one directive, Include; everything else is the
parser's and the compiler's business.

How a name is looked for: beside the file that names it, then in the root (the working directory, if none is
set). With a root set, nothing outside of it is read, by whatever way a name leads there.
"""

from __future__ import annotations

import contextlib
import glob
import os
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from waf_engine.diagnostics import ArgumentError, Diagnostic, Severity, Span
from waf_engine.seclang.ast import Directive, Node
from waf_engine.seclang.parser import parse_source
from waf_engine.source import MAX_SOURCE_BYTES, SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_GLOB_FOLDERS = 50
"""Folders in a glob. A rule set has three or four."""

MAX_DEPTH = 100
"""Files that may be open inside each other, as in Coraza."""

MAX_FILES = 1000
"""Files of one rule set, each inclusion counted: CRS has 28, a site's own rules some dozens."""

MAX_TOTAL = 256 * 1024 * 1024
"""Characters of all rule files together, each inclusion counted."""

INLINE = "<directives>"
"""The name of rules that come as a text and not from a file."""

_RULES = Path(__file__).parent / "rules"

EMBEDDED: Mapping[str, Path] = {
    "@baseline/": _RULES,
    "@recommended.conf": _RULES / "recommended.conf",
    "@coraza.conf-recommended": _RULES / "coraza.conf-recommended",
}
"""The rules that come with this package: a name that ends in ``/`` is a folder, any other a file.

A file with a name of its own is not part of ``@folder/*.conf``."""

BEFORE_PARTS = ("-config.conf", "-before.conf")
AFTER_PART = "-after.conf"
"""The parts of a plug-in of the CRS: ``Include @folder/NAME`` means ``NAME-config.conf`` and ``NAME-before.conf`` in
its place, and ``NAME-after.conf`` after everything else, which is where the CRS wants it: behind its rules."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rule set as read: parsed, with every Include replaced by what it names.

    Attributes:
        nodes: the directives in order.
        diagnostics: the faults of all files, in the order in which they were met.
        files: the names of the files that were read, each once.
        lines: the lines of each text by its name, for the diagnostics of whoever goes on.
    """

    nodes: tuple[Node, ...]
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sources:
    """What was looked at on the disk, so that somebody can see when it changes.

    Attributes:
        files: the files that were read, rules and data.
        globs: the patterns that names of files were taken from, with their folder: a further file may come to fit.
    """

    files: set[str] = field(default_factory=set)
    globs: set[str] = field(default_factory=set)


_noting: ContextVar[Sources | None] = ContextVar("sources", default=None)


@contextlib.contextmanager
def note_sources() -> Iterator[Sources]:
    """Note every rule and data file that this thread reads here while the context lasts; contexts may be nested."""
    sources, outer = Sources(), _noting.get()
    token = _noting.set(sources)
    try:
        yield sources
    finally:
        _noting.reset(token)
        if outer is not None:
            outer.files.update(sources.files)
            outer.globs.update(sources.globs)


def load_files(
    paths: Iterable[str | Path], *, root: Path | None = None, embedded: Mapping[str, Path] = EMBEDDED
) -> Loaded:
    """Load rule files one after the other.

    Args:
        paths: files, globs or embedded names (``@recommended.conf``), relative to the root.
        root: the folder that relative names begin at and that no name may leave; None: the working directory,
            and no such bound.
        embedded: prefixes and names of embedded files, see `EMBEDDED`.

    Returns:
        What was read. A file that cannot be read is a diagnostic.
    """
    loader = _Loader(root, embedded)
    for path in paths:
        loader.include(str(path), Span(str(path), 1), "")
    loader.finish()
    return loader.result()


def load_text(
    text: str, *, root: Path | None = None, embedded: Mapping[str, Path] = EMBEDDED, name: str = INLINE
) -> Loaded:
    """Load rules from a text; its Includes are relative to the root.

    Args:
        text: the rules.
        root: see `load_files`.
        embedded: see `load_files`.
        name: what positions show as the file's name.
    """
    loader = _Loader(root, embedded)
    loader.expand(SourceFile(name, text), "")
    loader.finish()
    return loader.result()


def read_data_file(
    name: str, beside: str, root: Path | None = None, *, embedded: Mapping[str, Path] = EMBEDDED
) -> bytes:
    """Read a data file, of ``@pmFromFile`` say.

    Args:
        name: as the rule names it.
        beside: the name of the rule's file, as its span has it: the data file is looked for there first.
        root: see `load_files`.
        embedded: see `load_files`.

    Raises:
        ArgumentError: there is no such file, it cannot be read, is too large, or lies outside of the root.
    """
    if name.lower().startswith(("http://", "https://")):
        raise ArgumentError(
            f"{name} is a URL, expected a file", hint="fetch the file by other means and name it here", code="no-url"
        )
    files = _Files(root, embedded)
    return files.read(files.find(name, files.folder_of(beside)))


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that exists: its name for positions, and where it is."""

    name: str
    path: Path


class _Files:
    """Names to files, on the disk and embedded."""

    def __init__(self, root: Path | None, embedded: Mapping[str, Path]) -> None:
        self.root = None if root is None else root.resolve()
        self.embedded = embedded

    def folder_of(self, file: str) -> str:
        """The folder that names in this file are relative to; empty for the root."""
        if file.startswith("@"):
            return file[: file.rfind("/") + 1]
        return "" if file.startswith("<") else str(Path(file).parent)

    def find(self, name: str, folder: str) -> _Found:
        """The one file of this name.

        Raises:
            ArgumentError: there is none, or it lies outside of the root.
        """
        if "\0" in name or not name:
            raise ArgumentError("a file's name is empty or has a NUL byte", code="no-such-file")
        if name.startswith("@"):
            return self._find_embedded(name)
        if folder.startswith("@") and (path := self._in_tree(folder + name)) is not None:
            return _Found(folder + name, path)
        tried = [base / name for base in self._bases(folder)]
        for path in tried:
            if _is_file(path):
                self._check_inside(path, name)
                return _Found(str(path), path)
        if any(os.path.isdir(path) for path in tried):  # noqa: PTH112  Path.is_dir raises for odd names
            raise ArgumentError(
                f"{name} is a folder, expected a file", hint=f"write {name.rstrip('/')}/*.conf", code="no-such-file"
            )
        places = " and ".join(dict.fromkeys(str(path.parent) for path in tried))
        raise ArgumentError(f"there is no file {name}", hint=f"looked in {places}", code="no-such-file")

    def parts(self, name: str) -> tuple[list[_Found], list[_Found]]:
        """The files of a plug-in in an embedded tree: those for its place, those for the end; none if it is none."""
        if not name.startswith("@") or "\0" in name or self.embedded.get(name) or self._in_tree(name):
            return [], []
        ends = (*BEFORE_PARTS, AFTER_PART)
        found = [_Found(name + end, path) for end in ends if (path := self._in_tree(name + end)) is not None]
        after = [each for each in found if each.name.endswith(AFTER_PART)]
        return [each for each in found if each not in after], after

    def match(self, pattern: str, folder: str) -> list[_Found]:
        """The files that a glob names, sorted; those beside the including file, if there are any.

        Raises:
            ArgumentError: one of them lies outside of the root, or the embedded tree does not exist.
        """
        if pattern.startswith("@") or folder.startswith("@"):
            return self._match_embedded(pattern if pattern.startswith("@") else folder + pattern)
        for base in self._bases(folder):
            files = [path for path in _glob(pattern, base) if _is_file(path)]
            for path in files:
                self._check_inside(path, pattern)
            if files:
                return [_Found(str(path), path) for path in files]
        return []

    def read(self, found: _Found) -> bytes:
        """The content of a file.

        Raises:
            ArgumentError: it cannot be read or is too large.
        """
        if (sources := _noting.get()) is not None:
            sources.files.add(str(found.path))
        try:
            with found.path.open("rb") as stream:
                content = stream.read(MAX_SOURCE_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ArgumentError(f"cannot read {found.name}: {reason.lower()}", code="unreadable-file") from error
        if len(content) > MAX_SOURCE_BYTES:
            raise ArgumentError(f"{found.name} has more than {MAX_SOURCE_BYTES} bytes", code="file-too-large")
        return content

    def _bases(self, folder: str) -> list[Path]:
        """The folders to look in; an absolute name, joined to one of them, stays as it is."""
        base = self.root or Path()
        return [base] if not folder or folder.startswith("@") else list(dict.fromkeys([Path(folder), base]))

    def _check_inside(self, path: Path, name: str) -> None:
        if self.root is not None and not path.resolve().is_relative_to(self.root):
            raise ArgumentError(f"{name} lies outside of {self.root}", code="outside-root")

    def _find_embedded(self, name: str) -> _Found:
        path = self.embedded.get(name) if not name.endswith("/") else None
        path = path if path is not None else self._in_tree(name)
        if path is None or not path.is_file():
            known = ", ".join(f"{each}*" if each.endswith("/") else each for each in sorted(self.embedded))
            raise ArgumentError(f"there is no embedded file {name}", hint=f"embedded are: {known}", code="no-such-file")
        return _Found(name, path)

    def _in_tree(self, name: str) -> Path | None:
        """The file of an embedded tree, which no ``..`` may leave; None if it is none."""
        for prefix, folder in self.embedded.items():
            inner = name.removeprefix(prefix)
            if prefix.endswith("/") and inner != name and ".." not in PurePosixPath(inner).parts:
                path = folder / inner
                return path if path.is_file() else None
        return None

    def _match_embedded(self, pattern: str) -> list[_Found]:
        named = {path.resolve() for name, path in self.embedded.items() if not name.endswith("/")}
        for prefix, folder in self.embedded.items():
            inner = pattern.removeprefix(prefix)
            if prefix.endswith("/") and inner != pattern and ".." not in PurePosixPath(inner).parts:
                return [
                    _Found(prefix + path.relative_to(folder).as_posix(), path)
                    for path in _glob(inner, folder)
                    if _is_file(path) and path.resolve() not in named
                ]
        trees = ", ".join(sorted(prefix for prefix in self.embedded if prefix.endswith("/")))
        raise ArgumentError(
            f"there is no embedded tree for {pattern}", hint=f"embedded are: {trees}", code="no-such-file"
        )


def _is_file(path: Path) -> bool:
    """Whether this is a file, or may be one: what may not be looked at fails when it is read, and says why."""
    try:
        return path.is_file()
    except PermissionError:
        return True
    except (OSError, ValueError):  # a name too long, a character that names cannot have
        return False


def _glob(pattern: str, folder: Path) -> list[Path]:
    """What matches, sorted by name; the folder's own name is no pattern."""
    if (sources := _noting.get()) is not None:
        sources.globs.add(str(Path(glob.escape(str(folder))) / pattern))
    if pattern.count("/") > MAX_GLOB_FOLDERS:  # glob calls itself for each
        raise ArgumentError(f"a glob names at most {MAX_GLOB_FOLDERS} folders, one in the other", code="bad-include")
    return [folder / name for name in sorted(glob.glob(pattern, root_dir=folder))]  # noqa: PTH207  has no root_dir


class _Loader:
    """Expands Includes, depth first."""

    def __init__(self, root: Path | None, embedded: Mapping[str, Path]) -> None:
        self.files = _Files(root, embedded)
        self.nodes: list[Node] = []
        self.diagnostics: list[Diagnostic] = []
        self.parsed: dict[str, tuple[tuple[Node, ...], SourceFile]] = {}
        self.names: list[str] = []
        self.open: dict[Path, str] = {}  # the files between the first one and the current one
        self.count = self.total = 0
        self.last: dict[str, tuple[_Found, Span, Sequence[str]]] = {}  # by name: what is to come after all else

    def finish(self) -> None:
        """Load what is to come after all else."""
        for found, span, lines in self.last.values():
            if self._may_open(found, span, lines):
                self._load(found, span, lines)
        self.last.clear()

    def result(self) -> Loaded:
        """What was read so far."""
        lines = {name: source.lines for name, (_, source) in self.parsed.items()}
        return Loaded(tuple(self.nodes), tuple(self.diagnostics), tuple(self.names), lines)

    def include(self, name: str, span: Span, folder: str, lines: Sequence[str] = ()) -> None:
        """Load what an Include names.

        Args:
            name: the Include's argument.
            span: where it stands.
            folder: the folder of the including file.
            lines: the lines of the including file, for diagnostics.
        """
        try:
            found = self._resolve(name, span, folder, lines)
        except ArgumentError as error:
            self._error(error.code, error.message, span, error.hint, lines)
            return
        for file in found:
            if self._may_open(file, span, lines):
                self._load(file, span, lines)

    def _resolve(self, name: str, span: Span, folder: str, lines: Sequence[str]) -> list[_Found]:
        if not glob.has_magic(name):
            before, after = self.files.parts(name)
            self.last.update({each.name: (each, span, lines) for each in after})
            return before if before or after else [self.files.find(name, folder)]
        if "*" not in name:  # "[" and "?" are rare in names of files, but not forbidden
            with contextlib.suppress(ArgumentError):
                return [self.files.find(name, folder)]
        found = self.files.match(name, folder)
        if not found:
            message = f"no file matches {name}"
            warning = Diagnostic(Severity.WARNING, "nothing-included", message, span)
            self.diagnostics.append(warning.with_source(lines))
        return found

    def _may_open(self, file: _Found, span: Span, lines: Sequence[str]) -> bool:
        chain = [*self.open.values(), file.name]
        if file.path.resolve() in self.open:
            self._error("include-cycle", "include cycle: " + " -> ".join(chain), span, "", lines)
        elif len(self.open) >= MAX_DEPTH:
            self._error("include-depth", f"files include each other more than {MAX_DEPTH} deep", span, "", lines)
        elif self.count >= MAX_FILES or self.total > MAX_TOTAL:
            if self.count <= MAX_FILES:  # said once: every further Include would say it again
                self.count = MAX_FILES + 1
                message = f"more than {MAX_FILES} files or {MAX_TOTAL} characters are included"
                self._error("too-many-files", message, span, "", lines)
        else:
            return True
        return False

    def _load(self, file: _Found, span: Span, lines: Sequence[str]) -> None:
        self.count += 1
        resolved = file.path.resolve()
        if file.name not in self.parsed:
            try:
                source = SourceFile.from_bytes(file.name, self.files.read(file))
            except ArgumentError as error:
                self._error(error.code, error.message, span, error.hint, lines)
                return
            self.names.append(file.name)
        else:
            source = self.parsed[file.name][1]
        self.open[resolved] = file.name
        self.expand(source, self.files.folder_of(file.name))
        del self.open[resolved]

    def expand(self, source: SourceFile, folder: str) -> None:
        """Take over the directives of a text, its Includes replaced."""
        if source.name not in self.parsed:
            nodes, diagnostics = parse_source(source)
            self.parsed[source.name] = (nodes, source)
            self.diagnostics.extend(diagnostics)  # once, however often the file is included
        self.total += len(source.text)
        for node in self.parsed[source.name][0]:
            if not isinstance(node, Directive) or node.name.lower() != "include":
                self.nodes.append(node)
            elif len(node.arguments) == 1:
                self.include(node.arguments[0].text, node.arguments[0].span, folder, source.lines)
            else:
                message = f"Include takes one file or glob, got {len(node.arguments)}"
                self._error(
                    "bad-include", message, node.span, "a name with blanks stands in double quotes", source.lines
                )

    def _error(self, code: str, message: str, span: Span, hint: str, lines: Sequence[str]) -> None:
        self.diagnostics.append(Diagnostic(Severity.ERROR, code, message, span, hint).with_source(lines))
