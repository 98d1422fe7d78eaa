from __future__ import annotations

import pytest

from adapters.workers.worker import capabilities_for
from spop_proto import AgentConnection, Capability, HAProxyConnection, HAProxyHello


@pytest.mark.parametrize(
    ("announced", "wanted"),
    [
        (("pipelining", "async"), {"pipelining", "fragmentation"}),  # HAProxy <= 3.0
        (("pipelining",), {"fragmentation"}),  # HAProxy >= 3.1
        ((), {"fragmentation"}),
        (("async",), {"fragmentation"}),  # no option pipelining
    ],
)
def test_pipelining_is_for_haproxys_that_open_more_than_one_connection(announced: tuple[str, ...], wanted: set[str]):
    haproxy, agent = HAProxyConnection(), AgentConnection(capabilities=capabilities_for)
    haproxy.send(HAProxyHello(capabilities=announced))
    agent.receive_data(haproxy.data_to_send())
    haproxy.receive_data(agent.data_to_send())

    assert haproxy.agreed is not None
    assert set(haproxy.agreed.capabilities) == wanted


def test_a_connection_goes_on_in_another_process_between_two_notifys():
    """What the greeting of `AnyioAgent.adopt` relies on: the same HELLO leads to the same state."""
    haproxy, first = HAProxyConnection(), AgentConnection(capabilities=capabilities_for)
    hello = HAProxyHello(max_frame_size=5000, capabilities=("pipelining", "async"), engine_id="engine")
    haproxy.send(hello)
    first.receive_data(haproxy.data_to_send())
    answer = first.data_to_send()
    assert first.idle
    assert first.hello is not None
    again, second = HAProxyConnection(), AgentConnection(capabilities=capabilities_for)
    again.send(first.hello)
    second.receive_data(again.data_to_send())

    assert second.data_to_send() == answer
    assert second.idle
    assert (second.max_frame_size, second.max_ack_size) == (first.max_frame_size, first.max_ack_size)
    assert second.agreed == first.agreed
    assert Capability.PIPELINING in answer.decode("latin-1")
