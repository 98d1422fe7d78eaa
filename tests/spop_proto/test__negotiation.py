"""What two HELLOs agree to, spop.md 1.5."""

from typing import Any

import pytest

from spop_proto import (
    AgentDisconnect,
    AgentHello,
    Capability,
    HAProxyHello,
    RemoteProtocolError,
    StatusCode,
)
from spop_proto._negotiation import (
    agent_hello_items,
    disconnect_items,
    haproxy_hello_items,
    negotiate,
    read_agent_hello,
    read_disconnect,
    read_haproxy_hello,
)
from spop_proto._payloads import encode_items

BOTH = frozenset({Capability.PIPELINING, Capability.FRAGMENTATION})
ITEMS = {"supported-versions": "2.0", "max-frame-size": 16380, "capabilities": "pipelining,async"}
ANSWER = {"version": "2.0", "max-frame-size": 16380, "capabilities": "pipelining"}


def without(items: Any, key: str):
    return {name: value for name, value in items.items() if name != key}


def refused(function: Any, *args: Any, **kwargs: Any):
    with pytest.raises(RemoteProtocolError) as raised:
        function(*args, **kwargs)
    return raised.value.status


def test_a_hello_of_haproxy():
    hello = read_haproxy_hello({**ITEMS, "engine-id": "7a2a", "unknown": 5})

    assert hello == HAProxyHello(("2.0",), 16380, ("pipelining", "async"), "7a2a", healthcheck=False)


def test_a_health_check_has_no_capabilities():
    hello = read_haproxy_hello({**ITEMS, "capabilities": "", "healthcheck": True})

    assert hello == HAProxyHello(("2.0",), 16380, (), None, healthcheck=True)


def test_spaces_in_lists_do_not_count():
    hello = read_haproxy_hello({**ITEMS, "supported-versions": " 1.0 , 2.0", "capabilities": " pipelining ,, async "})

    assert (hello.supported_versions, hello.capabilities) == (("1.0", "2.0"), ("pipelining", "async"))


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("supported-versions", StatusCode.VERSION_MISSING),
        ("max-frame-size", StatusCode.MAX_FRAME_SIZE_MISSING),
        ("capabilities", StatusCode.CAPABILITIES_MISSING),
    ],
)
def test_what_must_be_there(key: str, status: int):
    assert refused(read_haproxy_hello, without(ITEMS, key)) == status


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("supported-versions", 2),
        ("supported-versions", None),
        ("max-frame-size", "16380"),
        ("max-frame-size", True),
        ("capabilities", b"pipelining"),
        ("engine-id", 7),
        ("healthcheck", 1),
    ],
)
def test_wrong_types(key: str, value: Any):
    assert refused(read_haproxy_hello, {**ITEMS, key: value}) == StatusCode.INVALID_FRAME


def test_the_smallest_frame():
    assert read_haproxy_hello({**ITEMS, "max-frame-size": 256}).max_frame_size == 256
    assert refused(read_haproxy_hello, {**ITEMS, "max-frame-size": 255}) == StatusCode.MAX_FRAME_SIZE_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("announced", "willing", "agreed"),
    [
        (("pipelining", "async"), BOTH, ("pipelining", "fragmentation")),
        ((), BOTH, ("fragmentation",)),
        (("pipelining",), {Capability.PIPELINING}, ("pipelining",)),
        (("pipelining",), (), ()),
        ((), {Capability.PIPELINING}, ()),
    ],
)
def test_fragmentation_is_announced_unconditionally_pipelining_is_not(announced: Any, willing: Any, agreed: Any):
    hello = HAProxyHello(capabilities=announced)

    assert negotiate(hello, frame_size=1 << 20, capabilities=willing).capabilities == agreed


def test_the_frame_size_is_haproxys_unless_ours_is_smaller():
    hello = HAProxyHello(max_frame_size=16380)

    assert negotiate(hello, frame_size=1 << 20, capabilities=()).max_frame_size == 16380
    assert negotiate(hello, frame_size=1024, capabilities=()).max_frame_size == 1024


@pytest.mark.parametrize("versions", [("2.0",), ("1.0", "2.0"), ("2.1",), ("3.0", "2")])
def test_any_minor_of_the_second_version_is_fine(versions: Any):
    assert negotiate(HAProxyHello(versions), frame_size=300, capabilities=()).version == "2.0"


@pytest.mark.parametrize("versions", [(), ("1.0",), ("3.0", "20.0"), ("",)])
def test_no_common_version(versions: Any):
    status = refused(negotiate, HAProxyHello(versions), frame_size=300, capabilities=())

    assert status == StatusCode.UNSUPPORTED_VERSION


def test_an_answer_of_an_agent():
    assert read_agent_hello(ANSWER, HAProxyHello()) == AgentHello("2.0", 16380, ("pipelining",))
    assert read_agent_hello({**ANSWER, "version": " 2.0 "}, HAProxyHello()).version == "2.0"


@pytest.mark.parametrize(
    ("items", "status"),
    [
        (without(ANSWER, "version"), StatusCode.VERSION_MISSING),
        (without(ANSWER, "max-frame-size"), StatusCode.MAX_FRAME_SIZE_MISSING),
        (without(ANSWER, "capabilities"), StatusCode.CAPABILITIES_MISSING),
        ({**ANSWER, "version": "2.1"}, StatusCode.UNSUPPORTED_VERSION),
        ({**ANSWER, "max-frame-size": 16381}, StatusCode.MAX_FRAME_SIZE_OUT_OF_RANGE),
        ({**ANSWER, "max-frame-size": 255}, StatusCode.MAX_FRAME_SIZE_OUT_OF_RANGE),
        ({**ANSWER, "max-frame-size": "big"}, StatusCode.INVALID_FRAME),
        ({**ANSWER, "version": 2}, StatusCode.INVALID_FRAME),
    ],
)
def test_wrong_answers(items: Any, status: int):
    assert refused(read_agent_hello, items, HAProxyHello()) == status


def test_what_haproxy_forgives():
    sent = HAProxyHello(max_frame_size=1000)

    assert read_agent_hello({"version": "2.0"}, sent, as_haproxy=True) == AgentHello("2.0", 1000, ())
    assert read_agent_hello({**ANSWER, "max-frame-size": 900}, sent, as_haproxy=True).capabilities == ("pipelining",)


def test_a_health_check_wants_capabilities_even_from_haproxy():
    status = refused(read_agent_hello, {"version": "2.0"}, HAProxyHello(healthcheck=True), as_haproxy=True)

    assert status == StatusCode.CAPABILITIES_MISSING


def test_items_stand_in_haproxys_order():
    hello = HAProxyHello(("2.0", "1.0"), 16380, ("pipelining", "async"), "id", healthcheck=True)

    assert [key for key, _ in haproxy_hello_items(hello)] == [
        "supported-versions", "max-frame-size", "capabilities", "engine-id", "healthcheck",
    ]  # fmt: skip
    assert dict(haproxy_hello_items(hello))["supported-versions"] == "2.0,1.0"
    assert [key for key, _ in haproxy_hello_items(HAProxyHello())] == [
        "supported-versions", "max-frame-size", "capabilities",
    ]  # fmt: skip
    assert [key for key, _ in agent_hello_items(AgentHello())] == ["version", "max-frame-size", "capabilities"]


@pytest.mark.parametrize(
    ("items", "read"),
    [
        ({"status-code": 4, "message": "invalid"}, (StatusCode.INVALID_FRAME, "invalid")),
        ({"status-code": 4242, "message": "own"}, (4242, "own")),
        ({}, (StatusCode.UNKNOWN, "")),
        ({"status-code": "4", "message": 5}, (StatusCode.UNKNOWN, "")),
        ({"status-code": 0, "message": "x" * 300}, (StatusCode.NORMAL, "x" * 255)),
    ],
)
def test_a_disconnect_is_read_whatever_is_in_it(items: Any, read: Any):
    assert read_disconnect(items) == read


def test_the_message_of_a_disconnect_is_cut_between_characters():
    items = dict(disconnect_items(AgentDisconnect(4, "é" * 200)))

    assert items["message"] == "é" * 127
    assert dict(disconnect_items(AgentDisconnect(4, "a\udcff")))["message"] == "a?"


@pytest.mark.parametrize("version", ["2.", "2.x", "2.0\udcff", "\u0662.0", ".2", "2.0.1", "2." + "0" * 5000, "-2.0"])
def test_what_has_not_the_form_of_a_version_is_none(version: str):
    assert refused(negotiate, HAProxyHello((version,)), frame_size=16380, capabilities=BOTH) == 8
    assert negotiate(HAProxyHello((version, "2.0")), frame_size=16380, capabilities=BOTH).version == "2.0"


def test_who_offers_a_minor_version_offers_those_before_it():
    assert read_agent_hello(ANSWER, HAProxyHello(("1.5", "2.3"))).version == "2.0"
    assert refused(read_agent_hello, {**ANSWER, "version": "2.4"}, HAProxyHello(("1.5", "2.3"))) == 8
    assert refused(read_agent_hello, {**ANSWER, "version": "x"}, HAProxyHello(("2.3",))) == 8


def test_the_frame_size_is_announced_as_a_uint32_however_large_both_sides_are():
    answer = negotiate(HAProxyHello(max_frame_size=1 << 40), frame_size=1 << 41, capabilities=BOTH)

    assert answer.max_frame_size == (1 << 32) - 1
    assert encode_items(agent_hello_items(answer))


def test_a_status_that_is_a_boolean_is_no_number():
    assert read_disconnect({"status-code": True}) == (StatusCode.UNKNOWN, "")
