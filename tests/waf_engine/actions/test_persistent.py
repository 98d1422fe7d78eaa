"""initcol, setsid, setuid, setrsc, expirevar, and setvar on what they opened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.waf_engine.support import exchange, faults, load, matched, values, warnings
from waf_engine import MemoryStore

pytestmark = pytest.mark.usefixtures("each_executor")

ROWS = {
    "initcol": ("initcol:ip=%{REMOTE_ADDR}", ("initcol:tx=a", 0)),
    "setsid": ("setsid:%{REQUEST_COOKIES.sid}", ("setsid:%{x", 0)),
    "setuid": ("setuid:%{ARGS.user}", ("setuid:%{x", 0)),
    "setrsc": ("setrsc:%{REQUEST_FILENAME}", ("setrsc:%{x", 0)),
    "expirevar": ("expirevar:ip.a=60", ("expirevar:ip.a=soon", 5)),
}
"""Action: what is accepted; what is refused, and the character of the value at fault."""

COUNT = 'SecAction "id:1,phase:1,pass,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=+1"\n'


class Clock:
    """A clock in the test's hand."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def members(tx: object, name: str) -> dict[bytes, bytes]:
    """What rules set in a collection, without what the engine knows of it."""
    built_in = {b"key", b"is_new", b"create_time", b"last_update_time", b"timeout", b"update_counter", b"update_rate"}
    return {k: v for k, v in values(tx, name) if k not in built_in}  # type: ignore[arg-type]  # a Transaction


def test_a_collection_is_remembered_from_one_transaction_to_the_next():
    waf = load(COUNT + 'SecRule IP:n "@gt 2" "id:2,phase:2,deny"')

    assert [exchange(waf).interruption is not None for _ in range(4)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("initcol:ip=k", "IP"), ("initcol:GLOBAL=k", "GLOBAL"), ("initcol:resource=k", "RESOURCE"),
        ("initcol:session=k", "SESSION"), ("initcol:user=k", "USER"),
        ("setsid:k", "SESSION"), ("setuid:k", "USER"), ("setrsc:k", "RESOURCE"),
    ],
)  # fmt: skip
def test_what_opens_which_collection(action: str, name: str):
    tx = exchange(f'SecAction "id:1,phase:1,pass,{action},setvar:{name}.a=1"')

    assert dict(values(tx, name))[b"key"] == b"k"
    assert members(tx, name) == {b"a": b"1"}


def test_without_a_collection_open_nothing_is_written_or_read():
    rules = """
        SecAction "id:1,phase:1,pass,setvar:ip.a=1,setvar:!ip.b,expirevar:ip.a=5"
        SecRule IP:a "@rx ." "id:2,phase:1,pass"
        SecRule &IP "@eq 0" "id:3,phase:1,pass"
    """

    assert matched(exchange(rules)) == [1, 3]


def test_an_empty_key_opens_nothing():
    tx = exchange('SecAction "id:1,phase:1,pass,setsid:%{TX.1},setvar:session.a=1"')

    assert (values(tx, "SESSION"), values(tx, "SESSIONID")) == ([], [(b"", b"")])


def test_the_first_key_of_a_transaction_stays():
    tx = exchange('SecAction "id:1,phase:1,pass,initcol:ip=a,initcol:ip=b,setvar:ip.x=1"')

    assert dict(values(tx, "IP"))[b"key"] == b"a"


@pytest.mark.parametrize(
    ("setvars", "after"),
    [
        (["ip.a=text"], {b"a": b"text"}),
        (["ip.a"], {b"a": b"1"}),
        (["IP.A=1", "ip.a=+2"], {b"a": b"3"}),
        (["ip.a=5", "ip.a=-7"], {b"a": b"-2"}),
        (["ip.a=text", "ip.a=+1"], {b"a": b"text"}),
        (["ip.a=+abc"], {b"a": b"+abc"}),
        (["ip.a=1", "!ip.a"], {}),
        (["ip.%{REQUEST_METHOD}=%{ip.get}"], {b"get": b"ip.get"}),
        (["ip.a=1", "ip.a=+1", "tx.copy=%{ip.a}", "ip.a=0"], {b"a": b"0"}),
    ],
)
def test_setvar(setvars: list[str], after: dict[bytes, bytes]):
    actions = ",".join(f"setvar:'{text}'" for text in setvars)
    tx = exchange(f'SecAction "id:1,phase:1,pass,initcol:ip=k,{actions}"')

    assert members(tx, "IP") == after
    assert tx.tx in ({}, {b"copy": b"2"})


def test_expirevar_removes_a_member_when_its_time_is_over():
    clock = Clock()
    waf = load(
        """
        SecAction "id:1,phase:1,pass,initcol:ip=k,setvar:tx.seconds=30"
        SecRule ARGS:set "@rx ." "id:2,phase:1,pass,setvar:ip.a=1,setvar:ip.b=1,setvar:ip.c=1,expirevar:ip.a=60,\\
            expirevar:'ip.b=%{tx.seconds}',expirevar:'ip.c=%{tx.no}'"
        """,
        clock=clock,
    )
    exchange(waf, "/?set=1")
    seen = []
    for _ in range(3):
        clock.now += 29.9
        seen.append(sorted(members(exchange(waf), "IP")))

    assert seen == [[b"a", b"b", b"c"], [b"a", b"c"], [b"c"]]  # what is no number of seconds has no effect


@pytest.mark.parametrize("seconds", ["%{tx.zero}", "%{tx.minus}", "%{tx.none}"])
def test_a_macro_that_gives_no_seconds_changes_nothing(seconds: str):
    clock = Clock()
    setup = "initcol:ip=k,setvar:tx.zero=0,setvar:tx.minus=-5,setvar:ip.a=1"
    tx = exchange(f"SecAction \"id:1,phase:1,pass,{setup},expirevar:'ip.a={seconds}'\"", clock=clock)
    clock.now += 1

    assert members(tx, "IP") == {b"a": b"1"}


def test_collections_expire_as_the_directive_says():
    clock = Clock()
    waf = load("SecCollectionTimeout 100\n" + COUNT, clock=clock)
    found = []
    for step in (0, 99, 99, 100):
        clock.now += step
        found.append(members(exchange(waf), "IP")[b"n"])

    assert found == [b"1", b"2", b"3", b"1"]


def test_applications_that_share_a_store_are_apart_by_their_id():
    store = MemoryStore()
    one, other, twin = (load(f"SecWebAppId {name}\n{COUNT}", store=store) for name in ("one", "other", "one"))
    for waf in (one, one, other, twin):
        tx = exchange(waf)

    assert members(tx, "IP") == {b"n": b"3"}
    assert members(exchange(other), "IP") == {b"n": b"2"}
    assert members(exchange(COUNT), "IP") == {b"n": b"1"}  # a WAF has a store of its own unless it is given one


def test_no_request_is_lost_from_a_counter_between_threads():
    waf = load(COUNT)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: exchange(waf), range(400)))

    assert members(exchange(waf), "IP") == {b"n": b"401"}


@pytest.mark.parametrize(
    ("action", "at"),
    [
        ("initcol:tx=a", 0), ("initcol:ip", 0), ("initcol:ip=", 0), ("initcol:ip=a%{x", 4), ("initcol:args=%{x", 0),
        ("setsid:a%{b", 1), ("setvar:cookie.a=1", 0), ("setvar:'ip.a=%{no.b}'", 7), ("expirevar:args.a=1", 0),
        ("expirevar:ip=1", 0), ("expirevar:ip.a", 0), ("expirevar:ip.a=0", 5), ("expirevar:ip.a=-1", 5),
        ("expirevar:'ip.%{x=1'", 3),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_at_its_place(action: str, at: int):
    text = f'SecAction "id:1,phase:1,pass,{action}"'
    begin = text.index(action) + action.index(":") + 1 + (":'" in action)

    assert [(line, column) for _, line, column in faults(text)] == [(1, begin + at + 1)]


def test_expirevar_on_tx_is_accepted_with_a_warning():
    assert [code for code, _, _ in warnings('SecAction "id:1,phase:1,expirevar:tx.a=60"')] == ["suspicious"]
