"""Random patterns in RE2's syntax, and values that are likely to match them."""

from __future__ import annotations

from hypothesis import strategies as st

ATOMS = (
    "a",
    "B",
    "k",
    "s",
    "x",
    " ",
    "_",
    "-",
    "<",
    "\\n",
    "\\t",
    "\\x0b",
    "\\v",
    "\\x41",
    "\\x{7e}",
    "\\s",
    "\\S",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "[^\\s]",
    "[\\s,]",
    "[\\S]",
    "[^\\S]",
    "[\\d\\s]",
    "[^\\w]",
    "[a-f]",
    "[^a-f]",
    "[]a]",
    "[^]a]",
    "[[:space:]]",
    "[[:^alpha:]x]",
    "[[:punct:]]",
    ".",
    "(?-s:.)",
    "\\b",
    "\\B",
    "^",
    "$",
    "\\A",
    "\\z",
    "(?-m:^)",
    "(?-m:$)",
    "(?i)",
    "(?i:k)",
    "(?U:a+)",
    "\\Qa.b\\E",
    "[\\v]",
    "[^\\v]",
    "[^\\x0b]",
    "\\f",
    "\\a",
    "\\012",
    "[^\\n]",
    "\\C",
    "(?P<n>a)",
    "(?m:^)",
    "\\.",
    "\\/",
)
HIGH_ATOMS = ("\\xe9", "é", "[\\x80-\\xff]", "[^\\x80]", "\\x{e9}", "(?i:\\xe9)")

atoms = st.sampled_from(ATOMS)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=2, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(("*", "+", "?", "{2}", "{0,3}", "*?", "{1,}"))).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
        inner.map(lambda part: f"({part})"),
    )


patterns = st.recursive(atoms, _grown, max_leaves=8).map(lambda text: text.encode("latin-1"))
any_patterns = st.recursive(st.sampled_from(ATOMS + HIGH_ATOMS), _grown, max_leaves=8).map(
    lambda text: text.encode("utf-8")
)
values = st.lists(
    st.sampled_from(
        (
            b"a",
            b"b",
            b"B",
            b"k",
            b"K",
            b"s",
            b"x",
            b" ",
            b"_",
            b"-",
            b"<",
            b"\n",
            b"\t",
            b"\x0b",
            b"A",
            b"~",
            b"1",
            b",",
            b"]",
            b"\x00",
            b"\xe9",
            b"\xc9",
            b"\xff",
            b"\x80",
            b"\r",
            b"\x0c",
            b"a.b",
            b"\x07",
            b"/",
        )
    )
    | st.binary(max_size=2),
    max_size=8,
).map(b"".join)
