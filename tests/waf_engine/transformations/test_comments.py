"""Rules: ModSecurity's manual; where a comment ends is where its mark ends, and what follows is looked at again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.transformations.comments import remove_comments, remove_comments_char, replace_comments

marks = st.lists(st.sampled_from([b"/", b"*", b"/*", b"*/", b"<", b"!", b"-", b"<!--", b"-->", b"#", b"a", b"\n"]))
texts = marks.map(b"".join)


@pytest.mark.parametrize(
    ("value", "replaced"),
    [
        (b"/**/", b" "),
        (b"/*/", b" "),  # the asterisk that opens does not close
        (b"/*/a*/b", b" b"),
        (b"a/*b/*c*/d*/e", b"a d*/e"),
        (b"a*/b/*c", b"a*/b "),
        (b"/**//**/", b"  "),
        (b"a/", b"a/"),
        (b"a/*\0\xff*/b", b"a b"),
    ],
)
def test_replace_comments(value: bytes, replaced: bytes):
    assert replace_comments(value) == replaced


def by_hand_replaced(value: bytes) -> bytes:
    out = b""
    while value:
        if value.startswith(b"/*"):
            out += b" "
            _, _, value = value[2:].partition(b"*/")
        else:
            out += value[:1]
            value = value[1:]
    return out


@given(texts)
def test_replace_comments_by_hand(value: bytes):
    assert replace_comments(value) == by_hand_replaced(value)


@pytest.mark.parametrize(
    ("value", "removed"),
    [
        (b"a/*b*/c", b"ac"),
        (b"a<!--b-->c", b"ac"),
        (b"a/*b-->c", b"ac"),  # either end closes either comment, in Coraza and ModSecurity
        (b"a -- b", b"a "),
        (b"a # b", b"a "),
        (b"a - b", b"a - b"),
        (b"a/*b", b"a "),
        (b"a<!--b", b"a "),
        (b"a/*b*/", b"a\0"),
        (b"1/*a*//*b*/2", b"12"),  # both engines leave the second comment
        (b"1/*a*/#2", b"1"),
        (b"1/*a*/--2", b"1"),
        (b"<!-", b"<!-"),
        (b"<!--", b" "),
    ],
)
def test_remove_comments(value: bytes, removed: bytes):
    assert remove_comments(value) == removed


@given(texts)
def test_no_mark_is_left_where_comments_are_removed(value: bytes):
    rest = remove_comments(value)

    assert b"#" not in rest
    assert len(rest) <= max(len(value), 1)


@pytest.mark.parametrize(
    ("value", "removed"),
    [
        (b"/*a*/", b"a"),
        (b"/*/", b"/"),
        (b"--->", b"->"),
        (b"-->", b""),
        (b"<!--a-->", b"a"),
        (b"/#*", b"/*"),  # one pass: what comes together is not looked at again
        (b"#a#", b"a"),
        (b"a-b", b"a-b"),
        (b"*/*", b"*"),
    ],
)
def test_remove_comments_char(value: bytes, removed: bytes):
    assert remove_comments_char(value) == removed


def by_hand_unmarked(value: bytes) -> bytes:
    out = b""
    while value:
        for mark in (b"/*", b"*/", b"<!--", b"-->", b"--", b"#"):
            if value.startswith(mark):
                value = value[len(mark) :]
                break
        else:
            out += value[:1]
            value = value[1:]
    return out


@given(texts)
def test_remove_comments_char_by_hand(value: bytes):
    assert remove_comments_char(value) == by_hand_unmarked(value)
