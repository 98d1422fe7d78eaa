"""The public names, which are a promise."""

import spop_proto

NAMES = {
    "Aborted", "Ack", "Action", "AgentConnection", "AgentDisconnect", "AgentHello", "AgentState", "Capability",
    "ConnectionClosed", "ConnectionFailed", "DataType", "Event", "HAProxyConnection", "HAProxyDisconnect",
    "HAProxyHello", "HAProxyState", "Limits", "LocalProtocolError", "Message", "Notify", "ProtocolError",
    "RemoteProtocolError", "Scope", "SetVar", "StatusCode", "Timer", "Typed", "UnknownFrame", "UnsetVar", "Value",
}  # fmt: skip


def test_the_public_names_are_pinned():
    assert set(spop_proto.__all__) == NAMES
    assert len(spop_proto.__all__) == 30


def test_nothing_else_can_be_taken_for_public():
    assert {name for name in vars(spop_proto) if not name.startswith("_")} == NAMES
