"""A source text and its lines: decoding, newline forms, the byte order mark, the bound on size.

It opens no file (`waf_engine.loaders` does) and knows nothing of directives.

Bytes that are no UTF-8 become surrogates (``surrogateescape``), so a rule file in Latin-1 keeps its
bytes; `waf_engine.types.encode_argument` gives them back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from waf_engine.diagnostics import ArgumentError

MAX_SOURCE_BYTES = 64 * 1024 * 1024
"""A rule or data file of more bytes is refused. CRS as a whole has 0.8 MB, large IP lists some 20 MB."""

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A named text.

    Attributes:
        name: the name that positions show (a path, ``@baseline/...``, or ``<directives>``).
        text: the content; a byte order mark at its start is dropped.
        lines: the lines without their ends. Lines end with LF or CR LF; a text without any LF may
            end them with CR alone. No other character ends a line.
    """

    name: str
    text: str
    lines: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.text.startswith(_BYTE_ORDER_MARK):
            object.__setattr__(self, "text", self.text[1:])
        object.__setattr__(self, "lines", tuple(_split_lines(self.text)))

    @classmethod
    def from_bytes(cls, name: str, content: bytes) -> SourceFile:
        """Decode the content of a file.

        Args:
            name: see the class.
            content: the bytes of the file.

        Raises:
            ArgumentError: there are too many bytes, or the text is UTF-16.
        """
        if len(content) > MAX_SOURCE_BYTES:
            raise ArgumentError(
                f"{name} has {len(content)} bytes, at most {MAX_SOURCE_BYTES} are read", code="file-too-large"
            )
        if content.startswith(_UTF16_MARKS):
            raise ArgumentError(f"{name} is UTF-16 text", hint="save the file as UTF-8", code="not-utf-8")
        return cls(name, content.decode("utf-8", "surrogateescape"))


def _split_lines(text: str) -> list[str]:
    """The lines, as editors count them; `str.splitlines` would also split at form feeds and U+2028."""
    if "\r" not in text:
        return text.split("\n")
    if "\n" not in text:
        return text.split("\r")
    return text.replace("\r\n", "\n").split("\n")
