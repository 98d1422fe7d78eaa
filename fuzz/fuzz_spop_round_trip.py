# Invariant: messages, actions and items that are decoded encode to something that decodes to the same; what HAProxy's
# side sends the agent's side reports, and the answer the other way round. Allowed: RemoteProtocolError (the data is
# no payload), LocalProtocolError (a received name that may not be sent: HAProxy would ignore it).
"""Fuzz target of encoding what was decoded."""

from __future__ import annotations

import sys

from spop_proto import (
    Ack,
    AgentConnection,
    HAProxyConnection,
    HAProxyHello,
    Limits,
    LocalProtocolError,
    Notify,
    RemoteProtocolError,
)
from spop_proto._payloads import (
    decode_actions,
    decode_items,
    decode_messages,
    encode_actions,
    encode_items,
    encode_messages,
)

LIMITS = Limits(variable_name=63)


def fuzz(data: bytes) -> None:
    """Take the data for each kind of payload."""
    try:
        items = decode_items(data, 0, LIMITS)
    except RemoteProtocolError:
        pass
    else:
        assert decode_items(encode_items(items.items()), 0, LIMITS) == items
    try:
        messages = decode_messages(data, 0, LIMITS)
    except RemoteProtocolError:
        messages = ()
    assert decode_messages(encode_messages(messages), 0, LIMITS) == messages
    try:
        actions = decode_actions(data, 0, LIMITS)
        encoded = encode_actions(actions, LIMITS)
    except (RemoteProtocolError, LocalProtocolError):
        actions, encoded = (), b""
    assert decode_actions(encoded, 0, LIMITS) == actions

    haproxy, agent = HAProxyConnection(LIMITS), AgentConnection(LIMITS)
    haproxy.send(HAProxyHello())
    agent.receive_data(haproxy.data_to_send())
    haproxy.receive_data(agent.data_to_send())
    haproxy.send(Notify(1, 1, messages))
    assert agent.receive_data(haproxy.data_to_send()) == [Notify(1, 1, messages)]
    if len(encoded) < agent.max_ack_size - 7:
        agent.send(Ack(1, 1, actions))
        assert haproxy.receive_data(agent.data_to_send()) == [Ack(1, 1, actions)]


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
