"""The public names, which are a promise."""

import spop_proto

NAMES = {
    "Aborted", "Ack", "AgentConnection", "AgentDisconnect", "AgentHello", "Capability", "ConnectionClosed",
    "ConnectionFailed", "DataType", "Event", "HAProxyConnection", "HAProxyDisconnect", "HAProxyHello", "Limits",
    "LocalProtocolError", "Message", "Notify", "ProtocolError", "RemoteProtocolError", "Scope", "SetVar", "StatusCode",
    "Typed", "UnknownFrame", "UnsetVar",
}  # fmt: skip


def test_the_public_names_are_pinned():
    assert set(spop_proto.__all__) == NAMES
    assert len(spop_proto.__all__) == 25


def test_nothing_else_can_be_taken_for_public():
    assert {name for name in vars(spop_proto) if not name.startswith("_")} == NAMES
