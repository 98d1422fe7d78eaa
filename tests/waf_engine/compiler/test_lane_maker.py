"""Which rules lanes speak for, and that they name every value on which such a rule matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.waf_engine.exchanges import FRAGMENTS, exchanges
from tests.waf_engine.twins import HARD_RULES, Exchange
from waf_engine import WAF
from waf_engine.compiler.lane_maker import FOLLOWING, NEEDS, LaneMaker, Remake, reads_stale_match, remake
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.lanes import LATER, Lane, Memory
from waf_engine.runtime.reference import read_target

if TYPE_CHECKING:
    from waf_engine import Transaction
    from waf_engine.compiler.plan import CompiledRule
    from waf_engine.runtime.lanes import HeaderSource, Named, Source
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
        'ARGS "!@rx abc"',
        'ARGS "!@streq abc"',
        'ARGS "@gt 5"',
    ],
)
def test_laned(rule: str):
    assert lanes_of(f'SecRule {rule} "id:1,phase:2,pass"')[1].laned(2) == {0: 0}


@pytest.mark.parametrize(
    "rule",
    [
        '&ARGS "@eq 1"',
        'TX:a "@rx abc"',
        'ARGS "!@rx a(?=b)"',
        'ARGS "!@streq %{TX.a}"',
        'ARGS "@streq %{TX.a}"',
        'ARGS "@rx %{TX.a}"',
        'IP:a "@rx abc"',
        'MATCHED_VAR "@rx abc"',
        'REQBODY_PROCESSOR "@streq XML"',
        'ARGS|TX:a "@rx abc"',
    ],
)
def test_not_laned(rule: str):
    assert lanes_of(f'SecRule {rule} "id:1,phase:2,pass"')[1].laned(2) == {}


def test_a_negated_operator_that_captures_is_not_laned():
    assert lanes_of('SecRule ARGS "!@rx (a)" "id:1,phase:2,pass,capture"')[1].laned(2) == {}
    assert lanes_of('SecRule ARGS "@rx (a)" "id:1,phase:2,pass,capture"')[1].laned(2) == {0: 0}


@pytest.mark.parametrize(
    ("chain", "member"),
    [
        ('SecRule TX:a "@eq 1" "id:1,phase:2,pass,chain"\nSecRule ARGS "@rx abc" "t:none"', 1),
        ('SecRule REQUEST_METHOD "@streq POST" "id:1,phase:2,pass,chain"\nSecRule ARGS "@rx abc" "t:none"', 1),
        ('SecRule REQUEST_METHOD "@streq POST" "id:1,phase:2,pass,chain"\nSecRule TX:a "@rx abc" "t:none"', None),
        ('SecRule ARGS "@rx abc" "id:1,phase:2,pass,chain"\nSecRule ARGS "@rx def" "t:none"', 0),
        ('SecRule ARGS "@rx a(?=x*)" "id:1,phase:2,pass,chain"\nSecRule ARGS "@rx abc" "t:none"', 0),
        ('SecRule TX:a "@eq 1" "id:1,phase:2,pass,chain,setvar:tx.b=1"\nSecRule ARGS "@rx abc" "t:none"', None),
        ('SecRule TX:a "@rx (1)" "id:1,phase:2,pass,chain,capture"\nSecRule ARGS "@rx abc" "t:none"', None),
        ('SecAction "id:1,phase:2,pass,chain"\nSecRule ARGS "@rx abc" "t:none"', None),
    ],
)
def test_a_chain_is_laned_by_its_best_member_behind_silent_ones(chain: str, member: int | None):
    stale = '\nSecRule MATCHED_VAR "@rx a" "id:2,phase:2,pass"'

    assert lanes_of(chain)[1].laned(2) == ({} if member is None else {0: member})
    assert lanes_of(chain + stale)[1].laned(2) == ({0: 0} if member == 0 else {})


@pytest.mark.parametrize(
    ("rules", "stale"),
    [
        ('SecRule ARGS "@rx a" "id:1,phase:2,pass,msg:\'%{MATCHED_VAR}\',setvar:tx.a=%{MATCHED_VAR_NAME}"', False),
        ('SecRule ARGS "@rx a" "id:1,phase:2,pass,chain"\nSecRule MATCHED_VAR "@rx b"', False),
        ('SecRule MATCHED_VARS "@rx a" "id:1,phase:2,pass"', False),
        ('SecRule MATCHED_VAR "@rx a" "id:1,phase:2,pass"', True),
        ('SecRule ARGS|MATCHED_VAR_NAME "@rx a" "id:1,phase:2,pass"', True),
        ('SecRule ARGS "@streq %{matched_var}" "id:1,phase:2,pass"', True),
        ("SecAction \"id:1,phase:2,pass,msg:'%{MATCHED_VAR}'\"", True),
        ('SecAction "id:1,phase:2,pass,setvar:tx.a=%{MATCHED_VAR}"', True),
        ('SecAction "id:1,phase:2,pass,setenv:a=%{MATCHED_VAR}"', True),
        ('SecAction "id:1,phase:2,pass,initcol:ip=%{MATCHED_VAR}"', True),
        ('SecAction "id:1,phase:2,pass,ctl:ruleRemoveById=3,initcol:ip=%{REMOTE_ADDR}"', False),
        ('SecAction "id:1,phase:2,pass,chain"\nSecRule MATCHED_VAR "@rx b"', True),
        ('SecAction "id:1,phase:2,pass,chain"\nSecRule ARGS "@streq %{MATCHED_VAR}"', True),
        ('SecAction "id:1,phase:2,pass,chain"\nSecRule ARGS "@streq a" "setvar:tx.a=%{MATCHED_VAR}"', False),
        ('SecAction "id:1,phase:2,pass"\nSecRuleUpdateActionById 1 "setvar:tx.a=%{MATCHED_VAR}"', True),
        ('SecDefaultAction "phase:2,pass,setvar:tx.a=%{MATCHED_VAR}"\nSecAction "id:1,phase:2"', True),
        ("SecMarker MATCHED_VAR", False),
    ],
)
def test_who_reads_what_others_matched(rules: str, stale: bool):
    assert reads_stale_match(WAF.from_directives(rules, executor="reference").plan.rules) is stale


@pytest.mark.parametrize(
    ("functions", "made"),
    [
        ("t:none", Remake.NOTHING),
        ("t:urlDecodeUni,t:htmlEntityDecode", Remake.NOTHING),
        ("t:urlDecodeUni,t:lowercase", Remake.OTHER),
        ("t:removeWhitespace", Remake.OTHER),
        ("t:lowercase,t:base64Decode", Remake.ANYTHING),
        ("t:sha1", Remake.ANYTHING),
    ],
)
def test_what_transformations_make_of_ordinary_values(functions: str, made: Remake):
    plan = WAF.from_directives(f'SecRule ARGS "@rx a" "id:1,phase:2,pass,{functions}"', executor="reference").plan

    assert remake(plan.rules[0]) is made


def test_where_operators_add_arguments_these_are_not_laned():
    rules = 'SecRule ARGS "@rx abc" "id:1,phase:2,pass"\nSecRule REQUEST_METHOD "@rx abc" "id:2,phase:2,pass"\n'
    adding = 'SecRule REQUEST_URI "@restpath /a/{b}" "id:3,phase:2,pass"'

    assert lanes_of(rules)[1].laned(2).keys() == {0, 1}
    assert lanes_of(rules + adding)[1].laned(2).keys() == {1, 2}


def named(source: Source | HeaderSource, waf: WAF, uri: bytes, *headers: tuple[bytes, bytes]) -> set[int]:
    found: Named = {}
    source.collect(Exchange(uri, headers=headers, phases=()).run(waf), found)
    return set(found)


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


def test_what_is_complete_in_phase_1_is_asked_about_once_for_phases_1_and_2():
    waf, maker = lanes_of("""
        SecRule ARGS_GET "@rx x" "id:1,phase:1,pass"
        SecRule ARGS_GET "@rx y" "id:2,phase:2,pass"
        SecRule ARGS "@rx z" "id:3,phase:1,pass"
        SecRule ARGS "@rx z" "id:4,phase:2,pass"
        SecRule ARGS_GET "@rx x" "id:5,phase:5,pass"
    """)
    early = {source.variable.name: source for source in maker.sources(1)}  # type: ignore[union-attr]  # no headers
    late = {source.variable.name: source for source in maker.sources(2)}  # type: ignore[union-attr]
    last = {source.variable.name for source in maker.sources(5)}  # type: ignore[union-attr]

    assert (set(early), set(late), last) == ({"ARGS_GET", "ARGS"}, {"ARGS"}, {"ARGS_GET"})
    assert named(early["ARGS_GET"], waf, b"/?a=xy") == {0, LATER}
    assert named(early["ARGS"], waf, b"/?a=z") >= {1}
    assert named(late["ARGS"], waf, b"/?a=z") == {1}


def test_headers_and_their_names_are_asked_about_together():
    rules = """
        SecRule REQUEST_HEADERS:X-A "@rx x" "id:1,phase:1,pass"
        SecRule REQUEST_HEADERS|!REQUEST_HEADERS:X-A "@rx y" "id:2,phase:1,pass"
        SecRule REQUEST_HEADERS_NAMES "@rx ^z" "id:3,phase:2,pass"
    """
    for memory in (None, Memory(1 << 16)):
        waf, maker = lanes_of(rules, memory)
        (source,) = maker.sources(1)
        for _ in range(2):
            assert named(source, waf, b"/", (b"x-A", b"xy")) == {0}
            assert named(source, waf, b"/", (b"b", b"xy"), (b"X-a", b"x")) == {0, 1}
            assert named(source, waf, b"/", (b"z", b"")) == {LATER}
            assert named(source, waf, b"/", (b"z", b"y" * 1000)) == {1, LATER}
            assert named(source, waf, b"/") == set()


def test_a_rule_with_few_patterns_that_need_rare_bytes_is_asked_directly():
    waf, maker = lanes_of('SecRule ARGS "@rx <script" "id:1,phase:2,pass"')
    (source,) = maker.sources(2)
    assert isinstance(source.other, Lane)

    assert source.other._scan is None
    assert named(source, waf, b"/?a=script") == set()
    assert named(source, waf, b"/?a=%3Cscript") == {0}


def test_a_candidate_comes_with_the_values_that_named_it_and_their_variable():
    waf, maker = lanes_of('SecRule ARGS "@rx x" "id:1,phase:2,pass,t:lowercase"')
    (source,) = maker.sources(2)
    found: Named = {}
    source.collect(Exchange(b"/?a=X&b=y&c=zx", phases=()).run(waf), found)

    assert found == {0: {"ARGS", b"X", b"zx"}}


HARD, MAKER = lanes_of(HARD_RULES.read_text("utf-8"), Memory(1 << 16))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(exchange=exchanges())
def test_every_rule_that_matches_was_named(exchange: Exchange):
    tx = exchange.run(HARD)
    for phase in (1, 2, 3, 4, 5):
        found: Named = {}
        for source in MAKER.sources(phase):
            source.collect(tx, found)
        shift = LATER if phase in FOLLOWING else 0
        for source in MAKER.sources(FOLLOWING[phase]) if shift else ():
            named_early: Named = {}
            source.collect(tx, named_early)
            for position, values in named_early.items():
                if position >= shift:
                    found.setdefault(position - shift, set()).update(values)
        for position, level in sorted(MAKER.laned(phase).items()):
            rule = HARD.plan.phases[phase][position]
            member = list(rule.members())[level]
            tx.removed_targets = {}
            for target in member.targets:
                for _, value in read_target(tx, target):
                    if matches(member, value, tx):
                        assert value in found[position], rule.id


def matches(rule: CompiledRule, value: bytes, tx: Transaction) -> bool:
    """Whether a rule's operator takes a value, be it (with multiMatch) before its transformations are done."""
    assert rule.operator is not None
    seen = [value]
    for function in rule.functions:
        seen.append(function(seen[-1]))
    return any(
        (rule.operator.test(v, tx) is None) is rule.operator.negated for v in (seen if rule.multi_match else seen[-1:])
    )


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
def test_libinjection_finds_no_xss_in_a_value_without_the_bytes_that_it_needs(xss: Test, value: bytes):
    without = bytes(byte for byte in value if byte not in NEEDS["detectXSS"])

    assert xss(without, None) is None  # type: ignore[arg-type]  # it asks for nothing
    if xss(value, None) is not None:  # type: ignore[arg-type]
        assert not NEEDS["detectXSS"].isdisjoint(value)
