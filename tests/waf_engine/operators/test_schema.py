"""Schemas: which are taken, which bodies conform, and that a hostile body is a violation, not an error."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest
from lxml import etree

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators.schema import parse_json
from waf_engine.types import MATCHED

needs_json_schema = pytest.mark.skipif(
    importlib.util.find_spec("jsonschema_rs") is None, reason="jsonschema-rs is absent"
)

GOOD = b"<order><item>1</item></order>"


@pytest.mark.parametrize(("name", "argument"), [("validateSchema", "order.xsd"), ("validateDTD", "order.dtd")])
def test_the_transaction_s_tree_is_validated_and_not_the_value(bench: Any, name: str, argument: str):
    test = bench.compile(name, argument)

    assert test(b"any text", bench.Transaction(xml=etree.fromstring(GOOD))) is None
    assert test(b"any text", bench.Transaction(xml=etree.fromstring(GOOD).getroottree())) is None
    assert test(GOOD, bench.Transaction(xml=etree.fromstring(b"<order/>"))) is MATCHED


@pytest.mark.parametrize(("name", "argument"), [("validateSchema", "order.xsd"), ("validateDTD", "order.dtd")])
def test_without_a_tree_the_value_is_read(bench: Any, name: str, argument: str):
    test = bench.compile(name, argument)

    assert test(b"") is None
    assert test(GOOD) is None
    assert test(GOOD[:-1]) is MATCHED
    assert test(b"\0") is MATCHED


def test_no_file_is_read_for_a_body(bench: Any):
    test = bench.compile("validateSchema", "order.xsd")

    assert (
        test(b'<!DOCTYPE order [<!ENTITY e SYSTEM "file:///etc/hostname">]><order><item>&e;</item></order>') is MATCHED
    )


@pytest.mark.parametrize(
    "content", [b"<a", b"<a/>", b'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:x/></xs:schema>']
)
def test_what_is_no_xml_schema_is_refused(bench: Any, content: bytes):
    with pytest.raises(ArgumentError, match="no XML schema"):
        bench.compile("validateSchema", "bad.xsd", bench.Context({"bad.xsd": content}))


def test_what_is_no_dtd_is_refused(bench: Any):
    with pytest.raises(ArgumentError, match="no document type definition"):
        bench.compile("validateDTD", "bad.dtd", bench.Context({"bad.dtd": b"<!ELEMENT"}))


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"-Infinity", b'{"a":1,"a":2}', b'"\xff"', b"[1,]", b"1" * 5000])
def test_what_is_no_json(text: bytes):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_without_the_package_a_json_schema_is_refused_with_what_to_install(bench: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)

    with pytest.raises(ArgumentError, match="jsonschema-rs") as refused:
        bench.compile("validateSchema", "a.json", bench.Context({"a.json": b"{}"}))

    assert refused.value.hint.startswith("pip install")


@needs_json_schema
def test_json(bench: Any):
    schema = b'{"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "pattern": "^x+$"}}}'
    test = bench.compile("validateSchema", "a.json", bench.Context({"a.json": schema}))

    assert test(b"") is None
    assert test(b'{"a": "xx"}') is None
    for violation in (b'{"a": "y"}', b"{}", b"[]", b"{", b'{"a": "x", "a": "x"}', b"[" * 100_000, b'{"a": "\\ud800"}'):
        assert test(violation) is MATCHED, violation[:20]


@needs_json_schema
@pytest.mark.parametrize(
    "content", [b"{", b'{"type": "strin"}', b'{"$ref": "http://127.0.0.1:1/x"}', b'{"pattern": "(?=a)b"}']
)
def test_what_is_no_json_schema_is_refused(bench: Any, content: bytes):
    with pytest.raises(ArgumentError, match="is no JSON schema"):
        bench.compile("validateSchema", "a.json", bench.Context({"a.json": content}))
