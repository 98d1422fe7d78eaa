"""Other engines in the agent's clothes: what `adapters/waf_handler.py` asks of a rule set, and of a transaction.

`PeerWAF` has libmodsecurity run the rules, `IdleWAF` nobody: what the agent takes with it is what is not the engine.
Neither is an engine for use: matched rules are not told, and limits on bodies are libmodsecurity's own.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from waf_engine import WAF, Interruption
from waf_engine.settings import EngineMode


class IdleTransaction:
    """Takes everything and says nothing."""

    engine = EngineMode.ON
    exceeded = None
    request_body_access = inspects_response_body = True
    records: tuple[()] = ()
    matched_rules: tuple[()] = ()
    tx: dict[str, bytes] = {}  # noqa: RUF012  nobody writes to it
    request = SimpleNamespace(method=b"GET")
    connection = SimpleNamespace(client_ip=b"")

    def process_connection(self, client: str, client_port: int, server: str, server_port: int) -> None:
        """As `waf_engine.Transaction`; so all below."""

    def process_uri(self, target: bytes, method: bytes, version: bytes) -> None: ...  # noqa: D102
    def add_request_header(self, name: bytes, value: bytes) -> None: ...  # noqa: D102
    def process_request_headers(self) -> Interruption | None: ...  # noqa: D102
    def write_request_body(self, data: bytes) -> Interruption | None: ...  # noqa: D102
    def request_body_is_partial(self, *, certain: bool) -> Interruption | None: ...  # noqa: D102
    def process_request_body(self) -> Interruption | None: ...  # noqa: D102
    def add_response_header(self, name: bytes, value: bytes) -> None: ...  # noqa: D102
    def process_response_headers(self, status: int, version: bytes) -> Interruption | None: ...  # noqa: D102
    def write_response_body(self, data: bytes) -> Interruption | None: ...  # noqa: D102
    def response_body_is_partial(self, *, certain: bool) -> Interruption | None: ...  # noqa: D102
    def process_response_body(self) -> Interruption | None: ...  # noqa: D102
    def process_logging(self) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class IdleWAF:
    """A rule set without an engine. What else is asked of one, the plan above all, comes from one without rules.

    Args:
        directives: the rules.
    """

    def __init__(self, directives: str) -> None:  # noqa: ARG002  of the ones that have an engine
        self._empty = WAF.from_directives("SecRuleEngine On", executor="reference")

    @classmethod
    def from_directives(cls, directives: str, **_options: Any) -> IdleWAF:
        """As `WAF.from_directives`."""
        return cls(directives)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._empty, name)

    def transaction(self, _id: str | None = None, **_options: Any) -> IdleTransaction:
        """As `WAF.transaction`."""
        return IdleTransaction()


class PeerTransaction(IdleTransaction):
    """A transaction of libmodsecurity.

    Args:
        transaction: libmodsecurity's own.
    """

    def __init__(self, transaction: Any) -> None:
        self._tx = transaction

    def _verdict(self) -> Interruption | None:
        found = self._tx.intervention()
        if not (found and found.disruptive):
            return None
        return Interruption("redirect" if found.url else "deny", found.status, found.url or "")

    def process_connection(self, client: str, client_port: int, server: str, server_port: int) -> None:  # noqa: D102
        self._tx.process_connection(client, client_port, server, server_port)

    def process_uri(self, target: bytes, method: bytes, version: bytes) -> None:  # noqa: D102
        self._tx.process_uri(target.decode("latin-1"), method.decode("latin-1"), version[5:].decode("latin-1"))

    def add_request_header(self, name: bytes, value: bytes) -> None:  # noqa: D102
        self._tx.add_request_header(name.decode("latin-1"), value.decode("latin-1"))

    def process_request_headers(self) -> Interruption | None:  # noqa: D102
        self._tx.process_request_headers()
        return self._verdict()

    def write_request_body(self, data: bytes) -> Interruption | None:  # noqa: D102
        self._tx.append_request_body(data)
        return None

    def process_request_body(self) -> Interruption | None:  # noqa: D102
        self._tx.process_request_body()
        return self._verdict()

    def add_response_header(self, name: bytes, value: bytes) -> None:  # noqa: D102
        self._tx.add_response_header(name.decode("latin-1"), value.decode("latin-1"))

    def process_response_headers(self, status: int, version: bytes) -> Interruption | None:  # noqa: D102
        self._tx.process_response_headers(status, version.decode("latin-1"))
        return self._verdict()

    def write_response_body(self, data: bytes) -> Interruption | None:  # noqa: D102
        self._tx.append_response_body(data)
        return None

    def process_response_body(self) -> Interruption | None:  # noqa: D102
        self._tx.process_response_body()
        return self._verdict()

    def process_logging(self) -> None:  # noqa: D102
        self._tx.process_logging()


class PeerWAF(IdleWAF):
    """libmodsecurity's rules.

    Args:
        directives: the rules.

    Raises:
        SystemExit: it refuses them.
    """

    def __init__(self, directives: str) -> None:
        super().__init__(directives)
        import libmodsecurity  # noqa: PLC0415  only the process that compares has it

        self._make = libmodsecurity.Transaction
        self._engine = libmodsecurity.ModSecurity()
        self._engine.set_log_callback(lambda _line: None)
        self._rules = libmodsecurity.RulesSet()
        if self._rules.load(directives) < 0:
            raise SystemExit(f"libmodsecurity refuses the rules: {self._rules.get_parser_error()}")

    def transaction(self, _id: str | None = None, **_options: Any) -> IdleTransaction:
        """As `WAF.transaction`."""
        return PeerTransaction(self._make(self._engine, self._rules))


ENGINES: dict[str, type[IdleWAF] | None] = {"ours": None, "libmodsecurity": PeerWAF, "no engine": IdleWAF}
"""By the names that tables have; None: the agent's own."""
