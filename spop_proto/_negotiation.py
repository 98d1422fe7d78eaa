"""What two HELLOs agree to: pure functions of what each side said.

No connection, no state. Source: SPOE.txt 3.2.4 and 3.2.5, spop.md 0.4, 0.5 and 1.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spop_proto._errors import RemoteProtocolError, StatusCode, known_status
from spop_proto._events import AgentDisconnect, AgentHello, Capability, HAProxyDisconnect, HAProxyHello
from spop_proto._limits import SMALLEST_MAX_FRAME_SIZE
from spop_proto._typed_data import DataType, Typed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from spop_proto._typed_data import Value

VERSION = "2.0"
"""The only version in use since 2018. HAProxy refuses any other text, "2.1" included."""
_MAJOR = 2
_LARGEST_UINT32 = (1 << 32) - 1
_LONGEST_MESSAGE = 255
_LONGEST_VERSION = 20
_MESSAGE_MISSING = ""


def read_haproxy_hello(items: Mapping[str, Value]) -> HAProxyHello:
    """Check the items of a HAPROXY-HELLO.

    Raises:
        RemoteProtocolError: A mandatory item is missing (5, 6, 7), has a wrong type (4) or value (9).
    """
    versions = _text(items, "supported-versions", StatusCode.VERSION_MISSING)
    size = _size(items)
    if size < SMALLEST_MAX_FRAME_SIZE:
        raise RemoteProtocolError(
            f"max-frame-size {size}, at least {SMALLEST_MAX_FRAME_SIZE} expected",
            StatusCode.MAX_FRAME_SIZE_OUT_OF_RANGE,
        )
    capabilities = _text(items, "capabilities", StatusCode.CAPABILITIES_MISSING)
    engine_id = items.get("engine-id")
    if engine_id is not None and not isinstance(engine_id, str):
        raise RemoteProtocolError(f"engine-id is no STRING: {type(engine_id).__name__}")
    healthcheck = items.get("healthcheck", False)
    if not isinstance(healthcheck, bool):
        raise RemoteProtocolError(f"healthcheck is no BOOL: {type(healthcheck).__name__}")
    return HAProxyHello(_words(versions), size, _words(capabilities), engine_id, healthcheck)


def negotiate(hello: HAProxyHello, *, frame_size: int, capabilities: Collection[str]) -> AgentHello:
    """The agent's answer to a HAPROXY-HELLO.

    Args:
        hello: What HAProxy said.
        frame_size: The largest frame we take, in bytes.
        capabilities: What we are willing to do.

    Returns:
        The answer. Fragmentation is announced whenever we are willing, not as an intersection: HAProxy never lists it
        and yet sends fragments to an agent that does (spop.md 0.4). max-frame-size is HAProxy's unless ours is
        smaller: HAProxy loses NOTIFYs above a smaller one (0.5).

    Raises:
        RemoteProtocolError: No common version (8).
    """
    # Who has a minor version has those before it, so that any of major version 2 will do (SPOE.txt 3.2.4).
    if not any(_numbers(version)[:1] == (_MAJOR,) for version in hello.supported_versions):
        raise RemoteProtocolError(
            f"supported-versions {','.join(hello.supported_versions)[:40]!r}, we have {VERSION}",
            StatusCode.UNSUPPORTED_VERSION,
        )
    agreed = []
    if Capability.PIPELINING in capabilities and Capability.PIPELINING in hello.capabilities:
        agreed.append(Capability.PIPELINING)
    if Capability.FRAGMENTATION in capabilities:
        agreed.append(Capability.FRAGMENTATION)
    return AgentHello(VERSION, min(hello.max_frame_size, frame_size, _LARGEST_UINT32), tuple(agreed))


def read_agent_hello(items: Mapping[str, Value], sent: HAProxyHello, *, as_haproxy: bool = False) -> AgentHello:
    """Check the items of an AGENT-HELLO against the HAPROXY-HELLO it answers.

    Args:
        items: What the agent said.
        sent: What we said.
        as_haproxy: As HAProxy >= 3.1, take a missing max-frame-size for ours; as all versions, take missing
            capabilities for none, except in a health check.

    Raises:
        RemoteProtocolError: A mandatory item is missing (5, 6, 7), has a wrong type (4) or value (8, 9).
    """
    version = _text(items, "version", StatusCode.VERSION_MISSING).strip()
    if not _was_offered(version, sent.supported_versions):
        raise RemoteProtocolError(f"version {version[:40]!r} was not offered", StatusCode.UNSUPPORTED_VERSION)
    size = sent.max_frame_size if as_haproxy and "max-frame-size" not in items else _size(items)
    if not SMALLEST_MAX_FRAME_SIZE <= size <= sent.max_frame_size:
        raise RemoteProtocolError(
            f"max-frame-size {size}, {SMALLEST_MAX_FRAME_SIZE} to {sent.max_frame_size} expected",
            StatusCode.MAX_FRAME_SIZE_OUT_OF_RANGE,
        )
    if as_haproxy and not sent.healthcheck and "capabilities" not in items:
        return AgentHello(version, size, ())
    return AgentHello(version, size, _words(_text(items, "capabilities", StatusCode.CAPABILITIES_MISSING)))


def read_disconnect(items: Mapping[str, Value]) -> tuple[int, str]:
    """The status and the message (cut to 255 characters) of a DISCONNECT.

    The connection ends anyway, so what is missing or odd is replaced by 99 and an empty text instead of refused.
    """
    status = items.get("status-code")
    message = items.get("message")
    return (
        known_status(status) if isinstance(status, int) and not isinstance(status, bool) else StatusCode.UNKNOWN,
        message[:_LONGEST_MESSAGE] if isinstance(message, str) else _MESSAGE_MISSING,
    )


def haproxy_hello_items(hello: HAProxyHello) -> list[tuple[str, Value]]:
    """The items of a HAPROXY-HELLO, in HAProxy's order."""
    items: list[tuple[str, Value]] = [
        ("supported-versions", ",".join(hello.supported_versions)),
        ("max-frame-size", Typed(DataType.UINT32, hello.max_frame_size)),
        ("capabilities", ",".join(hello.capabilities)),
    ]
    if hello.engine_id is not None:
        items.append(("engine-id", hello.engine_id))
    if hello.healthcheck:
        items.append(("healthcheck", True))
    return items


def agent_hello_items(hello: AgentHello) -> list[tuple[str, Value]]:
    """The items of an AGENT-HELLO: all three, since a health check of HAProxy >= 3.1 wants each."""
    return [
        ("version", hello.version),
        ("max-frame-size", Typed(DataType.UINT32, hello.max_frame_size)),
        ("capabilities", ",".join(hello.capabilities)),
    ]


def disconnect_items(event: AgentDisconnect | HAProxyDisconnect) -> list[tuple[str, Value]]:
    """The items of a DISCONNECT; the message is cut to 255 bytes, since HAProxy <= 3.0 takes no longer one."""
    message = event.message.encode("utf-8", "replace")[:_LONGEST_MESSAGE].decode("utf-8", "ignore")
    return [("status-code", Typed(DataType.UINT32, event.status)), ("message", message)]


def _numbers(version: str) -> tuple[int, int] | tuple[()]:
    """Major and minor (0 if it is left out) of a version; nothing if it does not have the form of one."""
    major, dot, minor = version.partition(".")
    minor = minor if dot else "0"
    if not (version.isascii() and major.isdigit() and minor.isdigit() and len(version) <= _LONGEST_VERSION):
        return ()
    return int(major), int(minor)


def _was_offered(version: str, offered: tuple[str, ...]) -> bool:
    if version in offered:
        return True
    chosen = _numbers(version)
    return bool(chosen) and any(_numbers(each)[:1] == chosen[:1] and _numbers(each) > chosen for each in offered)


def _text(items: Mapping[str, Value], key: str, missing: StatusCode) -> str:
    value = items.get(key)
    if key not in items:
        raise RemoteProtocolError(f"{key} is missing", missing)
    if not isinstance(value, str):
        raise RemoteProtocolError(f"{key} is no STRING: {type(value).__name__}")
    return value


def _size(items: Mapping[str, Value]) -> int:
    value = items.get("max-frame-size")
    if "max-frame-size" not in items:
        raise RemoteProtocolError("max-frame-size is missing", StatusCode.MAX_FRAME_SIZE_MISSING)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RemoteProtocolError(f"max-frame-size is no integer: {type(value).__name__}")
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))
