"""The three kinds of payload: KV-LIST, LIST-OF-MESSAGES, LIST-OF-ACTIONS, decoded and encoded.

Pure functions, no state. Source: SPOE.txt 3.2.3, spop.md 1.4.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

from spop_proto._errors import LocalProtocolError, RemoteProtocolError, StatusCode
from spop_proto._events import Action, Message, Scope, SetVar, UnsetVar
from spop_proto._typed_data import (
    Value,
    decode_text,
    decode_value,
    decode_value_as_haproxy,
    encode_string,
    encode_value,
    ipv4_address,
    take,
)
from spop_proto._varint import SINGLE_BYTE_LIMIT, decode_varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spop_proto._limits import Limits

_SIGN_BIT = 1 << 63
_SET_VAR, _UNSET_VAR = 1, 2
_SET_VAR_ARGUMENTS, _UNSET_VAR_ARGUMENTS = 3, 2
_SCOPE_WORDS = {
    Scope.PROCESS: "proc",
    Scope.SESSION: "sess",
    Scope.TRANSACTION: "txn",
    Scope.REQUEST: "req",
    Scope.RESPONSE: "res",
}
_SCOPE_OF_NUMBER = {int(scope): scope for scope in Scope}
_VARIABLE_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._")
_SHOWN = 70
"""Characters of what is wrong, in a message."""
_WARN_THE_CALLER_OF_SEND = 5
_LONGEST_VARIABLE = 63
"""HAProxy's bound for ``scope.prefix.name`` (spop.md 1.4)."""


def decode_messages(data: bytes, position: int, limits: Limits) -> tuple[Message, ...]:
    """Decode the LIST-OF-MESSAGES of a NOTIFY.

    Args:
        data: A frame, or the fragments' payload put together.
        position: Index of the first byte of the list; it ends with the data.
        limits: `messages` and `arguments` are enforced.

    Raises:
        RemoteProtocolError: The list is malformed or too long.
    """
    size = len(data)
    # Slices of this are the names (which are latin-1) and, where they are ASCII, the strings: one step less for each.
    text = data.decode("latin-1")
    room = limits.arguments
    messages: list[Message] = []
    try:
        while position < size:
            length, position = decode_varint(data, position)
            end = position + length
            count = data[end]  # raises IndexError if the name is cut, which is why the name is sliced only after it
            name = text[position:end]
            room -= count
            if room < 0 or len(messages) == limits.messages:
                raise RemoteProtocolError(
                    f"NOTIFY of more than {limits.messages} messages or {limits.arguments} arguments",
                    StatusCode.FRAME_TOO_BIG,
                )
            arguments, position = _decode_arguments(data, text, end + 1, count)
            messages.append(Message(name, arguments))
    except IndexError:
        raise RemoteProtocolError(f"NOTIFY ends inside message {len(messages) + 1}") from None
    return tuple(messages)


def _decode_arguments(  # the hot loop: one function, the frequent types inlined (measured: 15 -> 7 us a NOTIFY)
    data: bytes, text: str, position: int, count: int
) -> tuple[tuple[tuple[str, Value], ...], int]:
    size = len(data)
    arguments: list[tuple[str, Value]] = []
    value: Value
    for _ in range(count):
        length = data[position]
        position += 1
        if length >= SINGLE_BYTE_LIMIT:
            length, position = decode_varint(data, position - 1)
        end = position + length
        tag = data[end]
        name = text[position:end]
        position = end + 1
        if tag == 8 or tag == 9:  # STRING, BINARY  # noqa: PLR1714  # "in" takes twice as long
            length = data[position]
            position += 1
            if length >= SINGLE_BYTE_LIMIT:
                length, position = decode_varint(data, position - 1)
            end = position + length
            if end > size:
                raise IndexError
            if tag == 9:
                value = data[position:end]
            else:
                value = text[position:end]
                if not value.isascii():
                    value = decode_text(data[position:end])
            position = end
        elif tag == 4:  # INT64
            number = data[position]
            position += 1
            if number >= SINGLE_BYTE_LIMIT:
                number, position = decode_varint(data, position - 1)
                if number >= _SIGN_BIT:
                    number -= 1 << 64
            value = number
        elif tag == 6:  # IPV4
            end = position + 4
            if end > size:
                raise IndexError
            value = ipv4_address(data[position:end])
            position = end
        else:
            value, position = decode_value(data, position - 1)
        arguments.append((name, value))
    return tuple(arguments), position


def encode_messages(messages: Iterable[Message]) -> bytes:
    """Encode the LIST-OF-MESSAGES of a NOTIFY.

    Raises:
        LocalProtocolError: More than 255 arguments in a message, a name outside latin-1, a value that has no type.
    """
    parts: list[bytes] = []
    for message in messages:
        if len(message.args) > 255:
            raise LocalProtocolError(
                f"message {message.name!r:.{_SHOWN}} of {len(message.args)} arguments, at most 255 can be counted"
            )
        parts += (encode_string(_encode_name(message.name)), bytes((len(message.args),)))
        for name, value in message.args:
            parts += (encode_string(_encode_name(name)), encode_value(value))
    return b"".join(parts)


def _encode_name(name: str) -> bytes:
    try:
        return name.encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError(f"name {name!r:.{_SHOWN}} has characters outside latin-1") from None


def decode_items(data: bytes, position: int, limits: Limits) -> dict[str, Value]:
    """Decode the KV-LIST of a HELLO or DISCONNECT. Of equal keys the last one holds.

    Args:
        data: A frame.
        position: Index of the first byte of the list; it ends with the frame.
        limits: `items` is enforced.

    Raises:
        RemoteProtocolError: The list is malformed or too long, or has an empty key.
    """
    items: dict[str, Value] = {}
    count = 0
    try:
        while position < len(data):
            length, position = decode_varint(data, position)
            key = take(data, position, length)
            if not key:
                raise RemoteProtocolError(f"item with an empty key at offset {position}")
            if count == limits.items:
                raise RemoteProtocolError(f"more than {limits.items} items", StatusCode.FRAME_TOO_BIG)
            value, position = decode_value(data, position + length)
            items[key.decode("latin-1")] = value
            count += 1
    except IndexError:
        raise RemoteProtocolError(f"frame ends inside item {count + 1}") from None
    return items


def encode_items(items: Iterable[tuple[str, Value]]) -> bytes:
    """Encode a KV-LIST."""
    return b"".join(encode_string(_encode_name(key)) + encode_value(value) for key, value in items)


def decode_actions(data: bytes, position: int, limits: Limits, *, as_haproxy: bool = False) -> tuple[Action, ...]:
    """Decode the LIST-OF-ACTIONS of an ACK.

    Args:
        data: A frame.
        position: Index of the first byte of the list; it ends with the frame.
        limits: `actions` is enforced.
        as_haproxy: Do what HAProxy does: at the first malformed action stop without an error, and keep those before.

    Raises:
        RemoteProtocolError: The list is malformed or too long.
    """
    actions: list[Action] = []
    try:
        while position < len(data):
            action, position = _decode_action(data, position, decode_value_as_haproxy if as_haproxy else decode_value)
            actions.append(action)
            if len(actions) > limits.actions:
                break
    except IndexError:
        if not as_haproxy:
            raise RemoteProtocolError(f"ACK ends inside action {len(actions) + 1}") from None
    except RemoteProtocolError:
        if not as_haproxy:
            raise
    if len(actions) > limits.actions:
        raise RemoteProtocolError(f"ACK of more than {limits.actions} actions", StatusCode.FRAME_TOO_BIG)
    return tuple(actions)


def _decode_action(data: bytes, position: int, decode: Callable[[bytes, int], tuple[Value, int]]) -> tuple[Action, int]:
    kind, count, scope_number = take(data, position, 3)
    if (kind, count) not in ((_SET_VAR, _SET_VAR_ARGUMENTS), (_UNSET_VAR, _UNSET_VAR_ARGUMENTS)):
        raise RemoteProtocolError(f"action {kind} of {count} arguments at offset {position}")
    scope = _SCOPE_OF_NUMBER.get(scope_number)
    if scope is None:
        raise RemoteProtocolError(f"scope {scope_number} at offset {position + 2}")
    length, position = decode_varint(data, position + 3)
    name = take(data, position, length).decode("latin-1")
    position += length
    if kind == _UNSET_VAR:
        return UnsetVar(scope, name), position
    value, position = decode(data, position)
    return SetVar(scope, name, value), position


def encode_actions(actions: Sequence[Action], limits: Limits) -> bytes:
    """Encode the LIST-OF-ACTIONS of an ACK.

    Raises:
        LocalProtocolError: A name that HAProxy would ignore, a scope that does not exist, a value that has no type.
    """
    parts: list[bytes] = []
    for action in actions:
        if isinstance(action, SetVar):
            head = _action_head(_SET_VAR, action.scope, action.name, limits.variable_name)
            parts.append(head + encode_value(action.value))
        elif isinstance(action, UnsetVar):
            parts.append(_action_head(_UNSET_VAR, action.scope, action.name, limits.variable_name))
        else:
            raise LocalProtocolError(f"not an action: {action!r:.{_SHOWN}}")
    return b"".join(parts)


@lru_cache(maxsize=512)  # agents set the same few variables for ever
def _action_head(kind: int, scope: Scope, name: str, warn_above: int) -> bytes:
    """Action, number of arguments, scope and name, checked: HAProxy stops at a wrong one without a word."""
    if scope not in _SCOPE_OF_NUMBER:
        raise LocalProtocolError(f"scope {scope!r:.{_SHOWN}} does not exist")
    if not name or not _VARIABLE_CHARACTERS.issuperset(name):
        raise LocalProtocolError(
            f"variable name {name!r:.{_SHOWN}}: HAProxy takes one or more of A-Z a-z 0-9 . _ and ignores other names"
        )
    full = len(_SCOPE_WORDS[Scope(scope)]) + len(".p.") + len(name)  # the prefix has at least one character
    if full > _LONGEST_VARIABLE:
        raise LocalProtocolError(
            f"variable name of {len(name)} characters: HAProxy drops scope.prefix.name above {_LONGEST_VARIABLE}"
        )
    if len(name) > warn_above:
        warnings.warn(
            f"variable name {name!r:.{_SHOWN}}: HAProxy drops it if scope.prefix.name exceeds {_LONGEST_VARIABLE}",
            stacklevel=_WARN_THE_CALLER_OF_SEND,
        )
    count = _SET_VAR_ARGUMENTS if kind == _SET_VAR else _UNSET_VAR_ARGUMENTS
    return bytes((kind, count, scope)) + encode_string(name.encode("ascii"))
