"""Skip lists: what is on them is skipped, and nothing that may mean something else to the server behind."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.skipping import MAX_PATH, OTHER_PATHS, SkipList, is_plain_path, why_never

LIST = SkipList(["/static/*", "/favicon.ico", "/img/*/small/?.png", "/media/**.mp4"], ["image/*", "Application/PDF"])
HEADERS = ((b"host", b"a"),)


@pytest.mark.parametrize(
    "path",
    [
        b"/static/app.js",
        b"/static/css/deep/er/a-b_c.min.css",
        b"/static/",
        b"/favicon.ico",
        b"/img/7/small/x.png",
        b"/media/2026/a/b.mp4",
        b"/media/.mp4"[:7] + b"x.mp4",
        b"/static/a..b/c.js",
    ],
)
def test_what_is_on_the_list(path: bytes) -> None:
    assert LIST.covers_path(path, HEADERS)


@pytest.mark.parametrize(
    "path",
    [
        b"/static/../admin",
        b"/static/..",
        b"/static/./x",
        b"/static/.htaccess",
        b"/static/%2e%2e/admin",
        b"/static/%2E%2E%2fadmin",
        b"/static/%252e%252e/admin",
        b"/static/..;/admin",
        b"/static/x;/../admin",
        b"/static/a.js;jsessionid=1",
        b"/static\\..\\admin",
        b"/static/..\\admin",
        b"/static//admin",
        b"//static/a.js",
        b"/static/a%00.js",
        b"/static/\xc0\xae\xc0\xae/admin",
        b"/static/\xef\xbc\x8f",
        b"/static/a b",
        b"/static/a\tb",
        b"/static/a\n",
        b"/static/?x",
        b"/static/a?x=../",
        b"/static/a#b",
        b"/STATIC/app.js",
        b"/staticx",
        b"static/app.js",
        b"http://h/static/app.js",
        b"*",
        b"",
        b"/favicon.ico/x",
        b"/img/7/8/small/x.png",
        b"/img/7/small/xy.png",
        b"/static/" + b"a" * MAX_PATH,
    ],
)
def test_what_is_inspected(path: bytes) -> None:
    assert not LIST.covers_path(path, HEADERS)


@pytest.mark.parametrize("name", sorted(OTHER_PATHS))
def test_a_request_that_names_another_path_is_inspected(name: bytes) -> None:
    assert not LIST.covers_path(b"/static/app.js", (*HEADERS, (name.title(), b"/admin")))


@given(
    st.lists(st.sampled_from([b"/static/", b"/", b"..", b".", b"a", b"%2e", b"%252e", b"%2f", b";", b"\\", b"admin"]))
)
def test_no_way_out_of_the_folder(pieces: list[bytes]) -> None:
    """However often a server decodes and normalises, and whatever it cuts off, a skipped path stays where it is."""
    path = b"".join(pieces)
    if not LIST.covers_path(path, HEADERS):
        return
    for _ in range(3):
        assert posixpath.normpath(path.replace(b"\\", b"/").partition(b";")[0]).startswith((b"/static", b"//static"))
        path = unquote_to_bytes(path)


@given(st.binary(max_size=30))
def test_a_plain_path_has_one_meaning(path: bytes) -> None:
    if is_plain_path(path):
        assert posixpath.normpath(path) == (path.rstrip(b"/") or b"/")
        assert unquote_to_bytes(path) == path


@pytest.mark.parametrize("value", [b"image/png", b"IMAGE/WebP", b" image/svg+xml ; charset=x", b"application/pdf"])
def test_types_on_the_list(value: bytes) -> None:
    assert LIST.covers_type(((b"Content-Type", value),))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"content-type", b"text/html"),),
        ((b"content-type", b"image"),),
        ((b"content-type", b"image/png, text/html"),),
        ((b"content-type", b"image/png/text"),),
        ((b"content-type", b"image/png"), (b"content-type", b"application/x-www-form-urlencoded")),
        ((b"x-content-type", b"image/png"),),
    ],
)
def test_types_that_are_inspected(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    assert not LIST.covers_type(headers)


def test_an_empty_list_covers_nothing() -> None:
    assert not SkipList().covers_path(b"/", HEADERS)
    assert not SkipList().covers_type(((b"content-type", b"image/png"),))


def test_a_pattern_is_no_expression() -> None:
    assert not SkipList(["/a.c"]).covers_path(b"/abc", ())
    assert SkipList(["/a+c,(d)"]).covers_path(b"/a+c,", ()) is False
    assert SkipList(["/a+c"]).covers_path(b"/a+c", ())


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ("static/*", "slash"),
        ("*.css", "slash"),
        ("/a;b", ";"),
        ("/ä", "ä"),
        ("/a%20b", "%"),
        ("/a//b", "empty"),
        ("/.git/*", "dot"),
    ],
)
def test_patterns_that_can_match_nothing(pattern: str, word: str) -> None:
    assert word in why_never(pattern)
    assert not why_never("/static/*")
