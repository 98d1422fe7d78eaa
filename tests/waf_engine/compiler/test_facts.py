"""Facts about patterns: worked out once while they are in use, and forgotten afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

from waf_engine.compiler import alphabet, restrict
from waf_engine.compiler.facts import Facts, fact, sources

calls: list[bytes] = []


@fact
def length(pattern: bytes) -> int:
    calls.append(pattern)
    return len(pattern)


@fact
def without(pattern: bytes, letters: frozenset[int]) -> bytes | None:
    calls.append(pattern)
    return pattern.translate(None, bytes(letters)) or None


def test_a_fact_is_worked_out_once_while_facts_are_in_use():
    calls.clear()
    facts = Facts()
    with facts.in_use():
        assert [length(b"abc"), length(b"abc"), length(b"x")] == [3, 3, 1]
        assert [without(b"aa", frozenset(b"a")), without(b"aa", frozenset(b"a"))] == [None, None]
        assert without(b"aa", frozenset(b"b")) == b"aa"

    assert calls == [b"abc", b"x", b"aa", b"aa"]
    assert facts.grown


def test_without_facts_in_use_nothing_is_remembered():
    calls.clear()

    assert [length(b"abc"), length(b"abc")] == [3, 3]
    assert len(calls) == 2


def test_what_is_known_is_not_worked_out():
    calls.clear()
    facts = Facts({b"abc": {(f"{__name__}.length", b""): 7}})
    with facts.in_use():
        assert length(b"abc") == 7

    assert (calls, facts.grown) == ([], False)


def test_facts_are_in_use_in_one_thread():
    calls.clear()
    facts = Facts()
    with facts.in_use():
        other = threading.Thread(target=length, args=(b"abc",))
        other.start()
        other.join()

    assert (calls, facts.known) == ([b"abc"], {})


def test_the_sources_are_those_of_the_functions():
    assert {Path(alphabet.__file__), Path(restrict.__file__), Path(__file__)} <= set(sources())
