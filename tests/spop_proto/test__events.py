"""Events are values: frozen, comparable, hashable, made by position or by name."""

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

import spop_proto
from spop_proto import Ack, Capability, HAProxyHello, Message, Notify, Scope, SetVar, UnsetVar

EXAMPLES = [
    Message("check", (("src", 1),)),
    SetVar(Scope.TRANSACTION, "score", 42),
    UnsetVar(Scope.SESSION, "score"),
    Notify(1, 2, (Message("check"),)),
    Ack(1, 2, (SetVar(Scope.PROCESS, "a", "b"),)),
    spop_proto.HAProxyHello(),
    spop_proto.AgentHello(),
    spop_proto.HAProxyDisconnect(),
    spop_proto.AgentDisconnect(3, "too big"),
    spop_proto.Aborted(1, 2),
    spop_proto.UnknownFrame(200, 1, 1, 1, b""),
    spop_proto.ConnectionClosed(clean=True, received=False, reason="why"),
    spop_proto.ConnectionFailed(4, "why"),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_each_is_a_frozen_value(event: Any):
    by_name = {field.name: getattr(event, field.name) for field in fields(event)}
    again = type(event)(**by_name)

    assert again == event
    assert hash(again) == hash(event)
    assert type(event)(*by_name.values()) == event
    assert pickle.loads(pickle.dumps(event)) == event
    assert copy.deepcopy(event) == event
    assert not hasattr(event, "__dict__")
    for name in by_name:
        with pytest.raises(FrozenInstanceError):
            setattr(event, name, 1)


def test_events_of_different_classes_are_never_equal():
    assert Notify(1, 1, ()) != Ack(1, 1, ())


def test_defaults():
    assert Message("m").args == ()
    assert Notify(1, 1).messages == ()
    assert Ack(1, 1).actions == ()


def test_get_gives_the_first_argument_of_a_name():
    message = Message("check", (("a", 1), ("", 2), ("a", 3), ("none", None)))

    assert message.get("a") == 1
    assert message.get("") == 2
    assert message.get("none", "default") is None
    assert message.get("missing") is None
    assert message.get("missing", b"default") == b"default"


def test_scopes_and_capabilities_are_those_of_spop():
    assert [int(scope) for scope in Scope] == [0, 1, 2, 3, 4]
    assert [scope.name for scope in Scope] == ["PROCESS", "SESSION", "TRANSACTION", "REQUEST", "RESPONSE"]
    assert [str(each) for each in Capability] == ["pipelining", "async", "fragmentation"]


def test_a_hello_may_hold_plain_text():
    assert HAProxyHello(capabilities=("pipelining",)) == HAProxyHello(capabilities=(Capability.PIPELINING,))
