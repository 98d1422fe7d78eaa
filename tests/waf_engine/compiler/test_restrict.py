"""A restricted pattern finds, in texts of its alphabet, what the pattern finds, no more and no less."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import re2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.waf_engine.random_patterns import any_patterns, patterns, values
from waf_engine import WAF
from waf_engine.compiler.restrict import restrict
from waf_engine.diagnostics import ArgumentError
from waf_engine.operators import Kind, hint_of
from waf_engine.patterns import compile_re2
from waf_engine.runtime.scanner import MARKED, PLAIN

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = int(os.environ.get("SPOA_WAF_EXAMPLES", "120"))
ALPHABETS = {"plain": PLAIN, "marked": MARKED}
PLAIN_SET, MARKED_SET = frozenset(PLAIN), frozenset(MARKED)


def found(pattern: bytes, value: bytes) -> bool:
    return compile_re2(pattern).Match(re2._re2.RE2.Anchor.UNANCHORED, value, 0, len(value))[0][0] >= 0


def within(value: bytes, alphabet: bytes) -> bytes:
    """What is left of a value when the bytes outside of an alphabet are taken out."""
    return bytes(byte for byte in value if byte in alphabet)


def texts(alphabet: bytes) -> st.SearchStrategy[bytes]:
    """Texts of an alphabet, among them such as random patterns are likely to match."""
    any_text = st.lists(st.sampled_from(alphabet), max_size=12).map(bytes)
    return any_text | values.map(lambda value: within(value, alphabet))


def looser(pattern: bytes) -> bool:
    """Whether the pattern has places or dots of another mode: what is left of it may find more, never less."""
    return b"(?-" in pattern


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(pattern=patterns | any_patterns, caseless=st.booleans(), data=st.data())
def test_it_finds_what_the_pattern_finds(alphabet: bytes, pattern: bytes, caseless: bool, data: st.DataObject):
    pattern = b"(?i)" + pattern if caseless else pattern
    value = data.draw(texts(alphabet))
    try:
        expected = found(pattern, value)
    except ArgumentError:
        return
    lighter = restrict(pattern, frozenset(alphabet))

    if lighter is None:
        assert not expected
    elif expected or not looser(pattern):
        assert found(lighter, value) is expected


@pytest.mark.parametrize(
    ("pattern", "plain", "marked"),
    [
        (b"abc", b"abc", b"abc"),
        (b"<script", None, b"<script"),
        (b"a[\"'\\\\]*b", b"ab", b"ab"),
        (b"(?:c['\"]?u['\"]?r['\"]?l|wget)", b"(?:curl|wget)", b"(?:curl|wget)"),
        (b"(?:<|>)x", None, b"[\\x3c\\x3e]x"),
        (b"x(?:['\"]|yz)", b"x(?:yz)", b"x(?:yz)"),
        (b"['\"]{2}", None, None),
        (b"['\"]{0,2}x", b"x", b"x"),
        (b"\\Aa\\z", b"\\Aa\\z", b"\\Aa\\z"),
        (b"(?:['\"]x)?", b"", b""),
        (b"a{3}", b"(?:a){3}", b"(?:a){3}"),
        (b"(?:ab){1,3}?", b"(?:ab){1,3}", b"(?:ab){1,3}"),
        (b"a{2,}b*c+", b"(?:a){2,}(?:b)*(?:c)+", b"(?:a){2,}(?:b)*(?:c)+"),
        (b"(?i)k", b"(?i)k", b"(?i)k"),
        (b"(?i:k)x", b"(?i:k)x", b"(?i:k)x"),
        (b"(?i)a(?-i:b)", b"(?i)a(?-i:b)", b"(?i)a(?-i:b)"),
        (b"[^a]b|a(?:b|')", b"(?:[^\\x61]b|ab)", b"(?:[^\\x61]b|ab)"),
    ],
)
def test_what_an_alphabet_lacks_is_left_out(pattern: bytes, plain: bytes | None, marked: bytes | None):
    assert (restrict(pattern, PLAIN_SET), restrict(pattern, MARKED_SET)) == (plain, marked)


@pytest.mark.parametrize("pattern", [b"(", b"[[:alpha:]'x]", b"\\Qa\\E", b"\\C", b"a(?=b)", b"(a)\\1", b"a(?<!b)c"])
def test_a_pattern_that_is_not_understood_stays_as_it_is(pattern: bytes):
    assert restrict(pattern, PLAIN_SET) == pattern


@pytest.mark.parametrize(
    "pattern", [b"'", b"a'", b"(?:'|\")", b"a+[$'`]{1,3}", b"(?i)x\\\\", b"[^ -~\\x80-\\xff\\n\\t\\r]"]
)
def test_a_pattern_that_cannot_occur_is_none(pattern: bytes):
    assert restrict(pattern, PLAIN_SET) is None
    assert restrict(pattern, MARKED_SET) is None


def test_a_deep_pattern_does_not_end_the_planner():
    deep = b"(?:" * 3000 + b"a" + b")" * 3000

    assert restrict(deep, PLAIN_SET) == deep


@example(b"")
@given(st.binary(max_size=30))
def test_any_bytes_are_taken(pattern: bytes):
    lighter = restrict(pattern, PLAIN_SET)

    assert lighter is None or isinstance(lighter, bytes)


@pytest.mark.corpora
@pytest.mark.slow
def test_the_patterns_of_crs(corpora: Path):
    rules = (corpora / "tools/ftw/directives.conf").read_text("utf-8")
    plan = WAF.from_directives(rules.replace("CRS_DIR", str((corpora / "crs").resolve())), executor="reference").plan
    hints = [hint_of(m.operator.test) for r in plan.rules for m in r.members() if m.operator is not None]
    sources = sorted({h.patterns[0] for h in hints if h is not None and h.kind is Kind.REGEX})
    assert len(sources) > 200
    pieces = st.sampled_from((
        b"union", b"select", b"curl", b"/bin/", b"etc/passwd", b"alert", b"on", b"load", b"=", b"<", b">", b"script",
        b";",
        b"exec", b" ", b"/", b"..", b"1", b"=1", b"or", b"and", b"http://", b"file:", b"%0d", b"\r\n", b"#", b"{",
        b"}", b"--",
        b"php", b"://", b"@", b"x", b"&", b"+", b"*", b"!", b"?", b"~", b"\xe9", b"\t", b"sleep", b"java.",
        b"import", b"=\n",
    ))  # fmt: skip
    lines = st.lists(pieces, max_size=6).map(b"".join)
    impossible, shorter = dict.fromkeys(ALPHABETS, 0), 0

    for source in sources:
        for name, alphabet in ALPHABETS.items():
            lighter = restrict(source, frozenset(alphabet))
            impossible[name] += lighter is None
            shorter += lighter is not None and len(lighter) < len(source) / 2

            @settings(
                max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
            )
            @given(value=lines.map(lambda v, alphabet=alphabet: within(v, alphabet)))
            def same(value: bytes) -> None:
                expected = found(source, value)  # noqa: B023  called within its turn
                assert (lighter is not None and found(lighter, value)) is expected  # noqa: B023

            same()
    assert impossible["plain"] > 80
    assert impossible["marked"] > 20
    assert shorter > 10
