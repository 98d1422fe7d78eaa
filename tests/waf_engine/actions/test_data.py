"""setvar in all its forms, setenv, capture and multiMatch."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import exchange, faults

pytestmark = pytest.mark.usefixtures("each_executor")

ROWS = {
    "capture": ("capture", None),
    "multiMatch": ("multiMatch", None),
    "setvar": ("setvar:tx.a=1", ("setvar:args.a=1", 0)),
    "setenv": ("setenv:NAME=value", ("setenv:NAME", 0)),
}
"""Action: what is accepted; what is refused, and the character of the value at fault (None: no value is taken)."""


def tx_after(*setvars: str, uri: str = "/") -> dict[bytes, bytes]:
    actions = ",".join(f"setvar:'{text}'" for text in setvars)
    return exchange(f'SecAction "id:1,phase:1,pass,{actions}"', uri).tx


@pytest.mark.parametrize(
    ("setvars", "after"),
    [
        (["tx.a=text"], {b"a": b"text"}),
        (["tx.a=x y=z"], {b"a": b"x y=z"}),
        (["tx.a="], {b"a": b""}),
        (["tx.a"], {b"a": b"1"}),  # ModSecurity's manual: a flag
        (["TX.A=1"], {b"a": b"1"}),
        (["tx.a=1", "tx.a=2"], {b"a": b"2"}),
        (["tx.a=1", "!tx.a"], {}),
        (["!tx.a"], {}),
        (["tx.a=1", "!tx.A", "tx.b=2"], {b"b": b"2"}),
        (["tx.a=+5"], {b"a": b"5"}),
        (["tx.a=-5"], {b"a": b"-5"}),
        (["tx.a=7", "tx.a=+5"], {b"a": b"12"}),
        (["tx.a=7", "tx.a=-5"], {b"a": b"2"}),
        (["tx.a=7", "tx.a=+"], {b"a": b"7"}),
        (["tx.a=7", "tx.a=+-2"], {b"a": b"5"}),
        (["tx.a=text", "tx.a=+5"], {b"a": b"text"}),  # what is no number stays (Coraza)
        (["tx.a=7", "tx.a=+abc"], {b"a": b"+abc"}),  # and a step that is none is text (Coraza)
        (["tx.a=7", "tx.a=+1.5"], {b"a": b"+1.5"}),
        (["tx.a=9223372036854775807", "tx.a=+1"], {b"a": b"9223372036854775807"}),  # more than 18 digits: text
        (["tx.a=5", "tx.b=+%{tx.a}", "tx.b=+%{tx.a}"], {b"a": b"5", b"b": b"10"}),
        (["tx.a=%{tx.none}"], {b"a": b"tx.none"}),
        (["tx.a=+%{tx.none}"], {b"a": b"+tx.none"}),
        (["tx.a=k", "tx.x_%{tx.a}_%{REQUEST_METHOD}=v"], {b"a": b"k", b"x_k_get": b"v"}),
        (["tx.k=K", "tx.k=1", "!tx.%{ARGS.which}"], {}),
        (["tx.a.b=1"], {b"a.b": b"1"}),
        (["tx.a=%{ARGS.which}.%{ARGS.which}"], {b"a": b"K.K"}),
    ],
)
def test_setvar(setvars: list[str], after: dict[bytes, bytes]):
    assert tx_after(*setvars, uri="/?which=K") == after


def test_setvar_runs_for_each_value_that_matches():
    rules = 'SecRule ARGS "@rx ." "id:1,phase:1,pass,setvar:tx.n=+1,setvar:\'tx.last=%{MATCHED_VAR}\'"'

    assert exchange(rules, "/?a=x&b=y&c=z").tx == {b"n": b"3", b"last": b"z"}


@pytest.mark.parametrize(
    ("setvar", "column"),
    [
        ("args.a=1", 0),
        ("a=1", 0),
        ("tx=1", 0),
        ("tx.=1", 0),
        ("=1", 0),
        ("tx.a=%{x", 5),
        ("tx.%{no.a}=1", 5),
        ("!tx", 0),
    ],
)
def test_setvar_refuses(setvar: str, column: int):
    text = f"SecAction \"id:1,phase:1,pass,setvar:'{setvar}'\""

    assert [(line, at) for _, line, at in faults(text)] == [(1, text.index(setvar) + 1 + column)]


def test_setenv():
    tx = exchange(
        "SecAction \"id:1,phase:1,pass,setenv:A=1,setenv:'Name=%{REQUEST_METHOD} x',setenv:'%{REQUEST_METHOD}=y=z'\""
    )

    assert tx.env == {b"A": b"1", b"Name": b"GET x", b"GET": b"y=z"}


def test_capture_and_multimatch_are_switched_on():
    plan = exchange('SecAction "id:1,phase:1,capture,multiMatch"\nSecAction "id:2,phase:1"').plan

    assert [(rule.capture, rule.multi_match) for rule in plan.rules] == [(True, True), (False, False)]
