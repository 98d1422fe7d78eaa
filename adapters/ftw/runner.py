"""Goes through cases: stages in order, cookies and redirects between them, second tries; in several processes.

The rules are loaded once, then the process is forked. Each case has persistent collections of its own, so that neither
the order of the cases nor their distribution changes a result.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from adapters.ftw.exchange import Outcome, Place, run_request
from adapters.ftw.judge import Fault, judge
from adapters.ftw.overrides import Forced, Overrides
from adapters.ftw.request import build_request
from waf_engine import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from adapters.ftw.model import Case, Stage
    from waf_engine import WAF, CollectionStore

CHUNK = 16
"""Cases that a process is given at once: small enough for a bar that moves, large enough not to wait for pipes."""


class Result(StrEnum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    IGNORED = "ignored"
    CRASHED = "crashed"
    """The engine raised: a fault of this program, not of rules or test."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """What became of one request of a case.

    Attributes:
        number: of the stage, from 1.
        request: the raw bytes that were sent.
        outcome: what came of it.
        faults: what was not as expected.
    """

    number: int
    request: bytes
    outcome: Outcome
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of a case.

    Attributes:
        case: the case, overrides applied.
        result: in a word.
        seconds: of wall-clock time.
        stages: those that were run: none after the first that failed.
        reason: of an override's author, or the traceback of a crash.
    """

    case: Case
    result: Result
    seconds: float = 0.0
    stages: tuple[StageResult, ...] = ()
    reason: str = ""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What was not as expected."""
        return tuple(fault for stage in self.stages for fault in stage.faults)


@dataclass(slots=True)
class _Jar:
    """What stages of a case hand on: cookies, and where a redirect leads."""

    cookies: dict[str, str] = field(default_factory=dict)
    location: str = ""

    def keep(self, outcome: Outcome, *, save_cookie: bool) -> None:
        self.location = outcome.header("location")
        if save_cookie:
            for name, value in outcome.headers:
                if name.lower() == "set-cookie":
                    key, _, content = value.split(";", 1)[0].partition("=")
                    self.cookies[key.strip()] = content.strip()

    def headers(self) -> list[tuple[str, str]]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return [("Cookie", cookies)] if cookies else []


class Runner:
    """Runs cases against rules.

    Args:
        waf: the rules.
        overrides: what is expected otherwise here.
        client: the address that requests come from.
    """

    _current: ClassVar[Runner | None] = None  # of a forked process: what it has inherited

    def __init__(self, waf: WAF, overrides: Overrides | None = None, *, client: str = "127.0.0.1") -> None:
        self.waf, self.client = waf, client
        self.overrides = Overrides() if overrides is None else overrides

    def run_case(self, case: Case) -> CaseResult:
        """Run one case. Never raises: what the engine raises makes it a crash."""
        forced = self.overrides.force(case.name)
        if forced is not None:
            return CaseResult(case, _FORCED[forced[0]], reason=forced[1])
        case = self.overrides.apply(case)
        started = time.perf_counter()
        stages: list[StageResult] = []
        try:
            for stage in self._stages(case):
                stages.append(stage)
                if stage.faults:
                    break
        except Exception:  # noqa: BLE001  whatever it is: the other cases are to be run, and this one is to be told of
            crash = traceback.format_exc(limit=-6)
            return CaseResult(case, Result.CRASHED, time.perf_counter() - started, tuple(stages), crash)
        result = Result.FAILED if stages[-1].faults else Result.PASSED
        return CaseResult(case, result, time.perf_counter() - started, tuple(stages))

    def _stages(self, case: Case) -> Iterator[StageResult]:
        jar, store = _Jar(), MemoryStore()
        for number, stage in enumerate(case.stages, 1):
            uris: tuple[str, ...] = stage.input.uris
            if stage.input.follow_redirect:
                if not jar.location:
                    fault = Fault("a redirect of the stage before (follow_redirect)", "a response without Location")
                    yield StageResult(number, b"", Outcome(0), (fault,))
                    return
                uris = (jar.location,)
            for uri in uris:
                yield self._stage(number, stage, uri, jar, store)

    def _stage(self, number: int, stage: Stage, uri: str, jar: _Jar, store: CollectionStore) -> StageResult:
        request = build_request(stage.input, uri, jar.headers())
        place = Place(self.client, stage.input.server, stage.input.port)

        def attempt() -> tuple[Outcome, list[Fault]]:
            outcome = run_request(self.waf, request, place, reply=stage.input.reply, store=store)
            return outcome, judge(stage.output, outcome, self.waf.plan)

        outcome, faults = attempt()
        if faults and stage.output.retry_once:
            outcome, faults = attempt()
        jar.keep(outcome, save_cookie=stage.input.save_cookie)
        return StageResult(number, request, outcome, tuple(faults))

    def run(self, cases: Sequence[Case], *, processes: int = 1) -> Generator[CaseResult, None, None]:
        """Run cases, and give each result when it is there (with several processes not in the order of the cases).

        The processes are forked when this is called, not when the first result is asked for: do that before starting
        threads. Whoever stops early closes the iterator.

        Args:
            cases: what to run.
            processes: how many to fork; 1 for none.
        """
        processes = min(processes, -(-len(cases) // CHUNK))
        if processes <= 1 or "fork" not in multiprocessing.get_all_start_methods():
            return (self.run_case(case) for case in cases)
        pool = ProcessPoolExecutor(processes, multiprocessing.get_context("fork"), Runner._adopt, (self,))
        chunks = [cases[at : at + CHUNK] for at in range(0, len(cases), CHUNK)]
        futures = {pool.submit(Runner._run_chunk, chunk): chunk for chunk in chunks}

        def results() -> Generator[CaseResult, None, None]:
            try:
                for future in as_completed(futures):
                    try:
                        yield from future.result()
                    except BrokenProcessPool:
                        reason = "a process that ran this test, or one beside it, died; -j 1 shows which"
                        yield from (CaseResult(case, Result.CRASHED, reason=reason) for case in futures[future])
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

        return results()

    @staticmethod
    def _adopt(runner: Runner) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent ends its children
        Runner._current = runner

    @staticmethod
    def _run_chunk(cases: Sequence[Case]) -> list[CaseResult]:
        assert Runner._current is not None
        return [Runner._current.run_case(case) for case in cases]


_FORCED = {Forced.IGNORE: Result.IGNORED, Forced.PASS: Result.PASSED, Forced.FAIL: Result.FAILED}
