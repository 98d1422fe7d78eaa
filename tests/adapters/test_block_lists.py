from __future__ import annotations

import threading

from adapters.block_lists import BlockLists, block_lists, look_up
from waf_engine import WAF

LISTED = {"2.0.0.127.bl.example.org": "127.0.0.4"}


class Resolver:
    """A resolver in the test's hand: it answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()
        self.done = threading.Semaphore(0)

    def __call__(self, name: str) -> str:
        self.asked.append(name)
        self.go.wait(5)
        self.done.release()
        return LISTED.get(name, "")


def _until_known(lists: BlockLists, name: str) -> str:
    """The answer, once the thread has put it there."""
    for _ in range(10_000):
        if (answer := lists(name)) is not None:
            return answer
        threading.Event().wait(0.001)
    raise AssertionError(f"{name} was never answered")


def test_it_answers_at_once_and_knows_later():
    resolver = Resolver()
    lists = BlockLists(resolver)

    assert lists("2.0.0.127.bl.example.org") is None
    assert lists("2.0.0.127.bl.example.org") is None
    resolver.go.set()
    assert _until_known(lists, "2.0.0.127.bl.example.org") == "127.0.0.4"
    assert _until_known(lists, "1.0.0.127.bl.example.org") == ""
    assert resolver.asked == ["2.0.0.127.bl.example.org", "1.0.0.127.bl.example.org"], "each once"


def test_a_rule_matches_from_the_second_request_on():
    resolver = Resolver()
    resolver.go.set()
    lists = BlockLists(resolver)
    rules = 'SecRule REMOTE_ADDR "@rbl bl.example.org" "id:1,phase:1,deny"'
    waf = WAF.from_directives(rules, settings={"rbl_resolver": lists})

    def verdict(address: str) -> bool:
        tx = waf.transaction()
        tx.process_connection(address, 1, "192.0.2.1", 80)
        return tx.process_request_headers() is not None

    assert not verdict("127.0.0.2"), "not known yet"
    assert _until_known(lists, "2.0.0.127.bl.example.org")
    assert verdict("127.0.0.2")
    assert not verdict("127.0.0.3")
    assert waf.plan.diagnostics == ()


def test_the_system_resolves_names_and_does_not_raise():
    assert look_up("127.0.0.1") == "127.0.0.1"
    assert look_up("x" * 300 + ".example") == ""
    assert look_up("bad..name") == ""


def test_a_process_has_one_memory():
    assert block_lists() is block_lists()
