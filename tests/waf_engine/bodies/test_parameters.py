"""Parameters of header values: what is read, and what is said to be wrong."""

from __future__ import annotations

from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies.parameters import parse_parameters


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (b"", []),
        (b' name="a"', [(b"name", b"a")]),
        (b' name="a"; filename="b.txt"', [(b"name", b"a"), (b"filename", b"b.txt")]),
        (b"NAME=a;Charset=utf-8", [(b"name", b"a"), (b"charset", b"utf-8")]),
        (b' name="a;b=c"', [(b"name", b"a;b=c")]),
        (b' name="a\\"b\\\\c\\d"', [(b"name", b'a"b\\c\\d')]),
        (b' name=""', [(b"name", b"")]),
        (b"name=a;", [(b"name", b"a")]),
        (b"; ;name=a", [(b"name", b"a")]),
        (b"filename*=UTF-8''%41%2ephp", [(b"filename", b"A.php")]),
        (b"filename*=utf-8'en'a'b", [(b"filename", b"b")]),
        (b"filename=\"a.jpg\"; filename*=UTF-8''a.php", [(b"filename", b"a.jpg"), (b"filename", b"a.php")]),
        (b'filename*1=".php"; filename*0="a"', [(b"filename", b"a.php")]),
        (b"filename*0*=UTF-8''%41; filename*1*=%42; filename*2=%43", [(b"filename", b"AB%43")]),
    ],
)
def test_parameters(text: bytes, entries: list[tuple[bytes, bytes]]):
    found = parse_parameters(text)

    assert entries == found.entries
    assert not found.quoting


@pytest.mark.parametrize(
    ("text", "entries", "quoting"),
    [
        (b"name", [(b"name", b"")], False),
        (b"name;filename=a", [(b"name", b""), (b"filename", b"a")], False),
        (b"name=a b", [(b"name", b"a b")], False),
        (b"name=", [(b"name", b"")], False),
        (b"name=\xff", [(b"name", b"\xff")], False),
        (b'name="a', [(b"name", b"a")], True),
        (b'name="a"x;filename=b', [(b"name", b"a"), (b"filename", b"b")], True),
        (b"filename*=%41", [(b"filename", b"A")], False),
        (b"filename*=UTF-8''%zz", [(b"filename", b"%zz")], False),
        (b"filename*x=a", [(b"filename", b"a")], False),
    ],
)
def test_malformed_parameters_are_read_and_reported(text: bytes, entries: list[tuple[bytes, bytes]], quoting: bool):
    found = parse_parameters(text)

    assert (entries, True, quoting) == (found.entries, found.malformed, found.quoting)


def test_single_quotes_stay_and_are_reported():
    found = parse_parameters(b"name='a'")

    assert (found.entries, found.quoting) == ([(b"name", b"'a'")], True)
    assert not parse_parameters(b'name="it\'s"').quoting


@pytest.mark.parametrize("text", [b"name =a", b"name= a", b"name\t=\ta"])
def test_blanks_beside_the_sign_are_reported(text: bytes):
    found = parse_parameters(text)

    assert (found.entries, found.blanks) == ([(b"name", b"a")], True)


def test_quoted_parameters_are_known():
    assert {b"a"} == parse_parameters(b'a="1";b=2').quoted


def test_parameters_are_bounded_and_none_is_lost():
    found = parse_parameters(b"a=1;" * 1000 + b"b=needle")

    assert len(found.entries) < 100
    assert found.malformed
    assert found.entries[-1][1].endswith(b"b=needle")


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\\"'"), max_size=10)


@given(st.lists(TEXT, max_size=4))
def test_quoted_values_are_read_as_the_email_package_reads_them(values: list[str]):
    header = "form-data" + "".join(f'; p{i}="{value}"' for i, value in enumerate(values))
    message = Message()
    message["Content-Disposition"] = header

    expected = [(name.encode(), value.encode()) for name, value in message.get_params(header="Content-Disposition")[1:]]
    assert expected == parse_parameters(header.partition(";")[2].encode()).entries


@given(st.lists(st.sampled_from(['"', "a", ";", " ", "=", "\\", "'", 'filename="b"'])).map("".join))
def test_the_shortcut_for_browsers_changes_nothing(noise: str):
    text = f' name="{noise}"'.encode()

    assert parse_parameters(b" " + text) == parse_parameters(text)  # a second blank: no shortcut
