"""Macros: what they expand to, what is left of one without a value, and where a faulty one is reported."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import begin
from waf_engine.diagnostics import ArgumentError
from waf_engine.runtime.macros import compile_macro
from waf_engine.variables import variables

KNOWN = {name.upper(): found for name in variables if (found := variables.get(name))}


def expand(text: str) -> bytes:
    tx = begin("SecRuleEngine On")
    tx.process_uri("/p?Name=v&x[a]=w", "GET", "HTTP/1.1")
    tx.add_request_header("User-Agent", b"\xffagent")
    tx.tx = {b"a": b"1", b"2": b"two", b"with space": b"s"}
    return compile_macro(text, KNOWN).expand(tx)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", b""),
        ("plain 100% {x}", b"plain 100% {x}"),
        ("%{tx.a}", b"1"),
        ("%{TX.A}", b"1"),
        ("%{tx:a}", b"1"),
        ("<%{tx.a}|%{REQUEST_METHOD}>", b"<1|GET>"),
        ("%{REQUEST_HEADERS.user-agent}", b"\xffagent"),
        ("%{ARGS.name}", b"v"),
        ("%{ARGS.x[a]}", b"w"),
        ("%{ARGS}", b"v"),  # the whole collection: its first value
        ("%{unique_id}", b"T1"),
        ("%{tx.missing}", b"tx.missing"),  # what has no value leaves its own text (Coraza)
        ("%{TX.Missing}", b"TX.Missing"),
        ("%{ARGS_POST}", b"ARGS_POST"),
        ("%{tx.0}%{tx.9}", b""),  # captures are empty before there is one
        ("%{tx.2}", b"two"),
        ("%{tx.10}", b"tx.10"),
        ("%{REQUEST_METHOD.x}", b"GET"),  # a key of what has none is left aside
        ("é%{tx.a}é", "é1é".encode()),
        ("\udcff%{tx.a}", b"\xff1"),
        ("%%{tx.a}}", b"%1}"),
    ],
)
def test_expansion(text: str, result: bytes):
    assert expand(text) == result


@pytest.mark.parametrize(
    ("text", "offset", "code"),
    [
        ("ab%{tx.a", 2, "bad-argument"),
        ("%{}", 2, "bad-argument"),
        ("a%{tx.a b}", 7, "bad-argument"),
        ("%{tx.a}%{tx.%{tx.b}}", 12, "bad-argument"),
        ("ok %{nothing.a}", 5, "unknown-variable"),
    ],
)
def test_a_faulty_macro_is_refused_with_its_place(text: str, offset: int, code: str):
    with pytest.raises(ArgumentError) as caught:
        compile_macro(text, KNOWN)
    with pytest.raises(ArgumentError) as moved:
        compile_macro(text, KNOWN, 100)

    assert (caught.value.offset, caught.value.code) == (offset, code)
    assert moved.value.offset == 100 + offset


def test_a_text_without_macros_is_literal():
    assert compile_macro("a %b", KNOWN).literal == b"a %b"
    assert compile_macro("", KNOWN).literal == b""
    assert compile_macro("%{tx.a}", KNOWN).literal is None


def test_a_macro_is_shown_as_it_was_written():
    assert str(compile_macro("a %{TX.B}", KNOWN)) == "a %{TX.B}"


def test_a_member_is_found_in_any_case_among_others_of_the_same_length():
    tx = begin("SecRuleEngine On")
    tx.process_uri("/?a=0&other=1&Token=2&token=3&=4", "GET", "HTTP/1.1")

    assert [compile_macro(text, KNOWN).expand(tx) for text in ("%{ARGS.tokeN}", "%{args}")] == [b"2", b"0"]


def test_arguments_that_come_later_are_found_too():
    tx = begin("SecRequestBodyAccess On")
    tx.process_uri("/?a=1", "POST", "HTTP/1.1")
    tx.add_request_header("Content-Type", "application/x-www-form-urlencoded")
    macro = compile_macro("%{ARGS.a} %{ARGS.b} %{ARGS.c}", KNOWN)
    found = [macro.expand(tx)]
    tx.process_request_headers()
    tx.write_request_body(b"a=2&B=3")
    tx.process_request_body()
    found.append(macro.expand(tx))
    tx.set_collection("ARGS_PATH", [(b"c", b"4")])
    found.append(macro.expand(tx))
    tx.set_collection("ARGS_PATH", [(b"c", b"5")])
    found.append(macro.expand(tx))

    assert found == [b"1 ARGS.b ARGS.c", b"1 3 ARGS.c", b"1 3 4", b"1 3 5"]
