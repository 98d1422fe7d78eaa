"""Which rules lanes speak for, and that they name every value on which such a rule matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.waf_engine.exchanges import FRAGMENTS, exchanges
from tests.waf_engine.twins import HARD_RULES, Exchange
from waf_engine import WAF
from waf_engine.compiler.lane_maker import IDLE, LaneMaker
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.lanes import Memory
from waf_engine.runtime.reference import evaluate

if TYPE_CHECKING:
    from waf_engine.runtime.lanes import Source
    from waf_engine.types import Test


def lanes_of(text: str, memory: Memory | None = None) -> tuple[WAF, LaneMaker]:
    """A rule set and its lanes, all rules reachable."""
    waf = WAF.from_directives(text, executor="reference")
    maker = LaneMaker(waf.plan, DatabaseCache(None), memory)
    for phase in (1, 2, 3, 4, 5):
        maker.add_phase(phase, waf.plan.phases[phase], range(len(waf.plan.phases[phase])))
    maker.finish()
    return waf, maker


@pytest.mark.parametrize(
    "rule",
    [
        'ARGS "@rx abc"',
        'ARGS:a "@pm abc def"',
        'ARGS|REQUEST_URI "@contains abc"',
        'ARGS "@beginsWith a"',
        'ARGS "@endsWith a"',
        'ARGS "@streq a"',
        'ARGS "@detectSQLi"',
        'ARGS "@detectXSS"',
        'REMOTE_ADDR "@ipMatch 10.0.0.0/8"',
        'ARGS "@rx a(?=b)"',
        'ARGS "@validateUtf8Encoding"',
    ],
)
def test_laned(rule: str):
    assert lanes_of(f'SecRule {rule} "id:1,phase:2,pass"')[1].laned(2) == {0}


@pytest.mark.parametrize(
    "rule",
    [
        'ARGS "!@rx abc"',
        '&ARGS "@eq 1"',
        'TX:a "@rx abc"',
        'ARGS "@gt 5"',
        'ARGS "@streq %{TX.a}"',
        'ARGS "@rx %{TX.a}"',
        'IP:a "@rx abc"',
        'MATCHED_VAR "@rx abc"',
        'REQBODY_PROCESSOR "@streq XML"',
        'ARGS|TX:a "@rx abc"',
    ],
)
def test_not_laned(rule: str):
    assert lanes_of(f'SecRule {rule} "id:1,phase:2,pass"')[1].laned(2) == frozenset()


def test_where_operators_add_arguments_these_are_not_laned():
    rules = 'SecRule ARGS "@rx abc" "id:1,phase:2,pass"\nSecRule REQUEST_METHOD "@rx abc" "id:2,phase:2,pass"\n'
    adding = 'SecRule REQUEST_URI "@restpath /a/{b}" "id:3,phase:2,pass"'

    assert lanes_of(rules)[1].laned(2) == {0, 1}
    assert lanes_of(rules + adding)[1].laned(2) == {1, 2}


def named(source: Source, waf: WAF, uri: bytes) -> set[int]:
    found: set[int] = set()
    source.collect(Exchange(uri, phases=()).run(waf), found)
    return found


def test_a_member_is_given_to_the_rules_that_look_at_it_only():
    waf, maker = lanes_of("""
        SecRule ARGS:a "@rx x" "id:1,phase:2,pass"
        SecRule ARGS|!ARGS:a "@rx x" "id:2,phase:2,pass"
        SecRule ARGS:/^b/ "@rx x" "id:3,phase:2,pass"
        SecRule ARGS "@rx y" "id:4,phase:2,pass"
    """)
    (source,) = maker.sources(2)

    assert named(source, waf, b"/?a=x") >= {0}
    assert 1 not in named(source, waf, b"/?A=x")
    assert named(source, waf, b"/?b=x") >= {1, 2}
    assert named(source, waf, b"/?c=x") & {0, 3} == set()
    assert named(source, waf, b"/?c=y") == {3}


def test_what_matches_nearly_everything_is_a_candidate_always_and_not_scanned():
    waf, maker = lanes_of('SecRule ARGS "@rx ^.*$" "id:1,phase:2,pass"\nSecRule ARGS "@rx zebra" "id:2,phase:2,pass"')
    (source,) = maker.sources(2)

    assert named(source, waf, b"/?a=1") == {0}
    assert named(source, waf, b"/?a=zebra") == {0, 1}


HARD, MAKER = lanes_of(HARD_RULES.read_text("utf-8"), Memory(1 << 16))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(exchange=exchanges())
def test_every_rule_that_matches_was_named(exchange: Exchange):
    tx = exchange.run(HARD)
    for phase in (1, 2, 3, 4, 5):
        found: set[int] = set()
        for source in MAKER.sources(phase):
            source.collect(tx, found)
        for position in sorted(MAKER.laned(phase)):
            rule = HARD.plan.phases[phase][position]
            tx.removed_targets = {}
            tx.matched_vars = []
            if evaluate(tx, rule) or tx.matched_vars:
                assert position in found, rule.id


@pytest.fixture(scope="module")
def xss() -> Test:
    """libinjection's verdict, from the C library."""
    operator = WAF.from_directives('SecRule ARGS "@detectXSS" "id:1"', executor="reference").plan.rules[0].operator
    assert operator is not None
    return operator.test


MARKUP = st.sampled_from(
    (
        b"<",
        b">",
        b"=",
        b"script",
        b"onerror",
        b"javascript:",
        b"'",
        b'"',
        b"`",
        b" ",
        b"/",
        b"!--",
        b"\x00",
        b"%",
        b"style",
        b"href",
        b"&",
        b"svg",
        b"x",
        b"\xff",
        b"[CDATA[",
        b"?xml",
        b"import",
        b"data:",
    )
)


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=st.lists(MARKUP | st.binary(max_size=3) | st.sampled_from(FRAGMENTS), max_size=10).map(b"".join))
@example(value=b"onerror=x")
@example(value=b"<!--")
def test_libinjection_finds_no_xss_in_a_value_of_idle_bytes(xss: Test, value: bytes):
    idle = bytes(byte for byte in value if byte in IDLE["detectXSS"])

    assert xss(idle, None) is None  # type: ignore[arg-type]
    if xss(value, None) is not None:  # type: ignore[arg-type]
        assert value.translate(None, IDLE["detectXSS"])
