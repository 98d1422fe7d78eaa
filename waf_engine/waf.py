"""`WAF`: a compiled rule set that makes transactions."""

from __future__ import annotations

import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from waf_engine.actions import actions
from waf_engine.audit import audit_formats, audit_writers
from waf_engine.audit.log import TransactionLog
from waf_engine.bodies import body_processors
from waf_engine.collector import collector_rests, set_aside
from waf_engine.compiler.lower import compile_plan
from waf_engine.compiler.program import plan_executor
from waf_engine.compiler.state import Registries
from waf_engine.directives import directives
from waf_engine.loaders import EMBEDDED, load_files, load_text
from waf_engine.operators import operators
from waf_engine.persistence import MemoryStore
from waf_engine.runtime.budget import BoundedTransaction, bounded
from waf_engine.runtime.databases import DatabaseCache, default_folder
from waf_engine.runtime.lanes import Memory
from waf_engine.runtime.reference import run_phase
from waf_engine.runtime.snapshot import Snapshots
from waf_engine.runtime.transaction import Transaction
from waf_engine.transformations import transformations
from waf_engine.variables import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from waf_engine.audit.registry import AuditWriter
    from waf_engine.compiler.plan import Plan
    from waf_engine.loaders import Loaded
    from waf_engine.persistence import CollectionStore
    from waf_engine.runtime.budget import Budget, Exceeded
    from waf_engine.runtime.databases import Progress
    from waf_engine.runtime.transaction import Executor, OnMatch

EXECUTORS = ("plan", "reference")
"""How rules are run: by programs made in advance, or by the plain interpreter."""

DEFAULT_SCAN_MEMORY = 16 * 1024 * 1024
"""Bytes that an executor may use to remember results across transactions; the reference uses none."""

BACKGROUND_SECONDS = 1.0
"""How long the constructor waits for databases that are made in the background: those on disk are there by then."""


class WAF:
    """A rule set, compiled once and shared by all transactions, from any thread.

    Made by `from_directives` or `from_files`.

    Attributes:
        plan: the compiled rule set.
        log: its audit log and debug log.
        budgets_exceeded: how many transactions took more processor time than their budget.
        databases: makes its databases, and counts them; None for an executor without any.
    """

    def __init__(
        self,
        plan: Plan,
        registries: Registries,
        *,
        executor: str = "plan",
        scan_memory: int = DEFAULT_SCAN_MEMORY,
        cache_folder: Path | None = None,
        background: bool = False,
        on_match: OnMatch | None = None,
        clock: Callable[[], float] = time.time,
        store: CollectionStore | None = None,
        audit_writer: AuditWriter | None = None,
        report: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        if executor not in EXECUTORS:
            raise ValueError(f"executor is one of {', '.join(EXECUTORS)}, got {executor!r}")
        if scan_memory < 0:
            raise ValueError(f"scan_memory is a number of bytes, got {scan_memory}")
        self.plan = plan
        self._executor: Executor = run_phase
        self._registries = registries
        self._on_match = on_match
        self._clock = clock
        self._store = MemoryStore(clock=clock) if store is None else store
        formats, writers = registries.audit_formats, registries.audit_writers
        self.log = TransactionLog(plan.settings, formats, writers, audit_writer, report)
        self.budgets_exceeded = 0
        self._counting = threading.Lock()
        self._bounded: tuple[Executor, Executor] | None = None
        self.databases: DatabaseCache | None = None
        self._planning: threading.Thread | None = None
        if executor == "reference":
            set_aside(plan.rule_count)
        else:
            folder = default_folder() if cache_folder is None else cache_folder
            memory = Memory(scan_memory) if scan_memory else None
            cache = self.databases = DatabaseCache(folder, progress=progress)
            if not background:
                self._make_plan(cache, memory)
                return
            # Until its databases are there the plain interpreter runs the rules.
            self._planning = threading.Thread(target=self._make_plan, args=(cache, memory), name="plan", daemon=True)
            self._planning.start()
            self._planning.join(BACKGROUND_SECONDS)

    def _make_plan(self, cache: DatabaseCache, memory: Memory | None) -> None:
        self._executor = plan_executor(self.plan, self._blank, cache, memory)
        set_aside(self.plan.rule_count)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the planned executor is at work; at once where it is not made in the background.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            Whether it is at work (or not wanted).
        """
        if self._planning is None:
            return True
        self._planning.join(timeout)
        return not self._planning.is_alive()

    def _blank(self, executor: Executor = run_phase) -> Transaction:
        """A transaction that nobody hears of."""
        return Transaction(
            self.plan,
            executor,
            transaction_id="plan",
            clock=self._clock,
            body_processors=self._registries.body_processors,
            store=MemoryStore(),
        )

    @classmethod
    def from_directives(
        cls,
        text: str,
        *,
        root: Path | None = None,
        settings: dict[str, Any] | None = None,
        embedded: Mapping[str, Path] = EMBEDDED,
        **options: Any,
    ) -> WAF:
        """Compile a rule set from a text; Include in it reads files.

        Args:
            text: the directives.
            root: the folder that relative names begin at and that no name may leave.
            settings: values of `Settings` that hold unless a directive sets them.
            embedded: what names that begin with ``@`` mean, for Include and for data files; see
                `waf_engine.loaders.EMBEDDED`, which it takes the place of.
            options: ``executor`` (``plan``, or ``reference`` for the plain interpreter), ``scan_memory`` (bytes
                that may be used to remember scans across transactions; 0 for none), ``cache_folder`` (where compiled
                databases are kept; None for the user's cache folder), ``background`` (whether to return before
                databases are compiled: rules run at once, and fast when they are there; see `wait`),
                ``on_match`` (called with the transaction and each `MatchedRule` that is to be logged),
                ``clock`` (seconds since 1970), ``store`` (a
                `CollectionStore` for persistent collections; else each WAF has one of its own in memory),
                ``registries``, ``audit_writer`` (an `AuditWriter` in the place of the one that SecAuditLog and
                SecAuditLogType name), ``report`` (called from a log's thread, at most once a minute, with a text about
                entries that could not be written; else they go to the logger ``waf_engine.audit``), ``progress``
                (called from any thread, while databases are compiled, with how many are done, of how many, and a
                word on the last one).

        Raises:
            SecLangError: the rules have errors; it carries all of them, with their positions.
        """
        with collector_rests():
            return cls._compile(load_text(text, root=root, embedded=embedded), root, settings, embedded, options)

    @classmethod
    def from_files(
        cls,
        paths: Iterable[str | Path],
        *,
        root: Path | None = None,
        settings: dict[str, Any] | None = None,
        embedded: Mapping[str, Path] = EMBEDDED,
        **options: Any,
    ) -> WAF:
        """Compile a rule set from files, globs and embedded names, read in their order.

        Args:
            paths: the files.
            root: see `from_directives`.
            settings: see `from_directives`.
            embedded: see `from_directives`.
            options: see `from_directives`.

        Raises:
            SecLangError: a file cannot be read, or the rules have errors.
        """
        with collector_rests():
            return cls._compile(load_files(paths, root=root, embedded=embedded), root, settings, embedded, options)

    @classmethod
    def _compile(
        cls,
        loaded: Loaded,
        root: Path | None,
        settings: dict[str, Any] | None,
        embedded: Mapping[str, Path],
        options: dict[str, Any],
    ) -> WAF:
        registries = options.pop("registries", None) or default_registries()
        plan = compile_plan(loaded, registries, root=root, settings=settings, embedded=embedded)
        return cls(plan, registries, **options)

    def transaction(
        self,
        id: str | None = None,  # noqa: A002  the name that the manuals use
        *,
        budget: Budget | None = None,
        timer: Callable[[Executor], Executor] | None = None,
    ) -> Transaction:
        """Begin a transaction.

        Args:
            id: its id, as it is to appear in logs; None for a random one.
            budget: the processor time that it may take; None for any. See `Transaction.exceeded`.
            timer: puts another executor in the place of the given one, to measure what it does.
        """
        executor = self._executor if budget is None else self._bounded_executor()
        if timer is not None:
            executor = timer(executor)
        make = Transaction if budget is None else BoundedTransaction
        tx = make(
            self.plan,
            executor,
            transaction_id=id,
            clock=self._clock,
            body_processors=self._registries.body_processors,
            store=self._store,
            on_match=self._on_match,
            log=self.log,
        )
        if budget is not None:
            cast("BoundedTransaction", tx).limit(budget, self._count_exceeded)
        return tx

    def _bounded_executor(self) -> Executor:
        """The executor at work, in the form for transactions with a budget."""
        made = self._bounded
        if made is None or made[0] is not self._executor:  # the first of them, or the databases are there now
            made = self._bounded = (self._executor, bounded(self._executor))
        return made[1]

    def _count_exceeded(self, _exceeded: Exceeded) -> None:
        with self._counting:
            self.budgets_exceeded += 1

    @cached_property
    def snapshots(self) -> Snapshots:
        """Makes snapshots of transactions between request and response, and transactions of snapshots."""
        return Snapshots(self.plan, self.transaction, self._blank)

    @property
    def store(self) -> CollectionStore:
        """Where its persistent collections live."""
        return self._store

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
