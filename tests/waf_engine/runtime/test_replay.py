"""Rules that are replayed come to what the reference interpreter comes to, the first time and every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.waf_engine.compiler.test_replays import FIRST, LIST, SECOND
from tests.waf_engine.twins import Exchange, Twins
from waf_engine.runtime.planned import PlannedExecutor
from waf_engine.runtime.replay import MAX_NAME, MAX_NAMES, REMEMBERED

if TYPE_CHECKING:
    from waf_engine.runtime.replay import Replay

RULES = (
    LIST
    + 'SecRule ARGS:list "@rx ." "id:3,phase:1,pass,nolog,setvar:tx.list=%{MATCHED_VAR}"\n'
    + 'SecRule ARGS:own "@rx ." "id:4,phase:1,pass,nolog,setvar:tx.name_%{MATCHED_VAR}=x-bad"\n'
    + 'SecRule ARGS:off "@rx ." "id:5,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;REQUEST_HEADERS_NAMES:x-bad"\n'
    + FIRST
    + SECOND
    + 'SecRule TX:/^name_/ "@rx ^/x" "id:6,phase:1,pass,log,msg:\'%{MATCHED_VAR_NAME}\'"\n'
)
NAMES = (b"Host", b"host", b"X-A", b"x-bad", b"X-Bad", b"Accept", b"")
TWINS = Twins(RULES)


def replay_at_work(twins: Twins) -> Replay:
    executor = twins.planned._executor
    assert isinstance(executor, PlannedExecutor)
    found = [visit.replay for visit in executor.programs[1,].visits if visit is not None and visit.replay is not None]
    assert len(found) == 1
    found[0].deeds.clear()  # the planner has run ordinary requests
    return found[0]


def request(*names: bytes, uri: bytes = b"/") -> Exchange:
    return Exchange(uri, headers=tuple((name, b"v") for name in names))


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(NAMES), max_size=5),
            st.sampled_from([b"/", b"/?list=/x-a/", b"/?own=1", b"/?off=1", b"/?list=/host/&own=2"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_it_comes_to_the_same_as_the_reference(requests: list[tuple[list[bytes], bytes]]):
    for names, uri in requests * 2:
        TWINS.compare(request(*names, uri=uri))


def test_the_same_names_are_evaluated_once():
    twins = Twins(RULES)
    replay = replay_at_work(twins)
    for _ in range(3):
        twins.compare(request(b"Host", b"X-A"))
        assert len(replay.deeds) == 1
    twins.compare(request(b"X-A", b"Host"))
    twins.compare(request(b"Host", b"X-A", uri=b"/?list=/y/"))
    assert len(replay.deeds) == 3


def test_a_match_is_not_remembered():
    twins = Twins(RULES)
    replay = replay_at_work(twins)
    assert twins.compare(request(b"Host", b"x-bad"))["interruption"] is not None
    assert replay.deeds == {}


def test_what_is_remembered_is_bounded():
    twins = Twins(RULES)
    replay = replay_at_work(twins)
    twins.compare(request(b"X" * (MAX_NAME + 1)))
    twins.compare(request(*[b"X-%d" % number for number in range(MAX_NAMES + 1)]))
    assert replay.deeds == {}
    for number in range(REMEMBERED + 1):
        request(b"X-%d" % number, uri=b"/").run(twins.planned)
    assert len(replay.deeds) == 1


def test_without_memory_nothing_is_replayed():
    executor = Twins(RULES, memory=0).planned._executor
    assert isinstance(executor, PlannedExecutor)
    assert not any(visit is not None and visit.replay is not None for visit in executor.programs[1,].visits)
