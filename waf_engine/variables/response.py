"""Variables of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.variables.registry import collection, flag, scalar
from waf_engine.variables.request_body import compile_xml_selector, select_xml, whole_xml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry


@scalar("RESPONSE_STATUS", phase=3)
def response_status(tx: Transaction) -> bytes:
    """The status code."""
    return tx.response.status


@scalar("STATUS", phase=3)
def status(tx: Transaction) -> bytes:
    """As RESPONSE_STATUS."""
    return tx.response.status


@scalar("RESPONSE_PROTOCOL", phase=3)
def response_protocol(tx: Transaction) -> bytes:
    """The version, such as ``HTTP/1.1``."""
    return tx.response.protocol


@scalar("STATUS_LINE", phase=3)
def status_line(tx: Transaction) -> bytes:
    """Version and status code; the reason phrase is not known to the engine."""
    return b"%b %b" % (tx.response.protocol, tx.response.status)


@collection("RESPONSE_HEADERS", phase=3)
def response_headers(tx: Transaction) -> Sequence[Entry]:
    """The headers as received."""
    return tx.response.headers


@collection("RESPONSE_HEADERS_NAMES", phase=3)
def response_headers_names(tx: Transaction) -> Sequence[Entry]:
    """The names of the headers."""
    return [(name, name) for name, _ in tx.response.headers]


@scalar("RESPONSE_CONTENT_TYPE", phase=3)
def response_content_type(tx: Transaction) -> bytes:
    """The type, without parameters."""
    return tx.response.content_type.split(b";", 1)[0].strip()


@scalar("RESPONSE_CONTENT_LENGTH", phase=4)
def response_content_length(tx: Transaction) -> bytes:
    """Bytes of the body that were kept."""
    return b"%d" % len(tx.response.body)


@scalar("RESPONSE_BODY", phase=4)
def response_body(tx: Transaction) -> bytes:
    """The body, for the types of SecResponseBodyMimeType; empty where a body processor parsed it."""
    return b"" if tx.response.processor else bytes(tx.response.body)


@scalar("OUTBOUND_DATA_ERROR", phase=4)
def outbound_data_error(tx: Transaction) -> bytes:
    """Whether the body was longer than SecResponseBodyLimit."""
    return flag(tx.response.body_over_limit)


@collection("RESPONSE_ARGS", phase=4)
def response_args(tx: Transaction) -> Sequence[Entry]:
    """Leaves of a JSON response (``ctl:responseBodyProcessor=JSON``)."""
    return tx.response.args


def _select_response_xml(tx: Transaction, selector: str) -> Sequence[Entry]:
    return select_xml(tx.response.xml, selector)


@collection("RESPONSE_XML", phase=4, select=_select_response_xml, compile_select=compile_xml_selector)
def response_xml(tx: Transaction) -> Sequence[Entry]:
    """Text of an XML response (``ctl:responseBodyProcessor=XML``), selected from as XML is."""
    return whole_xml(tx.response.xml)


@scalar("RES_BODY_PROCESSOR", phase=3, volatile=True)
def res_body_processor(tx: Transaction) -> bytes:
    """The name of the response's body processor; empty for none."""
    return tx.response.processor.encode("utf-8", "surrogateescape")


def _error(tx: Transaction) -> bytes:
    return flag(tx.response.error)


def _error_msg(tx: Transaction) -> bytes:
    return tx.response.error.encode("utf-8", "surrogateescape")


for _name in ("RES_BODY_ERROR", "RES_BODY_PROCESSOR_ERROR"):
    scalar(_name, phase=4)(_error)
for _name in ("RES_BODY_ERROR_MSG", "RES_BODY_PROCESSOR_ERROR_MSG"):
    scalar(_name, phase=4)(_error_msg)
