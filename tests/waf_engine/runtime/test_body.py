"""How a body becomes variables: which processor is asked, with what, and where its result goes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.support import begin, exchange, load, values
from waf_engine.bodies import body_processors
from waf_engine.runtime.body import attach_request
from waf_engine.types import BodyContext, BodyLimits, BodyResult, UploadedFile
from waf_engine.waf import default_registries

if TYPE_CHECKING:
    from waf_engine import WAF

ON = "SecRequestBodyAccess On\nSecResponseBodyAccess On\n"
FORCE = 'SecAction "id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On"'


class Processor:
    """A body processor that says what it was given, and gives one of each thing."""

    def __init__(self, error: str = "") -> None:
        self.given: list[tuple[bytes, BodyContext]] = []
        self.error = error

    def __call__(self, body: bytes, context: BodyContext) -> BodyResult:
        self.given.append((body, context))
        return BodyResult(
            args=[(b"a", b"1")],
            files=[UploadedFile(field=b"f", filename=b"n", content=b"xyz")],
            part_headers=[(b"f", b"A: b")],
            multipart_names=[(b"f", b"f")],
            multipart_filenames=[(b"f", b"n")],
            flags={"MULTIPART_LF_LINE": b"1", "URLENCODED_ERROR": b"1"},
            tx={b"set": b"by body"},
            error=self.error,
            expose_body=True,
        )


def waf_with(processor: Processor, directives: str) -> WAF:
    registry = body_processors.copy()
    registry.add(processor, "TEST")
    return load(directives, registries=replace(default_registries(), body_processors=registry))


def choose(name: str, direction: str = "request") -> str:
    return f'{ON}SecAction "id:1,phase:1,pass,nolog,ctl:{direction}BodyProcessor={name}"'


def test_what_a_processor_is_given():
    processor = Processor()
    settings = "\nSecArgumentsLimit 7\nSecRequestBodyJsonDepthLimit 8\nSecUploadFileLimit 9\nSecArgumentSeparator ;"
    headers = [("Content-Type", "first/type"), ("content-type", "x/y; z=1")]
    exchange(waf_with(processor, choose("test") + settings), headers=headers, body=b"bytes")

    ((body, context),) = processor.given
    assert (type(body), body) == (bytes, b"bytes")
    assert context == BodyContext(
        content_type=b"x/y; z=1", limits=BodyLimits(arguments=7, depth=8, files=9), separator=b";"
    )


def test_where_its_result_goes():
    tx = exchange(waf_with(Processor(), choose("TEST")), body=b"raw")

    expected = {
        "ARGS_POST": [(b"a", b"1")],
        "FILES": [(b"f", b"n")],
        "FILES_SIZES": [(b"f", b"3")],
        "MULTIPART_PART_HEADERS": [(b"f", b"A: b")],
        "MULTIPART_NAME": [(b"f", b"f")],
        "MULTIPART_FILENAME": [(b"f", b"n")],
        "MULTIPART_LF_LINE": [(b"", b"1")],
        "URLENCODED_ERROR": [(b"", b"1")],
        "REQUEST_BODY": [(b"", b"raw")],
        "REQBODY_PROCESSOR": [(b"", b"TEST")],
        "REQBODY_ERROR": [(b"", b"0")],
    }
    assert {name: values(tx, name) for name in expected} == expected
    assert tx.tx[b"set"] == b"by body"


def test_what_is_wrong_is_said_with_the_processors_name_and_what_was_read_is_kept():
    tx = exchange(waf_with(Processor("odd byte"), choose("TEST")), body=b"raw")

    assert values(tx, "REQBODY_ERROR") == values(tx, "REQBODY_PROCESSOR_ERROR") == [(b"", b"1")]
    assert values(tx, "REQBODY_ERROR_MSG") == values(tx, "REQBODY_PROCESSOR_ERROR_MSG") == [(b"", b"TEST: odd byte")]
    assert values(tx, "ARGS_POST") == [(b"a", b"1")]


def test_a_body_is_parsed_once():
    processor = Processor()
    tx = exchange(waf_with(processor, choose("TEST")), body=b"raw")
    attach_request(tx)

    assert len(processor.given) == 1


@pytest.mark.parametrize("body", [None, b""])
def test_an_empty_body_is_not_parsed(body: bytes | None):
    processor = Processor()
    tx = exchange(waf_with(processor, choose("TEST")), body=body)

    assert processor.given == []
    assert values(tx, "REQBODY_ERROR") == [(b"", b"0")]


def test_a_cut_body_is_marked_as_such():
    processor = Processor()
    limit = "\nSecRequestBodyLimit 3\nSecRequestBodyLimitAction ProcessPartial"
    exchange(waf_with(processor, choose("TEST") + limit), body=b"abcdef")

    assert [(body, context.truncated) for body, context in processor.given] == [(b"abc", True)]


def test_a_processor_that_there_is_not_is_an_error_of_the_body():
    tx = exchange(choose("NONE"), body=b"raw")

    assert values(tx, "REQBODY_ERROR_MSG") == [(b"", b"NONE: no such body processor")]


def test_without_a_processor_the_body_is_left_alone():
    tx = exchange(ON, headers=[("Content-Type", "text/plain")], body=b"a=1")

    assert (values(tx, "ARGS"), values(tx, "REQBODY_PROCESSOR")) == ([], [(b"", b"")])
    assert values(tx, "REQBODY_ERROR") == [(b"", b"0")]


def test_forcing_the_body_variable_reads_it_as_a_form():
    tx = exchange(ON + FORCE, headers=[("Content-Type", "text/plain")], body=b"a=1")

    assert (values(tx, "ARGS"), values(tx, "REQUEST_BODY")) == ([(b"a", b"1")], [(b"", b"a=1")])
    assert values(tx, "REQBODY_PROCESSOR") == [(b"", b"URLENCODED")]


def test_a_processor_for_the_response():
    processor = Processor("odd")
    tx = exchange(waf_with(processor, choose("TEST", "response")), response_body=b"raw")

    assert [(body, context.content_type) for body, context in processor.given] == [(b"raw", b"text/html")]
    assert values(tx, "RESPONSE_ARGS") == [(b"a", b"1")]
    assert values(tx, "RES_BODY_ERROR_MSG") == [(b"", b"TEST: odd")]
    assert values(tx, "RESPONSE_BODY") == [(b"", b"")]  # the processor took it


def test_a_processor_for_the_response_that_there_is_not():
    tx = exchange(choose("NONE", "response"), response_body=b"raw")

    assert values(tx, "RES_BODY_ERROR_MSG") == [(b"", b"NONE: no such body processor")]


def test_an_empty_response_is_not_parsed():
    processor = Processor()
    exchange(waf_with(processor, choose("TEST", "response")))

    assert processor.given == []


def test_a_body_that_is_not_to_be_looked_at_is_not_parsed():
    processor = Processor()
    tx = begin(waf_with(processor, choose("TEST").replace("RequestBodyAccess On", "RequestBodyAccess Off")))
    tx.process_request_headers()
    tx.write_request_body(b"raw")
    tx.process_request_body()

    assert processor.given == []
