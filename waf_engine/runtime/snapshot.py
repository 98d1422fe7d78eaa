"""A transaction between its request and its response, as bytes: for another process or machine with the same rules.

What came from the client is kept as it came and fed again by the transaction's own methods, so that all that follows
from it (arguments, cookies, files, the XML tree) is made by the code that made it before. What rules did is kept as it
is. The tables below name each attribute of a transaction and say which of the two, or neither, it needs; a test
compares them with the classes. Not here: where snapshots are kept, and how long.

The form is MessagePack: it can hold bytes, it is written and read in C, it has bounds, and unlike pickle and marshal it
cannot make anything but data. What rules do in every request (a CRS makes sixty records and sets forty members of TX
before it looks at anything) is written as numbers: both sides know it from a trial run. In front stand the fingerprint
of the rules and of that run, for a record names its rule by its place among them, and a check sum.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import msgpack

from waf_engine.audit.sanitiser import Sanitiser
from waf_engine.compiler.plan import Allow, CompiledRule, Phase
from waf_engine.persistence import COLLECTIONS, CollectionKey, OpenCollection
from waf_engine.runtime.body import attach_request
from waf_engine.runtime.exchange import Connection
from waf_engine.runtime.match import Interruption, MatchedValue, MatchRecord
from waf_engine.settings import EngineMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from waf_engine.compiler.plan import Plan
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry

FORMAT: Final = 2
MAX_BYTES: Final = 1024 * 1024
"""Bytes of a snapshot at most: a body comes through HAProxy's buffer, of 16 kB unless it was enlarged."""

MAX_SEEN: Final = 1024
_FINGERPRINT_BYTES: Final = 16
_HEAD_BYTES: Final = _FINGERPRINT_BYTES + 4
_FAULTS: Final = (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError, RecursionError)
"""What data of another shape than ours leads to."""

AS_IT_IS: Final = (
    # of the transaction
    "started", "phase", "env", "limits", "highest_severity", "matched_var", "collections",
    "request_may_be_cut",
    # what `ctl` may have changed
    "request_body_access", "request_body_limit", "response_body_access", "response_body_limit",
    "force_request_body_variable", "force_response_body_variable", "audit_engine", "audit_log_parts",
    "debug_log_level", "removed_ids",
    # what the planned executor remembers
    "clean", "clean_phases", "dirty", "made_keys",
)  # fmt: skip
"""Attributes of a transaction that are plain data: kept and set again."""

CONVERTED: Final = (
    "id", "connection", "request", "response", "tx", "records", "interruption", "detected_interruption", "engine",
    "allow", "removed_targets", "persistent", "sanitiser",
)  # fmt: skip
"""Attributes that are kept in a form of their own; see `_pack` and `Snapshots.restore`."""

MADE_ANEW: Final = (
    "plan", "clock", "body_processors", "store", "_executor", "_on_match", "_log", "closed",  # the process's
    "_matched_rules",  # follow from the records
    "exceeded", "tick", "step", "watch",  # the budget's, which each process has for itself
    "uploads",  # files on this machine's disk: written again where they are asked for
    "rule", "matched_vars",  # of the rule that is running
    "response_may_be_cut",  # of the response
    "later",  # found again where it is missing
    "candidates",  # of the phase that is running
    "keys_of_body",  # by feeding the body
    "_arguments", "_argument_lists",  # when an argument is asked for
)  # fmt: skip
"""Attributes that need not be kept, and why."""

REQUEST_KEPT: Final = (
    "method", "uri_raw", "protocol", "headers", "body", "body_over_limit", "processor", "processed", "args_path",
)  # fmt: skip
REQUEST_MADE_ANEW: Final = (
    "uri", "path", "basename", "query", "uri_error", "args_get",  # by `process_uri`
    "cookies", "server_name", "index", "indexed",  # by `add_request_header`, or when they are asked for
    "args_post", "error", "expose_body", "flags", "files", "part_headers", "multipart_names", "multipart_filenames",
    "xml",  # by `attach_request`
)  # fmt: skip
RESPONSE_KEPT: Final = ("processor",)
"""All else of a response comes after the snapshot."""
SANITISER_KEPT: Final = ("args", "cookies", "request_headers", "response_headers", "wholes", "texts")

PLACES: Final = frozenset({
    "upload_dir", "audit_log", "audit_log_2", "audit_log_storage_dir", "audit_log_dir_mode", "audit_log_file_mode",
    "debug_log", "libinjection", "geo_database", "rbl_resolver",
})  # fmt: skip
"""Settings that may differ between machines with the same rules."""


class SnapshotError(Exception):
    """A snapshot that cannot be made, or that is none of ours.

    Attributes:
        other_rules: whether the snapshot was made with other rules, or by another version of this package.
    """

    def __init__(self, message: str, *, other_rules: bool = False) -> None:
        super().__init__(message)
        self.other_rules = other_rules


class Snapshots:
    """Makes and reads the snapshots of one rule set.

    Args:
        plan: the rules.
        make: makes a new transaction with an id.
        blank: makes a transaction for a trial, run by the reference interpreter, of which nobody hears.

    Attributes:
        fingerprint: what two rule sets must have in common to exchange transactions.
    """

    def __init__(self, plan: Plan, make: Callable[..., Transaction], blank: Callable[[], Transaction]) -> None:
        self._rules, self._exclusions, self._make = plan.rules, plan.exclusions, make
        self._places: dict[CompiledRule, int] = {rule: place for place, rule in enumerate(plan.rules)}
        self._exclusion_places = {id(exclusion): place for place, exclusion in enumerate(plan.exclusions)}
        self._usual = _Usual(blank)
        usual = [(self._places[rule], matches, disruptive) for rule, matches, disruptive in self._usual.records]
        digest = hashlib.sha256(fingerprint(plan))
        digest.update(repr((usual, self._usual.members)).encode("utf-8", "backslashreplace"))
        self.fingerprint = digest.digest()[:_FINGERPRINT_BYTES]

    def take(self, tx: Transaction, limit: int = MAX_BYTES) -> bytes:
        """The snapshot of a transaction that has seen nothing of its response yet.

        Args:
            tx: the transaction; it is not changed and may go on.
            limit: bytes at most.

        Raises:
            SnapshotError: it is too large, or its response has begun, or a plug-in put something of its own into it.
        """
        response = tx.response
        if tx.phase > Phase.REQUEST_BODY or tx.closed or response.headers or response.status or response.body:
            raise SnapshotError("the transaction is beyond its request")
        if len(tx.request.body) >= limit:
            raise SnapshotError(f"the body alone has {len(tx.request.body)} bytes of {limit}")
        try:
            data = msgpack.packb(self._pack(tx), default=_pack_set, unicode_errors="surrogateescape")
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise SnapshotError(f"the transaction holds what no snapshot can hold: {error!r}") from error
        if len(data) + _HEAD_BYTES > limit:
            raise SnapshotError(f"a snapshot of {len(data)} bytes, where {limit} are allowed")
        return b"".join((self.fingerprint, zlib.crc32(data).to_bytes(4, "big"), data))

    def restore(self, data: bytes, **options: Any) -> Transaction:
        """A transaction that goes on where the snapshot was taken.

        Args:
            data: what `take` gave, here or in another process.
            options: see `WAF.transaction`; a budget begins anew.

        Raises:
            SnapshotError: the data is damaged, or was made with other rules.
        """
        if len(data) < _HEAD_BYTES or len(data) > MAX_BYTES:
            raise SnapshotError(f"{len(data)} bytes are no snapshot")
        if data[:_FINGERPRINT_BYTES] != self.fingerprint:
            raise SnapshotError("the snapshot was made with other rules, or by another version", other_rules=True)
        content = memoryview(data)[_HEAD_BYTES:]
        if zlib.crc32(content) != int.from_bytes(data[_FINGERPRINT_BYTES:_HEAD_BYTES], "big"):
            raise SnapshotError("the snapshot is damaged")
        with _refusing():
            found = msgpack.unpackb(
                content, use_list=False, strict_map_key=False, raw=False, unicode_errors="surrogateescape"
            )
            return self._unpack(found, options)

    def _pack(self, tx: Transaction) -> tuple[Any, ...]:
        """Everything of a transaction, as data."""
        request, connection = tx.request, tx.connection
        return (
            tx.id,
            (connection.client_ip, connection.client_port, connection.server_ip, connection.server_port),
            [getattr(request, name) for name in REQUEST_KEPT],
            tx.response.processor,
            [getattr(tx, name) for name in AS_IT_IS],
            self._usual.pack_members(tx.tx),
            self._pack_records(tx.records),
            _pack_interruption(tx.interruption),
            _pack_interruption(tx.detected_interruption),
            tx.engine.value,
            tx.allow,
            [
                (rule, [self._exclusion_places[id(each)] for each in found])
                for rule, found in tx.removed_targets.items()
            ],
            [
                (each.key.name, each.key.namespace, each.key.key, each.timeout, each.is_new, each.changed)
                for each in tx.persistent.values()
            ],
            None if tx.sanitiser is None else [_listed(getattr(tx.sanitiser, name)) for name in SANITISER_KEPT],
        )

    def _pack_records(self, records: Sequence[MatchRecord]) -> list[Any]:
        """Each record, or its number where it is a usual one."""
        places, number_of = self._places, self._usual.number_of
        packed: list[Any] = []
        for record in records:
            number = number_of(record)
            if number is not None:
                packed.append(number)
                continue
            rule, matches, disruptive = record
            values = [(m.variable, m.key, m.value, m.message, m.data, m.chain_level) for m in matches]
            packed.append((places[rule], disruptive, values))
        return packed

    def _unpack(self, content: Any, options: dict[str, Any]) -> Transaction:
        (
            name, connection, kept, response_processor, plain, members, records, interruption, detected, engine, allow,
            targets, persistent, masks,
        ) = content  # fmt: skip
        request = dict(zip(REQUEST_KEPT, kept, strict=True))
        state = dict(zip(AS_IT_IS, plain, strict=True))
        tx = self._make(_text(name), **options)
        tx.connection = Connection(*map(_bytes, connection))
        _feed(tx, request)
        tx.response.processor = _text(response_processor)
        _set_state(tx, state)
        tx.engine = EngineMode(engine)
        tx.allow = None if allow is None else Allow(allow)
        if request["processed"] is True:
            attach_request(tx)
            tx.request.processed = True
        # Rules have seen to TX since then, and @restpath to these.
        tx.tx, tx.limits = self._usual.unpack_members(members), _counts(state["limits"])
        made = state["made_keys"]
        tx.made_keys = None if made is None else list(map(_bytes, made))
        tx.request.args_path = _entries(request["args_path"])
        usual = self._usual.records
        tx.records = [usual[_place(r)] if type(r) is int else self._record(*r) for r in records]
        tx.interruption, tx.detected_interruption = _interruption(interruption), _interruption(detected)
        tx.removed_targets = {
            _number(rule): tuple(self._exclusions[_place(i)] for i in found) for rule, found in targets
        }
        tx.persistent = dict(map(_collection, persistent))
        if masks is not None:
            tx.sanitiser = _sanitiser(tx, masks)
        return tx

    def _record(self, place: int, disruptive: bool, matches: tuple[Any, ...]) -> MatchRecord:
        rule = self._rules[_place(place)]
        if not matches:
            raise ValueError("a rule matches on something")
        return MatchRecord(rule, tuple(map(_match, matches)), disruptive is True)


class _Usual:
    """What rules do in every request, from a trial run: records and members of TX, in their order.

    Args:
        blank: makes a transaction for the trial.

    Attributes:
        records: the records.
        members: the members.
    """

    def __init__(self, blank: Callable[[], Transaction]) -> None:
        one, two = (_trial(blank(), now) for now in (1_000_000_000.0, 1_234_567_890.5))
        self.records: list[MatchRecord] = list(dict.fromkeys(record for record in one.records if record in two.records))
        self.members: list[Entry] = [member for member in one.tx.items() if member in two.tx.items()]
        self._numbers = {record: number for number, record in enumerate(self.records)}
        self._places = {key: (place, value) for place, (key, value) in enumerate(self.members)}
        # The records of a plan's blocks are the same objects each time, and to hash one takes a microsecond.
        self._seen: dict[int, tuple[MatchRecord, int]] = {}

    def number_of(self, record: MatchRecord) -> int | None:
        """The number of a record; None for one that is not usual."""
        seen = self._seen.get(id(record))
        if seen is not None and seen[0] is record:
            return seen[1]
        if record.matches[0].message:
            return None
        number = self._numbers.get(record)
        if number is not None:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen[id(record)] = record, number
        return number

    def pack_members(self, members: dict[bytes, bytes]) -> list[Any]:
        """Each member, or its number where it is a usual one; in their order, which selectors can see."""
        places, packed = self._places, []
        for key, value in members.items():
            found = places.get(key)
            packed.append(found[0] if found is not None and found[1] == value else (key, value))
        return packed

    def unpack_members(self, packed: Any) -> dict[bytes, bytes]:
        """What was packed."""
        usual = self.members
        return dict([usual[_place(item)] if type(item) is int else _entry(item) for item in packed])


def _trial(tx: Transaction, now: float) -> Transaction:
    """A request as there are many, through its phases, at some time."""
    tx.clock = lambda: now
    tx.started = now
    if tx.engine is EngineMode.ON:
        tx.engine = EngineMode.DETECTION_ONLY
    tx.process_connection("192.0.2.1", 50_000, "192.0.2.2", 80)
    tx.process_uri(b"/", b"GET", b"HTTP/1.1")
    for name in (b"host", b"user-agent", b"accept"):
        tx.add_request_header(name, b"*/*")
    tx.process_request_headers()
    tx.process_request_body()
    tx.close()
    return tx


def leave(tx: Transaction) -> None:
    """Let go of a transaction that goes on elsewhere: no phase 5, no log; its files on disk are removed, not kept."""
    if tx.uploads is not None:
        tx.uploads.remove()
    tx.request.files = []
    tx.close()


def fingerprint(plan: Plan) -> bytes:
    """What a rule set is known by: this package's version, its rules, and its settings but for `PLACES`.

    Folders and files' names are not in it: the same rules may lie elsewhere on another machine.
    """
    digest = hashlib.sha256(f"{FORMAT} {_package_version()}\n".encode())
    for setting in fields(plan.settings):
        if setting.name not in PLACES:
            digest.update(
                f"{setting.name} {getattr(plan.settings, setting.name)!r}\n".encode("utf-8", "backslashreplace")
            )
    for rule in plan.rules:
        member: CompiledRule | None = rule
        while member is not None:
            digest.update(repr(_rule_facts(member)).encode("utf-8", "backslashreplace"))
            member = member.chain
    digest.update(repr([(each.variable, each.key) for each in plan.exclusions]).encode("utf-8", "backslashreplace"))
    return digest.digest()[:_FINGERPRINT_BYTES]


def _rule_facts(rule: CompiledRule) -> tuple[Any, ...]:
    """What a rule comes to, defaults and later directives included."""
    disruption = rule.disruption
    return (
        rule.id, rule.phase, rule.raw, rule.marker, rule.log, rule.auditlog, rule.skip, rule.skip_after,
        [(t.variable.name, t.key, t.selector, t.count, len(t.exclusions)) for t in rule.targets],
        [name for name, _ in rule.transformations], len(rule.effects), rule.tags, rule.severity,
        None if disruption is None else (disruption.action, disruption.status),
    )  # fmt: skip


def _package_version() -> str:
    try:
        return version("spoa-waf")
    except PackageNotFoundError:
        return ""


def _pack_set(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"{type(value).__name__} {value!r}")


def _pack_interruption(verdict: Interruption | None) -> tuple[Any, ...] | None:
    return None if verdict is None else (verdict.action, verdict.status, verdict.data, verdict.rule_id)


def _listed(value: Any) -> list[Any]:
    return list(value.items()) if isinstance(value, dict) else list(value)


# -- reading: every value is of the type that it is to have, or one of `_FAULTS` is raised -----------------------------


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise SnapshotError(f"the snapshot is damaged: {error!r}") from error
    except (msgpack.exceptions.UnpackException, BufferError) as error:
        raise SnapshotError(f"the snapshot is damaged: {error!r}") from error


def _of(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r:.40} is not of the type {kind.__name__}")
        return value

    return check


_bytes, _text, _number, _flag = _of(bytes), _of(str), _of(int), _of(bool)


def _place(value: Any) -> int:
    """An index, which in Python may not be negative."""
    place: int = _number(value)
    if place < 0:
        raise ValueError(f"{place} is no place")
    return place


def _phase(value: Any) -> int:
    phase = _place(value)
    if phase > Phase.REQUEST_BODY:
        raise ValueError(f"{phase} is no phase of a request")
    return phase


def _severity(value: Any) -> int:
    if _place(value) > 255:
        raise ValueError(f"{value} is no severity")
    return int(value)


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} is no time")
    return float(value)


def _entry(value: Any) -> Entry:
    key, text = value
    return _bytes(key), _bytes(text)


def _entries(value: Any) -> list[Entry]:
    return [(_bytes(key), _bytes(text)) for key, text in value]


def _members(value: Any) -> dict[bytes, bytes]:
    return {_bytes(key): _bytes(text) for key, text in value.items()}


def _counts(value: Any) -> dict[str, int]:
    return {_text(key): _number(count) for key, count in value.items()}


def _match(parts: Any) -> MatchedValue:
    variable, key, value, message, data, level = parts
    return MatchedValue(_text(variable), _bytes(key), _bytes(value), _text(message), _text(data), _place(level))


def _interruption(value: Any) -> Interruption | None:
    if value is None:
        return None
    action, status, data, rule_id = value
    return Interruption(_text(action), _number(status), _text(data), _number(rule_id))


def _collection(parts: Any) -> tuple[str, OpenCollection]:
    name, namespace, key, timeout, is_new, changed = parts
    if name not in COLLECTIONS:
        raise ValueError(f"{name!r:.40} is no collection")
    where = CollectionKey(name, _text(namespace), _bytes(key))
    return name, OpenCollection(where, _number(timeout), _flag(is_new), _flag(changed))


def _feed(tx: Transaction, kept: dict[str, Any]) -> None:
    """Give a transaction its request again; all but running the body's processor."""
    uri, method, protocol = _bytes(kept["uri_raw"]), _bytes(kept["method"]), _bytes(kept["protocol"])
    if uri or method or protocol:
        tx.process_uri(uri, method, protocol)
    for name, value in kept["headers"]:
        tx.add_request_header(_bytes(name), _bytes(value))
    request = tx.request
    request.processor = _text(kept["processor"])  # which a `ctl` may have chosen
    request.body = bytearray(_bytes(kept["body"]))
    request.body_over_limit = _flag(kept["body_over_limit"])


_STATE_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "started": _time,
    "phase": _phase,
    "env": _members,
    "highest_severity": _severity,
    "request_may_be_cut": _flag,
    "matched_var": lambda value: None if value is None else (_text(value[0]), _bytes(value[1])),
    "collections": lambda value: {_text(name): _entries(found) for name, found in value.items()},
    "request_body_access": _flag,
    "request_body_limit": _number,
    "response_body_access": _flag,
    "response_body_limit": _number,
    "force_request_body_variable": _flag,
    "force_response_body_variable": _flag,
    "audit_engine": _text,
    "audit_log_parts": _text,
    "debug_log_level": _number,
    "removed_ids": lambda value: set(map(_number, value)),
    "clean": _flag,
    "dirty": lambda value: frozenset(map(_bytes, value)),
    "clean_phases": lambda value: tuple(map(_number, value)),
}


def _set_state(tx: Transaction, state: dict[str, Any]) -> None:
    for name, check in _STATE_CHECKS.items():
        setattr(tx, name, check(state[name]))


def _sanitiser(tx: Transaction, masks: Any) -> Sanitiser:
    args, cookies, request_headers, response_headers, wholes, texts = masks
    sanitiser = Sanitiser(tx)
    for found, names in (
        (sanitiser.args, args),
        (sanitiser.cookies, cookies),
        (sanitiser.request_headers, request_headers),
        (sanitiser.response_headers, response_headers),
    ):
        found.update(map(_bytes, names))
    sanitiser.wholes.update(map(_text, wholes))
    sanitiser.texts.update(_entries(texts))
    for record in tx.records:
        sanitiser.note(record.matches)
    return sanitiser
