"""The tolerant markup reader: everything to the end, as text or attribute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies.markup import read_markup


@pytest.mark.parametrize(
    ("body", "texts", "attributes"),
    [
        (b"", [], []),
        (b"text", [b"text"], []),
        (b" <a> x <b>y</b>z</a> ", [b"x", b"y", b"z"], []),
        (b'<a b="1" c=\'2\' d=3 e f = "4" g="">', [], [b"1", b"2", b"3", b"4", b""]),
        (b'<a b="x>y" c=\'"\'>z', [b"z"], [b"x>y", b'"']),
        (b"<a>1</b>2</a>3<c>4", [b"1", b"2", b"3", b"4"], []),
        (b"<a>&lt;&#65;&#x42;&eacute;&unknown;</a>", ["<ABé&unknown;".encode()], []),
        (b'<a b="&lt;&amp;"/>', [], [b"<&"]),
        (b"<a>\xff&lt;</a>", [b"\xff<"], []),
        (b"<a><![CDATA[<&lt;>]]>x</a>", [b"<&lt;>", b"x"], []),
        (b"<!-- c --><?pi p='1'?><a>x</a><!-- > -->", [b"x"], []),
        (b"<!DOCTYPE a><a>x</a>", [b"x"], []),
        (b'<!DOCTYPE a [<!ENTITY e "]>v">]><a>&e;</a>', [b'<!ENTITY e "]>v">', b"&e;"], []),
        (b"<!DOCTYPE a [<!-- it's --><!ENTITY e 'v'>]><a/>", [b"<!-- it's --><!ENTITY e 'v'>"], []),
        (b"<a>1</a><b x='", [b"1", b"<b x='"], []),
        (b"<!-- open", [b"<!-- open"], []),
        (b"<![CDATA[open", [b"<![CDATA[open"], []),
        (b"<!DOCTYPE open [", [b"<!DOCTYPE open ["], []),
        (b"<?open", [b"<?open"], []),
        (b"a < b", [b"a", b"< b"], []),
        (b'<a "><b c="1">x</b>', [b"x"], [b"1"]),
        (b"<a>&#" + b"9" * 5000 + b";</a>", [b"&#" + b"9" * 5000 + b";"], []),
    ],
)
def test_markup(body: bytes, texts: list[bytes], attributes: list[bytes]):
    assert read_markup(body) == (texts, attributes)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(encoding: str):
    assert read_markup("<a b='ü'>é".encode(encoding)) == (["é".encode()], ["ü".encode()])


PIECES = [b"<", b">", b"</", b"a", b'"', b"'", b"=", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<!D [", b"]", b"<?", b"&"]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_what_stands_last_is_never_lost(noise: bytes):
    """Where noise left a comment or a declaration open, what follows is in it and the whole is a text."""
    texts, attributes = read_markup(noise + b"needle")

    assert b"needle" in b"\n".join(texts + attributes)
