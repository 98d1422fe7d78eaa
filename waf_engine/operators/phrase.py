"""Operators that look for words of a list, without regard to ASCII case.

Holds no search engine: the words become one RE2 alternation that finds the leftmost and there the longest of them,
as Coraza's Aho-Corasick does. Measured on CRS's lists (up to 1,082 words) it takes as long as for one word: 0.6 us for
20 bytes, 2 us for 1 kB, 15 us for 10 kB.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from re2 import _re2

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import Kind, hinted, operators
from waf_engine.patterns import UNANCHORED, re2_options
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from waf_engine.types import Captures, CompileContext, Test, TransactionView

MAX_CAPTURES: Final = 10
"""TX.0 to TX.9: the first ten words found, as in Coraza."""

MEMORY_PER_BYTE: Final = 4096
"""Bytes of RE2's automaton for each byte of the words: a state for each, with at most 256 ways out."""

MIN_MEMORY: Final = 16 << 20

SURELY_TAKEN: Final = 64 * 1024
"""Bytes of a list that RE2 takes in any case; whether it takes a longer one has to be tried when rules are loaded."""

_HEX_GROUP: Final = re.compile(rb"\|( *(?:[0-9A-Fa-f]{2} *)+)\|")  # runs on arguments of rules only


@operators.register("pm")
def pm(argument: str, _context: CompileContext) -> Test:
    """One of the words is somewhere in the value.

    Argument: words with blanks between them; ``|3c 41|`` in a word stands for the bytes of those hexadecimal numbers.
    Matches: a value that has one of them anywhere, ASCII case ignored. TX.0 to TX.9 are the words found, in order.
    Example: @pm wget curl |7c|sh
        matches "CURL http://example.org/"
        not "cur l"
    """
    return phrases_test(split_words(encode_argument(argument)))


@operators.register("pmFromFile", "pmf")
def pm_from_file(argument: str, context: CompileContext) -> Test:
    """One of the lines of a file is somewhere in the value.

    Argument: the file's name (several with blanks between them), looked for beside the rule's file. Empty lines and
        those that begin with ``#`` are left out, blanks around a line too.
    Matches: a value that has one of the lines anywhere, ASCII case ignored. TX.0 to TX.9 are those found, in order.
    Example: @pmFromFile shells.data
        matches "/BIN/Sh -c id"
        not "/bin/s"
    """
    return phrases_test([line for name in argument.split() for line in data_lines(context.read_data(name))])


@operators.register("pmFromDataset")
def pm_from_dataset(argument: str, context: CompileContext) -> Test:
    """One of the lines of a ``SecDataset`` is somewhere in the value.

    Argument: the data set's name.
    Matches: a value that has one of the lines anywhere, ASCII case ignored. TX.0 to TX.9 are those found, in order.
    Example: @pmFromDataset shells
        matches "/BIN/Sh -c id"
        not "/bin/s"
    """
    return phrases_test(context.dataset(argument.strip()))


def data_lines(content: bytes) -> list[bytes]:
    """The lines of a data file that say something: neither empty nor a comment, without blanks around."""
    lines = (line.strip() for line in content.split(b"\n"))
    return [line for line in lines if line and not line.startswith(b"#")]


class _Phrases:
    """Words of a list and what finds them, which takes 150 bytes for each of theirs and is made when first needed.

    Attributes:
        words: in lower case.
        match: RE2's search; None as long as nobody needed it.
    """

    __slots__ = ("__weakref__", "match", "words")

    def __init__(self, words: tuple[bytes, ...]) -> None:
        self.words = words
        self.match: Callable[[int, bytes, int, int], list[tuple[int, int]]] | None = None

    def compile(self) -> Callable[[int, bytes, int, int], list[tuple[int, int]]]:
        """Make the search.

        Raises:
            ArgumentError: there are too many words for RE2.
        """
        memory = max(MIN_MEMORY, MEMORY_PER_BYTE * sum(map(len, self.words)))
        alternation = b"(?i)(?:" + b"|".join(map(_re2.RE2.QuoteMeta, self.words)) + b")"
        native = _re2.RE2(alternation, re2_options(longest=True, max_memory=memory))
        if not native.ok():
            raise ArgumentError(
                f"{len(self.words)} phrases are too many: {bytes(native.error()[:60]).decode('utf-8', 'replace')}"
            )
        match: Callable[[int, bytes, int, int], list[tuple[int, int]]] = native.Match
        self.match = match
        return match


_phrases: Final[WeakValueDictionary[tuple[bytes, ...], _Phrases]] = WeakValueDictionary()


def _shared(words: tuple[bytes, ...]) -> _Phrases:
    """The same for all rules with the same words, of all rule sets."""
    found = _phrases.get(words)
    if found is None:
        found = _phrases[words] = _Phrases(words)
    return found


def phrases_test(words: Iterable[bytes]) -> Test:
    """The test for some words; empty ones are left out, and without any word no value matches.

    Raises:
        ArgumentError: there are too many for RE2.
    """
    lowered = sorted({word.lower() for word in words if word})
    if not lowered:

        def never(_value: bytes, _tx: TransactionView) -> Captures | None:
            return None

        return hinted(never, Kind.NEVER)
    phrases = _shared(tuple(lowered))
    if sum(map(len, lowered)) > SURELY_TAKEN:
        phrases.compile()

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        match = phrases.match or phrases.compile()
        length = len(value)
        start, end = match(UNANCHORED, value, 0, length)[0]
        if start < 0:
            return None
        found = [value[start:end]]
        while len(found) < MAX_CAPTURES:
            start, end = match(UNANCHORED, value, end, length)[0]
            if start < 0:
                break
            found.append(value[start:end])
        return tuple(found)

    return hinted(test, Kind.PHRASES, *phrases.words)


def split_words(text: bytes) -> list[bytes]:
    """The words of an argument, hexadecimal groups read. Bars without pairs of digits between stand for themselves."""
    words = [b""]
    for index, piece in enumerate(_HEX_GROUP.split(text)):
        if index % 2:
            words[-1] += bytes.fromhex(piece.decode("ascii"))
        else:
            first, *others = piece.split(b" ")
            words[-1] += first
            words += others
    return words
