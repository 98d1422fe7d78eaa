"""Directives on bodies and arguments."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import exchange, faults, load, values, warnings
from waf_engine.settings import LimitAction

ROWS = {
    "SecRequestBodyLimit": ("1024", "0"),
    "SecRequestBodyInMemoryLimit": ("1024", "x"),
    "SecRequestBodyNoFilesLimit": ("1024", "-1"),
    "SecRequestBodyJsonDepthLimit": ("10", "0"),
    "SecArgumentsLimit": ("10", "ten"),
    "SecResponseBodyLimit": ("1024", "0"),
    "SecUploadFileLimit": ("0", "some"),
    "SecRequestBodyAccess": ("on", "1"),
    "SecResponseBodyAccess": ("Off", "maybe"),
    "SecRequestBodyLimitAction": ("processpartial", "Drop"),
    "SecResponseBodyLimitAction": ("Reject", ""),
    "SecResponseBodyMimeType": ("text/html application/json", "html"),
    "SecResponseBodyMimeTypesClear": ("", "text/html"),
    "SecArgumentSeparator": ("&", "&&"),
}
"""Directive: an argument that is accepted, and one that is refused."""


@pytest.mark.parametrize(
    ("directive", "setting", "value"),
    [
        ("SecRequestBodyLimit 5", "request_body_limit", 5),
        ("SecRequestBodyInMemoryLimit 5", "request_body_in_memory_limit", 5),
        ("SecRequestBodyNoFilesLimit 5", "request_body_no_files_limit", 5),
        ("SecRequestBodyJsonDepthLimit 5", "json_depth_limit", 5),
        ("SecArgumentsLimit 5", "arguments_limit", 5),
        ("SecResponseBodyLimit 5", "response_body_limit", 5),
        ("SecUploadFileLimit 5", "upload_file_limit", 5),
        ("SecRequestBodyAccess On", "request_body_access", True),
        ("SecResponseBodyAccess On", "response_body_access", True),
        ("SecRequestBodyLimitAction ProcessPartial", "request_body_limit_action", LimitAction.PROCESS_PARTIAL),
        ("SecResponseBodyLimitAction reject", "response_body_limit_action", LimitAction.REJECT),
        ("SecResponseBodyMimeType a/b Text/XML", "response_body_mime_types", ("a/b", "text/xml")),
        ("SecResponseBodyMimeType a/b\nSecResponseBodyMimeType c/d", "response_body_mime_types", ("c/d",)),
        ("SecResponseBodyMimeTypesClear", "response_body_mime_types", ()),
        ("SecArgumentSeparator ;", "argument_separator", ";"),
    ],
)
def test_what_each_sets(directive: str, setting: str, value: object):
    assert getattr(load(directive).plan.settings, setting) == value


def test_types_are_needed():
    assert faults("SecResponseBodyMimeType") == [("bad-argument", 1, 1)]


def test_the_type_at_fault_is_shown():
    assert faults("SecResponseBodyMimeType text/html html text/xml") == [("bad-argument", 1, 35)]


def test_another_separator_is_used_and_warned_of():
    directive = "SecRequestBodyAccess On\nSecArgumentSeparator ;"
    tx = exchange(directive, "/?a=1;b=2&c", body=b"d=3;e=4")

    assert values(tx, "ARGS") == [(b"a", b"1"), (b"b", b"2&c"), (b"d", b"3"), (b"e", b"4")]
    assert warnings(directive) == [("separator", 2, 1)]
    assert warnings("SecArgumentSeparator &") == []


def test_the_number_of_arguments_is_bounded():
    tx = exchange("SecRequestBodyAccess On\nSecArgumentsLimit 2", body=b"a=1&b=2&c=3&d=4")

    assert values(tx, "ARGS_POST") == [(b"a", b"1"), (b"b", b"2")]
    assert values(tx, "REQBODY_ERROR_MSG") == [(b"", b"URLENCODED: more than 2 arguments")]
