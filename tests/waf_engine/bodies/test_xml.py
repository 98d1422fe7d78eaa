"""The XML processor: values of both kinds, XPath, what is refused, attacks on parsers."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies.xml import XMLDocument, attribute_values, compile_xpath, process_xml, text_values, xpath
from waf_engine.diagnostics import ArgumentError
from waf_engine.types import BodyContext

if TYPE_CHECKING:
    from pathlib import Path


def read(body: bytes) -> XMLDocument:
    document = process_xml(body, BodyContext()).xml
    assert isinstance(document, XMLDocument)
    return document


def error(body: bytes, *, truncated: bool = False) -> str:
    return process_xml(body, BodyContext(truncated=truncated)).error


@pytest.mark.parametrize(
    ("body", "texts", "attributes"),
    [
        (b'<?xml version="1.0"?><xml><a b="c">test123</a></xml>', [b"test123"], [b"c"]),
        (b"<a> x <b>y</b>\n z </a>", [b"x", b"y", b"z"], []),
        (b"<a><!-- c -->x<?pi?>y<![CDATA[<z>]]></a>", [b"x", b"y<z>"], []),
        (b"<a>&lt;&#65;&amp;</a>", [b"<A&"], []),
        (b'<a xmlns="urn:u" xmlns:p="urn:v"><p:b p:c="d" e="f">x</p:b></a>', [b"x"], [b"d", b"f", b"urn:u", b"urn:v"]),
        (b"<p:a>x</p:a>", [b"x"], []),
        (b"<a/>", [], []),
        ("<a b='ü'>é</a>".encode(), ["é".encode()], ["ü".encode()]),
        ("<?xml version='1.0' encoding='iso-8859-1'?><a>é</a>".encode("latin-1"), ["é".encode()], []),
        ("<?xml version='1.0' encoding='utf-16'?><a>é</a>".encode("utf-16"), ["é".encode()], []),
        ("<a>é</a>".encode("utf-16"), ["é".encode()], []),
        (codecs.BOM_UTF8 + b"<a>x</a>", [b"x"], []),
    ],
)
def test_values_of_well_formed_documents(body: bytes, texts: list[bytes], attributes: list[bytes]):
    document = read(body)

    assert error(body) == ""
    assert (text_values(document), attribute_values(document)) == (texts, attributes)


@pytest.mark.parametrize(
    ("body", "texts", "attributes"),
    [
        (b"", [], []),
        (b"  ", [], []),
        (b"just text", [b"just text"], []),
        (b"<a>1</a><b>2</b>", [b"1", b"2"], []),
        (b"<a>1</b>2</a>3", [b"1", b"2", b"3"], []),
        (b"<a x=1>u</a>", [b"u"], [b"1"]),
        (b"<a>1<b>2", [b"1", b"2"], []),
        (b"x<a>1</a>", [b"x", b"1"], []),
        (b"<a>x < y</a>", [b"x", b"< y<"], []),
        (b"<a>&nbsp;x</a>", None, []),
        (b"<a>1</a><!-- <b>2", [b"1", b"<!-- <b>2"], []),
        (b"<a>\x00b</a>", None, []),
        (b"<?xml version='1.0' encoding='utf-16'?><a>x</a>", [b"x"], []),
        (b"<?xml version='1.0' encoding='nonsense'?><a>x", [b"x"], []),
        (b"<?xml version='1.0' encoding='utf-7'?><a>+ADw-</b>", [b"+ADw-"], []),
        ("<?xml version='1.0' encoding='cp037'?><a>x</a>".encode("cp037"), None, []),
        (b"<a>" * 300 + b"deep" + b"</a>" * 300, [b"deep"], []),
    ],
)
def test_what_is_not_well_formed_is_an_error_and_read_to_its_end(
    body: bytes, texts: list[bytes] | None, attributes: list[bytes]
):
    document = read(body)

    assert error(body)
    assert attribute_values(document) == attributes
    if texts is not None:
        assert set(texts) - {b"< y<"} <= set(text_values(document))


def test_a_body_that_was_cut_is_an_error_only_where_it_is_broken():
    body = b"<a><b c='d'>text</b><e>more</e></a>"
    for end in range(3, len(body)):
        assert error(body[:end], truncated=True) == "", body[:end]
        assert text_values(read(body[:end])) or end < 13
    assert error(b"<a></b><c>", truncated=True)


def test_an_error_does_not_carry_control_characters():
    assert error(b"<a></b\x1b[31m>").isprintable()


BILLION_LAUGHS = (
    b'<!DOCTYPE l [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY %c "%b">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
    + b"]><l>&j;</l>"
)


def test_billion_laughs():
    document = read(BILLION_LAUGHS)

    assert sum(map(len, text_values(document))) < 2 * len(BILLION_LAUGHS)
    assert sum(map(len, xpath(document, "/*", {}))) < 2 * len(BILLION_LAUGHS)


def test_external_entities_are_not_read_and_not_hidden(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("needle")
    for declaration in (
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]>',
        f'<!DOCTYPE a [<!ENTITY % x SYSTEM "{secret.as_uri()}"> %x;]>',
        f'<!DOCTYPE a SYSTEM "{secret.as_uri()}">',
    ):
        document = read(f"{declaration}<a>&x;</a>".encode())
        everything = b"\n".join(text_values(document) + xpath(document, "/*", {}) + xpath(document, "//text()", {}))
        assert b"needle" not in everything
        assert ("ENTITY" not in declaration) or secret.as_uri().encode() in everything


def test_the_value_of_an_entity_does_not_hide():
    body = b'<!DOCTYPE a [<!ENTITY x "&#60;script>">]><a b="c">&x;</a>'

    assert text_values(read(body)) == [b'<!ENTITY x "&#60;script>">', b"&x;"]
    assert attribute_values(read(body)) == [b"c"]


def test_xinclude_is_not_processed(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("needle")
    include = f'<xi:include href="{secret.as_uri()}" parse="text" xmlns:xi="http://www.w3.org/2001/XInclude"/>'
    document = read(f"<a>{include}</a>".encode())

    assert b"needle" not in b"".join(xpath(document, "/*", {}))


SOAP = b"""<s:Envelope xmlns:s="urn:soap"><s:Body id="1"><user role="admin">alice</user><user>bob</user>
<!-- remark --></s:Body></s:Envelope>"""


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("//user", [b"alice", b"bob"]),
        ("//user/text()", [b"alice", b"bob"]),
        ("//@role", [b"admin"]),
        ("/e:Envelope/e:Body/user[2]", [b"bob"]),
        ("//e:Body", [b"alicebob\n"]),
        ("count(//user)", [b"2"]),
        ("string(//user)", [b"alice"]),
        ("boolean(//user)", [b"true"]),
        ("not(//user)", [b"false"]),
        ("//comment()", [b" remark "]),
        ("//nothing", []),
        ("//unknown:user", []),
        ("//[", []),
        ("", []),
    ],
)
def test_xpath(expression: str, values: list[bytes]):
    assert values == xpath(read(SOAP), expression, {"e": "urn:soap"})


def test_xpath_on_what_is_no_document():
    assert xpath(read(b"junk"), "//a", {}) == []


def test_an_xpath_is_checked_when_it_is_loaded():
    compile_xpath("//e:user", {"e": "urn:soap"})
    with pytest.raises(ArgumentError, match="is no XPath"):
        compile_xpath("//[", {})


def test_results_of_an_xpath_are_bounded():
    body = b"<a>" * 200 + b"<b>" + b"x" * 200_000 + b"</b>" + b"</a>" * 200

    assert sum(map(len, xpath(read(body), "//*", {}))) <= 16 * 1024 * 1024


def test_values_beyond_the_bound_become_one():
    texts = text_values(read(b"<r>" + b"<a>x</a>" * 20_000 + b"<a>needle</a></r>"))

    assert len(texts) == 10_000
    assert texts[-1].endswith(b"x x needle")


LETTERS = st.characters(min_codepoint=33, exclude_characters="<>&\"'", exclude_categories=["Cs", "Cc", "Cn"])
TEXT = st.text(LETTERS, min_size=1)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5), st.sampled_from(["utf-8", "utf-16"]))
def test_both_readers_agree_on_documents_without_entities(pairs: list[tuple[str, str]], encoding: str):
    inner = "".join(f'<a b="{attribute}">{text}</a>' for text, attribute in pairs)
    document = read(f"<r>{inner}</r>".encode(encoding))
    broken = read(f"<r>{inner}</q>".encode(encoding))

    expected = [text.strip().encode() for text, _ in pairs]
    assert text_values(document) == [text for text in expected if text]
    assert attribute_values(document) == [attribute.encode() for _, attribute in pairs]
    assert set(text_values(document)) <= set(text_values(broken))
    assert set(attribute_values(document)) == set(attribute_values(broken))


@pytest.mark.corpora
def test_postxml(corpora: Path):
    """Coraza's profile: text and attributes are values, REQUEST_BODY is not set."""
    profiles = json.loads((corpora / "corpora/coraza-profiles/profiles.json").read_text("utf-8"))
    profile = next(each for each in profiles if each["Meta"]["Name"] == "postxml.yaml")
    result = process_xml(profile["Tests"][0]["Stages"][0]["Stage"]["Input"]["Data"].encode(), BodyContext())

    assert (text_values(result.xml), attribute_values(result.xml)) == ([b"test123"], [b"attribute_value"])
    assert (result.error, result.expose_body) == ("", False)


@pytest.mark.slow
@pytest.mark.corpora
def test_xml_bodies_of_crs(corpora: Path):
    """Of CRS's XML bodies two are no XML (920240-4, 920420-10), and no word of any is lost."""
    errors, ran = [], 0
    for path in sorted((corpora / "corpora/crs-regression").glob("*/*.yaml")):
        document = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for test in (document or {}).get("tests", ()):
            for stage in test["stages"]:
                headers = {k.lower(): str(v).lower() for k, v in (stage["input"].get("headers") or {}).items()}
                data = stage["input"].get("data")
                if data and "xml" in headers.get("content-type", ""):
                    result = process_xml(str(data).encode(), BodyContext())
                    assert text_values(result.xml) or attribute_values(result.xml)
                    ran += 1
                    if result.error:
                        errors.append(f"{document['rule_id']}-{test['test_id']}")

    assert ran >= 400
    assert errors == ["920240-4", "920420-10"]
