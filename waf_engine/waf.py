"""`WAF`: a compiled rule set that makes transactions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from waf_engine.actions import actions
from waf_engine.audit import audit_formats, audit_writers
from waf_engine.audit.log import TransactionLog
from waf_engine.bodies import body_processors
from waf_engine.compiler.lower import compile_plan
from waf_engine.compiler.state import Registries
from waf_engine.directives import directives
from waf_engine.loaders import load_files, load_text
from waf_engine.operators import operators
from waf_engine.persistence import MemoryStore
from waf_engine.runtime.reference import run_phase
from waf_engine.runtime.transaction import Transaction
from waf_engine.transformations import transformations
from waf_engine.variables import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from waf_engine.audit.registry import AuditWriter
    from waf_engine.compiler.plan import Plan
    from waf_engine.loaders import Loaded
    from waf_engine.persistence import CollectionStore
    from waf_engine.runtime.transaction import Executor, OnMatch

EXECUTORS: dict[str, Executor] = {"plan": run_phase, "reference": run_phase}
"""How rules are run, by name. Both names are the reference interpreter until there is a faster executor."""

DEFAULT_SCAN_MEMORY = 16 * 1024 * 1024
"""Bytes that an executor may use to remember results across transactions; the reference uses none."""


class WAF:
    """A rule set, compiled once and shared by all transactions, from any thread.

    Made by `from_directives` or `from_files`.

    Attributes:
        plan: the compiled rule set.
        log: its audit log and debug log.
    """

    def __init__(
        self,
        plan: Plan,
        registries: Registries,
        *,
        executor: str = "plan",
        scan_memory: int = DEFAULT_SCAN_MEMORY,
        on_match: OnMatch | None = None,
        clock: Callable[[], float] = time.time,
        store: CollectionStore | None = None,
        audit_writer: AuditWriter | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        if executor not in EXECUTORS:
            raise ValueError(f"executor is one of {', '.join(EXECUTORS)}, got {executor!r}")
        if scan_memory < 0:
            raise ValueError(f"scan_memory is a number of bytes, got {scan_memory}")
        self.plan = plan
        self._executor = EXECUTORS[executor]
        self._registries = registries
        self._on_match = on_match
        self._clock = clock
        self._store = MemoryStore(clock=clock) if store is None else store
        formats, writers = registries.audit_formats, registries.audit_writers
        self.log = TransactionLog(plan.settings, formats, writers, audit_writer, report)

    @classmethod
    def from_directives(
        cls, text: str, *, root: Path | None = None, settings: dict[str, Any] | None = None, **options: Any
    ) -> WAF:
        """Compile a rule set from a text; Include in it reads files.

        Args:
            text: the directives.
            root: the folder that relative names begin at and that no name may leave.
            settings: values of `Settings` that hold unless a directive sets them.
            options: ``executor`` (``plan``, or ``reference`` for the plain interpreter), ``scan_memory`` (bytes
                that may be used to remember scans across transactions; 0 for none), ``on_match`` (called with
                the transaction and each `MatchedRule`), ``clock`` (seconds since 1970), ``store`` (a
                `CollectionStore` for persistent collections; else each WAF has one of its own in memory),
                ``registries``, ``audit_writer`` (an `AuditWriter` in the place of the one that SecAuditLog and
                SecAuditLogType name), ``report`` (called from a log's thread, at most once a minute, with a text about
                entries that could not be written; else they go to the logger ``waf_engine.audit``).

        Raises:
            SecLangError: the rules have errors; it carries all of them, with their positions.
        """
        return cls._compile(load_text(text, root=root), root, settings, options)

    @classmethod
    def from_files(
        cls,
        paths: Iterable[str | Path],
        *,
        root: Path | None = None,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> WAF:
        """Compile a rule set from files, globs and embedded names, read in their order.

        Args:
            paths: the files.
            root: see `from_directives`.
            settings: see `from_directives`.
            options: see `from_directives`.

        Raises:
            SecLangError: a file cannot be read, or the rules have errors.
        """
        return cls._compile(load_files(paths, root=root), root, settings, options)

    @classmethod
    def _compile(
        cls, loaded: Loaded, root: Path | None, settings: dict[str, Any] | None, options: dict[str, Any]
    ) -> WAF:
        registries = options.pop("registries", None) or default_registries()
        return cls(compile_plan(loaded, registries, root=root, settings=settings), registries, **options)

    def transaction(self, id: str | None = None) -> Transaction:  # noqa: A002  the name that the manuals use
        """Begin a transaction.

        Args:
            id: its id, as it is to appear in logs; None for a random one.
        """
        return Transaction(
            self.plan,
            self._executor,
            transaction_id=id,
            clock=self._clock,
            body_processors=self._registries.body_processors,
            store=self._store,
            on_match=self._on_match,
            log=self.log,
        )

    def reopen_logs(self) -> None:
        """Open the audit log and the debug log anew by their names, after a rotation; returns at once."""
        self.log.reopen()

    def close(self) -> None:
        """Write what waits for the logs, for at most two seconds, and close them. Transactions can still be run."""
        self.log.close()


def default_registries() -> Registries:
    """The registries that this package fills."""
    return Registries(
        operators=operators,
        transformations=transformations,
        actions=actions,
        variables=variables,
        directives=directives,
        body_processors=body_processors,
        audit_formats=audit_formats,
        audit_writers=audit_writers,
    )
