"""Persistent collections (IP, SESSION, ...) of many machines: a `CollectionStore` in Redis or Valkey.

Here: a collection as a hash on the server, loaded by one question when a rule opens it, and what rules did to it done
there by one script at the end of the phase. Not here: what a collection is (waf_engine/persistence.py).

Rules ask for collections in the middle of their work, so this store waits for the server, for `timeout` at most. After
one failure the breaker opens: the collections of this machine are used instead, and a thread looks for the server twice
a second. What other machines do to a collection while a phase runs is seen by the next one; no step is lost, for the
server adds them up.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from adapters.logs import Occasional, event
from adapters.metrics.observer import Observer
from adapters.redis_courier import PROBE_EVERY, url_secrets
from waf_engine.counters import integer, reckon
from waf_engine.persistence import CollectionKey, OpenCollection, Snapshot, bounded_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adapters.config_model import SharedConfig
    from waf_engine.persistence import CollectionStore

MAX_MEMBERS: Final = 1000
MAX_TEXT: Final = 8192
"""Bytes of a member's name and value."""
FRESH_SECONDS: Final = 0.5
"""How long what was loaded is good for: a response may come much later than its request."""
MAX_TIMEOUT: Final = 315_360_000

# KEYS: the hash. ARGV: now, the collection's timeout, the most members; then three for each change: what (+ add, = set,
# - remove, x expire, o open, n a transaction's first change), the member, the value.
SCRIPT: Final = b"""
local key, now = KEYS[1], tonumber(ARGV[1])
local updated = redis.call('HGET', key, 'u')
if updated and now >= tonumber(updated) + tonumber(redis.call('HGET', key, 't')) then
  redis.call('DEL', key)
  updated = false
end
if not updated then
  redis.call('HSET', key, 'c', ARGV[1], 'u', ARGV[1], 'n', '0', 't', ARGV[2])
end
local touched, refused = false, 0
for i = 4, #ARGV, 3 do
  local what, value = ARGV[i], ARGV[i + 2]
  local m, x = 'm:' .. ARGV[i + 1], 'x:' .. ARGV[i + 1]
  local ends = redis.call('HGET', key, x)
  if ends and now >= tonumber(ends) then
    redis.call('HDEL', key, m, x)
  end
  local old = redis.call('HGET', key, m)
  if what == 'n' then
    redis.call('HINCRBY', key, 'n', 1)
  elseif what == '-' then
    touched = redis.call('HDEL', key, m, x) > 0 or touched
  elseif what ~= 'o' and not old and redis.call('HLEN', key) >= tonumber(ARGV[3]) then
    refused = refused + 1
  elseif what == 'x' then
    redis.call('HSET', key, x, value)
    touched = true
  elseif what == '=' then
    redis.call('HSET', key, m, value)
    touched = true
    if ARGV[i + 1] == 'timeout' and string.match(value, '^[+-]?%d+$') and #value < 12 and tonumber(value) ~= 0 then
      redis.call('HSET', key, 't', string.format('%d', math.max(1, tonumber(value))))
    end
  elseif what == '+' then
    touched = true
    if not old or old == '' then
      redis.call('HSET', key, m, '0')
      old = '0'
    end
    local sign, digits = string.match(old, '^([+-]?)(%d+)$')
    if digits and #digits <= 18 then
      local plain = string.match(digits, '^0*(%d+)$')
      if sign == '-' and plain ~= '0' then plain = '-' .. plain end
      if plain ~= old then redis.call('HSET', key, m, plain) end
      redis.pcall('HINCRBY', key, m, value)
    end
  end
end
if touched then
  redis.call('HSET', key, 'u', ARGV[1])
end
local seconds = math.min(tonumber(redis.call('HGET', key, 't')), 315360000)
redis.call('PEXPIRE', key, string.format('%d', seconds * 1000 + 1000))
return refused
"""
_SHA: Final = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class _View:
    """A collection as it was loaded, with this transaction's own changes.

    Attributes:
        values: member: value.
        expiry: member: time after which it is gone.
        created: see `Snapshot`.
        updated: see `Snapshot`; infinite for one that is new.
        updates: see `Snapshot`.
        timeout: see `Snapshot`.
        loaded: when, by the monotonic clock.
        changes: what is still to be done on the server: what, member, value.
    """

    values: dict[bytes, bytes]
    expiry: dict[bytes, float]
    created: float
    updated: float
    updates: int
    timeout: int
    loaded: float
    changes: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class CollectionCounters:
    """What happened since the start: questions, changes that were lost or refused, times that the server was gone."""

    loaded: int = 0
    stored: int = 0
    lost: int = 0
    refused: int = 0
    opened: int = 0


class RedisCollections:
    """Persistent collections on a server, in this machine's own store while it does not answer.

    It may be made before a fork; each process connects for itself. Threads may use it at the same time.

    Args:
        config: the server, the time-out, the prefix of names.
        local: the store of this machine.
        logger: where it is said that the server is gone, or back.
        clock: the time in seconds; machines that share collections should agree on it.

    Attributes:
        counters: see `CollectionCounters`.
        observer: is told how each question went.
    """

    def __init__(
        self,
        config: SharedConfig,
        local: CollectionStore,
        logger: logging.Logger | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counters = CollectionCounters()
        self.observer = Observer()
        self._local, self._clock = local, clock
        self._logger = logger or logging.getLogger("spoa-waf")
        self._occasional = Occasional()
        self._prefix = f"{config.prefix}col:".encode()
        self._secrets = url_secrets(config.url)
        self._client = redis.Redis.from_url(
            config.url,
            socket_timeout=config.timeout,
            socket_connect_timeout=config.timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._gone = False
        self._lock = threading.Lock()

    @property
    def reachable(self) -> bool:
        """Whether the server is asked at all."""
        return not self._gone

    def open(self, key: CollectionKey, timeout: int) -> OpenCollection:
        """Open a collection, made if it does not exist; the timeout is in seconds after its last change."""
        collection = OpenCollection(key._replace(key=bounded_key(key.key)), timeout, is_new=False)
        view = self._load(collection)
        if view is None:
            return self._local.open(key, timeout)
        if not view.created:
            collection.is_new = True
            view.created = view.updated = self._clock()
            view.changes.append((b"o", b"", b""))
        return collection

    def read(self, collection: OpenCollection) -> Snapshot:
        """Everything in it as it was at most half a second ago, with this transaction's own changes."""
        view = self._view(collection)
        if view is None:
            return self._local.read(collection)
        self._drop_expired(view)
        now = self._clock()
        return Snapshot(
            tuple(view.values.items()), view.created or now, min(view.updated, now), view.updates, view.timeout
        )

    def set(self, collection: OpenCollection, member: bytes, value: bytes) -> None:
        """Set a member; its expiry, if it has one, stays. The member ``timeout`` is the collection's own timeout."""
        view = self._view(collection)
        if view is None:
            self._local.set(collection, member, value)
        elif self._fits(member, value):
            self._drop_expired(view)
            view.values[member] = value
            if member == b"timeout" and (seconds := integer(value)):
                view.timeout = max(1, seconds)
            self._note(collection, view, b"=", member, value)

    def add(self, collection: OpenCollection, member: bytes, step: int) -> None:
        """Add to a counter; the server does it, so that no step of any machine is lost."""
        view = self._view(collection)
        if view is None:
            self._local.add(collection, member, step)
        elif self._fits(member, b""):
            self._drop_expired(view)
            view.values[member] = reckon(view.values.get(member, b""), step)
            self._note(collection, view, b"+", member, b"%d" % step)

    def remove(self, collection: OpenCollection, member: bytes) -> None:
        """Remove a member and its expiry."""
        view = self._view(collection)
        if view is None:
            self._local.remove(collection, member)
        elif (view.values.pop(member, None), view.expiry.pop(member, None)) != (None, None):
            self._note(collection, view, b"-", member, b"")
        else:
            view.changes.append((b"-", member, b""))  # another machine may have set it meanwhile

    def expire(self, collection: OpenCollection, member: bytes, seconds: int) -> None:
        """Remove a member when so many seconds have passed; it need not exist yet."""
        view = self._view(collection)
        if view is None:
            self._local.expire(collection, member, seconds)
        elif self._fits(member, b""):
            end = self._clock() + seconds
            view.expiry[member] = end
            self._note(collection, view, b"x", member, b"%.3f" % end)

    def flush(self, collections: Iterable[OpenCollection]) -> None:
        """Carry out on the server what was done to collections since the last call, by one question."""
        work = []
        for each in collections:
            if isinstance(each.view, _View) and each.view.changes:
                work.append((each, each.view.changes))
                each.view.changes = []
        if not work:
            return
        now = b"%.3f" % self._clock()
        calls = [
            (
                1,
                self._name(each.key),
                now,
                min(each.timeout, MAX_TIMEOUT),
                MAX_MEMBERS,
                *(text for c in changes for text in c),
            )
            for each, changes in work
        ]
        if self._run(calls):
            self.counters.stored += 1
        else:
            self.counters.lost += sum(len(changes) for _, changes in work)

    def close(self) -> None:
        """Let go of the connections of this process."""
        self._client.close()

    def _name(self, key: CollectionKey) -> bytes:
        """The name of the hash; only its last part may hold anything."""
        namespace = key.namespace.encode("utf-8", "surrogatepass")
        return b"%b%b:%d:%b%b" % (self._prefix, key.name.encode(), len(namespace), namespace, key.key)

    def _view(self, collection: OpenCollection) -> _View | None:
        """A collection as this transaction sees it; None: in this machine's own store."""
        view = collection.view
        if not isinstance(view, _View) or (not view.changes and time.monotonic() - view.loaded > FRESH_SECONDS):
            view = self._load(collection) or view
        return view if isinstance(view, _View) else None

    def _load(self, collection: OpenCollection) -> _View | None:
        """Ask for a collection; None when there is no answer."""
        if self._gone:
            self.observer.shared("refused")
            return None
        begin = time.perf_counter()
        try:
            found = cast("dict[bytes, bytes]", self._client.hgetall(self._name(collection.key)))
        except (RedisError, OSError) as error:
            self._failed(error, time.perf_counter() - begin)
            return None
        self.observer.shared("ok", time.perf_counter() - begin)
        self.counters.loaded += 1
        view = _parsed(found, collection.timeout)
        if self._clock() >= view.updated + view.timeout:
            view = _parsed({}, collection.timeout)
        self._drop_expired(view)
        collection.view = view
        return view

    def _run(self, calls: list[tuple[Any, ...]]) -> bool:
        """Run the script for several collections, by one question; whether the server answered."""
        if self._gone:
            self.observer.shared("refused")
            return False
        begin = time.perf_counter()
        try:
            answers = self._ask("EVALSHA", _SHA, calls)
            unknown = [call for call, answer in zip(calls, answers, strict=True) if isinstance(answer, NoScriptError)]
            if unknown:  # the server has been restarted, or has never seen it
                answers += self._ask("EVAL", SCRIPT, unknown)
        except (RedisError, OSError) as error:
            self._failed(error, time.perf_counter() - begin)
            return False
        self.observer.shared("ok", time.perf_counter() - begin)
        for answer in answers:
            if isinstance(answer, int):
                self.counters.refused += answer
            elif isinstance(answer, ResponseError) and not isinstance(answer, NoScriptError):
                self.counters.refused += 1
                self._say(
                    "the shared store refused what rules did to a collection", logging.WARNING, reason=str(answer)
                )
        return True

    def _ask(self, command: str, script: str | bytes, calls: list[tuple[Any, ...]]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(command, script, *call)  # type: ignore[no-untyped-call]  # redis is half typed
        return pipeline.execute(raise_on_error=False)

    def _note(self, collection: OpenCollection, view: _View, what: bytes, member: bytes, value: bytes) -> None:
        view.changes.append((what, member, value))
        view.updated = self._clock()
        if not collection.changed:
            collection.changed = True
            view.updates += 1
            view.changes.append((b"n", b"", b""))

    def _fits(self, member: bytes, value: bytes) -> bool:
        fits = len(member) + len(value) <= MAX_TEXT
        self.counters.refused += not fits
        return fits

    def _drop_expired(self, view: _View) -> None:
        if view.expiry:
            now = self._clock()
            for member in [member for member, end in view.expiry.items() if now >= end]:
                del view.expiry[member]
                view.values.pop(member, None)

    # -- the breaker -------------------------------------------------------------------------------

    def _failed(self, error: Exception, seconds: float) -> None:
        self.observer.shared("timeout" if isinstance(error, (TimeoutError, RedisTimeoutError)) else "error", seconds)
        with self._lock:
            if self._gone:
                return
            self._gone = True
        self.counters.opened += 1
        text = f"{type(error).__name__}: {error}"
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self._say("the shared store does not answer: collections are this machine's own", logging.WARNING, reason=text)
        threading.Thread(target=self._look_for_it, name="collections", daemon=True).start()

    def _look_for_it(self) -> None:
        pid = os.getpid()
        while os.getpid() == pid:
            time.sleep(PROBE_EVERY)
            try:
                self._client.ping()
            except (RedisError, OSError):
                continue
            self._gone = False
            self._say("the shared store answers again: collections are shared", logging.INFO)
            return

    def _say(self, text: str, level: int, **fields: object) -> None:
        held = self._occasional.due(text)
        if held is not None:
            event(self._logger, level, text, **fields, **({"repeated": held} if held else {}))


def _parsed(found: dict[bytes, bytes], timeout: int) -> _View:
    """A view of a hash; of none, and of one that is none of ours, an empty one."""
    try:
        created, updated = float(found[b"c"]), float(found[b"u"])
        updates, timeout = int(found[b"n"]), int(found[b"t"])
        values = {name[2:]: value for name, value in found.items() if name[:2] == b"m:"}
        expiry = {name[2:]: float(value) for name, value in found.items() if name[:2] == b"x:"}
    except (KeyError, ValueError):
        return _View({}, {}, 0.0, math.inf, 0, timeout, time.monotonic())
    return _View(values, expiry, created, updated, updates, timeout, time.monotonic())
