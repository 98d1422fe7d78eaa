"""A tolerant reader of JSON that is none: every value to the end of the body, and what is wrong with it.

For `json.py`, which asks Python's parser first. Here nothing stops the reading but the limit on leaves: a server
whose parser takes comments, trailing commas or unquoted names must not see values that no rule has seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.types import Entry


@dataclass(frozen=True, slots=True)
class KeyStyle:
    """How leaves are named.

    Attributes:
        item: the end of the path of a member of an array, with ``%d`` for its index.
        lengths: whether an array, after its members, is a leaf too: its length.
        empty_name: what stands for an empty name.
        root: the path of the outermost value.
        items: the first 256 items, made once.
    """

    item: bytes
    lengths: bool
    empty_name: bytes = b""
    root: bytes = b"json"
    items: tuple[bytes, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.item % index for index in range(256)))

    def name(self, name: bytes) -> bytes:
        """A name as it stands in a path."""
        return name or self.empty_name


MAX_PATH = 1024  # bytes of a container's path: each of its leaves has a copy of it in its name

_TOKENS_PER_LEAF = 20  # a leaf of an object has four; the rest is for containers without leaves

# Possessive, so linear. A string, open at the end of the body or not; punctuation; anything else, as a word.
_TOKEN = re.compile(
    rb"""[ \t\r\n]*+(?:"((?:[^"\\]++|\\.|\\\Z)*+)("?)|([][{}:,])|([^ \t\r\n"\[\]{}:,]++))""",
    re.DOTALL,
)
_NUMBER = re.compile(rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+")
_HEX = rb"[0-9a-fA-F]"
_ESCAPE = re.compile(
    rb"\\(?:u([dD][89abAB]%(h)b{2})\\u([dD][c-fC-F]%(h)b{2})|u(%(h)b{4})|(.))" % {b"h": _HEX}, re.DOTALL
)
_HALF_ESCAPE = re.compile(rb"((?<!\\)(?:\\\\)*+)\\(?:u%(h)b{0,3}+)?+\Z" % {b"h": _HEX})
_BEGUN_NUMBER = re.compile(rb"-?+(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?+(?:[eE][+-]?+[0-9]*+)?+)?+")
_SIMPLE = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_LITERALS = {b"true": b"true", b"false": b"false", b"null": b""}
_CONTROLS = bytes(range(32))

# What may come next.
_NAME, _COLON, _VALUE, _COMMA, _NOTHING = "a name", "a colon", "a value", "a comma or an end", "nothing more"

_OUTSIDE, _OBJECT = -2, -1  # in place of an index: around all containers, in an object


def _is_begun(word: bytes) -> bool:
    """Whether a literal or a number may begin with this word."""
    return any(each.startswith(word) for each in _LITERALS) or _BEGUN_NUMBER.fullmatch(word) is not None


class JSONReader:
    """Reads one body.

    Attributes:
        entries: the leaves, path and value, in the order of the body.
        error: the first thing that was wrong; empty when nothing was.
    """

    def __init__(self, style: KeyStyle, *, depth: int, leaves: int, cut: bool = False) -> None:
        """Make a reader.

        Args:
            style: how leaves are named.
            depth: nesting at most; what lies deeper is read as if it stood in the container at that depth.
            leaves: leaves at most; there the reading ends.
            cut: whether the body was cut, so that it is no error where its end is missing.
        """
        self.entries: list[Entry] = []
        self.error = ""
        self._style = style
        self._depth = depth
        self._leaves = leaves
        self._cut = cut
        self._path = style.root  # of the innermost container
        self._index = _OUTSIDE  # of its next member
        self._around: list[tuple[bytes, int]] = []  # path and index of the containers around it
        self._too_deep = 0  # containers that were opened beyond the depth
        self._name: bytes | None = None  # in an object, what waits for its value
        self._expected = _VALUE
        self._may_end = False  # whether the innermost container may end here

    def read(self, data: bytes, tick: Callable[[], None] | None = None) -> None:
        """Read all of a body.

        Args:
            data: the body.
            tick: called for each token; see `BodyContext`.
        """
        # Without the blanks at its end, where no token follows them and the search would start anew at each.
        tokens = _TOKEN.finditer(data.rstrip(b" \t\r\n"))
        for match in islice(tokens, self._leaves * _TOKENS_PER_LEAF):
            if len(self.entries) >= self._leaves:
                self._fail(f"more than {self._leaves} values")
                return
            if tick is not None:
                tick()
            content, closed, mark, word = match.groups()
            if mark is not None:
                self._mark(mark)
            elif word is not None:
                at_end = self._cut and match.end() == match.endpos
                self._scalar(word if at_end and _is_begun(word) else self._read_word(word), is_name=False)
            else:
                if not closed:
                    content = self._open_string(content)
                self._scalar(self._unescape(content), is_name=True)
        if next(tokens, None) is not None:
            self._fail(f"more than {self._leaves} values and containers")
        self._finish()

    def _fail(self, message: str) -> None:
        self.error = self.error or message

    def _open_string(self, content: bytes) -> bytes:
        """The content of a string that the body ends in; of one that was cut, without a half escape."""
        if self._cut:
            return _HALF_ESCAPE.sub(rb"\1", content)
        self._fail("a string has no end")
        return content

    def _expect(self, what: str) -> None:
        if self._expected != what:
            self._fail(f"{what} where {self._expected} was expected")

    def _mark(self, mark: bytes) -> None:
        if mark == b":":
            self._expect(_COLON)
            self._expected, self._may_end = _VALUE, False
        elif mark == b",":
            self._expect(_COMMA)
            self._settle_name()
            self._expected = {_OUTSIDE: _NOTHING, _OBJECT: _NAME}.get(self._index, _VALUE)
            self._may_end = False
        elif mark in b"{[":
            self._open(_OBJECT if mark == b"{" else 0)
        else:
            self._close(is_object=mark == b"}")

    def _read_word(self, word: bytes) -> bytes:
        """The value of what has no quotes: a literal, a number, or what some parsers take for a string."""
        if word in _LITERALS:
            return _LITERALS[word]
        if not _NUMBER.fullmatch(word):
            self._fail("a word that is neither a number nor true, false or null")
        return word

    def _scalar(self, value: bytes, *, is_name: bool) -> None:
        """A value that is no container, or a name."""
        if self._index == _OBJECT and self._name is None:
            self._expect(_NAME)
            if not is_name:
                self._fail("a name without quotes")
            self._name = value
            self._expected, self._may_end = _COLON, False
            return
        self._expect(_VALUE)
        if self._index == _OUTSIDE and self._style.lengths:  # Coraza takes it for an array of one
            self.entries += ((self._path + self._style.item % 0, value), (self._path, b"1"))
        else:
            self.entries.append((self._member_path(), value))
        self._took_value()

    def _open(self, index: int) -> None:
        self._expect(_VALUE)
        if len(self._around) >= self._depth:
            self._fail(f"nested deeper than {self._depth}")
            self._too_deep += 1
            self._settle_name()
        else:
            path = self._member_path()
            if len(path) > MAX_PATH:
                self._fail(f"a path is longer than {MAX_PATH} bytes")
                self.entries.append((path, b""))
                path = path[:MAX_PATH]
            self._around.append((self._path, self._index))
            self._path, self._index = path, index
        self._expected = _NAME if self._index == _OBJECT else _VALUE
        self._may_end = True

    def _close(self, *, is_object: bool) -> None:
        if not self._may_end:
            self._fail(f"an end where {self._expected} was expected")
        self._settle_name()
        if self._too_deep:
            self._too_deep -= 1
        elif self._around:
            if is_object != (self._index == _OBJECT):
                self._fail("an end that does not match its beginning")
            self._leave()
        else:
            self._fail("an end without a beginning")
        self._took_value()

    def _leave(self) -> None:
        """Go back to the container around this one."""
        if self._style.lengths and self._index > 0:
            self.entries.append((self._path, b"%d" % self._index))
        self._path, self._index = self._around.pop()

    def _took_value(self) -> None:
        self._expected = _NOTHING if self._index == _OUTSIDE else _COMMA
        self._may_end = True

    def _member_path(self) -> bytes:
        """The path of the member of the innermost container whose value comes now."""
        if self._index == _OUTSIDE:
            return self._path
        if self._index == _OBJECT:
            name, self._name = self._name or b"", None
            return self._path + b"." + self._style.name(name)
        path = self._path + self._style.item % self._index
        self._index += 1
        return path

    def _settle_name(self) -> None:
        """A name that never got its value is a leaf with an empty one."""
        if self._name is not None:
            self.entries.append((self._member_path(), b""))

    def _finish(self) -> None:
        self._settle_name()
        if self._cut:
            pass
        elif self._around:
            self._fail("the body ends too early")
        elif self._expected == _VALUE:
            self._fail("the body holds no value")
        while self._around:
            self._leave()

    def _unescape(self, content: bytes) -> bytes:
        """The bytes that a string stands for; a lone surrogate as its three bytes, a bad escape as it came."""
        if content.translate(None, _CONTROLS) != content:
            self._fail("a control character in a string")
        return _ESCAPE.sub(self._unescape_one, content) if b"\\" in content else content

    def _unescape_one(self, match: re.Match[bytes]) -> bytes:
        high, low, single, other = match.groups()
        if high:
            code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00
            return chr(code).encode()
        if single:
            return chr(int(single, 16)).encode("utf-8", "surrogatepass")
        simple = _SIMPLE.get(other)
        if simple is None:
            self._fail("an escape that JSON does not have")
            return match[0]
        return simple
