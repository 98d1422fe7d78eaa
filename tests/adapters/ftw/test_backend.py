"""The backend: it answers what it is asked to answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.ftw.backend import Answer, respond, sniff
from adapters.ftw.http_parser import ParsedRequest
from adapters.ftw.model import Reply


def _reflect(wish: Any, target: bytes = b"/reflect", method: bytes = b"POST") -> Answer:
    body = wish if isinstance(wish, bytes) else json.dumps(wish).encode()
    return respond(ParsedRequest(method, target, b"HTTP/1.1", (), body))


@pytest.mark.parametrize("target", [b"/reflect", b"/x/reflect/", b"/reflect?a=b"])
def test_reflect_gives_what_the_body_says(target: bytes):
    answer = _reflect({"status": 404, "headers": {"Content-Type": "a/b", "X": 1}, "body": "h\u00e9"}, target)

    assert answer == Answer(404, (("Content-Type", "a/b"), ("X", "1")), b"h\xc3\xa9")


def test_reflect_decodes_a_body():
    assert _reflect({"encodedBody": "AP8="}) == Answer(
        200, (("Content-Type", "application/octet-stream"),), b"\x00\xff"
    )


@pytest.mark.parametrize("wish", [b"{", b"[]", {"status": "x"}, {"headers": [1]}, {"encodedBody": "!"}, b"[" * 100_000])
def test_reflect_refuses_what_it_does_not_understand(wish: Any):
    assert _reflect(wish).status == 400


def test_anything_else_gets_200_without_a_body():
    assert _reflect({"status": 500}, b"/post") == Answer()
    assert _reflect({"status": 500}, method=b"GET") == Answer()


def test_the_reply_of_a_stage_comes_first():
    request = ParsedRequest(b"GET", b"/", b"HTTP/1.1")

    assert respond(request, Reply(status=503, body=b"x")) == Answer(
        503, (("Content-Type", "text/plain; charset=utf-8"),), b"x"
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><body>", "text/html"),
        (b"\n <!DOCTYPE HTML>", "text/html"),
        (b"<p>x", "text/html"),
        (b"<!-- x", "text/html"),
        (b"<pre>", "text/plain"),
        (b"<htmlx>", "text/plain"),
        (b"<?xml version", "text/xml"),
        (b"%PDF-1.7", "application/pdf"),
        (b"plain \xff text", "text/plain"),
        (b"\x00\x01", "application/octet-stream"),
        (b"x" * 600 + b"\0", "text/plain"),
    ],
)
def test_types_of_bodies(body: bytes, kind: str):
    assert sniff(body).split(";")[0] == kind
