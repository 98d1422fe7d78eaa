"""Variables of the request's body: raw, its processor, files, multipart flags, XML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from waf_engine.bodies.multipart import FLAGS
from waf_engine.bodies.xml import attribute_values, compile_xpath, text_values, xpath
from waf_engine.uploads import save
from waf_engine.variables.registry import collection, flag, scalar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry

ALL_TEXT, ALL_ATTRIBUTES = "/*", "//@*"
"""The two selectors of XML that Coraza knows: every text node, every attribute."""


@scalar("REQUEST_BODY", phase=2)
def request_body(tx: Transaction) -> bytes:
    """The raw body, where its processor leaves it visible (URLENCODED, RAW)."""
    return bytes(tx.request.body) if tx.request.expose_body else b""


@scalar("REQUEST_BODY_LENGTH", phase=2)
def request_body_length(tx: Transaction) -> bytes:
    """Bytes of the body that were kept."""
    return b"%d" % len(tx.request.body)


@scalar("FULL_REQUEST", phase=2)
def full_request(tx: Transaction) -> bytes:
    """Request line, headers and body, put together again."""
    request = tx.request
    line = b"%b %b %b" % (request.method, request.uri_raw, request.protocol)
    head = [line, *(b"%b: %b" % header for header in request.headers), b"", b""]
    return b"\n".join(head) + bytes(request.body)


@scalar("FULL_REQUEST_LENGTH", phase=2)
def full_request_length(tx: Transaction) -> bytes:
    """Bytes of FULL_REQUEST."""
    return b"%d" % len(full_request(tx) or b"")


@scalar("INBOUND_DATA_ERROR", phase=2)
def inbound_data_error(tx: Transaction) -> bytes:
    """Whether the body was longer than SecRequestBodyLimit."""
    return flag(tx.request.body_over_limit)


@scalar("REQBODY_PROCESSOR", volatile=True)
def reqbody_processor(tx: Transaction) -> bytes:
    """The name of the body processor; empty for none."""
    return tx.request.processor.encode("utf-8", "surrogateescape")


@scalar("REQBODY_ERROR", phase=2)
def reqbody_error(tx: Transaction) -> bytes:
    """Whether the body could not be parsed as what it claims to be."""
    return flag(tx.request.error)


@scalar("REQBODY_ERROR_MSG", phase=2)
def reqbody_error_msg(tx: Transaction) -> bytes:
    """What is wrong with the body."""
    return tx.request.error.encode("utf-8", "surrogateescape")


@scalar("REQBODY_PROCESSOR_ERROR", phase=2)
def reqbody_processor_error(tx: Transaction) -> bytes:
    """As REQBODY_ERROR."""
    return flag(tx.request.error)


@scalar("REQBODY_PROCESSOR_ERROR_MSG", phase=2)
def reqbody_processor_error_msg(tx: Transaction) -> bytes:
    """As REQBODY_ERROR_MSG."""
    return tx.request.error.encode("utf-8", "surrogateescape")


@collection("FILES", phase=2)
def files(tx: Transaction) -> Sequence[Entry]:
    """The client's names of the uploaded files, by form field."""
    return [(file.field, file.filename) for file in tx.request.files]


@collection("FILES_NAMES", phase=2)
def files_names(tx: Transaction) -> Sequence[Entry]:
    """The form fields that held files."""
    return [(file.field, file.field) for file in tx.request.files]


@collection("FILES_SIZES", phase=2)
def files_sizes(tx: Transaction) -> Sequence[Entry]:
    """Bytes of each file, by form field."""
    return [(file.field, b"%d" % len(file.content)) for file in tx.request.files]


@scalar("FILES_COMBINED_SIZE", phase=2)
def files_combined_size(tx: Transaction) -> bytes:
    """Bytes of all files together."""
    return b"%d" % sum(len(file.content) for file in tx.request.files)


@collection("FILES_TMPNAMES", phase=2)
def files_tmpnames(tx: Transaction) -> Sequence[Entry]:
    """Where the files are on disk, by form field; asking writes them, until the transaction ends."""
    save(tx)
    return [(f.field, str(f.path).encode("utf-8", "surrogateescape")) for f in tx.request.files if f.path is not None]


@collection("FILES_TMP_CONTENT", phase=2)
def files_tmp_content(tx: Transaction) -> Sequence[Entry]:
    """The content of each file, by form field."""
    return [(file.field, file.content) for file in tx.request.files]


@collection("MULTIPART_PART_HEADERS", phase=2)
def multipart_part_headers(tx: Transaction) -> Sequence[Entry]:
    """Header lines of the parts, by the part's name."""
    return tx.request.part_headers


@collection("MULTIPART_NAME", phase=2)
def multipart_name(tx: Transaction) -> Sequence[Entry]:
    """Names in the parts' Content-Disposition."""
    return tx.request.multipart_names


@collection("MULTIPART_FILENAME", phase=2)
def multipart_filename(tx: Transaction) -> Sequence[Entry]:
    """File names in the parts' Content-Disposition."""
    return tx.request.multipart_filenames


def _register_flag(name: str) -> None:
    @scalar(name, phase=2)
    def read(tx: Transaction) -> bytes:
        return tx.request.flags.get(name, b"0")


for _name in FLAGS:
    _register_flag(_name)


@collection("JSON", phase=2)
def json(_tx: Transaction) -> Sequence[Entry]:
    """Nothing: Coraza has the name and fills nothing in; the leaves of a JSON body are in ARGS_POST."""
    return ()


def compile_xml_selector(expression: str, namespaces: Mapping[str, str]) -> str:
    """The selector of XML: the expression, and behind it the prefixes that ``xmlns`` gave, each after a NUL.

    Raises:
        ArgumentError: it is no XPath.
    """
    if expression in {ALL_TEXT, ALL_ATTRIBUTES}:
        return expression
    compile_xpath(expression, namespaces)
    return expression + "".join(f"\0{prefix}={uri}" for prefix, uri in namespaces.items())


def select_xml(tree: Any, selector: str) -> Sequence[Entry]:
    """What a selector made by `compile_xml_selector` finds in a tree; the key is the expression."""
    if tree is None:
        return ()
    expression, *prefixes = selector.split("\0")
    if expression == ALL_TEXT:
        values = text_values(tree)
    elif expression == ALL_ATTRIBUTES:
        values = attribute_values(tree)
    else:
        values = xpath(tree, expression, dict(prefix.split("=", 1) for prefix in prefixes))
    key = expression.encode("utf-8", "surrogateescape")
    return [(key, value) for value in values]


def whole_xml(tree: Any) -> Sequence[Entry]:
    """The texts; for a document without any an empty one, so that ``XML "@validateSchema ..."`` is asked about it."""
    return select_xml(tree, ALL_TEXT) or ([] if tree is None else [(ALL_TEXT.encode(), b"")])


def _select_request_xml(tx: Transaction, selector: str) -> Sequence[Entry]:
    return select_xml(tx.request.xml, selector)


@collection("XML", "REQUEST_XML", phase=2, select=_select_request_xml, compile_select=compile_xml_selector)
def xml(tx: Transaction) -> Sequence[Entry]:
    """Text of an XML body; ``XML:/*`` every text node, ``XML://@*`` every attribute, else an XPath."""
    return whole_xml(tx.request.xml)
