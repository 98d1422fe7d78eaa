"""Rules: Go's filepath.Clean plus the slash at the end; Windows' reading of names for the other."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.transformations.path import normalise_path, normalise_path_win

paths = st.lists(st.sampled_from(["/", ".", "..", "a", "b.", ".c", "//", "/../"]), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        (b"/", b"/"),  # Coraza makes // of it
        (b"//", b"/"),
        (b"/..", b"/"),
        (b"/../..//", b"/"),
        (b"a/..", b""),
        (b"a/../", b""),
        (b"../a/../..", b"../.."),
        (b"/.htaccess", b"/.htaccess"),
        (b"/b..", b"/b.."),  # ModSecurity 3.0.15 makes nothing of it
        (b"a/.../b", b"a/.../b"),
        (b"\\a\\..\\b", b"\\a\\..\\b"),
        (b"a/\0/../b\xff", b"a/b\xff"),
    ],
)
def test_normalise_path(value: bytes, normal: bytes):
    assert normalise_path(value) == normal


@given(paths)
def test_normalise_path_against_posixpath(path: str):
    expected = posixpath.normpath(path) if path else ""
    expected = "" if expected == "." else expected.replace("//", "/", 1)
    if path.endswith("/") and expected not in {"", "/"}:
        expected += "/"

    assert normalise_path(path.encode()) == expected.encode()


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        (b"", b""),
        (b"\\", b"/"),
        (b"C:\\inetpub\\wwwroot\\index.html", b"C:/inetpub/wwwroot/index.html"),
        (b"..\\..\\etc\\passwd", b"../../etc/passwd"),
        (b"a\\..\\b", b"b"),
        (b"C:\\web.config.", b"C:/web.config"),
        (b"C:\\web.config ", b"C:/web.config"),
        (b"C:\\web.config::$DATA", b"C:/web.config"),
        (b"web.config. .:x", b"web.config"),
        (b"..\\..\\web.config.", b"../../web.config"),
        (b"C:", b"C:"),
        (b"C:\\web.config:$DATA\\", b"C:/web.config/"),
        (b"C:\\ \\file.txt", b"C:/file.txt"),
        (b"a.\\b ./c", b"a/b/c"),
        (b"a/b:c/ /", b"a/b/"),  # a blank segment is none, so the stream is in the last
        (b"a/...", b"a/..."),
        (b":a", b":a"),
        (b"http://h/x", b"http:/h/x"),
    ],
)
def test_normalise_path_win(value: bytes, normal: bytes):
    assert normalise_path_win(value) == normal


@given(st.lists(st.sampled_from(["", ".", "..", "a", ".c"])).map("/".join))
def test_slashes_alone_are_as_on_unix(path: str):
    assert normalise_path_win(path.replace("/", "\\").encode()) == normalise_path(path.encode())
