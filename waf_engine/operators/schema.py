"""Operators that validate a body against a schema.

Holds no parser of bodies: an XML body has been parsed before (the XML body processor), and only where it was not, the
value itself is. The sense is that of ModSecurity: true means a violation. JSON schemas need the package jsonschema-rs
(extra ``json-schema``), whose patterns are linear; XML schemas and DTDs are lxml's. Nothing is fetched.
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn

from lxml import etree

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import operators
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.types import Captures, CompileContext, Test, TransactionView


@operators.register("validateSchema")
def validate_schema(argument: str, context: CompileContext) -> Test:
    """The body does not conform to a schema.

    Argument: the file's name, looked for beside the rule's file: an XML schema (it begins with ``<``) or a JSON schema.
    Matches: with an XML schema, a transaction whose XML body (or, without one, a value that) is not valid; with a JSON
        schema, a value that is no JSON, or not valid, or has a name twice in one object. For an empty value (that is
        REQUEST_BODY of a JSON body) the JSON body is taken, from phase 4 on the response's; without one: no match.
    Example: @validateSchema order.xsd
        matches "<order/>"
        not "<order><item>1</item></order>"
    """
    content = context.read_data(argument.strip())
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        try:
            schema = etree.XMLSchema(etree.fromstring(content, _parser()))
        except (etree.XMLSyntaxError, etree.XMLSchemaParseError) as error:
            raise ArgumentError(f"{argument.strip()} is no XML schema: {error}") from error
        return _xml_test(schema.validate)
    return _json_test(_json_validator(argument.strip(), content))


@operators.register("validateDTD")
def validate_dtd(argument: str, context: CompileContext) -> Test:
    """The XML body does not conform to a document type definition.

    Argument: the file's name, looked for beside the rule's file.
    Matches: a transaction whose XML body (or, without one, a value that) is not valid. An empty value never matches.
    Example: @validateDTD order.dtd
        matches "<order/>"
        not "<order><item>1</item></order>"
    """
    try:
        dtd = etree.DTD(BytesIO(context.read_data(argument.strip())))
    except etree.DTDParseError as error:
        raise ArgumentError(f"{argument.strip()} is no document type definition: {error}") from error
    return _xml_test(dtd.validate)


def _parser() -> etree.XMLParser:
    """A parser that expands nothing and fetches nothing."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def _xml_test(is_valid: Callable[[Any], bool]) -> Test:
    """The test for the transaction's XML tree, or for the value when there is no tree."""

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        tree = getattr(tx, "xml", None)  # only transactions whose body was XML have one
        if tree is False:  # it was not well-formed
            return MATCHED
        if tree is None:
            if not value:
                return None
            try:
                tree = etree.fromstring(value, _parser())
            except (etree.XMLSyntaxError, ValueError):
                return MATCHED
        try:
            return None if is_valid(tree) else MATCHED
        except etree.LxmlError:  # a tree with entities left in it: libxml2 gives up on validating it
            return MATCHED

    return test


def _json_validator(name: str, content: bytes) -> Callable[[Any], bool]:
    """The validator for a JSON schema.

    Raises:
        ArgumentError: it is none, or refers to something outside, or the package is missing.
    """
    try:
        import jsonschema_rs  # noqa: PLC0415  an extra: only who uses the operator needs it
    except ImportError as error:
        raise ArgumentError(
            "@validateSchema with a JSON schema needs the package jsonschema-rs",
            hint="pip install 'spoa-waf[json-schema]', or pip install jsonschema-rs",
            code="no-jsonschema",
        ) from error
    try:
        validator = jsonschema_rs.validator_for(
            parse_json(content), retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (ValueError, RecursionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ArgumentError(f"{name} is no JSON schema: {reason}") from error
    is_valid: Callable[[Any], bool] = validator.is_valid
    return is_valid


def _json_test(is_valid: Callable[[Any], bool]) -> Test:
    """The test for a value that should be JSON."""

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        text = value or tx.variable("TX", b"json_response_body") or tx.variable("TX", b"json_request_body")
        if not text:
            return None
        try:
            return None if is_valid(parse_json(text)) else MATCHED
        except (ValueError, RecursionError):
            return MATCHED

    return test


def parse_json(text: bytes) -> Any:
    """The value of a JSON text as RFC 8259 has it, without the standard library's extensions.

    Raises:
        ValueError: it is none, not UTF-8, or a name occurs twice in one object, so that two readers of it could differ.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _refuse(what: str) -> NoReturn:
    raise ValueError(f"{what} is not allowed here")
