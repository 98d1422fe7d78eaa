"""Results for people: a bar while tests run, each test that failed with what to look at, and a last line.

Written for somebody who has never seen go-ftw: what was expected, what happened, what
matched, where the rule is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from adapters.ftw.report import count
from adapters.ftw.runner import Result
from waf_engine.runtime.match import printable
from waf_engine.types import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from adapters.ftw.exchange import Match, Outcome
    from adapters.ftw.runner import CaseResult, StageResult

MAX_SHOWN = 12
"""Rules that are listed for a stage; a request at paranoia level 4 matches many."""
MAX_WIDTH = 160
"""Characters of a request line or a message that are shown."""

_STYLES = {Result.FAILED: "bold red", Result.CRASHED: "bold magenta", Result.IGNORED: "yellow", Result.PASSED: "green"}


class Reporter:
    """Writes results as they come.

    Args:
        output: where results go.
        progress: where the bar goes, if it is a terminal.
        show_log: whether the log lines of a failed stage are written.
        verbose: whether tests that passed are written as well.
    """

    def __init__(self, output: TextIO, progress: TextIO, *, show_log: bool = False, verbose: bool = False) -> None:
        self._out = Console(file=output, highlight=False, soft_wrap=True)
        self._bar = Console(file=progress)
        self._show_log, self._verbose = show_log, verbose

    def follow(self, results: Iterator[CaseResult], total: int) -> Iterator[CaseResult]:
        """Pass results on, each written where it is worth a word, with a bar on a terminal."""
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        failed = 0
        with Progress(*columns, console=self._bar, transient=True, disable=not self._bar.is_terminal) as progress:
            task = progress.add_task("", total=total)
            for result in results:
                failed += result.result in (Result.FAILED, Result.CRASHED)
                self.show(result)
                progress.update(task, advance=1, description=f"[red]{failed} failed" if failed else "")
                yield result

    def show(self, result: CaseResult) -> None:
        """Write one result; of tests that passed or were ignored only when all are to be shown."""
        bad = result.result in (Result.FAILED, Result.CRASHED)
        if not bad and not self._verbose:
            return
        case = result.case
        head = Text(f"{result.result.upper():8}", style=_STYLES[result.result])
        head.append(f" {case.name}", style="bold")
        head.append(f"  {_short(case.description)}" if case.description else "")
        head.append(f"  {case.where.file}:{case.where.line}", style="dim")
        self._out.print(head)
        if result.reason:
            for line in printable(result.reason).rstrip().split("\n"):
                self._field("reason" if not bad else "why", line)
        for stage in result.stages if bad else ():
            if stage.faults:
                self._stage(stage, len(case.stages))
        if bad:
            self._out.print()

    def _stage(self, stage: StageResult, stages: int) -> None:
        if stages > 1:
            self._field("stage", f"{stage.number} of {stages}")
        for fault in stage.faults:
            self._field("expected", fault.expected)
            self._field("got", fault.got)
            if fault.hint:
                self._field("hint", fault.hint)
        if not stage.request:
            return
        self._field("request", to_text(stage.request.split(b"\n", 1)[0].rstrip(b"\r")))
        self._field("answer", _answer(stage.outcome))
        if stage.outcome.refused:
            return
        for label, text in _rules(stage.outcome.matches):
            self._field(label, text)
        if self._show_log:
            for match in stage.outcome.logged:
                self._out.print(Text(f"  {printable(match.line)}", style="dim"))

    def _field(self, label: str, text: str) -> None:
        self._out.print(Text.assemble((f"  {label:9}", "dim"), _short(text)))

    def summary(self, results: Sequence[CaseResult], total: int, seconds: float) -> None:
        """The last line, and why some tests were left out."""
        counts = count(results)
        parts = [(f"{counts[result]} {result}", result) for result in Result if counts[result]]
        text = Text()
        for said, result in parts:
            text.append(", " if text else "").append(said, style=_STYLES[result])
        if len(results) < total:
            text.append(f", {total - len(results)} not run")
        text.append(f" in {seconds:.1f} s")
        self._out.print(text)


def _rules(matches: Iterable[Match]) -> list[tuple[str, str]]:
    """What matched: rules in the log one by one, silent ones by their ids."""
    logged = [match for match in matches if match.line]
    silent = list(dict.fromkeys(match.rule_id for match in matches if not match.line))
    lines = [
        ("matched" if not n else "", f"{match.rule_id} {match.message}") for n, match in enumerate(logged[:MAX_SHOWN])
    ]
    if len(logged) > MAX_SHOWN:
        lines.append(("", f"and {len(logged) - MAX_SHOWN} more"))
    if not logged:
        lines.append(("matched", "nothing that is logged"))
    if silent:
        shown = ", ".join(map(str, silent[:MAX_SHOWN])) + (", ..." if len(silent) > MAX_SHOWN else "")
        lines.append(("silent", f"{shown} ({len(silent)} rules with nolog)"))
    return lines


def _answer(outcome: Outcome) -> str:
    if outcome.refused:
        return f"{outcome.status or 'none'} of the HTTP server, not of the WAF: {outcome.refused}"
    if outcome.blocked:
        return f"{outcome.status or 'none'}: {outcome.blocked}"
    return f"{outcome.status} of the backend: the WAF let it pass"


def _short(text: str) -> str:
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in printable(text))
    return line if len(line) <= MAX_WIDTH else line[: MAX_WIDTH - 3] + "..."
