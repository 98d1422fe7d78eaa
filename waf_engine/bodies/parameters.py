"""Parameters of a Content-Type or Content-Disposition value: ``; name="a"; filename*=UTF-8''b`` (RFC 2045, 2231, 6266).

Reads leniently, for what a strict reader refuses another reader may accept: every parameter is reported in
its order, repeated ones too, together with what was wrong. The caller decides what to make of that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from waf_engine.bodies.urlencoded import percent_decode

_BLANKS = b" \t\r\n\x0b\x0c"
_NAME = re.compile(rb"[^;=]*")
_AS_BROWSERS_DO = re.compile(rb' name="([^"\\]*+)"(?:; filename="([^"\\]*+)")?+')
_QUOTED = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPED = re.compile(rb'\\(["\\])')
_NOT_TOKEN = bytes(c for c in range(256) if c <= 32 or c >= 127 or c in b'()<>@,;:\\"/[]?=')
_MAX_PARAMETERS = 64  # a browser sends three; beyond this the rest of the text becomes one last value


@dataclass(slots=True)
class Parameters:
    """What was read.

    Attributes:
        entries: name (lower case) and value of each parameter, those of RFC 2231 decoded and under their plain
            name, after all others.
        malformed: something is not as the RFCs have it; what could be read was read.
        quoting: the fault is one of quotes: a single quote, an open quote, text after a closing one.
        blanks: there is a blank beside a ``=``.
        quoted: names of the parameters whose value stood in double quotes.
        extended: names that only RFC 2231's forms gave (``filename*=``), which some servers do not know.
    """

    entries: list[tuple[bytes, bytes]] = field(default_factory=list)
    malformed: bool = False
    quoting: bool = False
    blanks: bool = False
    quoted: set[bytes] = field(default_factory=set)
    extended: set[bytes] = field(default_factory=set)

    def all(self, name: bytes) -> list[bytes]:
        """The values of every parameter of a name, in order."""
        return [value for each, value in self.entries if each == name]


def parse_parameters(text: bytes) -> Parameters:
    """Read the parameters of a header value.

    Args:
        text: what follows the first ``;`` of the value.

    Returns:
        Whatever could be read; nothing is ever refused.
    """
    if plain := _AS_BROWSERS_DO.fullmatch(text):  # nearly always: a third of the time
        name, filename = plain.groups()
        if filename is None:
            return Parameters([(b"name", name)], quoted={b"name"})
        return Parameters([(b"name", name), (b"filename", filename)], quoted={b"name", b"filename"})
    found = Parameters()
    extended: list[tuple[bytes, bytes]] = []
    position, end = 0, len(text)
    while position < end:
        if len(found.entries) + len(extended) >= _MAX_PARAMETERS:
            found.malformed = True
            found.entries.append((b"", text[position:]))
            break
        raw_name = _NAME.match(text, position)[0]  # type: ignore[index]  # the pattern matches everywhere
        position += len(raw_name) + 1
        name = raw_name.strip(_BLANKS).lower()
        if position > end or text[position - 1 : position] == b";":  # no value
            found.malformed = found.malformed or name != b""
            if name:
                found.entries.append((name, b""))
            continue
        value, position = _value(text, position, name, found)
        if raw_name[-1:] in b" \t" and raw_name:
            found.blanks = True
        if b"*" in name:
            extended.append((name, value))
        else:
            found.entries.append((name, value))
    if extended:
        _join_extended(extended, found)
    return found


def _value(text: bytes, position: int, name: bytes, found: Parameters) -> tuple[bytes, int]:
    """The value that begins at a position, and the position after its ``;``."""
    start = position
    while text[position : position + 1] in (b" ", b"\t"):
        position += 1
    if position > start:
        found.blanks = True
    if text[position : position + 1] == b'"':
        match = _QUOTED.match(text, position)
        if match is None:
            found.malformed = found.quoting = True
            return text[position + 1 :], len(text)
        found.quoted.add(name)
        value = match[1]
        if b"\\" in value:
            # Only the quote and the backslash: Internet Explorer sent paths, C:\temp\x, without escaping.
            value = _ESCAPED.sub(rb"\1", value)
        position = match.end()
        after = text.find(b";", position)
        after = len(text) if after < 0 else after
        if text[position:after].strip(_BLANKS):
            found.malformed = found.quoting = True
        return value, after + 1
    after = text.find(b";", position)
    after = len(text) if after < 0 else after
    value = text[position:after].strip(_BLANKS)
    if b"'" in value and b"*" not in name:
        found.quoting = True  # some servers take it for a quote; the bytes stay, as Coraza has it
    if not value or value.translate(None, _NOT_TOKEN) != value:
        found.malformed = True
    return value, after + 1


def _join_extended(extended: list[tuple[bytes, bytes]], found: Parameters) -> None:
    """Decode ``name*=charset'lang'%41`` and join ``name*0=a; name*1=b``, whatever their charset."""
    joined: dict[bytes, list[tuple[int, bytes]]] = {}
    for name, raw in extended:
        base, _, section = name.partition(b"*")
        number = section.rstrip(b"*")
        if number and not (number.isdigit() and len(number) < 4):
            found.malformed = True
            number = b""
        value = raw
        if not section or section.endswith(b"*"):
            if number in (b"", b"0"):
                charset_and_language, quote, value = raw.rpartition(b"'")
                found.malformed = found.malformed or not quote or b"'" not in charset_and_language
            value, bad = percent_decode(value)
            found.malformed = found.malformed or bad
        joined.setdefault(base, []).append((int(number) if number else -1, value))
    found.extended = joined.keys() - {name for name, _ in found.entries}
    for base, sections in joined.items():
        whole = [value for index, value in sections if index < 0]
        found.entries += [(base, value) for value in whole]
        pieces = [value for index, value in sorted(sections, key=lambda section: section[0]) if index >= 0]
        if pieces:
            found.entries.append((base, b"".join(pieces)))
