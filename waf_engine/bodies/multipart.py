"""MULTIPART: fields and files of ``multipart/form-data`` (RFC 7578, RFC 2046 section 5.1; engine.md 1.2 and 1.7).

Two things at once: it reads leniently, as Coraza does (line feeds without carriage return, folded headers, a
missing last boundary), and it reports strictly, in ModSecurity's flags, all that servers read in different ways.
`BodyResult.error` (REQBODY_ERROR) is set where Go's parser, so Coraza, gives up; MULTIPART_STRICT_ERROR also where
ModSecurity's does. No part is lost by either; where it is doubtful whether a part is a file (whose content no
rule sees), the part is a file and a field.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waf_engine.bodies.parameters import Parameters, parse_parameters
from waf_engine.bodies.part_headers import read_part_headers
from waf_engine.bodies.registry import body_processors
from waf_engine.types import BodyResult, UploadedFile

if TYPE_CHECKING:
    from waf_engine.bodies.part_headers import PartHeaders
    from waf_engine.types import BodyContext

STRICT_FLAGS = (
    "MULTIPART_BOUNDARY_QUOTED",
    "MULTIPART_BOUNDARY_WHITESPACE",
    "MULTIPART_DATA_BEFORE",
    "MULTIPART_DATA_AFTER",
    "MULTIPART_HEADER_FOLDING",
    "MULTIPART_INVALID_HEADER_FOLDING",
    "MULTIPART_LF_LINE",
    "MULTIPART_MISSING_SEMICOLON",
    "MULTIPART_SEMICOLON_MISSING",
    "MULTIPART_INVALID_QUOTING",
    "MULTIPART_INVALID_PART",
    "MULTIPART_FILE_LIMIT_EXCEEDED",
)
"""The flags of which MULTIPART_STRICT_ERROR is the disjunction (with structural errors that have no flag)."""

FLAGS = ("MULTIPART_STRICT_ERROR", "MULTIPART_UNMATCHED_BOUNDARY", "MULTIPART_CRLF_LF_LINES", *STRICT_FLAGS)

_CLEAN = dict.fromkeys(FLAGS, b"0")
_BLANKS = b" \t\r"
_MAX_BOUNDARY = 1024  # as ModSecurity bounds the whole header; RFC 2046 allows 70 bytes
_BOUNDARY_BYTES = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'()+_,-./:=? "  # RFC 2046
_HYPHENS = re.compile(rb"\n--")  # twice as fast as bytes.count
_MEDIA_TYPE = re.compile(rb"\s*multipart/[^\s;]*", re.IGNORECASE)


@dataclass(slots=True)
class _Reader:
    """What is gathered while a body is read."""

    context: BodyContext
    result: BodyResult
    crlf_lines: bool = False
    lf_lines: bool = False
    structure_error: bool = False

    def flag(self, name: str) -> None:
        self.result.flags[name] = b"1"

    def fail(self, message: str) -> None:
        """Set the error; the first one is the one that people want to read."""
        self.structure_error = True
        if not self.result.error:
            self.result.error = message

    def add_headers(self, headers: PartHeaders) -> None:
        """Take over what the headers of a part tell about the whole body."""
        self.crlf_lines = self.crlf_lines or headers.crlf
        self.lf_lines = self.lf_lines or headers.lf
        if headers.folding:
            self.flag("MULTIPART_HEADER_FOLDING")
        if headers.invalid_folding:
            self.flag("MULTIPART_INVALID_HEADER_FOLDING")
        if headers.error:
            self.fail(headers.error)

    def saw_line_end(self, *, carriage_return: bool) -> None:
        if carriage_return:
            self.crlf_lines = True
        else:
            self.lf_lines = True


@body_processors.register("MULTIPART")
def process_multipart(body: bytes, context: BodyContext) -> BodyResult:
    """The body processor for ``multipart/form-data``: ARGS_POST, FILES and the MULTIPART_ variables."""
    reader = _Reader(context, BodyResult(flags=_CLEAN.copy()))
    boundary = _boundary(context.content_type, reader)
    if boundary:
        _read_body(_without_cut_boundary(body, boundary) if context.truncated else body, boundary, reader)
    flags = reader.result.flags
    if reader.lf_lines:
        flags["MULTIPART_LF_LINE"] = b"1"
        if reader.crlf_lines:
            flags["MULTIPART_CRLF_LF_LINES"] = b"1"
    if reader.structure_error or any(flags[name] != b"0" for name in STRICT_FLAGS):
        flags["MULTIPART_STRICT_ERROR"] = b"1"
    return reader.result


def _boundary(content_type: bytes, reader: _Reader) -> bytes:
    """The boundary of a Content-Type, or an empty one and an error; faults that leave a boundary are flagged."""
    media_type = _MEDIA_TYPE.match(content_type)
    if media_type is None:
        reader.fail("the content type is not multipart/")
        return b""
    rest = content_type[media_type.end() :].lstrip()
    if rest and not rest.startswith(b";"):
        reader.flag("MULTIPART_MISSING_SEMICOLON")
        reader.flag("MULTIPART_SEMICOLON_MISSING")
    parameters = parse_parameters(rest.removeprefix(b";"))
    found = parameters.all(b"boundary")
    if not found or not found[0]:
        reader.fail("the content type has no boundary")
        return b""
    if len(found) > 1:
        reader.fail("the content type has more than one boundary")
    if parameters.malformed:
        reader.structure_error = True
    boundary = found[0]
    if b"boundary" in parameters.quoted:
        reader.flag("MULTIPART_BOUNDARY_QUOTED")
    elif len(unquoted := re.split(rb"[\s,]", boundary, maxsplit=1)) > 1:  # as PHP ends it
        reader.fail("the boundary is followed by something that is no parameter")
        boundary = unquoted[0]
    if parameters.blanks:
        reader.flag("MULTIPART_BOUNDARY_WHITESPACE")
    if len(boundary) > _MAX_BOUNDARY:
        reader.fail(f"the boundary is longer than {_MAX_BOUNDARY} bytes")
        return b""
    if boundary.translate(None, _BOUNDARY_BYTES) or boundary.endswith(b" "):
        reader.structure_error = True
    return boundary


def _read_body(body: bytes, boundary: bytes, reader: _Reader) -> None:
    """Cut the body at the lines that are boundaries, and read what lies between two as a part.

    Parts after the last boundary are read too: PHP does.
    """
    delimiter = b"--" + boundary
    start = -1  # of the part that is open; -1: none is
    last = -1  # the last boundary
    parts = boundaries = 0
    doubtful = False
    position = 0 if body.startswith(delimiter) else _next_line(body, delimiter, 0)
    if position != 0 and body:
        reader.flag("MULTIPART_DATA_BEFORE")
    while position >= 0 and parts < reader.context.limits.parts:
        line_end = body.find(b"\n", position)
        after = len(body) if line_end < 0 else line_end
        kind = _kind_of_boundary(body[position + len(delimiter) : after], reader)
        if kind == _NO_BOUNDARY:
            doubtful = True
        else:
            boundaries += 1
            last = position
            if start >= 0:
                _read_part(body[start : _data_end(body, position, start, reader)], reader, doubtful=doubtful)
                parts += 1
            doubtful = False
            start = after + 1 if kind == _OPENS else -1
            if line_end >= 0:
                reader.saw_line_end(carriage_return=body[line_end - 1 : line_end] == b"\r")
                if kind == _CLOSES and after + 1 < len(body):
                    reader.flag("MULTIPART_DATA_AFTER")
        position = _next_line(body, delimiter, after)
    if position >= 0:
        reader.fail(f"more than {parts} parts")
    elif boundaries == 0 and not reader.context.truncated:
        reader.fail("no boundary found in the body")
    elif 0 <= start < len(body):
        # The last boundary is missing. ModSecurity refuses the body; Coraza keeps the part and finds no fault.
        _read_part(body[start:], reader, doubtful=doubtful, cut=reader.context.truncated)
    _flag_unmatched(body, boundary, boundaries, last, reader)


def _without_cut_boundary(body: bytes, boundary: bytes) -> bytes:
    """A body that was cut, without the beginning of a boundary at its end: that is no text that resembles one."""
    line = body.rfind(b"\n") + 1
    rest, last = body[line:], b"--" + boundary + b"--"
    if rest in (b"", last, last[:-2]) or not (last + b"\r").startswith(rest):
        return body
    return body[:line]


def _next_line(body: bytes, delimiter: bytes, start: int) -> int:
    """Where the next line begins that begins with the delimiter, or -1."""
    found = body.find(b"\n" + delimiter, start)
    return found + 1 if found >= 0 else -1


_OPENS, _CLOSES, _NO_BOUNDARY = range(3)


def _kind_of_boundary(rest: bytes, reader: _Reader) -> int:
    """What a line is that begins with the delimiter, from the rest of the line."""
    rest = rest.removesuffix(b"\r")
    if not rest:
        return _OPENS
    closes = rest[:2] == b"--"
    if rest == b"--":
        return _CLOSES
    reader.structure_error = True  # ModSecurity gives up, even where only blanks follow, as RFC 2046 allows
    if not (rest[2:] if closes else rest).strip(_BLANKS):
        return _CLOSES if closes else _OPENS
    if closes or rest[:1] in (b" ", b"\t"):
        reader.fail("text after a boundary in its line")  # so does Go, where the boundary before it is complete
    return _NO_BOUNDARY


def _data_end(body: bytes, position: int, start: int, reader: _Reader) -> int:
    """Where the data before a boundary ends: its line break belongs to the boundary."""
    if position - 1 < start:
        return start
    if body[position - 2 : position - 1] == b"\r" and position - 2 >= start:
        return position - 2
    reader.saw_line_end(carriage_return=False)
    return position - 1


def _flag_unmatched(body: bytes, boundary: bytes, matched: int, last_boundary: int, reader: _Reader) -> None:
    """MULTIPART_UNMATCHED_BOUNDARY: text that resembles a boundary but is none.

    As in libmodsecurity 1 means that no boundary follows it and 2 that one does, so that rules can be
    tolerant (``@eq 1``) or not (``!@eq 0``); unlike there, a body without such text has 0.
    """
    delimiter = b"--" + boundary
    resembling = len(_HYPHENS.findall(body)) + body.startswith(b"--")
    if resembling == matched and body.count(delimiter) == matched:
        return
    after = last_boundary + len(delimiter)
    is_last = body.find(b"\n--", after) >= 0 or body.find(delimiter, after) >= 0
    reader.result.flags["MULTIPART_UNMATCHED_BOUNDARY"] = b"1" if is_last or last_boundary < 0 else b"2"
    if any(body.find(b"\n--" + odd + boundary) >= 0 for odd in (b" ", b"\t", b'"')):
        reader.structure_error = True


def _read_part(part: bytes, reader: _Reader, *, doubtful: bool, cut: bool = False) -> None:
    """Read one part, from after its boundary line to the line break before the next one."""
    limits = reader.context.limits
    if reader.context.tick is not None:
        reader.context.tick()
    headers = read_part_headers(part, limits.part_headers, cut=cut)
    reader.add_headers(headers)
    doubtful = doubtful or headers.doubtful
    quoting = extended = False
    names: list[bytes] = []
    filenames: list[bytes] = []
    for disposition in headers.dispositions:
        parameters, clear = _read_disposition(disposition)
        doubtful = doubtful or not clear
        quoting = quoting or parameters.quoting
        extended = extended or b"filename" in parameters.extended  # to PHP this is a field
        names += parameters.all(b"name")
        filenames += parameters.all(b"filename")
    if len(headers.dispositions) != 1 or len(names) != 1 or not names[0] or len(filenames) > 1:
        doubtful = doubtful or not cut
    if doubtful:
        reader.flag("MULTIPART_INVALID_PART")
    if quoting:
        reader.flag("MULTIPART_INVALID_QUOTING")
    name = names[0] if names else b""
    content = part[headers.content :]
    result = reader.result
    result.part_headers += [(name, line) for line in headers.lines]
    result.multipart_names += [(each, each) for each in names]
    result.multipart_filenames += [(each, each) for each in filenames]
    is_file = False
    for filename in dict.fromkeys(filenames):
        if filename:
            # A second name of the same file (filename*) is an entry of its own, without content.
            file = UploadedFile(field=name, filename=filename, content=b"" if is_file else content)
            file.content_type = headers.content_type
            result.files.append(file)
            is_file = True
    if len(result.files) > limits.files:
        reader.flag("MULTIPART_FILE_LIMIT_EXCEEDED")
    if not is_file or doubtful or quoting or extended:
        fields = [(each, content) for each in dict.fromkeys((name, names[-1] if names else name))]  # PHP: the last
        decoded = _decode(content, headers.transfer_encoding)
        if decoded != content:
            fields.append((name, decoded))
        if len(result.args) + len(fields) > limits.arguments:
            reader.fail(f"more than {limits.arguments} arguments")
        result.args += fields[: max(0, limits.arguments - len(result.args))]


def _decode(content: bytes, transfer_encoding: bytes) -> bytes:
    """The content as a server reads it that heeds Content-Transfer-Encoding, which RFC 7578 deprecates.

    Go's parser, so Coraza, heeds quoted-printable; Python's e-mail parser base64, too.
    """
    try:
        if transfer_encoding == b"quoted-printable":
            return binascii.a2b_qp(content)
        if transfer_encoding == b"base64":
            return binascii.a2b_base64(content)
    except ValueError:  # not what it claims to be
        pass
    return content


def _read_disposition(value: bytes) -> tuple[Parameters, bool]:
    """The parameters of a Content-Disposition, and whether all servers read it alike."""
    kind, semicolon, rest = value.partition(b";")
    parameters = parse_parameters(rest)
    clear = kind.strip().lower() == b"form-data" and semicolon == b";" and b"\x00" not in value
    return parameters, clear and not parameters.malformed
