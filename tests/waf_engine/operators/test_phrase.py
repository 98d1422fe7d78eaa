"""Lists of words: how they are read, and which of them is found."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators.phrase import (
    MAX_CAPTURES,
    SURELY_TAKEN,
    _Phrases,
    _phrases,
    data_lines,
    phrases_test,
    split_words,
)
from waf_engine.patterns import UNANCHORED


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (b"a b", [b"a", b"b"]),
        (b"a|41 42|b c", [b"aABb", b"c"]),
        (b"|3c|script |7C 7C|", [b"<script", b"||"]),
        (b"a|b c|d", [b"a|b", b"c|d"]),
        (b"| ||", [b"|", b"||"]),
        (b"|4| x", [b"|4|", b"x"]),
        (b"", [b""]),
    ],
)
def test_words_of_an_argument(argument: bytes, words: list[bytes]):
    assert split_words(argument) == words


def test_lines_of_a_file():
    assert data_lines(b"# c\r\n\r\n  a b \r\n#\nx # y\n\xff\nlast") == [b"a b", b"x # y", b"\xff", b"last"]


def test_the_leftmost_and_there_the_longest_word_is_found(bench: Any):
    test = bench.compile("pm", "se select lect")

    assert test(b"xSELECTx se") == (b"SELECT", b"se")
    assert test(b"elect") == (b"lect",)


def test_ten_words_at_most_are_captured(bench: Any):
    assert bench.compile("pm", "a b")(b"ab" * 20) == (b"a", b"b") * (MAX_CAPTURES // 2)


def test_caseless_means_ascii(bench: Any):
    kelvin, long_s = "\N{KELVIN SIGN}".encode(), "\N{LATIN SMALL LETTER LONG S}".encode()

    assert bench.compile("pm", "k s")(kelvin + long_s) is None
    assert bench.compile("pm", "\xe9t\xe9")("\xe9T\xe9".encode()) == ("\xe9T\xe9".encode(),)
    assert bench.compile("pm", "\xe9t\xe9")("\xc9T\xc9".encode()) is None


def test_words_are_no_patterns(bench: Any):
    test = bench.compile("pm", r"a.c \d+ [x] (?i) a|b |00|")

    assert test(b"abc1x") is None
    assert test(b"A.C") == (b"A.C",)
    assert test(b"A|B") == (b"A|B",)
    assert test(b"\0") == (b"\0",)


def test_without_words_nothing_matches(bench: Any):
    assert bench.compile("pm", "  ")(b"x") is None
    assert bench.compile("pmFromFile", "empty", bench.Context({"empty": b"# only\n\n"}))(b"only") is None


def test_several_files_are_joined(bench: Any):
    context = bench.Context({"a": b"one two\n", "b": b"three"})
    test = bench.compile("pmFromFile", "a b", context)

    assert test(b"One Two") == (b"One Two",)
    assert test(b"THREE") == (b"THREE",)
    assert test(b"one") is None


def test_a_missing_file_or_data_set_is_refused(bench: Any):
    with pytest.raises(ArgumentError):
        bench.compile("pmf", "absent.data")
    with pytest.raises(ArgumentError):
        bench.compile("pmFromDataset", "absent")


def slow_search(words: list[bytes], value: bytes) -> list[bytes]:
    """The definition: at each place the longest word that stands there, then on after it."""
    found, at = [], 0
    while at < len(value) and len(found) < MAX_CAPTURES:
        here = [word for word in words if value[at : at + len(word)].lower() == word.lower()]
        longest = max(map(len, here), default=0)
        if longest:
            found.append(value[at : at + longest])
        at += longest or 1
    return found


@given(
    words=st.lists(st.text("abAB\xe9", min_size=1, max_size=4).map(str.encode), min_size=1, max_size=6),
    value=st.text("abcAB\xe9\xc9", max_size=30).map(str.encode),
)
@settings(max_examples=300, deadline=None)
def test_the_search_is_the_definition(bench: Any, words: list[bytes], value: bytes):
    found = phrases_test(words)(value, bench.Transaction())

    assert list(found or ()) == slow_search(words, value)


def test_many_words_cost_as_much_as_few(bench: Any):
    """A list of 5,000 words, and a value of 100 kB that is all beginnings of words."""
    words = [b"%x-%x" % (n * 2654435761 % 2**32, n) for n in range(5000)]
    test = phrases_test(words)
    value = b" ".join(word[:-1] + b"_" for word in words)[:100_000]
    test(value, bench.Transaction())
    start = time.process_time()

    assert test(value, bench.Transaction()) is None
    assert time.process_time() - start < 0.05


def test_the_search_is_made_when_it_is_first_needed_and_shared(bench: Any):
    words = [b"rare-word", b"Other-word"]
    first, second = phrases_test(words), phrases_test(reversed(words))
    shared = _phrases[b"other-word", b"rare-word"]

    assert shared.match is None
    assert first(b"an OTHER-word", bench.Transaction()) == (b"OTHER-word",)
    assert shared.match is not None
    assert second(b"rare-words", bench.Transaction()) == (b"rare-word",)
    del first, second, shared
    assert (b"other-word", b"rare-word") not in _phrases


def test_a_list_that_may_be_too_long_is_tried_at_once(bench: Any, monkeypatch: pytest.MonkeyPatch):
    words = [b"%06d" % number for number in range(SURELY_TAKEN // 6 + 1)]
    test = phrases_test(words)
    shared = _phrases[tuple(words)]

    assert shared.match is not None
    assert test(b"x000123", bench.Transaction()) == (b"000123",)
    module = sys.modules[phrases_test.__module__]
    monkeypatch.setattr(module, "MEMORY_PER_BYTE", 0)
    monkeypatch.setattr(module, "MIN_MEMORY", 1 << 12)
    with pytest.raises(ArgumentError, match="phrases are too many"):
        phrases_test([b"a" * (SURELY_TAKEN + 1)])


@pytest.mark.parametrize("word", [bytes(range(1, 65)), b"a" * 2000, b"\xff\x00(" * 20])
def test_what_is_surely_taken_is_taken(word: bytes):
    words = tuple(sorted({b"%d" % number + word for number in range(SURELY_TAKEN // (len(word) + 4))}))

    assert _Phrases(words).compile()(UNANCHORED, words[0], 0, len(words[0]))[0] == (0, len(words[0]))
