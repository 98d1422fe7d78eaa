"""The header lines of one part of a multipart body (RFC 7578 section 4.8, RFC 5322 section 2.2).

Only reads lines; what they mean for the part is `multipart.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_BLANKS = b" \t\r"
_FOLDING = frozenset(b" \t\x0b\x0c")  # ModSecurity takes any white space, as PHP does; only the first two are valid
_NAME_BYTES = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # RFC 9110, token
_MAX_LINES = 100  # of one part; browsers send two


@dataclass(slots=True)
class PartHeaders:
    """What was read of the headers of a part.

    Attributes:
        lines: the header lines as they came, folded ones joined, blanks at the end dropped.
        dispositions: the values of Content-Disposition; one, if nothing is wrong.
        content_type: the value of Content-Type; empty when there is none.
        transfer_encoding: the value of Content-Transfer-Encoding, in lower case; empty when there is none.
        content: where the part's content begins.
        error: why Go's parser, so Coraza, gives up; empty when it does not.
        doubtful: whether servers may read these headers in different ways.
        folding: whether a header was folded.
        invalid_folding: whether it was folded by something other than a blank or a tab.
        crlf: whether a line ended in CRLF.
        lf: whether a line ended in LF alone.
    """

    lines: list[bytes] = field(default_factory=list)
    dispositions: list[bytes] = field(default_factory=list)
    content_type: bytes = b""
    transfer_encoding: bytes = b""
    content: int = 0
    error: str = ""
    doubtful: bool = False
    folding: bool = False
    invalid_folding: bool = False
    crlf: bool = False
    lf: bool = False

    def fail(self, message: str) -> None:
        """Note an error; the first one stands."""
        self.doubtful = True
        self.error = self.error or message


def read_part_headers(part: bytes, limit: int, *, cut: bool = False) -> PartHeaders:
    """Read the header lines of a part up to the empty line.

    Where that line is missing, or a line before it has no colon, the content begins at the first line that
    is no header: to a server that wants no empty line it may be content, and rules must see it as such.

    Args:
        part: what follows the boundary line.
        limit: bytes of headers at most.
        cut: whether the part ends because the body was cut, so that missing ends are no errors.

    Returns:
        Whatever could be read.
    """
    headers = PartHeaders()
    no_header = -1
    position = 0
    for _ in range(_MAX_LINES):
        line_end = part.find(b"\n", position, limit)
        if line_end < 0:
            break
        line = part[position:line_end]
        if line.endswith(b"\r"):
            headers.crlf = True
            line = line[:-1]
        else:
            headers.lf = True
        if not line:
            headers.content = line_end + 1 if no_header < 0 else no_header
            _interpret(headers)
            return headers
        if line[0] in _FOLDING:
            _fold(line, headers)
        elif not _add(line, headers) and no_header < 0:
            no_header = position
        position = line_end + 1
    headers.content = position if no_header < 0 else no_header
    if not cut or len(part) > limit:
        headers.fail("the headers of a part have no end, or are too long")
    if position < len(part) <= limit:
        _add(part[position:], PartHeaders() if cut else headers)
    _interpret(headers)
    return headers


def _add(line: bytes, headers: PartHeaders) -> bool:
    """Add a header line; False for a line without a colon."""
    headers.lines.append(line.rstrip(_BLANKS))
    name, colon, _ = line.partition(b":")
    if not colon:
        headers.fail("a header line of a part has no colon")
        return False
    odd = name.translate(None, _NAME_BYTES)
    if odd.strip(b" ") or not name:
        headers.fail("a header name of a part is empty or has an invalid character")
    elif odd:
        headers.doubtful = True  # blanks: Go takes such a header for one of another name
    return True


def _fold(line: bytes, headers: PartHeaders) -> None:
    """Join a continuation line to the header before it."""
    text = line.lstrip(b" \t\x0b\x0c")
    headers.folding = True
    if line[: len(line) - len(text)].strip(b" \t"):
        headers.invalid_folding = True
    if headers.lines:
        headers.lines[-1] += b" " + text.rstrip(_BLANKS)
    else:
        headers.lines.append(line.rstrip(_BLANKS))
        headers.fail("the headers of a part begin with a continuation line")


def _interpret(headers: PartHeaders) -> None:
    """Find the three headers that matter among the lines."""
    for line in headers.lines:
        name, _, value = line.partition(b":")
        match name.strip(_BLANKS).lower():
            case b"content-disposition":
                headers.dispositions.append(value.strip(_BLANKS))
            case b"content-type":
                headers.content_type = headers.content_type or value.strip(_BLANKS)
            case b"content-transfer-encoding":
                headers.transfer_encoding = value.strip(_BLANKS).lower()
