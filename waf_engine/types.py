"""The types that the families share: what an operator, a transformation or a body processor is given and gives.

The families (operators/, transformations/, actions/, variables/, bodies/) see a transaction and the
compiler only through the narrow Protocols here, so that each can be read and tested alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

Captures = tuple[bytes, ...]
"""What an operator found: group 0 (the text that matched) and the groups after it. Empty: a match without text."""

MATCHED: Captures = ()
"""A match that captures nothing; to be compared with `is not None`, for it is falsy."""

Entry = tuple[bytes, bytes]
"""A member of a collection: key, value."""

Transformation = Callable[[bytes], bytes]
"""A pure function that never raises. What it cannot transform it returns unchanged."""


class TransactionView(Protocol):
    """What an operator may see of a transaction while it runs."""

    @property
    def id(self) -> str:
        """The transaction's id."""
        ...

    def variable(self, name: str, key: bytes | None = None) -> bytes | None:
        """The first value of a variable (``REMOTE_ADDR``, or ``TX`` with a key), or None."""
        ...

    def set_collection(self, name: str, entries: Sequence[Entry]) -> None:
        """Replace the content of a collection that an operator fills (``GEO``, ``ARGS_PATH``)."""
        ...

    def set_tx(self, key: bytes, value: bytes) -> None:
        """Set a member of TX; the key is folded to lower case."""
        ...

    def note_limit(self, name: str) -> None:
        """Count that a limit was reached (a regular expression's bound, say) in this transaction."""
        ...


Test = Callable[[bytes, TransactionView], Captures | None]
"""A compiled operator: the value in, captures out, None for no match. It never raises on request data."""


class Macro(Protocol):
    """A text with ``%{VARIABLE.key}`` in it, compiled."""

    @property
    def literal(self) -> bytes | None:
        """The whole text, when no macro is in it; else None."""
        ...

    def expand(self, tx: TransactionView) -> bytes:
        """The text with every macro replaced; a variable without a value gives an empty text."""
        ...


class CompileContext(Protocol):
    """What an operator's factory may ask for while a rule set is compiled."""

    def macro(self, text: str) -> Macro:
        """Compile a text that may contain macros.

        Raises:
            ArgumentError: a macro is not closed, or names no variable.
        """
        ...

    def read_data(self, name: str) -> bytes:
        """The content of a data file, looked for beside the rule's file first.

        Raises:
            ArgumentError: there is no such file, or it cannot be read, or it leaves the root.
        """
        ...

    def dataset(self, name: str) -> Sequence[bytes]:
        """The lines of a SecDataset.

        Raises:
            ArgumentError: there is no such data set.
        """
        ...

    def setting(self, name: str) -> Any:
        """A setting of the engine by its name (see `waf_engine.settings`), such as ``pcre_match_limit``."""
        ...

    def warn(self, message: str, hint: str = "") -> None:
        """Report something that is probably not meant, at the argument's place."""
        ...


OperatorFactory = Callable[[str, CompileContext], Test]
"""Makes a `Test` from an operator's argument; raises `ArgumentError` for an argument it refuses.

Texts of rules are `str`, decoded as UTF-8 with ``surrogateescape``; `encode_argument` gives the bytes back."""


def to_text(value: bytes) -> str:
    """Bytes as text; what is not UTF-8 survives as lone surrogates (``surrogateescape``)."""
    return value.decode("utf-8", "surrogateescape")


MAX_NUMBER_DIGITS = 19
"""Digits of a number in a rule: the greatest id has as many. Python refuses to convert much longer ones."""


def whole_number(text: str) -> int | None:
    """The number that a piece of rule text stands for; None for anything but ASCII digits, and for too many of them."""
    digits = text.lstrip("0") if text.isascii() and text.isdigit() else ""
    if len(digits) > MAX_NUMBER_DIGITS or not (digits or text.startswith("0")):
        return None
    return int(digits or "0")


def encode_argument(text: str) -> bytes:
    """The bytes of a piece of rule text, exactly as they stood in the file."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """Bounds on what a body processor builds from a body (the body itself is bounded before).

    Attributes:
        arguments: members added to ARGS_POST at most (SecArgumentsLimit).
        depth: nesting of JSON or XML at most (SecRequestBodyJsonDepthLimit).
        parts: parts of a multipart body at most.
        files: files of a multipart body at most (SecUploadFileLimit).
        part_headers: bytes of the header block of one part at most.
        leaves: leaves of a JSON body at most; Coraza does not apply SecArgumentsLimit to JSON.
    """

    arguments: int = 1000
    depth: int = 1024
    parts: int = 1000
    files: int = 100
    part_headers: int = 16384
    leaves: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyContext:
    """What a body processor is told beside the body.

    Attributes:
        content_type: the whole value of the Content-Type header; empty when there was none.
        limits: see `BodyLimits`.
        separator: between two pairs of an urlencoded body (SecArgumentSeparator).
        json_keys: ``coraza`` (``json.a.0``, array lengths too) or ``modsecurity`` (``json.a.array_0``).
        truncated: True when the body was cut (ProcessPartial): its end is not malformed, but missing.
        cut_before: True when that happened before the body came to the engine, or may have. For JSON it makes a
            difference: at the engine's own limit Coraza's profiles want an error.
        tick: to be called between items (parts, tokens) by what is not done in one go; it may raise, which is to pass
            through. None where nobody counts the time.
    """

    content_type: bytes = b""
    limits: BodyLimits = field(default_factory=BodyLimits)
    separator: bytes = b"&"
    json_keys: str = "coraza"
    truncated: bool = False
    cut_before: bool = False
    tick: Callable[[], None] | None = None


@dataclass(slots=True, kw_only=True)
class UploadedFile:
    """A file of a multipart body.

    Attributes:
        field: the name of the form field.
        filename: the client's name of the file, as it came.
        content: the bytes of the file.
        content_type: the part's Content-Type; empty when there was none.
        path: where the file was saved, if it was.
    """

    field: bytes
    filename: bytes
    content: bytes
    content_type: bytes = b""
    path: Path | None = None


@dataclass(slots=True, kw_only=True)
class BodyResult:
    """What a body processor found; every list is in the order of the body.

    Attributes:
        args: members of ARGS_POST.
        files: files.
        part_headers: MULTIPART_PART_HEADERS: (name of the part, whole header line).
        multipart_names: MULTIPART_NAME: (as in the Content-Disposition of each part).
        multipart_filenames: MULTIPART_FILENAME.
        flags: other variables set by the processor: name to value, such as ``MULTIPART_LF_LINE: b"1"``.
        tx: members of TX that the processor sets.
        error: what is wrong with the body; empty when nothing is. Sets REQBODY_ERROR.
        xml: the parsed tree (an lxml element tree), for the XML variable.
        expose_body: whether REQUEST_BODY holds the raw body.
    """

    args: list[Entry] = field(default_factory=list)
    files: list[UploadedFile] = field(default_factory=list)
    part_headers: list[Entry] = field(default_factory=list)
    multipart_names: list[Entry] = field(default_factory=list)
    multipart_filenames: list[Entry] = field(default_factory=list)
    flags: dict[str, bytes] = field(default_factory=dict)
    tx: dict[bytes, bytes] = field(default_factory=dict)
    error: str = ""
    xml: Any = None
    expose_body: bool = False


BodyProcessor = Callable[[bytes, BodyContext], BodyResult]
"""Parses a body. It never raises on any bytes: what is wrong goes to `BodyResult.error`, what was read is kept."""
