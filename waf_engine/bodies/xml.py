"""XML: a tree for the XML variable (XPath), by libxml2 without entities, DTDs, network or huge documents.

A body that is not well-formed sets REQBODY_ERROR, as in ModSecurity; what could be read of it is kept, as in
Coraza (engine.md 1.7). ``XML:/*`` and ``XML://@*`` then come from `markup.py`, which reads to the body's end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lxml import etree

from waf_engine.bodies.markup import read_markup
from waf_engine.bodies.registry import body_processors
from waf_engine.diagnostics import ArgumentError
from waf_engine.types import BodyResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from waf_engine.types import BodyContext

_MAX_VALUES = 10_000  # texts, and attributes, that are values of their own
_MAX_NODES = 100_000  # of one XPath's result
_MAX_BYTES = 16 * 1024 * 1024  # of one XPath's result: the texts of nested elements contain one another
_MAX_MESSAGE = 200  # characters of libxml2's message, which may quote the body
_TEXTS: Any = etree.XPath("//text()", smart_strings=False)
_INNER_TEXTS: Any = etree.XPath(".//text()", smart_strings=False)  # unlike string(), it expands no entity
_ATTRIBUTES: Any = etree.XPath("//@*", smart_strings=False)
_ASCII_BASED = frozenset((None, "UTF-8", "utf-8", "US-ASCII", "ISO-8859-1", "iso-8859-1", "windows-1252"))


class XMLDocument:
    """An XML body: libxml2's tree, and the texts and attribute values that rules ask for most.

    Attributes:
        body: the bytes.
        root: the root element; None when not even that could be read.
        well_formed: whether it was read without a fatal error.
        clear: whether the tree is the whole truth: well-formed, no document type declaration.
    """

    __slots__ = ("_attributes", "_texts", "body", "clear", "root", "well_formed")

    def __init__(self, body: bytes, root: Any, *, well_formed: bool) -> None:
        self.body = body
        self.root = root
        self.well_formed = well_formed
        # References to entities stay unresolved; with a document type declaration they may be any.
        self.clear = well_formed and root.getroottree().docinfo.internalDTD is None
        self._texts: list[bytes] | None = None
        self._attributes: list[bytes] | None = None

    def texts(self) -> list[bytes]:
        """See `text_values`."""
        if self._texts is None:
            self._read()
        return self._texts or []

    def attributes(self) -> list[bytes]:
        """See `attribute_values`."""
        if self._attributes is None:
            self._read()
        return self._attributes or []

    def _read(self) -> None:
        texts, attributes = _walk(self.root, self.body) if self.root is not None else ([], [])
        if not self.clear:
            # The bytes as they stand, to their end; and what only libxml2 could decode.
            all_texts, all_attributes = read_markup(self.body)
            texts = list(dict.fromkeys(all_texts + texts))
            attributes = list(dict.fromkeys(all_attributes + attributes))
        self._texts, self._attributes = _bounded(texts), _bounded(attributes)


@body_processors.register("XML")
def process_xml(body: bytes, context: BodyContext) -> BodyResult:
    """The body processor for XML: nothing but `BodyResult.xml` (an `XMLDocument`) and the error."""
    parser = _new_parser(recover=True)
    try:
        root = etree.fromstring(body, parser)
    except (etree.LxmlError, ValueError, AssertionError):
        root = None  # the empty document, and what libxml2 refuses outright
    fault = next((entry for entry in parser.error_log if entry.level == etree.ErrorLevels.FATAL), None)
    document = XMLDocument(body, root, well_formed=fault is None and root is not None)
    result = BodyResult(xml=document)
    if (fault is not None or root is None) and not (context.truncated and _only_cut(body)):
        message = fault.message[:_MAX_MESSAGE] if fault is not None else "the document is empty"
        result.error = "".join(c if c.isprintable() else "?" for c in message)
    return result


def _only_cut(body: bytes) -> bool:
    """Whether a body that was cut is well-formed as far as it goes: the push parser waits for more."""
    parser = _new_parser(recover=False)
    try:
        parser.feed(body)
    except (etree.LxmlError, ValueError, AssertionError):
        return False
    return True


def _new_parser(*, recover: bool) -> etree.XMLParser:
    """A parser of its own for each body: its error log is the body's."""
    return etree.XMLParser(
        recover=recover,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
    )


def _bounded(values: list[bytes]) -> list[bytes]:
    """At most so many values as rules can be run on: the rest as one, for none of it must go unseen."""
    if len(values) <= _MAX_VALUES:
        return values
    return [*values[: _MAX_VALUES - 1], b" ".join(values[_MAX_VALUES - 1 :])]


def _walk(root: Any, body: bytes) -> tuple[list[bytes], list[bytes]]:
    """The texts and attribute values of a tree, in the order of the document; names of name spaces last."""
    texts = [stripped.encode() for text in _TEXTS(root) if (stripped := text.strip())]
    attributes = [value.encode() for value in _ATTRIBUTES(root)]
    if b"xmlns" in body or b"\x00" in body or root.getroottree().docinfo.encoding not in _ASCII_BASED:
        attributes += [uri.encode() for _, (_, uri) in etree.iterwalk(root, events=("start-ns",))]
    return texts, attributes


def text_values(document: XMLDocument) -> list[bytes]:
    """``XML:/*``: every text, trimmed, without empty ones, in the order of the document.

    Args:
        document: what `process_xml` left in `BodyResult.xml`.

    Returns:
        The texts as UTF-8; for a body that is not well-formed, to its very end.
    """
    return document.texts()


def attribute_values(document: XMLDocument) -> list[bytes]:
    """``XML://@*``: the value of every attribute; the names of name spaces (``xmlns``) are among them, as in Coraza.

    Args:
        document: what `process_xml` left in `BodyResult.xml`.

    Returns:
        The values as UTF-8.
    """
    return document.attributes()


def compile_xpath(expression: str, namespaces: Mapping[str, str]) -> None:
    """Check an XPath of a rule when the rule is loaded.

    Raises:
        ArgumentError: libxml2 refuses it.
    """
    try:
        compiled = _compile(expression, tuple(sorted(namespaces.items())))
        compiled(etree.ElementTree(etree.Element("empty")))  # unknown prefixes and functions show only now
    except (etree.XPathError, ValueError, TypeError) as error:
        raise ArgumentError(f"{expression!r} is no XPath: {error}", code="bad-xpath") from error


@lru_cache(maxsize=1024)
def _compile(expression: str, namespaces: tuple[tuple[str, str], ...]) -> Any:
    return etree.XPath(expression, namespaces=dict(namespaces) or None, smart_strings=False, regexp=False)


def xpath(document: XMLDocument, expression: str, namespaces: Mapping[str, str]) -> list[bytes]:
    """What an XPath selects: the text of each node, or its one value.

    Args:
        document: what `process_xml` left in `BodyResult.xml`.
        expression: an XPath 1.0 expression.
        namespaces: prefix to name space (the ``xmlns`` action).

    Returns:
        The values as UTF-8, at most 100,000 of them and 16 MiB together; none for an expression that fails.
    """
    if document.root is None:
        return []
    try:
        found = _compile(expression, tuple(sorted(namespaces.items())))(document.root.getroottree())
    except (etree.LxmlError, ValueError, TypeError):
        return []
    if isinstance(found, bool):
        return [b"true" if found else b"false"]
    if isinstance(found, float):
        return [b"%g" % found]
    values: list[bytes] = []
    size = 0
    for node in found[:_MAX_NODES] if isinstance(found, list) else [found]:
        value = _text_of(node)
        size += len(value)
        if size > _MAX_BYTES:
            break
        values.append(value)
    return values


def _text_of(node: Any) -> bytes:
    """The text of a node of an XPath's result: a string, a name space or an element."""
    if isinstance(node, str):
        return node.encode()
    if isinstance(node, tuple):
        return str(node[1]).encode()
    if callable(node.tag):  # a comment or a processing instruction
        return (node.text or "").encode()
    return "".join(_INNER_TEXTS(node)).encode()
