"""Patterns: which engine takes them, what they match, what is refused and where, and that time is bounded."""

from __future__ import annotations

import importlib.util
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waf_engine import patterns
from waf_engine.diagnostics import ArgumentError
from waf_engine.patterns import LimitReachedError, compile_pattern, compile_re2

if TYPE_CHECKING:
    from pathlib import Path

CRS_PATTERNS = 295
"""Distinct patterns of CRS 4.28 (engine.md 2.4)."""

SEEDS = [
    b"a", b"'", b'"', b"\\", b"0", b"1=1 ", b"\n", b"<?", b"&#", b" ", b"or 1=", b"/", b"$(", b"..//", b"cat /", b"/*",
    b"!-", b"|a", b"c\\a't\"",
]  # fmt: skip

ENGINES = [
    pytest.param("_compile_regex", id="regex"),
    pytest.param(
        "_compile_pcre2",
        id="pcre2",
        marks=pytest.mark.skipif(importlib.util.find_spec("pcre2") is None, reason="pcre2 is absent"),
    ),
]


@pytest.fixture(params=ENGINES)
def backtracking(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both backtracking engines in turn, as far as they are installed."""
    monkeypatch.setattr(patterns, "_BACKTRACKING", getattr(patterns, request.param))
    return str(request.param).rpartition("_")[2]


def found(pattern: bytes, value: bytes) -> bytes | None:
    spans = compile_pattern(pattern).search(value)
    return None if spans is None else value[slice(*spans[0])]


@pytest.mark.parametrize(
    ("pattern", "value", "text"),
    [
        (rb"a.b", b"a\nb", b"a\nb"),
        (rb"^b$", b"a\nb\nc", b"b"),
        (rb"a\z", b"ba", b"a"),
        (rb"a\z", b"a\n", None),
        (rb"\x{bc}[^>\x{be}]", b"\xbcx", b"\xbcx"),
        (rb"\xac\xed\x00\x05", b"\xac\xed\x00\x05", b"\xac\xed\x00\x05"),
        (b"[\xc2\xb4]{2}", b"\xc2\xb4", b"\xc2\xb4"),
        (b"\xff.", b"\xff\xfe", b"\xff\xfe"),
        (rb"\s", b"\x0b", None),
        (rb"\v", b"\x0b", b"\x0b"),
        (rb"\w+", b"a\xe9", b"a"),
        (rb"", b"abc", b""),
        (rb"a\x00b", b"a\0b", b"a\0b"),
        (rb"[[:alpha:]]+", b"1ab2", b"ab"),
    ],
)
def test_re2_reads_bytes_and_lines(pattern: bytes, value: bytes, text: bytes | None):
    assert compile_pattern(pattern).engine == "re2"
    assert found(pattern, value) == text


def test_caseless_means_ascii():
    """Every byte against every byte: no Latin-1 letter is folded, though RE2 reads bytes as Latin-1."""
    for byte in range(256):
        search = compile_pattern(rb"(?i)\x%02x" % byte).search
        folded = {other for other in range(256) if search(bytes([other]))}

        assert folded == {*bytes([byte]).lower(), *bytes([byte]).upper()}


@given(st.binary(max_size=8), st.binary(max_size=8))
@settings(max_examples=300)
def test_bytes_match_themselves(before: bytes, needle: bytes):
    quoted = b"".join(rb"\x%02x" % byte for byte in needle)

    assert compile_pattern(quoted).search(before + needle) is not None


def test_groups_that_took_no_part():
    assert compile_pattern(b"(a)|(b)").search(b"b") == [(0, 1), (-1, -1), (0, 1)]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (rb"<\?(?!xml)", b"<?php", b"<?xml"),
        (rb"(?<!\\)'", b"a'", b"a\\'"),
        (rb"(?<!&(?:[ao]uml)|&amp);", b"&lt;", b"&auml;"),
        (rb"(\w+)=\1", b"x 1=1", b"1=2"),
        (rb"a(?=b\z)", b"xab", b"abc"),
        (rb"a\Z", b"a\n", b"ab"),
        (rb"^(?:a;\s*+)*$", b"a; a;", b"a; a"),
        (rb"(?>a|ab)c", b"ac", b"abc"),
        (rb"(?i)(x)\x{42}\\\1", b"Xb\\x", b"XbX"),
        (b"(?!\xff)[\xfe\xff]", b"\xff\xfe", b"\xff\xff"),
        (rb"(?=a)a.b", b"a\nb", b"b\na"),
    ],
)
def test_what_re2_refuses_runs_on_the_backtracking_engine(
    backtracking: str, pattern: bytes, matching: bytes, other: bytes
):
    compiled = compile_pattern(pattern)

    assert compiled.engine == backtracking
    assert compiled.native is None
    assert compiled.necessary is not None
    assert compiled.search(matching) is not None
    assert compiled.search(other) is None


def test_spans_are_those_of_re2(backtracking: str):
    assert backtracking in {"regex", "pcre2"}
    assert compile_pattern(rb"(a)(?!x)|(b)").search(b"-b") == [(1, 2), (-1, -1), (1, 2)]


def test_what_cannot_match_never_reaches_the_backtracking_engine(backtracking: str):
    """A value of 100 kB on which the pattern alone would take a quadratic time."""
    search = compile_pattern(rb"(?i)\s*(\w+)\s*=\s*(?!\1)\w+\s*;").search
    start = time.process_time()

    assert search(b" " * 100_000) is None, backtracking
    assert time.process_time() - start < 0.05


def test_the_bound_is_reached_and_soon(backtracking: str):
    search = compile_pattern(rb"(?:.*?,){9}b(?!c)", 10_000).search
    start = time.process_time()

    with pytest.raises(LimitReachedError):
        search(b"a," * 300 + b"bc")
    assert time.process_time() - start < 0.5, backtracking


@pytest.mark.parametrize(
    ("pattern", "offset", "reason"),
    [
        (rb"a[b-a]", 2, "invalid character class range"),
        (rb"abc(def", 3, "missing )"),
        (rb"abc)def", 3, "unexpected )"),
        (rb"ab[cd", 2, "missing ]"),
        (rb"a**", 1, "bad repetition operator"),
        (rb"x|*y", 2, "no argument for repetition operator"),
        (b"\xc3\xa9\xc3\xa9[b-a]", 3, "invalid character class range"),
        (b"a\\", 2, "trailing"),
        (rb"ab(?=c", 2, "invalid perl operator"),
    ],
)
def test_a_wrong_pattern_is_refused_with_place_and_reason(pattern: bytes, offset: int, reason: str):
    with pytest.raises(ArgumentError) as refused:
        compile_pattern(pattern)

    assert reason in refused.value.message
    assert refused.value.code == "bad-pattern"
    assert abs(refused.value.offset - offset) <= (4 if ")" in reason else 0), refused.value.offset


@given(st.lists(st.sampled_from([b"(", b")", b"[", b"]", b"\\", b"?", b"=", b"*", b"a", b"{2}", b"|", b"\xff", b"^"])))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_pattern_or_refused(pieces: list[bytes]):
    pattern = b"".join(pieces)
    refused, spans = None, None
    try:
        spans = compile_pattern(pattern).search(b"aa(\xff[")
    except ArgumentError as error:
        refused = error

    assert refused is None or 0 <= refused.offset <= len(pattern)
    assert spans is None or spans[0][0] >= 0


def test_a_pattern_beyond_the_memory_is_refused_or_bounded():
    """RE2 has no room for it; the backtracking engine takes it, with its bound."""
    pattern = rb"((((a{100}){100}){100}){10})"
    with pytest.raises(ArgumentError):
        compile_re2(pattern)

    assert compile_pattern(rb"x{2000}").search(b"x" * 2001) is not None


def crs_patterns(corpora: Path) -> list[bytes]:
    rule = re.compile(rb'"!?@rx ((?:[^"\\]|\\.)*)"', re.DOTALL)
    files = sorted((corpora / "crs" / "rules").glob("*.conf"))
    return sorted({found.replace(b'\\"', b'"') for file in files for found in rule.findall(file.read_bytes())})


@pytest.mark.corpora
@pytest.mark.slow
def test_all_patterns_of_crs_run_on_re2_in_linear_time(corpora: Path):
    """Each on repeated seeds of 100 kB: Python's `re` takes seconds on 20 of them at 4 kB (engine.md 2.5)."""
    compiled = [compile_pattern(pattern) for pattern in crs_patterns(corpora)]

    assert len(compiled) == CRS_PATTERNS
    assert {each.engine for each in compiled} == {"re2"}
    for seed in SEEDS:
        value = seed * (100_000 // len(seed))
        start = time.process_time()
        for each in compiled:
            each.search(value)

        assert time.process_time() - start < 1.0, seed  # 0.04 s where it was measured


@pytest.mark.skipif(importlib.util.find_spec("pcre2") is None, reason="pcre2 is absent")
def test_without_memory_for_machine_code_patterns_are_interpreted(monkeypatch: pytest.MonkeyPatch):
    """Under systemd's MemoryDenyWriteExecute or SELinux, where PCRE2's just-in-time compiler gets no memory."""
    import pcre2  # noqa: PLC0415  it may be absent

    compiled = pcre2.compile

    def denied(*words: Any, jit: bool = True) -> Any:
        if jit:
            raise pcre2.LibraryError(-48, b"")
        return compiled(*words, jit=False)

    monkeypatch.setattr(patterns, "_BACKTRACKING", patterns._compile_pcre2)
    monkeypatch.setattr(pcre2, "compile", denied)
    pattern = compile_pattern(rb"(?<=a)(b+)c")

    assert (pattern.engine, pattern.search(b"abbc")) == ("pcre2", [(1, 4), (1, 3)])
    with pytest.raises(LimitReachedError):
        patterns._compile_pcre2(rb"^(?=a)?(a+)+$", 1000)[1](b"a" * 40 + b"b")
