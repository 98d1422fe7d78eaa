"""The request target in all its forms; its arguments are never lost. libmodsecurity is asked where it agrees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies.uri import split_uri


@pytest.mark.parametrize(
    ("target", "uri", "filename", "basename", "query"),
    [
        (b"/", b"/", b"/", b"/", b""),
        (b"", b"", b"", b"", b""),
        (b"/a%20b/c%2fd.php?x=1&y=%zz", b"/a%20b/c%2fd.php?x=1&y=%zz", b"/a b/c/d.php", b"d.php", b"x=1&y=%zz"),
        (b"/a+b?c", b"/a+b?c", b"/a+b", b"a+b", b"c"),
        (b"/a/", b"/a/", b"/a/", b"/a/", b""),
        (b"/a\\b\\c?x", b"/a\\b\\c?x", b"/a\\b\\c", b"c", b"x"),
        (b"/%3fa=1", b"/%3fa=1", b"/?a=1", b"?a=1", b""),
        (b"/p;v=1/x?a=1?b=2", b"/p;v=1/x?a=1?b=2", b"/p;v=1/x", b"x", b"a=1?b=2"),
        (b"//evil/p?a=1", b"//evil/p?a=1", b"//evil/p", b"p", b"a=1"),
        (b"http://h.com/p/q?a=1", b"http://h.com/p/q?a=1", b"/p/q", b"q", b"a=1"),
        (b"HTTPS://u:p@h:1/x", b"HTTPS://u:p@h:1/x", b"/x", b"x", b""),
        (b"http://h.com", b"http://h.com", b"", b"", b""),
        (b"http://h.com?a=b", b"http://h.com?a=b", b"", b"", b"a=b"),
        (b"/x?u=http://h/p", b"/x?u=http://h/p", b"/x", b"x", b"u=http://h/p"),
        (b"/r/http://h/p", b"/r/http://h/p", b"/r/http://h/p", b"p", b""),
        (b"://h/p", b"://h/p", b"://h/p", b"p", b""),
        (b"*", b"*", b"*", b"*", b""),
        (b"h.com:443", b"h.com:443", b"h.com:443", b"h.com:443", b""),
        (b"?a=1", b"?a=1", b"", b"", b"a=1"),
        (b"index.html", b"index.html", b"index.html", b"index.html", b""),
        (b"/%u0041\xff%00", b"/%u0041\xff%00", b"/%u0041\xff\x00", b"%u0041\xff\x00", b""),
    ],
)
def test_targets(target: bytes, uri: bytes, filename: bytes, basename: bytes, query: bytes):
    parts = split_uri(target)

    assert (uri, filename, basename, query) == parts[:4]
    assert query == parts.arguments


def test_a_bad_escape_in_the_path_loses_no_argument():
    """Coraza's URL parser refuses this target and leaves ARGS, ARGS_GET and QUERY_STRING empty."""
    parts = split_uri(b"/x%zz?a=1")

    assert (parts.filename, parts.query, parts.bad_escape) == (b"/x%zz", b"a=1", True)
    assert not split_uri(b"/x?a=%zz").bad_escape


@pytest.mark.parametrize(
    ("target", "uri", "query", "arguments"),
    [
        (b"/a?b=1#frag<>", b"/a?b=1", b"b=1", b"b=1#frag<>"),
        (b"/a#frag?x=1", b"/a", b"", b"x=1"),
        (b"/a#frag", b"/a", b"", b""),
    ],
)
def test_a_fragment_is_dropped_from_the_variables_but_not_from_the_arguments(
    target: bytes, uri: bytes, query: bytes, arguments: bytes
):
    parts = split_uri(target)

    assert (uri, query, arguments) == (parts.uri, parts.query, parts.arguments)


@given(st.binary())
def test_everything_after_the_question_mark_is_arguments(target: bytes):
    parts = split_uri(target)

    assert target.partition(b"?")[2] == parts.arguments
    assert parts.filename.endswith(parts.basename)
    assert parts.arguments.startswith(parts.query)


PATHS = st.lists(st.sampled_from(["a", "/", "%41", "%2f", "%zz", ".", "b;c=1", "~", "%c3%a9", "+"])).map("".join)
QUERIES = st.lists(st.sampled_from(["a", "=", "&", "%41", "%", "+", "/", "?", "%26"])).map("".join)


@given(PATHS, QUERIES)
def test_libmodsecurity_reads_the_same_parts(path: str, query: str):
    target = f"/{path}?{query}"
    parts = split_uri(target.encode())

    assert _ask_libmodsecurity(target) == (
        parts.filename.decode("utf-8", "surrogateescape"),
        parts.query.decode(),
    )


def _ask_libmodsecurity(target: str) -> tuple[str, str]:
    modsecurity = pytest.importorskip("libmodsecurity")
    if not _ENGINE:
        rules = modsecurity.RulesSet()
        rules.load(
            "SecRuleEngine DetectionOnly\n"
            "SecRule REQUEST_METHOD @unconditionalMatch"
            " \"id:1,phase:1,log,pass,msg:'%{REQUEST_FILENAME}\x1f%{QUERY_STRING}'\"\n"
        )
        _ENGINE.extend((modsecurity.ModSecurity(), rules))
    transaction = modsecurity.Transaction(*_ENGINE)
    transaction.process_connection("127.0.0.1", 1, "127.0.0.1", 80)
    transaction.process_uri(target, "GET", "1.1")
    transaction.process_request_headers()
    filename, query = transaction.get_rule_messages()[0].message.split("\x1f")
    return filename, query


_ENGINE: list[object] = []
