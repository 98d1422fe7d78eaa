"""A captured stream as plain values, for `python -m spop_proto dump`: what stands where, wrong bytes included.

Pure functions; the roles and their states are left out on purpose, since a capture may hold anything. spop.md 1.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, TypeAlias

from spop_proto._errors import RemoteProtocolError, shown
from spop_proto._events import SetVar
from spop_proto._frames import ABRT, FIN, PREFIX, SMALLEST_FRAME, FrameType, Header, parse_header
from spop_proto._limits import Limits
from spop_proto._payloads import decode_actions, decode_items, decode_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spop_proto._events import Action
    from spop_proto._typed_data import Value

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"

_LIMITS = Limits(messages=1 << 20, arguments=1 << 28, actions=1 << 20, items=1 << 20)
_NAMES = {kind.value: kind.name.replace("_", "-") for kind in FrameType}
_WITH_ITEMS = (
    FrameType.HAPROXY_HELLO,
    FrameType.HAPROXY_DISCONNECT,
    FrameType.AGENT_HELLO,
    FrameType.AGENT_DISCONNECT,
)


def dump(stream: bytes, *, largest: int = 1 << 28) -> Iterator[dict[str, Json]]:
    """Decode a stream of one direction.

    Args:
        stream: Frames back to back, each after its length.
        largest: Bytes; a greater length is taken for a sign that this is no frame.

    Yields:
        For each frame offset, type, flags, stream_id, frame_id, len and its decoded payload (of fragments: with the
        last one); ``error`` in place of what cannot be decoded; ``remark`` where HAProxy takes it, but should not have
        got it. Bytes that are no frame end the stream with ``offset`` and ``error``.
    """
    position = 0
    fragments = _Fragments()
    while position < len(stream):
        reason = _no_frame(stream, position, largest)
        if reason:
            yield {"offset": position, "error": reason}
            return
        end = position + PREFIX + int.from_bytes(stream[position : position + PREFIX], "big")
        yield {"offset": position, **_dump_frame(stream[position + PREFIX : end], fragments)}
        position = end


def _no_frame(stream: bytes, position: int, largest: int) -> str:
    rest = len(stream) - position
    if rest < PREFIX:
        return f"the stream ends inside a length: {rest} of {PREFIX} bytes"
    prefix = stream[position : position + PREFIX]
    length = int.from_bytes(prefix, "big")
    if not SMALLEST_FRAME <= length <= largest:
        return f"no frame has {length} bytes ({shown(prefix)})"
    if rest < PREFIX + length:
        return f"the stream ends inside a frame: {rest - PREFIX} of {length} bytes"
    return ""


class _Fragments:
    """The open NOTIFY of a stream, until its last fragment."""

    def __init__(self) -> None:
        self.pair: tuple[int, int] | None = None
        self.payload = bytearray()

    def add(self, header: Header, payload: bytes) -> bytes | None:
        """Add a NOTIFY or UNSET frame; the whole payload if it was the last one, else None."""
        pair = (header.stream_id, header.frame_id)
        if header.type == FrameType.NOTIFY:
            self.pair, self.payload = pair, bytearray(payload)
        else:
            self.payload += payload
        aborted = header.flags & ABRT and header.type == FrameType.UNSET
        if not (header.flags & FIN or aborted):
            return None
        whole, self.pair, self.payload = bytes(self.payload), None, bytearray()
        return None if aborted else whole


def _dump_frame(frame: bytes, fragments: _Fragments) -> dict[str, Json]:
    record: dict[str, Json] = {"type": _NAMES.get(frame[0], frame[0]), "flags": int.from_bytes(frame[1:5], "big")}
    try:
        header = parse_header(frame)
        record |= {"stream_id": header.stream_id, "frame_id": header.frame_id, "len": len(frame)}
        record |= _dump_payload(frame, header, fragments)
    except RemoteProtocolError as error:
        record |= {"len": len(frame), "error": error.reason}
    return record


def _dump_payload(frame: bytes, header: Header, fragments: _Fragments) -> dict[str, Json]:
    if header.type in _WITH_ITEMS:
        return {"items": {key: _plain(value) for key, value in decode_items(frame, header.size, _LIMITS).items()}}
    if header.type == FrameType.ACK:
        return _dump_actions(frame, header.size)
    payload = frame[header.size :]
    if header.type not in (FrameType.NOTIFY, FrameType.UNSET):
        return {"payload": payload.hex()}
    if header.type == FrameType.UNSET and fragments.pair != (header.stream_id, header.frame_id):
        return {"fragment": len(payload), "remark": "of no NOTIFY that is open"}
    whole = fragments.add(header, payload)
    if whole is None:
        return {"fragment": len(payload)}
    messages = decode_messages(whole, 0, _LIMITS)
    return {
        "messages": [
            {"name": each.name, "args": [[name, _plain(value)] for name, value in each.args]} for each in messages
        ]
    }


def _dump_actions(frame: bytes, position: int) -> dict[str, Json]:
    """What HAProxy would do with an ACK, and in a remark what is wrong with it: HAProxy never says."""
    actions: list[Json] = [_dump_action(each) for each in decode_actions(frame, position, _LIMITS, as_haproxy=True)]
    try:
        decode_actions(frame, position, _LIMITS)
    except RemoteProtocolError as error:
        return {"actions": actions, "remark": error.reason}
    return {"actions": actions}


def _dump_action(action: Action) -> Json:
    variable: dict[str, Json] = {"scope": action.scope.name.lower(), "name": action.name}
    if isinstance(action, SetVar):
        return {"action": "set-var", **variable, "value": _plain(action.value)}
    return {"action": "unset-var", **variable}


def _plain(value: Value) -> Json:
    """A value as JSON has it: addresses as text, BINARY as an object, so that it cannot be taken for a STRING."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, IPv4Address | IPv6Address):
        return str(value)
    assert value is None or isinstance(value, bool | int | str)
    return value
