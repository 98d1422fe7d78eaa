"""What a pattern is relaxed to, and that it is found wherever the pattern is."""

from __future__ import annotations

import warnings

import pytest
import regex
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from waf_engine.diagnostics import ArgumentError
from waf_engine.patterns import UNANCHORED, compile_re2
from waf_engine.relaxation import relax


@pytest.mark.parametrize(
    ("pattern", "relaxed"),
    [
        (rb"<\?(?!xml)", rb"<\?(?:)"),
        (rb"(?<!&amp);|['\"=]", rb"(?:);|['\"=]"),
        (rb"(?=a(b[)]c)\))d", rb"(?:)d"),
        (rb"a++b*+c?+d{2,}+", rb"a+b*c?d{2,}"),
        (rb"a+?b*?c??d{2}?", rb"a+?b*?c??d{2}?"),
        (rb"x}+y", rb"x}+y"),
        (rb"(?>a|b)(?|c|d)", rb"(?:a|b)(?:c|d)"),
        (rb"(a)\1\12\g{1}\g-1\k<n>(?P=n)(?1)(?R)", rb"(a)" + rb"(?s:.*)" * 8),
        (rb"\s\v\h[\s\v]", rb"[\s\x0b][\n-\r\x85][\t \xa0][\s\x0b\n-\r\x85]"),
        (rb"a\Z\z\A\bx\K", rb"a(?:)\z\A\bx(?:)"),
        (rb"\\(?!a)\(?", rb"\\(?:)\(?"),
        (rb"[]a[][^]b][[:alpha:](?=]", rb"[\]a\[][^\]b][[:alpha:](?=]"),
        (rb"\Qa(?!b\E(?!c)", rb"\Qa(?!b\E(?:)"),
        (rb"\x{41}\p{L}\pL(?i)(?i:b)(?<n>c)(?P<m>d)", rb"\x{41}\p{L}\pL(?i)(?i:b)(?<n>c)(?P<m>d)"),
        (rb"a(?#comment (not nested)b", rb"a(?:)b"),
        (b"\xff(?!\xfe)", b"\xff(?:)"),
    ],
)
def test_pieces(pattern: bytes, relaxed: bytes):
    assert relax(pattern) == relaxed
    if b"[:alpha:](?" not in pattern:
        compile_re2(relaxed)


@pytest.mark.parametrize(
    "pattern",
    [rb"(?x) a b", rb"(*UTF)a", rb"(a)?(?(1)b)", rb"a\R", rb"\cA", rb"[\1]", rb"(?!a", rb"[a", rb"a\\"[:-1], rb"\g{1"],
)
def test_where_there_is_no_safe_replacement_there_is_none(pattern: bytes):
    assert relax(pattern) is None


ATOMS = [
    rb"a", rb"b", rb"\s", rb"[ab]", rb"[^a]", rb".", rb"^", rb"$", rb"\b", rb"(a)", rb"(?:b|ab)", rb"(?=a)", rb"(?!b)",
    rb"(?<=a)", rb"(?<!b)", rb"(?>a|ab)", rb"\1", rb"(?:a(?!b))", rb"|", rb"(b|a)\1", rb"\x0b", rb"(?i)B", rb"\}",
]  # fmt: skip
QUANTIFIERS = [b"", b"", b"", b"*", b"+", b"?", b"*?", b"++", b"*+", b"?+", b"{2}", b"{1,2}+", b"{0,2}?"]
patterns = st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(QUANTIFIERS)), min_size=1, max_size=6).map(
    lambda pieces: b"".join(atom + (b"" if atom in b"^$|" else quantifier) for atom, quantifier in pieces)
)


@given(pattern=patterns, value=st.text("abB \x0b\n", max_size=12).map(str.encode))
@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
def test_what_matches_a_pattern_matches_what_it_is_relaxed_to(pattern: bytes, value: bytes):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = regex.compile(pattern, regex.DOTALL | regex.MULTILINE)
    except regex.error:
        assume(False)  # a reference to a group that is not there
        return
    relaxed = relax(pattern)
    assert relaxed is not None
    try:
        native = compile_re2(relaxed)
    except ArgumentError:  # such as a** where a quantifier followed a lookaround: the pattern then has no gate
        return
    try:
        matches = compiled.search(value, timeout=1)
    except TimeoutError:  # it backtracks for too long: whether it matches is not known
        return
    if matches:
        assert native.Match(UNANCHORED, value, 0, len(value))[0][0] >= 0


@given(
    st.lists(
        st.sampled_from([b"(", b")", b"[", b"]", b"\\", b"?", b"=", b"!", b"<", b"P", b"a", b"{", b"1", b"}", b"Q"])
    )
)
@settings(max_examples=200, deadline=None)
def test_anything_may_be_relaxed(pieces: list[bytes]):
    relaxed = relax(b"".join(pieces))

    assert relaxed is None or isinstance(relaxed, bytes)
