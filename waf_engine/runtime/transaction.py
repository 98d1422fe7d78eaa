"""A transaction: one HTTP exchange, fed in the order of HTTP, judged phase by phase.

Holds the state that belongs to one exchange and the public methods that feed it (DESIGN.md, waf_engine).
How rules are run is the executor's (`reference.py`); what variables mean is the variables' families'.
Nothing here raises on what a client sent: limits become interruptions or variables.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from waf_engine.bodies.cookies import parse_cookies
from waf_engine.bodies.uri import split_uri
from waf_engine.bodies.urlencoded import parse_urlencoded
from waf_engine.compiler.plan import Allow, Disruption, Exclusion, Phase
from waf_engine.persistence import CollectionKey
from waf_engine.runtime.body import attach_request, attach_response
from waf_engine.runtime.exchange import Connection, Request, Response
from waf_engine.runtime.match import Interruption, MatchedRule, MatchedValue, MatchRecord
from waf_engine.settings import EngineMode, LimitAction
from waf_engine.types import encode_argument, to_text
from waf_engine.uploads import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from waf_engine.audit.log import TransactionLog
    from waf_engine.audit.sanitiser import Sanitiser
    from waf_engine.compiler.plan import CompiledRule, Plan, Variable
    from waf_engine.persistence import CollectionStore, OpenCollection
    from waf_engine.registry import Registry
    from waf_engine.runtime.budget import Exceeded
    from waf_engine.runtime.lanes import Named
    from waf_engine.types import BodyProcessor, Entry
    from waf_engine.uploads import Uploads

    Executor = Callable[["Transaction", int], None]
    OnMatch = Callable[["Transaction", MatchedRule], None]

NO_SEVERITY = 255
"""HIGHEST_SEVERITY before any rule with a severity matched."""


class Transaction:
    """One exchange. Made by `WAF.transaction`; its methods are called in the order of HTTP.

    Each ``process_*`` and ``write_*`` returns the interruption, if there is one by then, or None. Text
    arguments are taken as `str` (as UTF-8) or `bytes`. After the last call, `close` must be called.

    Attributes:
        exceeded: how its budget was exceeded; None while it is not, or when it has none (budget.py).
        tick: to be called now and then by what works long on a body; None without a budget.
        step: to be called by executors that take up a rule (with None), and where a value has matched (with its name
            and itself); None without a budget.
        watch: gives members of a variable one by one, and looks at the time between them; None without a budget.
        uploads: uploaded files on disk (uploads.py); None while there are none.
    """

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        *,
        transaction_id: str | None,
        clock: Callable[[], float],
        body_processors: Registry[BodyProcessor],
        store: CollectionStore,
        on_match: OnMatch | None = None,
        log: TransactionLog | None = None,
    ) -> None:
        settings = plan.settings
        self.exceeded: Exceeded | None = None
        self.tick: Callable[[], None] | None = None
        self.step: Callable[[tuple[str, bytes] | None], None] | None = None
        self.watch: Callable[[str, Sequence[Entry]], Iterable[Entry]] | None = None

        self.plan = plan
        self.id = transaction_id or os.urandom(10).hex()
        self.clock = clock
        self.started = clock()
        self.interruption: Interruption | None = None
        self.detected_interruption: Interruption | None = None
        self.records: list[MatchRecord] = []
        self._matched_rules: list[MatchedRule] = []
        self.body_processors = body_processors
        self.store = store
        self._executor = executor
        self._on_match = on_match
        self._log = log
        self.phase = 0
        self.closed = False

        self.connection = Connection()
        self.request = Request()
        self.response = Response()
        self.tx: dict[bytes, bytes] = {}
        self.env: dict[bytes, bytes] = {}
        self.collections: dict[str, list[Entry]] = {}
        self.persistent: dict[str, OpenCollection] = {}
        self.limits: dict[str, int] = {}
        self.highest_severity = NO_SEVERITY

        # What `ctl` may change for this exchange alone.
        self.engine = settings.rule_engine
        self.request_body_access = settings.request_body_access
        self.request_body_limit = settings.request_body_limit
        self.response_body_access = settings.response_body_access
        self.response_body_limit = settings.response_body_limit
        self.force_request_body_variable = False
        self.force_response_body_variable = False
        self.audit_engine = settings.audit_engine
        self.audit_log_parts = settings.audit_log_parts
        self.debug_log_level = settings.debug_log_level
        self.sanitiser: Sanitiser | None = None
        self.removed_ids: set[int] = set()
        self.removed_targets: dict[int, tuple[Exclusion, ...]] = {}

        # Whether a body may lack its end, so that this is no fault of it.
        self.request_may_be_cut = False
        self.response_may_be_cut = False

        self.uploads: Uploads | None = None

        # What the executor and the variables share while rules run.
        self.rule: CompiledRule | None = None
        self.allow: Allow | None = None
        self.matched_var: tuple[str, bytes] | None = None
        self.matched_vars: list[Entry] = []

        # What the planned executor remembers between phases (planned.py).
        self.clean = True
        self.clean_phases: tuple[int, ...] = ()
        self.dirty: frozenset[bytes] = frozenset()
        self.made_keys: list[bytes] | None = []
        self.candidates: Named | None = None
        self.later: tuple[int, Named] | None = None
        self.keys_of_body: frozenset[bytes] = frozenset()

        # The first argument of each name, and the lists that they were taken from: `_argument`.
        self._arguments: dict[bytes, bytes] = {}
        self._argument_lists: tuple[list[Entry], list[Entry], list[Entry]] | None = None

    # -- feeding ---------------------------------------------------------------------------------

    def process_connection(
        self, client_ip: str | bytes, client_port: int, server_ip: str | bytes, server_port: int
    ) -> Interruption | None:
        """The addresses of the connection: IP addresses as text, ports as numbers."""
        self.connection = Connection(
            _bytes(client_ip), str(client_port).encode(), _bytes(server_ip), str(server_port).encode()
        )
        return self.interruption

    def process_uri(self, uri: str | bytes, method: str | bytes, version: str | bytes) -> Interruption | None:
        """The request line: target, method, and version as ``HTTP/1.1``."""
        request = self.request
        request.uri_raw, request.method, request.protocol = _bytes(uri), _bytes(method), _bytes(version)
        parts = split_uri(request.uri_raw)
        request.uri, request.query = parts.uri, parts.query
        request.path, request.basename = parts.filename, parts.basename
        settings = self.plan.settings
        request.args_get, bad = parse_urlencoded(parts.arguments, encode_argument(settings.argument_separator))
        request.uri_error = parts.bad_escape or bad
        return self.interruption

    def add_request_header(self, name: str | bytes, value: str | bytes) -> None:
        """A header of the request; a repeated one is added, not joined."""
        request = self.request
        raw_name, raw_value = _bytes(name), _bytes(value)
        request.headers.append((raw_name, raw_value))
        self.later = None  # candidates that were found without this header
        folded = raw_name.lower()
        if folded == b"cookie":
            request.cookies += parse_cookies(raw_value)
        elif folded == b"content-type":
            kind = raw_value.split(b";", 1)[0].strip().lower()
            if kind == b"application/x-www-form-urlencoded":
                request.processor = "URLENCODED"
            elif kind.startswith(b"multipart/form-data"):  # a missing semicolon is for the processor to flag
                request.processor = "MULTIPART"
        elif folded == b"host":
            request.server_name = _host_name(raw_value)

    def process_request_headers(self) -> Interruption | None:
        """Phase 1. To be called once, after the last header."""
        return self._run(Phase.REQUEST_HEADERS)

    def write_request_body(self, data: bytes | bytearray | memoryview) -> Interruption | None:
        """A piece of the request's body. Beyond the limit it is refused or cut, as the settings say."""
        if not self._takes_body(Phase.REQUEST_BODY) or not self.request_body_access:
            return self.interruption
        request = self.request
        room = self.request_body_limit - len(request.body)
        if len(data) < room:
            request.body += data
            return self.interruption
        request.body_over_limit = True
        if self.plan.settings.request_body_limit_action is LimitAction.REJECT and self.engine is EngineMode.ON:
            self.interruption = Interruption("deny", 413)
            return self.interruption
        request.body += data[: max(0, room)]
        return self.process_request_body()

    def request_body_is_partial(self, *, certain: bool = True) -> Interruption | None:
        """Say that what was written is not all of the request's body; before `process_request_body`.

        It is judged as a body beyond its limit: refused or inspected as far as it came, as SecRequestBodyLimitAction
        says, and its missing end is not called malformed (coraza#1453).

        Args:
            certain: False when it may be all of it: then it is never refused.
        """
        if not self._takes_body(Phase.REQUEST_BODY) or not self.request_body_access:
            return self.interruption
        self.request_may_be_cut = True
        if certain:
            self.request.body_over_limit = True
            if self.plan.settings.request_body_limit_action is LimitAction.REJECT and self.engine is EngineMode.ON:
                self.interruption = Interruption("deny", 413)
        return self.interruption

    def process_request_body(self) -> Interruption | None:
        """Phase 2. To be called once, also when there was no body."""
        if self._takes_body(Phase.REQUEST_BODY):
            attach_request(self)
        return self._run(Phase.REQUEST_BODY)

    def add_response_header(self, name: str | bytes, value: str | bytes) -> None:
        """A header of the response; a repeated one is added, not joined."""
        raw_name, raw_value = _bytes(name), _bytes(value)
        self.response.headers.append((raw_name, raw_value))
        self.later = None
        if raw_name.lower() == b"content-type":
            self.response.content_type = raw_value

    def process_response_headers(self, status: int | str | bytes, version: str | bytes) -> Interruption | None:
        """Phase 3: the status, and the version as ``HTTP/1.1``."""
        self.response.status = str(status).encode() if isinstance(status, int) else _bytes(status)
        self.response.protocol = _bytes(version)
        return self._run(Phase.RESPONSE_HEADERS)

    def write_response_body(self, data: bytes | bytearray | memoryview) -> Interruption | None:
        """A piece of the response's body; kept only for the types of SecResponseBodyMimeType."""
        if not self._takes_body(Phase.RESPONSE_BODY) or not self.inspects_response_body:
            return self.interruption
        response = self.response
        room = self.response_body_limit - len(response.body)
        if len(data) < room:
            response.body += data
            return self.interruption
        response.body_over_limit = True
        if self.plan.settings.response_body_limit_action is LimitAction.REJECT and self.engine is EngineMode.ON:
            self.interruption = Interruption("deny", 500)
            return self.interruption
        response.body += data[: max(0, room)]
        return self.process_response_body()

    def response_body_is_partial(self, *, certain: bool = True) -> Interruption | None:
        """Say that what was written is not all of the response's body; before `process_response_body`.

        Args:
            certain: as in `request_body_is_partial`; the action is SecResponseBodyLimitAction's.
        """
        if not self._takes_body(Phase.RESPONSE_BODY) or not self.inspects_response_body:
            return self.interruption
        self.response_may_be_cut = True
        if certain:
            self.response.body_over_limit = True
            if self.plan.settings.response_body_limit_action is LimitAction.REJECT and self.engine is EngineMode.ON:
                self.interruption = Interruption("deny", 500)
        return self.interruption

    def process_response_body(self) -> Interruption | None:
        """Phase 4. To be called once, also when there was no body."""
        if self._takes_body(Phase.RESPONSE_BODY):
            attach_response(self)
        return self._run(Phase.RESPONSE_BODY)

    def process_logging(self) -> None:
        """Phase 5. To be called last, after an interruption too."""
        if self.engine is not EngineMode.OFF and self.phase < Phase.LOGGING:
            self.phase = Phase.LOGGING
            self._executor(self, Phase.LOGGING)
            if self.persistent:
                self.store.flush(self.persistent.values())
            if self._log is not None:
                self._log.record(self)

    def close(self) -> None:
        """Give back what the transaction holds (files on disk). May be called twice."""
        settle(self)
        self.closed = True

    @property
    def inspects_response_body(self) -> bool:
        """Whether the response's body is wanted: access is on and its type is listed."""
        kind = self.response.content_type.split(b";", 1)[0].strip().lower().decode("latin-1")
        listed = kind in self.plan.settings.response_body_mime_types
        return self.response_body_access and (listed or self.force_response_body_variable)

    def _takes_body(self, phase: Phase) -> bool:
        return self.engine is not EngineMode.OFF and self.interruption is None and self.phase < phase

    def _run(self, phase: Phase) -> Interruption | None:
        """Run a phase once, unless the engine is off or the exchange is already interrupted."""
        if self.engine is not EngineMode.OFF and self.interruption is None and self.phase < phase:
            self.phase = phase
            self._executor(self, phase)
            if self.persistent:
                self.store.flush(self.persistent.values())
        return self.interruption

    # -- what operators, actions and the executor use ----------------------------------------------

    def first_value(self, variable: Variable, key: bytes | None) -> bytes | None:
        """The first value of a variable, or of its member with this (lower-case) key; None when there is none."""
        if key is not None and variable.name == "TX":
            found = self.tx.get(key)
            return b"" if found is None and key.isdigit() and len(key) == 1 else found
        if key is None:
            return next((value for _, value in variable.read(self)), None)
        if variable.name == "ARGS":
            return self._argument(key)
        length = len(key)  # an operator may ask for each of thousands of arguments: most names need no folding
        for name, value in variable.read(self):
            if len(name) == length and name.lower() == key:
                return value
        return None

    def _argument(self, key: bytes) -> bytes | None:
        """The first argument of a name in lower case: an operator may ask for it with each of thousands of them."""
        request = self.request
        lists = (request.args_get, request.args_post, request.args_path)  # replaced as a whole, never changed
        known = self._argument_lists
        if known is None or any(was is not now for was, now in zip(known, lists, strict=True)):
            self._arguments, self._argument_lists = {}, lists
            for entries in lists:
                for name, value in entries:
                    self._arguments.setdefault(name.lower(), value)
        return self._arguments.get(key)

    def variable(self, name: str, key: bytes | None = None) -> bytes | None:
        """The first value of a variable by name (``REMOTE_ADDR``; ``TX`` with a key), or None."""
        variable = self.plan.variables.get(name.upper())
        return None if variable is None else self.first_value(variable, None if key is None else key.lower())

    def set_collection(self, name: str, entries: Sequence[Entry]) -> None:
        """Replace the content of a collection that an operator fills (``GEO``, ``ARGS_PATH``)."""
        if name == "ARGS_PATH":
            self.request.args_path = list(entries)
        else:
            self.collections[name] = list(entries)

    def open_collection(self, name: str, key: bytes) -> None:
        """Open a persistent collection; not for an empty key, and not if one is open (ModSecurity)."""
        if key and name not in self.persistent:
            settings = self.plan.settings
            where = CollectionKey(name, settings.web_app_id, key)
            self.persistent[name] = self.store.open(where, settings.collection_timeout)

    @property
    def xml(self) -> Any:
        """The tree of the request's XML body, from phase 4 on of the response's if it has one.

        None where there is none, False for a body that is not well-formed; ``@validateSchema`` and ``@validateDTD``
        ask for it.
        """
        response = self.response.xml if self.phase >= Phase.RESPONSE_BODY else None
        document = self.request.xml if response is None else response
        if document is None:
            return None
        return document.root.getroottree() if document.well_formed else False

    def set_tx(self, key: bytes, value: bytes) -> None:
        """Set a member of TX."""
        folded = key.lower()
        self.tx[folded] = value
        if self.made_keys is not None:
            self.made_keys.append(folded)

    def note_limit(self, name: str) -> None:
        """Count that a limit was reached in this transaction."""
        self.limits[name] = self.limits.get(name, 0) + 1

    def disrupt(self, rule: CompiledRule, disruption: Disruption) -> None:
        """Carry out a rule's disruptive action; in DetectionOnly the first one is only remembered."""
        if disruption.action == "pass":
            return
        if disruption.action == "allow":
            if self.engine is EngineMode.ON:
                self.allow = disruption.allow
            return
        data = to_text(disruption.data.expand(self)) if disruption.data is not None else ""
        interruption = Interruption(disruption.action, disruption.status, data, rule.id)
        if self.engine is EngineMode.ON:
            self.interruption = self.interruption or interruption
        else:
            self.detected_interruption = self.detected_interruption or interruption

    def report(self, rule: CompiledRule, matches: Sequence[MatchedValue]) -> None:
        """Record that a rule matched, and tell whoever listens, if it is to be logged."""
        action = rule.disruption.action if rule.disruption else ""
        disruptive = self.engine is EngineMode.ON and action not in ("", "pass")
        record = MatchRecord(rule, tuple(matches), disruptive)
        self.records.append(record)
        if self.sanitiser is not None:
            self.sanitiser.note(record.matches)
        if rule.severity is not None and rule.severity < self.highest_severity:
            self.highest_severity = rule.severity
        if rule.log and self._on_match is not None:
            self._on_match(self, self._told(record))

    def record(self, records: Sequence[MatchRecord], severity: int) -> None:
        """Record rules that were evaluated in advance, the worst of this severity; none is logged or disruptive."""
        self.records += records
        if self.sanitiser is not None:
            for record in records:
                self.sanitiser.note(record.matches)
        self.highest_severity = min(self.highest_severity, severity)

    @property
    def matched_rules(self) -> list[MatchedRule]:
        """All rules that matched so far, in order, those that are not logged too."""
        known = self._matched_rules
        for record in self.records[len(known) :]:
            known.append(self._told(record))
        return known

    def _told(self, record: MatchRecord) -> MatchedRule:
        """A match as the outside is told of it."""
        rule = record.rule
        return MatchedRule(
            rule=rule,
            matches=record.matches,
            disruptive=record.disruptive,
            action=rule.disruption.action if rule.disruption else "",
            client=to_text(self.connection.client_ip),
            server=to_text(self.connection.server_ip),
            uri=to_text(self.request.uri),
            unique_id=self.id,
            sanitiser=self.sanitiser,
        )


def _bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that no byte stands for
        return text.encode("utf-8", "surrogatepass")


def _host_name(host: bytes) -> bytes:
    """The Host header without its port; an IPv6 address keeps its brackets."""
    if host.startswith(b"["):
        return host[: host.find(b"]") + 1] or host
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() else host
