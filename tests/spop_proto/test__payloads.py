"""The three payloads, spop.md 1.4."""

import warnings
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spop_proto import (
    Limits,
    LocalProtocolError,
    Message,
    RemoteProtocolError,
    Scope,
    SetVar,
    StatusCode,
    UnsetVar,
)
from spop_proto._payloads import (
    decode_actions,
    decode_items,
    decode_messages,
    encode_actions,
    encode_items,
    encode_messages,
)
from tests.spop_proto.test__typed_data import VALUES

LIMITS = Limits()
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
NAMES = st.text(st.characters(codec="latin-1"), max_size=8)
MESSAGES = st.lists(
    st.builds(Message, NAMES, st.lists(st.tuples(NAMES, VALUES | TEXTS), max_size=5).map(tuple)), max_size=4
).map(tuple)
VARIABLES = st.text("abcXYZ019._", min_size=1, max_size=20)
ACTIONS = st.lists(
    st.builds(SetVar, st.sampled_from(Scope), VARIABLES, VALUES | TEXTS)
    | st.builds(UnsetVar, st.sampled_from(Scope), VARIABLES),
    max_size=5,
).map(tuple)


@given(MESSAGES)
def test_messages_round_trip(messages: Any):
    assert decode_messages(encode_messages(messages), 0, LIMITS) == messages


@given(ACTIONS)
def test_actions_round_trip(actions: Any):
    encoded = encode_actions(actions, LIMITS)

    assert decode_actions(encoded, 0, LIMITS) == actions
    if not any(isinstance(action, SetVar) and isinstance(action.value, int) for action in actions):
        assert decode_actions(encoded, 0, LIMITS, as_haproxy=True) == actions


@given(st.dictionaries(NAMES.filter(bool), VALUES | TEXTS, max_size=5))
def test_items_round_trip(items: Any):
    assert decode_items(encode_items(items.items()), 0, LIMITS) == items


def test_the_example_of_the_specification_with_all_types():
    """spop.md 1.8, number 6: a NOTIFY of HAProxy 3.4."""
    payload = bytes.fromhex(
        "05636865636b0f03737263067f00000103647374067f0000010573706f727404f4d612066d6574686f640803474554047061746808042f61"
        "2f620571756572790809783d3126793d253230037665720803312e31046864727308536163636570742d656e636f64696e673a206964656e"
        "746974790d0a686f73743a206578616d706c652e746573740d0a757365722d6167656e743a206361702f312e300d0a6163636570743a202a"
        "2f2a0d0a0d0a076864727362696e094b0f6163636570742d656e636f64696e67086964656e7469747904686f73740c6578616d706c652e74"
        "6573740a757365722d6167656e74076361702f312e3006616363657074032a2f2a000004626f6479090004626c656e0400036e656704fbf0"
        "fefefefefefefe0e076d697373696e6700016211036970360720010db8000000000000000000000001"
    )
    (message,) = decode_messages(payload, 0, LIMITS)

    assert message.name == "check"
    assert [name for name, _ in message.args] == [
        *("src", "dst", "sport", "method", "path", "query", "ver", "hdrs", "hdrsbin", "body"),
        *("blen", "neg", "missing", "b", "ip6"),
    ]
    assert message.get("src") == IPv4Address("127.0.0.1")
    assert [message.get(name) for name in ("sport", "neg", "missing", "b", "body", "blen")] == [
        40532, -5, None, True, b"", 0,
    ]  # fmt: skip
    assert message.get("hdrs").endswith("accept: */*\r\n\r\n")
    assert len(message.get("hdrsbin")) == 75
    assert encode_messages((message,)) == payload


def test_names_and_arguments_may_be_empty_and_repeat():
    payload = bytes.fromhex("016d0300000161042a0161042b0000")

    assert decode_messages(payload, 0, LIMITS) == (
        Message("m", (("", None), ("a", 42), ("a", 43))),
        Message("", ()),
    )


def test_long_names_and_texts():
    name, text = "n" * 300, "é" * 3000
    message = Message(name, ((name, text), ("b", b"x" * 5000), ("i", 70000)))

    assert decode_messages(encode_messages((message,)), 0, LIMITS) == (message,)


@pytest.mark.parametrize("codec", [decode_messages, decode_actions, decode_items])
def test_every_prefix_is_refused_or_shorter(codec: Any):
    """Cut anywhere, a payload is an error or loses whole elements; nothing is read beyond its end."""
    messages = encode_messages(
        (Message("m" * 250, (("s", "x" * 250), ("i", -1), ("4", IPv4Address(1)), ("b", b"y"), ("t", True))),)
    )
    actions = encode_actions((SetVar(Scope.REQUEST, "a", "x" * 250), UnsetVar(Scope.REQUEST, "b")), LIMITS)
    items = encode_items([("k" * 250, "x"), ("l", 5)])
    payload = {decode_messages: messages, decode_actions: actions, decode_items: items}[codec]
    whole = codec(payload, 0, LIMITS)
    for length in range(1, len(payload)):
        try:
            part = codec(payload[:length], 0, LIMITS)
        except RemoteProtocolError as error:
            assert error.status == StatusCode.INVALID_FRAME  # noqa: PT017  # most prefixes, not all
        else:
            assert 0 < len(part) < len(whole)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("016d", "NOTIFY ends inside message 1"),
        ("016d01", "NOTIFY ends inside message 1"),
        ("016d0101610805", "NOTIFY ends inside message 1"),
        ("016d010161067f0000", "NOTIFY ends inside message 1"),
        ("016d0001", "NOTIFY ends inside message 2"),
        ("016d010161" + "0a", "reserved data type 10 at offset 5"),
        ("016d010161" + "04" + "ff" * 12, "integer of more than 64 bits at offset 6"),
        ("ff" * 12, "integer of more than 64 bits at offset 0"),
        ("016d01" + "ff" * 12, "integer of more than 64 bits at offset 3"),
        ("016d010161" + "08" + "ff" * 12, "integer of more than 64 bits at offset 6"),
        ("016d010161" + "08fff0fefefefefefefe0e", "NOTIFY ends inside message 1"),
        ("fff0fefefefefefefe0e", "NOTIFY ends inside message 1"),
    ],
)
def test_wrong_messages(payload: str, reason: str):
    with pytest.raises(RemoteProtocolError) as raised:
        decode_messages(bytes.fromhex(payload), 0, LIMITS)

    assert raised.value.reason == reason


def test_counts_are_bounded():
    limits = Limits(messages=2, arguments=3)
    assert len(decode_messages(bytes.fromhex("016d00" * 2), 0, limits)) == 2
    assert len(decode_messages(bytes.fromhex("016d0300000000" + "0000"), 0, limits)[0].args) == 3

    for payload in ("016d00" * 3, "016d04", "016d020000" + "0000" + "016d02"):
        with pytest.raises(RemoteProtocolError, match="more than 2 messages or 3 arguments") as raised:
            decode_messages(bytes.fromhex(payload), 0, limits)
        assert raised.value.status == StatusCode.FRAME_TOO_BIG


def test_too_many_arguments_or_a_strange_name_is_our_fault():
    assert encode_messages((Message("m", (("", None),) * 255),))[:3].hex() == "016dff"
    with pytest.raises(LocalProtocolError, match="256 arguments, at most 255"):
        encode_messages((Message("m", (("", None),) * 256),))
    with pytest.raises(LocalProtocolError, match="outside latin-1"):
        encode_messages((Message("€"),))


def test_of_equal_keys_the_last_holds():
    assert decode_items(bytes.fromhex("0161040101620402016104" + "03"), 0, LIMITS) == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("payload", "reason", "status"),
    [
        ("000401", "item with an empty key at offset 1", StatusCode.INVALID_FRAME),
        ("0161", "frame ends inside item 1", StatusCode.INVALID_FRAME),
        ("01610401" + "0262", "frame ends inside item 2", StatusCode.INVALID_FRAME),
        ("0161040f" * 3, "more than 2 items", StatusCode.FRAME_TOO_BIG),
        ("01610f", "reserved data type 15 at offset 2", StatusCode.INVALID_FRAME),
    ],
)
def test_wrong_items(payload: str, reason: str, status: int):
    with pytest.raises(RemoteProtocolError) as raised:
        decode_items(bytes.fromhex(payload), 0, Limits(items=2))

    assert (raised.value.reason, raised.value.status) == (reason, status)


GOOD = bytes.fromhex("010302016104" + "07")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("00", "ACK ends inside action 2"),
        ("0303", "ACK ends inside action 2"),
        ("030302", "action 3 of 3 arguments at offset 7"),
        ("010202", "action 1 of 2 arguments at offset 7"),
        ("020302", "action 2 of 3 arguments at offset 7"),
        ("010305", "scope 5 at offset 9"),
        ("01030201", "ACK ends inside action 2"),
        ("0103020162", "ACK ends inside action 2"),
        ("02020201", "ACK ends inside action 2"),
    ],
)
def test_wrong_actions_are_refused_and_haproxy_stops_at_them_in_silence(payload: str, reason: str):
    data = GOOD + bytes.fromhex(payload)
    with pytest.raises(RemoteProtocolError) as raised:
        decode_actions(data, 0, LIMITS)

    assert raised.value.reason == reason
    assert decode_actions(data, 0, LIMITS, as_haproxy=True) == (SetVar(Scope.TRANSACTION, "a", 7),)


def test_what_haproxy_makes_of_odd_values_goes_on():
    data = bytes.fromhex("010302016218026869" + "01030201630f") + GOOD

    assert decode_actions(data, 0, LIMITS, as_haproxy=True) == (
        SetVar(Scope.TRANSACTION, "b", b"hi"),
        SetVar(Scope.TRANSACTION, "c", None),
        SetVar(Scope.TRANSACTION, "a", 7),
    )


@pytest.mark.parametrize("as_haproxy", [False, True])
def test_the_number_of_actions_is_bounded(as_haproxy: bool):
    limits = Limits(actions=3)
    assert len(decode_actions(GOOD * 3, 0, limits, as_haproxy=as_haproxy)) == 3

    with pytest.raises(RemoteProtocolError, match="more than 3 actions") as raised:
        decode_actions(GOOD * 4, 0, limits, as_haproxy=as_haproxy)
    assert raised.value.status == StatusCode.FRAME_TOO_BIG


@pytest.mark.parametrize(
    ("action", "encoded"),
    [
        (SetVar(Scope.TRANSACTION, "score", 42), "0103020573636f7265042a"),
        (UnsetVar(Scope.TRANSACTION, "score"), "0202020573636f7265"),
        (SetVar(2, "score", None), "0103020573636f726500"),
        (SetVar(Scope.PROCESS, "A.b_9", True), "01030005412e625f3911"),
    ],
)
def test_actions_as_haproxy_reads_them(action: Any, encoded: str):
    assert encode_actions((action,), LIMITS).hex() == encoded


@pytest.mark.parametrize("name", ["", "a-b", "a b", "é", "a\n", "x" * 58, "\u0661"])
@pytest.mark.parametrize("action", [SetVar, UnsetVar])
def test_names_that_haproxy_ignores_are_our_fault(action: Any, name: str):
    made = action(Scope.TRANSACTION, name, 1) if action is SetVar else action(Scope.TRANSACTION, name)
    with pytest.raises(LocalProtocolError, match="variable name"):
        encode_actions((made,), Limits(variable_name=100))


def test_the_longest_name_depends_on_the_scope():
    limits = Limits(variable_name=100)
    for scope, longest in ((Scope.TRANSACTION, 57), (Scope.PROCESS, 56), (Scope.SESSION, 56), (Scope.RESPONSE, 57)):
        assert encode_actions((UnsetVar(scope, "y" * longest),), limits)
        with pytest.raises(LocalProtocolError, match="63"):
            encode_actions((UnsetVar(scope, "y" * (longest + 1)),), limits)


def test_a_name_that_may_be_too_long_is_warned_of_once():
    action = SetVar(Scope.TRANSACTION, "w" * 51, 1)
    with pytest.warns(UserWarning, match="drops it if"):
        encode_actions((action,), LIMITS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert encode_actions((action,), LIMITS)


@pytest.mark.parametrize("scope", [5, -1, 99])
def test_a_scope_that_does_not_exist_is_our_fault(scope: Any):
    with pytest.raises(LocalProtocolError, match="does not exist"):
        encode_actions((SetVar(scope, "a", 1),), LIMITS)


def test_what_is_no_action_is_our_fault():
    with pytest.raises(LocalProtocolError, match="not an action"):
        encode_actions(("set-var",), LIMITS)


@pytest.mark.parametrize(
    "wrong",
    [
        SetVar(Scope.SESSION, "-" * 100_000, 1),
        UnsetVar(Scope.SESSION, "\u20ac" * 100_000),
        SetVar("x" * 100_000, "a", 1),  # type: ignore[arg-type]  # of an untyped caller
        "x" * 100_000,
    ],
)
def test_what_is_wrong_is_shown_in_a_few_words(wrong: Any):
    with pytest.raises(LocalProtocolError) as raised:
        encode_actions([wrong], Limits())
    assert len(raised.value.reason) < 200
